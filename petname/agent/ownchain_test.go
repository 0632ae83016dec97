package agent_test

import (
	"crypto/ed25519"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/lawtest"
)

// ownChain returns steps from a key to n others of its holder, and the last of these: no card
// committed to the first one.
func ownChain(t *testing.T, from *pointer.Key, n int) (*pointer.Key, []pointer.Succession) {
	t.Helper()
	var steps []pointer.Succession
	for range n {
		next, err := pointer.NewKey(nil)
		require.NoError(t, err)
		c, err := pointer.Commit(next.Public())
		require.NoError(t, err)
		s, err := pointer.Succeed(from.Pointer(), next, c, from)
		require.NoError(t, err)
		steps, from = append(steps, s), next
	}
	return from, steps
}

// The attack: the owner has removed a stolen phone and rotated the key. Its thief, with the former
// key alone, signs steps to keys of its own, removes the owner's device by the last of them, and
// names a key of its own "bob". It reaches the tablet before the owner's removal or after it, and
// the tablet holds the identity key or not.
func TestAThiefOfTheFormerKeyTakesNoBookByAChainOfItsOwn(t *testing.T) {
	for _, withKey := range []bool{false, true} {
		for _, first := range []bool{false, true} {
			for _, steps := range []int{1, 3, 30}[lawtest.Size(2, 0):] {
				t.Run(fmt.Sprint(withKey, first, steps), func(t *testing.T) { testOwnChain(t, withKey, first, steps) })
			}
		}
	}
}

// After a rotation, also one that another device made, the key after it is the one that counts.
func TestTheBookFollowsTheNextKeyAfterARotation(t *testing.T) {
	hub := served(t, nil)
	a := opened(t)
	join(t, a, addrs(t, hub)...)
	tablet, _ := joinedBy(t, a, false, false)
	_, err := a.Rotate(t.Context(), agent.Rotation{})
	require.NoError(t, err)
	add(t, a, "bob", newKey(t).Pointer())
	syncAll(t, agent.SyncOptions{}, a, tablet)
	require.Equal(t, a.Pointer(), tablet.Pointer())
	id, err := agent.HomeOf(a).Identity()
	require.NoError(t, err)
	file, err := agent.HomeOf(a).IdentityFile()
	require.NoError(t, err)
	lines := strings.Split(strings.TrimSpace(string(file)), "\n")
	next, err := pointer.ParseKey(lines[len(lines)-1])
	require.NoError(t, err)
	require.True(t, id.Next.Opens(next.Public()))
	step, err := pointer.Succeed(id.Pointer, next, pointer.Commitment{}, ownKey(t, a))
	require.NoError(t, err)
	for _, x := range []*agent.Agent{a, tablet} {
		device := newKey(t).Public().(ed25519.PublicKey)
		require.NoError(t, agent.BookOf(x).Ledger().AdmitDevice(next, device, "next", append(id.Succession, step)...))
		other, fake := ownChain(t, ownKey(t, a), 1)
		err := agent.BookOf(x).Ledger().AdmitDevice(other, device, "next", append(id.Succession, fake...)...)
		require.ErrorIs(t, err, ledger.ErrRefused)
	}
}

func testOwnChain(t *testing.T, withKey, first bool, n int) {
	hub := served(t, nil)
	a := opened(t)
	join(t, a, addrs(t, hub)...)
	phone, stolen := joinedBy(t, a, true, false)
	tablet, _ := joinedBy(t, a, withKey, false)
	_, err := a.PublishDraft(t.Context(), draft(agent.WaitAll, value(mine)))
	require.NoError(t, err)
	bob := newKey(t).Pointer()
	add(t, a, "bob", bob)
	syncAll(t, agent.SyncOptions{}, a, phone, tablet)
	devices, err := phone.Devices()
	require.NoError(t, err)
	key, steps := ownChain(t, ownKey(t, phone), n)
	owner := func() {
		_, err := a.RemoveDevice(stolen.Device)
		require.NoError(t, err)
		_, err = a.Rotate(t.Context(), agent.Rotation{})
		require.NoError(t, err)
		_, err = a.PublishDraft(t.Context(), draft(agent.WaitAll))
		require.NoError(t, err)
	}
	if !first {
		owner()
		syncAll(t, agent.SyncOptions{}, a, tablet)
		require.True(t, removes(t, tablet, phone))
		require.Equal(t, a.Pointer(), tablet.Pointer())
	}

	book := agent.BookOf(phone)
	require.NoError(t, book.Ledger().Follow(ledger.Followed{Steps: steps})) // the thief's program follows its own chain
	require.NoError(t, book.Ledger().RemoveDevice(key, devices[0].ID, steps...))
	_, err = book.Remove(bob)
	require.NoError(t, err)
	evil, err := name.Parse("bob")
	require.NoError(t, err)
	_, err = book.Add(evil, pointer.Link{Pointer: newKey(t).Pointer()}, petname.Source{})
	require.NoError(t, err)
	for range 3 {
		_, err := phone.Sync(t.Context(), agent.SyncOptions{})
		require.NoError(t, err)
		_, _ = tablet.Sync(t.Context(), agent.SyncOptions{})
	}
	require.False(t, removes(t, tablet, a))
	if first {
		owner()
	}
	for range 3 {
		for _, x := range []*agent.Agent{a, tablet} {
			_, _ = x.Sync(t.Context(), agent.SyncOptions{}) // once an error names the thief's entries
		}
	}
	for _, x := range []*agent.Agent{a, tablet} {
		require.False(t, removes(t, x, a))
		require.True(t, removes(t, x, phone))
		c, err := x.Lookup("bob")
		require.NoError(t, err)
		require.Equal(t, bob, c.Pointer)
	}
	require.Equal(t, digest(t, a), digest(t, tablet))
	add(t, a, "carol", newKey(t).Pointer())
	syncAll(t, agent.SyncOptions{}, a, tablet)
	_, err = tablet.Lookup("carol")
	require.NoError(t, err)
}
