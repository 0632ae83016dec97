package dht_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
)

// One peer is not called several.
func TestTheTextOfAShortPutCountsPeers(t *testing.T) {
	require.EqualError(t, &dht.ShortError{Receipt: dht.Receipt{Asked: 1, Refused: 1}, Want: 1},
		"stored by 0 of 1 peer, and 1 is wanted (1 refused it, 0 did not answer); try again")
	require.EqualError(t, &dht.ShortError{Receipt: dht.Receipt{Asked: 20, Stored: 1, Unreachable: 19}, Want: 10},
		"stored by 1 of 20 peers, and 10 are wanted (0 refused it, 19 did not answer); try again")
}
