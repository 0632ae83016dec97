package replicate

import (
	"crypto/ed25519"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/canonical"
)

// laterKey returns a key that succeeds the identity of a test book, and the step to it.
func laterKey(t testing.TB) (ed25519.PrivateKey, pointer.Succession) {
	t.Helper()
	old, err := pointer.FromPublicKey(testKey("identity").Public())
	require.NoError(t, err)
	after, err := pointer.Commit(testKey("third").Public())
	require.NoError(t, err)
	step, err := pointer.Succeed(old, testKey("second"), after, testKey("identity"))
	require.NoError(t, err)
	return testKey("second"), step
}

// bundleOf returns the bundle of a device for another one that has these heads.
func bundleOf(t testing.TB, from, to *device, heads []ledger.Head) [][]byte {
	t.Helper()
	p := NewPeer(to.Device())
	p.Assume(heads)
	lacks, err := p.Unacknowledged(from.Ledger)
	require.NoError(t, err)
	all, err := p.Bundle(from.Ledger)
	require.NoError(t, err)
	require.True(t, lacks || all == nil)
	for _, b := range all {
		require.LessOrEqual(t, len(b), maxMessage)
	}
	return all
}

// inOrder returns the messages of a bundle by their number.
func inOrder(all [][]byte) func(int) ([]byte, error) {
	return func(i int) ([]byte, error) {
		if i >= len(all) {
			return nil, nil
		}
		return all[i], nil
	}
}

// removed reports whether a device is removed in the ledger of another one.
func removed(d *device, id ledger.DeviceID) bool {
	for _, one := range d.Devices() {
		if one.ID == id {
			return one.Removed
		}
	}
	return false
}

// The attack: the phone, which a thief has, removes the laptop, and the tablet has that alone. A
// bundle with the laptop's removal of the phone under a later key is merged, of several messages
// all or nothing; without that key nothing is, on either side.
func TestABundleUnderALaterKeyIsMerged(t *testing.T) {
	b := book(t, "laptop", "phone", "tablet")
	laptop, phone, tablet := b[0], b[1], b[2]
	had := laptop.Heads()
	require.NoError(t, phone.RemoveDevice(testKey("identity"), laptop.Device()))
	_, err := tablet.Merge(slices.Values(missing(t, phone.Ledger, tablet.Heads())))
	require.NoError(t, err)
	require.True(t, removed(tablet, laptop.Device()))
	require.Nil(t, bundleOf(t, laptop, tablet, had), "nothing was written")

	for i := range 60 {
		write(t, laptop, fmt.Sprintf("%300d", i))
	}
	require.NoError(t, laptop.RemoveDevice(testKey("identity"), phone.Device()))
	before, err := tablet.Digest()
	require.NoError(t, err)
	merges := func(d *device, all [][]byte, from ledger.DeviceID) int {
		t.Helper()
		n, err := MergeBundle(d.Ledger, from, inOrder(all))
		require.NoError(t, err)
		return n
	}
	unchanged := func() {
		t.Helper()
		after, err := tablet.Digest()
		require.NoError(t, err)
		require.Equal(t, before, after)
		require.True(t, removed(tablet, laptop.Device()))
	}
	heads := tablet.Heads()
	require.Zero(t, merges(tablet, bundleOf(t, laptop, tablet, had), laptop.Device()))
	unchanged()
	require.Equal(t, heads, tablet.Heads(), "nothing is stored of a removal by the same key")

	key, step := laterKey(t)
	require.NoError(t, laptop.RemoveDevice(key, phone.Device(), step))
	all := bundleOf(t, laptop, tablet, had)
	require.Greater(t, len(all), 1)
	require.Zero(t, merges(tablet, all[:len(all)-1], laptop.Device()), "cut off")
	unchanged()
	require.Positive(t, merges(tablet, all, laptop.Device()))
	require.False(t, removed(tablet, laptop.Device()))
	require.True(t, removed(tablet, phone.Device()))
	require.Zero(t, merges(tablet, all, laptop.Device()), "again")
}

