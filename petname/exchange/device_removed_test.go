package exchange

import (
	"context"
	"crypto/ed25519"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/petname"
)

// answersInvitations steps the invitations of a person until stop is called.
func (p *person) answersInvitations(t *testing.T) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var steps sync.WaitGroup
	steps.Go(func() {
		for ctx.Err() == nil {
			_, err := p.StepInvitations(t.Context(), p.key)
			require.NoError(t, err)
			<-time.After(300 * time.Millisecond)
		}
	})
	return func() {
		cancel()
		steps.Wait()
	}
}

// pairedDevice lets a device pair, and interrupts its joining then. It returns the text of the
// invitation, and its ID.
func pairedDevice(t *testing.T, alice, phone *person) (text, id string) {
	t.Helper()
	invited, err := alice.InviteDevice(t.Context(), alice.key, alice.deviceTerms(true))
	require.NoError(t, err)
	text = invited.Link.Link()
	ctx, cancel := context.WithCancel(t.Context())
	var steps sync.WaitGroup
	steps.Go(func() {
		for ctx.Err() == nil {
			_, _ = alice.stepInvitation(t.Context(), invited.ID) // pairs, and sends nothing of the book
			<-time.After(300 * time.Millisecond)
		}
	})
	_, _, _, err = phone.JoinBook(ctx, phone.key, text, func(JoinProgress) { cancel() })
	require.ErrorIs(t, err, context.Canceled)
	steps.Wait()
	return text, invited.ID
}

// A device that is removed before it has the book is answered and forgotten, also with parts of the
// book under way before the answer: neither side waits or fails for ever.
func TestADeviceThatIsRemovedWhileItJoinsIsAnswered(t *testing.T) {
	for _, contacts := range []int{1, 1500} {
		synctest.Test(t, func(t *testing.T) {
			alice, phone := two(t)
			alice.handsOver()
			alice.addContacts(t, contacts)
			text, id := pairedDevice(t, alice, phone)
			var err error
			if contacts > 1 { // it is admitted, and a part of the book is under way
				_, err = alice.StepInvitations(t.Context(), alice.key)
			} else {
				err = alice.book.AdmitDevice(alice.key, phone.key.Public().(ed25519.PublicKey), "phone", true)
			}
			require.NoError(t, err)
			require.Len(t, alice.rows(t, tableNewcomers, nil), 1)
			devices, err := alice.book.Devices()
			require.NoError(t, err)
			require.Len(t, devices, 2)
			require.NoError(t, alice.book.RemoveDevice(alice.key, devices[1].ID))
			alice.reopen(t)
			alice.handsOver()

			stop := alice.answersInvitations(t)
			_, _, _, err = phone.JoinBook(t.Context(), phone.key, text, nil)
			stop()
			require.ErrorIs(t, err, petname.ErrDeviceRemoved)
			_, err = alice.WaitDevice(t.Context(), alice.key, id)
			require.Error(t, err)
			for range 3 {
				_, err := alice.StepInvitations(t.Context(), alice.key)
				require.NoError(t, err)
			}
			require.Empty(t, alice.rows(t, tableNewcomers, nil))
			require.Empty(t, alice.rows(t, tableDeviceChannels, nil))
			require.Empty(t, Check(alice.book))
		})
	}
}

// A joining of which the other device sends nothing more ends, and the same text continues it.
func TestAJoiningWithoutAnAnswerEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		alice, phone := two(t)
		alice.handsOver()
		alice.addContacts(t, 1500)
		text, _ := pairedDevice(t, alice, phone)
		began := time.Now()
		_, _, _, err := phone.JoinBook(t.Context(), phone.key, text, nil)
		require.ErrorIs(t, err, ErrHandoverTimeout)
		require.Less(t, time.Since(began), 2*handoverTime)
		stop := alice.answersInvitations(t)
		inviter, h, entries, err := phone.JoinBook(t.Context(), phone.key, text, nil)
		stop()
		require.NoError(t, err)
		phone.requireJoined(t, alice, inviter, h, entries)
		other, err := phone.JoinsByOther(text)
		require.NoError(t, err)
		require.False(t, other)
		other, err = phone.JoinsByOther("another")
		require.NoError(t, err)
		require.True(t, other)
	})
}
