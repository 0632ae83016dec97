package exchange

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/pointer"
)

// The owner removes a contact that has rotated, and adds its new key under another name: the
// messages that were made for that key are sent to it, and the others are not.
func TestMessagesGoToTheContactThatIsNowAtTheirKey(t *testing.T) {
	alice, bob, carol := three(t)
	old := alice.introduces(t, bob, carol)
	_, to, _ := carol.rotates(t)
	alice.learnsRotation(t, carol)
	c, err := alice.book.Find("carol")
	require.NoError(t, err)
	require.Equal(t, to, c.Pointer)
	b, err := message{Kind: kindStatement, Body: old.Bytes()}.encode()
	require.NoError(t, err)
	require.NoError(t, alice.update(func(tx tx) error { return enqueueFor(tx.local, to, c.ID, b) }))
	moved := *carol
	moved.name = "carol's next"
	_, err = alice.Send(t.Context(), alice.key, to, alice.introduces(t, bob, &moved)) // in the channel
	require.NoError(t, err)
	_, err = alice.book.Remove(c.ID)
	require.NoError(t, err)
	held, err := alice.Held()
	require.NoError(t, err)
	require.Equal(t, []Held{{ID: c.ID, Pointer: to, Messages: 2, Reason: HeldRemoved}}, held)

	alice.adds(t, "caroline", &moved)
	now, err := alice.book.Find("caroline")
	require.NoError(t, err)
	require.Equal(t, to, now.ID)
	alice.fetch(t)
	held, err = alice.Held()
	require.NoError(t, err)
	require.Equal(t, []Held{{ID: c.ID, Pointer: to, Messages: 1, Reason: HeldRemoved}}, held, "it was made for another key")
	require.Len(t, carol.fetch(t).Fresh, 1)
	require.Empty(t, Check(alice.book))
}

// Messages that are dropped while a record with them is put do not come back.
func TestADropWaitsForThePutOfItsMessages(t *testing.T) {
	alice, bob, carol := three(t)
	_, err := alice.Send(t.Context(), alice.key, pointerOf("bob"), alice.introduces(t, carol, bob))
	require.NoError(t, err)
	alice.queues(t, carol, bob)
	var dropped chan error
	alice.Exchange.c.Store = putHook{alice.Exchange.c.Store, func() {
		if dropped != nil {
			return
		}
		_, err := alice.book.Remove(pointerOf("bob"))
		require.NoError(t, err)
		dropped = make(chan error, 1)
		go func() {
			_, err := alice.DropHeld(pointerOf("bob"))
			dropped <- err
		}()
		select {
		case err := <-dropped: // without waiting for the put
			dropped <- err
		case <-time.After(200 * time.Millisecond):
		}
	}}
	_, _ = alice.Send(t.Context(), alice.key, pointerOf("bob"), alice.introduces(t, carol, bob))
	require.NotNil(t, dropped)
	require.NoError(t, <-dropped)
	held, err := alice.Held()
	require.NoError(t, err)
	require.Empty(t, held)
	require.Empty(t, Check(alice.book))
}

// The messages that were under way when the owner's key was rotated are listed, whether their
// contact has a name or not: no record of the earlier channel is put any more.
func TestMessagesOfAnEarlierKeyOfTheOwnerAreListed(t *testing.T) {
	alice, bob, carol := three(t)
	network := alice.Exchange.c.Store
	alice.Exchange.c.Store = failing{network}
	_, err := alice.Send(t.Context(), alice.key, pointerOf("bob"), alice.introduces(t, carol, bob))
	require.Error(t, err)
	alice.rotates(t)
	alice.Exchange.c.Store = network
	_, _ = alice.Sync(t.Context(), alice.key)
	want := []Held{{ID: pointerOf("bob"), Pointer: pointerOf("bob"), Messages: 1, Reason: HeldFormer}}
	for range 2 {
		held, err := alice.Held()
		require.NoError(t, err)
		require.Equal(t, want, held)
		if c, err := alice.book.Find("bob"); err == nil && !c.Name.IsZero() {
			_, err = alice.book.Remove(c.ID)
			require.NoError(t, err)
		}
	}
	n, err := alice.DropHeld(pointerOf("bob"))
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.Empty(t, Check(alice.book))
}

// failing is a store that stores nothing.
type failing struct{ dht.Store }

func (failing) Put(context.Context, pointer.Pointer, []byte) (dht.Receipt, error) {
	return dht.Receipt{}, errors.New("no network")
}
