package agent

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
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
}
