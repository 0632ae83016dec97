package pointer

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// The epoch of delegations keeps its wire format, is absent when it is zero, and is bounded.
func TestTheEpochOfACardKeepsItsWireFormat(t *testing.T) {
	card := Card{Nickname: "A", Epoch: 3}
	b, err := card.Encode()
	require.NoError(t, err)
	require.Equal(t, unhex(t, "a3 01 01 02 6141 0d 03"), b)
	parsed, err := ParseCard(b)
	require.NoError(t, err)
	require.Equal(t, card, parsed)

	_, err = ParseCard(unhex(t, "a3 01 01 02 6141 0d 00"))
	require.Error(t, err, "zero is absent")
	_, err = ParseCard(unhex(t, "a3 01 01 02 6141 0d 20"))
	require.Error(t, err, "a negative number")
	_, err = ParseCard(unhex(t, "a3 01 01 02 6141 0d 1b ffffffffffffffff"))
	require.Error(t, err, "over the bound")
	_, err = Card{Epoch: MaxEpoch + 1}.Encode()
	require.Error(t, err)
}