// The attack: the phone's thief, which is removed, has the first key alone, and signs steps to keys
// of its own. The tablet, which has not followed the rotation yet, merges no bundle with such a
// chain, and merges one of the true later key.
func TestABundleUnderAKeyThatNothingCommittedToIsNotMerged(t *testing.T) {
	b := book(t, "laptop", "phone", "tablet")
	laptop, phone, tablet := b[0], b[1], b[2]
	had := laptop.Heads()
	next, err := pointer.Commit(testKey("second").Public())
	require.NoError(t, err)
	require.NoError(t, tablet.Follow(ledger.Followed{Next: next}))
	require.NoError(t, laptop.RemoveDevice(testKey("identity"), phone.Device()))
	_, err = tablet.Merge(slices.Values(missing(t, laptop.Ledger, tablet.Heads())))
	require.NoError(t, err)
	require.True(t, removed(tablet, phone.Device()))
	before, heads := tablet.Heads(), phone.Heads()

	var fake []pointer.Succession
	from := testKey("identity")
	for _, name := range []string{"x", "y", "z"} {
		old, err := pointer.FromPublicKey(from.Public())
		require.NoError(t, err)
		s, err := pointer.Succeed(old, testKey(name), next, from)
		require.NoError(t, err)
		fake, from = append(fake, s), testKey(name)
	}
	require.NoError(t, phone.RemoveDeviceAfter(from, had[0], fake...))
	n, err := MergeBundle(tablet.Ledger, phone.Device(), inOrder(bundleOf(t, phone, tablet, heads)))
	require.NoError(t, err)
	require.Zero(t, n)
	require.Equal(t, before, tablet.Heads(), "nothing of it is stored")

	b = book(t, "laptop", "phone", "tablet") // the first key removes the laptop at the tablet
	laptop, phone, tablet = b[0], b[1], b[2]
	had = laptop.Heads()
	require.NoError(t, tablet.Follow(ledger.Followed{Next: next}))
	require.NoError(t, phone.RemoveDevice(testKey("identity"), laptop.Device()))
	_, err = tablet.Merge(slices.Values(missing(t, phone.Ledger, tablet.Heads())))
	require.NoError(t, err)
	require.True(t, removed(tablet, laptop.Device()))
	key, step := laterKey(t)
	require.NoError(t, laptop.RemoveDevice(key, phone.Device(), step))
	n, err = MergeBundle(tablet.Ledger, laptop.Device(), inOrder(bundleOf(t, laptop, tablet, had)))
	require.NoError(t, err)
	require.Positive(t, n)
	require.False(t, removed(tablet, laptop.Device()))
	require.True(t, removed(tablet, phone.Device()))
}

// The attack: bundles with entries of other devices, of another sender, book or version, malformed
// ones, and one that does not end.
func TestABundleOfAnotherDeviceIsRefused(t *testing.T) {
	b := book(t, "laptop", "phone", "tablet")
	laptop, phone, tablet := b[0], b[1], b[2]
	had := laptop.Heads()
	require.NoError(t, phone.RemoveDevice(testKey("identity"), laptop.Device()))
	_, err := tablet.Merge(slices.Values(missing(t, phone.Ledger, tablet.Heads())))
	require.NoError(t, err)
	key, step := laterKey(t)
	require.NoError(t, laptop.RemoveDevice(key, phone.Device(), step))
	good := bundleOf(t, laptop, tablet, had)
	require.Len(t, good, 1)
	m, err := parseBundle(good[0])
	require.NoError(t, err)
	foreign, more, bare, newer := m, m, m, m
	foreign.Entries = append(missing(t, phone.Ledger, had), m.Entries...)
	more.More = true
	bare.Entries = [][]byte{}
	newer.Version++
	refused := func(all [][]byte, from ledger.DeviceID, want error) {
		t.Helper()
		n, err := MergeBundle(tablet.Ledger, from, inOrder(all))
		require.Zero(t, n)
		require.ErrorIs(t, err, want)
		require.True(t, removed(tablet, laptop.Device()))
	}
	for i := range len(good[0]) {
		refused([][]byte{good[0][:i]}, laptop.Device(), errProtocol)
	}
	refused(good, phone.Device(), errProtocol)
	refused(good, tablet.Device(), errProtocol)
	refused([][]byte{canonical.MustMarshal(bare)}, laptop.Device(), errProtocol)
	refused([][]byte{canonical.MustMarshal(newer)}, laptop.Device(), ErrNewer)
	endless := make([][]byte, 2*MaxBundle)
	for i := range endless {
		endless[i] = canonical.MustMarshal(more)
	}
	refused(endless, laptop.Device(), errProtocol)
	n, err := MergeBundle(tablet.Ledger, laptop.Device(), inOrder([][]byte{canonical.MustMarshal(foreign)}))
	require.NoError(t, err)
	require.Zero(t, n)
	require.True(t, removed(tablet, laptop.Device()))
	// A statement stands in the entry that it was made for.
	m.Channel = bundleChannel(tablet.Book(), phone.Device(), tablet.Device())
	require.NoError(t, tablet.RemoveDevice(testKey("identity"), phone.Device()))
	n, err = MergeBundle(tablet.Ledger, phone.Device(), inOrder([][]byte{canonical.MustMarshal(m)}))
	require.NoError(t, err)
	require.Zero(t, n)
}

// A bundle has a bounded size: what does not fit is for a folder.
func TestABundleIsBounded(t *testing.T) {
	b := book(t, "laptop", "phone")
	had := b[0].Heads()
	for i := range MaxBundle {
		write(t, b[0], fmt.Sprintf("%7000d", i))
	}
	require.Len(t, bundleOf(t, b[0], b[1], had), MaxBundle)
	write(t, b[0], fmt.Sprintf("%7000d", MaxBundle))
	require.Nil(t, bundleOf(t, b[0], b[1], had))
	require.Nil(t, bundleOf(t, b[0], b[1], nil), "it is not known what the other device has")
}
