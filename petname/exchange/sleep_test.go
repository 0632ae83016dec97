package exchange

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht/dhttest"
	"github.com/petnames-go/petnames/pointer"
)

// The time for which a record of a peer is awaited passes while the machine sleeps.
func TestAwaitedRecordsEndDuringASleep(t *testing.T) {
	var clock dhttest.Clock
	e := Open(Config{Now: clock.Now})
	require.NotContains(t, e.c.Now().String(), " m=")
	r, err := pointer.Sign(testKey("b"), pointer.Fields{Sequence: 1, Expires: clock.Now().Add(time.Hour), Payload: []byte("sealed")})
	require.NoError(t, err)
	require.Nil(t, getRecord(t, e.mailbox, r.Pointer()))
	clock.Sleep(awaitDuration + time.Second)
	_, err = e.Mailbox().Put(t.Context(), r.Pointer(), r.Bytes())
	require.ErrorIs(t, err, errNotAwaited)
}
