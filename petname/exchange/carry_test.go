package exchange

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/pointer"
)

// What a device has sent and what is not acknowledged is sent again by the one that takes its
// place, and a recipient that received it from the earlier one has it once. What belongs to a
// state of the earlier device is listed.
func TestUnacknowledgedMessagesAreSentAgainByTheNewDevice(t *testing.T) {
	for _, receivedBefore := range []bool{false, true} {
		alice, bob, carol := three(t)
		_, err := alice.Send(context.Background(), alice.key, pointerOf("carol"), alice.introduces(t, bob, carol))
		require.NoError(t, err)
		alice.queues(t, carol, bob) // in the outbox
		alice.edit(t, func(local *ledger.View) error {
			b, err := message{Kind: kindMutual, Body: []byte{1}}.encode()
			if err != nil {
				return err
			}
			return enqueueFor(local, pointerOf("bob"), pointerOf("bob"), b)
		})
		if receivedBefore {
			require.Len(t, carol.fetch(t).Fresh, 1)
		}
		device := alice.device(t)
		own := device.Ledger().Device()
		require.NoError(t, alice.book.AdmitDevice(alice.key, own[:], "new device", true)) // with the identity key
		_, err = device.Ledger().Merge(slices.Values(lacks(t, alice.book, device.Ledger().Heads())))
		require.NoError(t, err)
		carried, err := Carry(alice.book.Ledger(), device, alice.clock.Now())
		require.NoError(t, err)
		require.Equal(t, 2, carried.Messages)
		require.Equal(t, []Uncarried{{pointerOf("bob"), UncarriedMutual}}, carried.Unsent)

		next := *alice
		next.book = device
		next.open()
		next.clock.now = next.clock.now.Add(5 * time.Minute)
		next.publish(t) // its card lists the new device, so that contacts read what it sends
		require.NotEmpty(t, next.fetch(t).Waiting)
		fresh := carol.fetch(t).Fresh
		require.Len(t, bob.fetch(t).Fresh, 1)
		if !receivedBefore {
			require.Len(t, fresh, 1)
		}
		require.Len(t, carol.inbox(t), 1, "once")
		next.clock.now = next.clock.now.Add(5 * time.Minute)
		require.Empty(t, next.fetch(t).Waiting, "both acknowledge")
		require.Equal(t, map[pointer.Pointer]int{}, next.fetch(t).Waiting)
	}
}
