package exchange

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/pair"
)

func withCode() Terms {
	return Terms{Terms: pair.Terms{Expires: time.Now().Add(10 * time.Minute)}, Code: true}
}

// pairing runs Pair in the background; the result arrives on the channel.
func pairing(t *testing.T, p *person, text string) <-chan petname.Suggestion {
	done := make(chan petname.Suggestion, 1)
	go func() {
		s, err := p.Pair(context.Background(), p.key, text)
		require.NoError(t, err)
		done <- s
	}()
	return done
}

// An invitee breaks off after it has accepted, and enters the code again: before or after
// the inviter has answered. The code of an inviter that breaks off is answered by its next
// steps.
func TestAPairingByCodeThatOneSideBrokeOff(t *testing.T) {
	for name, breakOff := range map[string]func(t *testing.T, alice, bob *person){
		"the invitee, before the answer": func(t *testing.T, alice, bob *person) { bob.reopen(t) },
		"the invitee, after the answer": func(t *testing.T, alice, bob *person) {
			_, err := alice.StepInvitations(context.Background(), alice.key)
			require.NoError(t, err)
			bob.reopen(t)
		},
		"the inviter": func(t *testing.T, alice, bob *person) { alice.reopen(t) },
		"both": func(t *testing.T, alice, bob *person) {
			alice.reopen(t)
			bob.reopen(t)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				alice, bob := two(t)
				invited, err := alice.Invite(context.Background(), alice.key, withCode())
				require.NoError(t, err)
				code := invited.Code.Secret()
				ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
				_, err = bob.Pair(ctx, bob.key, code)
				cancel()
				require.ErrorIs(t, err, context.DeadlineExceeded)
				breakOff(t, alice, bob)

				done := pairing(t, bob, code)
				for range 3 {
					time.Sleep(2 * time.Second) // of the bubble's clock
					_, err = alice.StepInvitations(context.Background(), alice.key)
					require.NoError(t, err)
				}
				require.Equal(t, pointerOf("alice"), (<-done).Pointer)
				inbox := alice.inbox(t)
				require.Len(t, inbox, 1)
				require.Equal(t, pointerOf("bob"), inbox[0].Pointer)
				require.Empty(t, bob.rows(t, tableAcceptedCodes, nil), "no secret stays")
				bob.reopen(t)
				_, err = bob.Pair(context.Background(), bob.key, code)
				require.ErrorIs(t, err, ErrPaired, "and it is no other pairing that uses the code")
				require.Empty(t, alice.rows(t, tableCodes, nil))
			})
		})
	}
}

// Two persons both made a code, and broke off. Each enters that of the other, or only one
// does.
func TestTwoPersonsThatBothMadeACode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		alice, bob := two(t)
		ctx := context.Background()
		ofAlice, err := alice.Invite(ctx, alice.key, withCode())
		require.NoError(t, err)
		ofBob, err := bob.Invite(ctx, bob.key, withCode())
		require.NoError(t, err)
		alice.reopen(t)
		bob.reopen(t)
		a, b := pairing(t, alice, ofBob.Code.Secret()), pairing(t, bob, ofAlice.Code.Secret())
		require.Equal(t, pointerOf("bob"), (<-a).Pointer)
		require.Equal(t, pointerOf("alice"), (<-b).Pointer)
	})
	synctest.Test(t, func(t *testing.T) {
		alice, bob := two(t)
		ctx := context.Background()
		_, err := alice.Invite(ctx, alice.key, withCode())
		require.NoError(t, err)
		ofBob, err := bob.Invite(ctx, bob.key, withCode())
		require.NoError(t, err)
		alice.reopen(t)
		go func() { _, _ = bob.Wait(ctx, ofBob.ID) }()
		require.Equal(t, pointerOf("bob"), (<-pairing(t, alice, ofBob.Code.Secret())).Pointer)
	})
}

// A state ends after a day, and one of an earlier key or of a clock that was set back is of
// no use: it is deleted.
func TestOldStatesOfCodesAreDeleted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		alice, _ := two(t)
		ctx := context.Background()
		_, err := alice.Invite(ctx, alice.key, withCode())
		require.NoError(t, err)
		require.Len(t, alice.rows(t, tableCodes, nil), 1)
		alice.network = &dht.Memory{}
		time.Sleep(25 * time.Hour)
		alice.reopen(t)
		_, err = alice.StepInvitations(ctx, alice.key)
		require.NoError(t, err)
		require.Empty(t, alice.rows(t, tableCodes, nil))
	})
	now := time.Now()
	require.Nil(t, codeState(nil, now))
	require.Nil(t, codeState(make([]byte, 40), now))
}

// The owner enters a code of their own, also mistyped and after a restart: it is refused before
// anything is sent, and the invitee pairs by it afterwards.
func TestAnOwnCodeIsRefusedAndStaysValid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		alice, bob := two(t)
		invited, err := alice.Invite(context.Background(), alice.key, withCode())
		require.NoError(t, err)
		code := invited.Code.Secret()
		mistyped := strings.TrimSuffix(invited.Code.String(), "…") + "zoo-zoo"
		for range 2 {
			for _, text := range []string{code, mistyped, strings.ToUpper(code)} {
				_, err = alice.Pair(context.Background(), alice.key, text)
				require.ErrorIs(t, err, pair.ErrSelf)
			}
			require.Empty(t, alice.rows(t, tableUsedCodes, nil))
			require.Empty(t, alice.rows(t, tableAcceptedCodes, nil))
			alice.reopen(t)
		}
		done := pairing(t, bob, code)
		for range 3 {
			time.Sleep(2 * time.Second) // of the bubble's clock
			_, err = alice.StepInvitations(context.Background(), alice.key)
			require.NoError(t, err)
		}
		require.Equal(t, pointerOf("alice"), (<-done).Pointer)
		require.Len(t, alice.inbox(t), 1)
	})
}
