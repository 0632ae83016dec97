package drop

import (
	"crypto/ecdh"
	"crypto/hpke"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht/seal"
)

func TestRekeyMovesUnacknowledgedMessages(t *testing.T) {
	alice, bob, a, b := pair(t)
	now := start
	store := memory(&now)
	mustSend(t, a, "one")
	put(t, a, store, now)

	// Bob replaces his keys, and still finds messages to the old ones.
	bob = bob.renewed(t, 22)
	b = mustOpen(t, bob, alice, b.State())
	require.Equal(t, []string{"one"}, pollAndProcess(t, b, store, now))
	mustSend(t, b, "two")
	put(t, b, store, now)
	// Alice polls under the old key until she has the new card.
	require.Empty(t, pollAndProcess(t, a, store, now))
	require.Equal(t, 1, a.Waiting())
	require.NoError(t, a.Rekey(Party{bob.key.Pointer(), bob.party().Sealing[:2]}))
	require.True(t, a.Due(now), "it isn't where he looks")
	require.Equal(t, []string{"two"}, pollAndProcess(t, a, store, now))
	require.Zero(t, a.Waiting())

	// After the old keys are erased, both use the new ones.
	bob.sealing = bob.sealing[:2]
	b = mustOpen(t, bob, alice, b.State())
	mustSend(t, a, "three")
	put(t, a, store, now)
	require.Equal(t, []string{"three"}, pollAndProcess(t, b, store, now))

	require.Error(t, a.Rekey(alice.party()), "another's card")
}

// The party's previous key is polled as well, for the records that it put before
// the change.
func TestRecordsUnderThePreviousKeyAreFound(t *testing.T) {
	alice, bob, a, b := pair(t)
	now := start
	store := memory(&now)
	mustSend(t, b, "before")
	put(t, b, store, now)
	newer := bob.renewed(t, 22)
	newer.sealing = newer.sealing[:2]
	require.NoError(t, a.Rekey(newer.party()))
	a = mustOpen(t, alice, newer, a.State())
	require.Equal(t, []string{"before"}, pollAndProcess(t, a, store, now))
}

func TestCardWithoutTheHybridKeyIsSealedToX25519(t *testing.T) {
	alice, bob, _, _ := pair(t)
	now := start
	store := newArchive()
	bob.sealing = bob.sealing[:1]
	a, b := mustOpen(t, alice, bob, nil), mustOpen(t, bob, alice, nil)
	require.NoError(t, a.Send(make([]byte, MaxMessage)))
	put(t, a, store, now)
	require.Len(t, pollAndProcess(t, b, store, now), 1)
	put(t, b, store, now)
	require.Equal(t, uint16(seal.X25519), a.remote.sealing.KEM().ID())
	require.Equal(t, uint16(seal.Hybrid), b.remote.sealing.KEM().ID(), "it is the default")
}

// A party that replaced its keys often, as after a theft, can send and receive.
func TestKeysOverTheBoundAreLeftOut(t *testing.T) {
	alice, bob, _, _ := pair(t)
	many := alice.self()
	for range maxKeys {
		more, err := hpke.DHKEM(ecdh.X25519()).GenerateKey()
		require.NoError(t, err)
		many.Sealing = append([]hpke.PrivateKey{more}, many.Sealing...)
	}
	c, err := Open(many, bob.party(), nil)
	require.NoError(t, err)
	at, err := polledPointers(c, start)
	require.NoError(t, err)
	require.Len(t, at, 2*maxKeys, "for each of the two epochs")
}
