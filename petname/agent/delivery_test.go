package agent

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/petname/exchange"
)

// A queued message has an error in any case, and the error of a disk that could not record a
// stored message is returned.
func TestErrorsBesideADelivery(t *testing.T) {
	disk := errors.New("disk full")
	require.NoError(t, queued(Stored, nil))
	require.ErrorIs(t, queued(Stored, disk), disk)
	require.ErrorIs(t, queued(Queued, nil), dht.ErrUnreachable)
	require.ErrorIs(t, queued(Queued, disk), disk)
	require.ErrorIs(t, queued("", disk), disk)

	sent, err := delivered(exchange.Behind, nil)
	require.Equal(t, Queued, sent)
	require.ErrorIs(t, err, errBehind)
	sent, err = delivered(exchange.Behind, disk)
	require.Equal(t, Queued, sent)
	require.ErrorIs(t, err, disk)
	sent, err = delivered(Stored, nil)
	require.Equal(t, Stored, sent)
	require.NoError(t, err)
}
