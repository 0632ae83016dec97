package petname

import (
	"bytes"
	"crypto/rand"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/petnames-go/petnames/petname/mutual"
	"github.com/petnames-go/petnames/pointer/lawtest"
)

// relayable returns messages that can be relayed: declined offers of sessions of their own.
func relayable(t tb, n int) (all [][]byte) {
	for range n {
		_, out, err := mutual.Start(epoch, rand.Reader, testKey("alice"), mutual.Party{Pointer: pointerOf("me")}, mutual.Party{Pointer: pointerOf("bob")}, epoch.Add(time.Hour))
		require.NoError(t, err)
		v, err := mutual.Receive(epoch, pointerOf("me"), pointerOf("alice"), out[0].Bytes)
		require.NoError(t, err)
		all = append(all, v.Decline()[0].Bytes)
	}
	return all
}

func relayed(t tb, b *Book) (all [][]byte) {
	for m, err := range b.Relayed() {
		require.NoError(t, err)
		require.Equal(t, m.ID, wireRelay{By: m.By.Bytes(), Body: m.Body}.id())
		all = append(all, m.Body)
	}
	return all
}

// Devices that relay the same messages, merge in any order and drop the bodies have the same
// rows, and these are what a replay makes.
func TestRelayedMessagesAreTheSameOnEveryDevice(outer *testing.T) {
	lawtest.Check(outer, 15, func(t *rapid.T) {
		books := devices(t, lawtest.FastDir(outer), 2)
		defer func() {
			for _, b := range books {
				require.NoError(t, b.Close())
			}
		}()
		bodies := relayable(t, 4)
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			i := rapid.IntRange(0, 1).Draw(t, "device")
			switch rapid.IntRange(0, 3).Draw(t, "do") {
			case 0:
				pull(t, books[i], books[1-i])
			case 1:
				_, err := books[i].DropExpired(epoch.AddDate(rapid.SampledFrom([]int{-41, 0, 2, 40}).Draw(t, "years"), 0, 0))
				require.NoError(t, err)
			default:
				_, err := books[i].Relay(pointerOf("alice"), rapid.SampledFrom(bodies).Draw(t, "body"))
				require.NoError(t, err)
			}
		}
		before := dump(t, books[0])
		require.NoError(t, books[0].Ledger().Rebuild())
		require.Equal(t, before, dump(t, books[0]))
		for _, b := range books {
			for range 2 {
				_, err := b.DropExpired(epoch.AddDate(60, 0, 0))
				require.NoError(t, err)
			}
			require.Empty(t, relayed(t, b))
		}
	})
}

func TestARelayedMessageIsRecordedOnce(t *testing.T) {
	b := newTestBook(t)
	body := relayable(t, 1)[0]
	for i := range 2 {
		isNew, err := b.Relay(pointerOf("alice"), body)
		require.NoError(t, err)
		require.Equal(t, i == 0, isNew)
	}
	require.Equal(t, [][]byte{body}, relayed(t, b))
	_, err := b.Undo()
	require.ErrorIs(t, err, ErrNothingToUndo)
	var last Event
	for e, err := range b.Log() {
		require.NoError(t, err)
		last = e
	}
	require.Equal(t, "relay", last.Op)
	require.Equal(t, pointerOf("alice"), last.By)
	n, err := b.DropExpired(epoch.Add(relayTime - time.Hour))
	require.NoError(t, err)
	require.Zero(t, n)
	n, err = b.DropExpired(epoch.Add(relayTime + time.Hour))
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.Empty(t, relayed(t, b))
}

// Attack: a contact sends messages of sessions without end, and what is no message of a session.
func TestRelayedMessagesOfAContactAreBounded(t *testing.T) {
	b := newTestBook(t)
	for i, body := range relayable(t, maxRelayed+3) {
		_, err := b.Relay(pointerOf("alice"), body)
		if i < maxRelayed {
			require.NoError(t, err)
		} else {
			require.ErrorIs(t, err, ErrTooManyRelayed)
		}
	}
	require.Len(t, relayed(t, b), maxRelayed)
	_, err := b.Relay(pointerOf("bob"), relayable(t, 1)[0])
	require.NoError(t, err, "another contact has a bound of its own")
	for _, junk := range [][]byte{nil, {}, []byte("junk"), bytes.Repeat([]byte{1}, 7000)} {
		_, err := b.Relay(pointerOf("bob"), junk)
		require.ErrorIs(t, err, mutual.ErrInvalid)
	}
	_, out, err := mutual.Start(epoch, rand.Reader, testKey("alice"), mutual.Party{Pointer: pointerOf("me")}, mutual.Party{Pointer: pointerOf("bob")}, epoch.Add(time.Hour))
	require.NoError(t, err)
	_, err = b.Relay(pointerOf("bob"), out[0].Bytes)
	require.ErrorIs(t, err, mutual.ErrInvalid, "an offer is a suggestion")
	require.True(t, slices.ContainsFunc(relayed(t, b), func(body []byte) bool { return len(body) > 0 }))
}
