package drop

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func openFor(t *testing.T, purpose string, self, party person, state []byte) *Channel {
	t.Helper()
	s := self.self()
	s.Purpose = purpose
	c, err := Open(s, party.party(), state)
	require.NoError(t, err)
	return c
}

// Channels of the same parties for several purposes share neither records nor messages,
// whichever of them is polled first: an application with the keys of a home takes nothing
// from the agent, and the agent nothing from it.
func TestPurposesSeparateChannels(t *testing.T) {
	alice, bob, _, _ := pair(t)
	now := start
	store := memory(&now)
	purposes := []string{"", "example.org/chat/1", "example.org/chat/2"}
	var ends [2][]*Channel
	for _, purpose := range purposes {
		ends[0] = append(ends[0], openFor(t, purpose, alice, bob, nil))
		ends[1] = append(ends[1], openFor(t, purpose, bob, alice, nil))
	}
	addresses := map[string]bool{}
	for i, purpose := range purposes {
		for _, side := range ends {
			mustSend(t, side[i], "for "+purpose)
			put(t, side[i], store, now)
			key, _, err := side[i].outboundKey(now)
			require.NoError(t, err)
			addresses[key.Pointer().String()] = true
		}
	}
	require.Len(t, addresses, 2*len(purposes))
	for i := range purposes {
		i = len(purposes) - 1 - i
		for _, side := range ends {
			require.Equal(t, []string{"for " + purposes[i]}, pollAndProcess(t, side[i], store, now))
			put(t, side[i], store, now)
		}
	}
	for i := range purposes {
		for _, side := range ends {
			require.Empty(t, pollAndProcess(t, side[i], store, now))
			require.Zero(t, side[i].Waiting(), "acknowledged")
		}
	}

	// A stored state is of one purpose as well.
	_, err := Open(Self{Pointer: alice.key.Pointer(), Sealing: alice.sealing, Purpose: purposes[2]}, bob.party(), ends[0][1].State())
	require.ErrorContains(t, err, "another channel's")
	for _, bad := range []string{"\xff", strings.Repeat("x", MaxPurpose+1)} {
		_, err := Open(Self{Pointer: alice.key.Pointer(), Sealing: alice.sealing, Purpose: bad}, bob.party(), nil)
		require.ErrorContains(t, err, "purpose")
	}
}

// The derivation does not change: both parties have to find the same records.
func TestTheDerivationForAPurposeIsFixed(t *testing.T) {
	alice, bob, _, _ := pair(t)
	for purpose, want := range map[string]string{
		"":                   "k51qzi5uqu5dh01yvz2t8b4i8lkixu3sbuf7kmbcg14u0jthi6kyqv184gnczh",
		"example.org/chat/1": "k51qzi5uqu5di6btaxmvvjh4id781lol70icmx824wndhwn83bp7s85gyeoir2",
	} {
		key, _, err := openFor(t, purpose, alice, bob, nil).outboundKey(start)
		require.NoError(t, err)
		require.Equal(t, want, key.Pointer().String(), purpose)
	}
}
