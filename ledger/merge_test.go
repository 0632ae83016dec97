package ledger

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// forge makes a travelling entry from e's fields, signed by key.
func forge(book BookID, key ed25519.PrivateKey, e Entry, body []byte) ([]byte, Entry) {
	copy(e.id.Device[:], key.Public().(ed25519.PublicKey))
	e.bodyLen, e.bodyHash = uint32(len(body)), sha256.Sum256(body)
	raw := e.encode()
	e.hash = hashOf(book, raw)
	sig := ed25519.Sign(key, signedMessage(e.hash))
	copy(e.sig[:], sig)
	return encodeWire(seal(raw, sig), body, true), e
}

// next is an honest successor of a device's head.
func next(t *testing.T, l *Ledger, device string) Entry {
	var id DeviceID
	copy(id[:], testKey(device).Public().(ed25519.PublicKey))
	d := l.st.Load().first(id)
	require.NotNil(t, d)
	return Entry{id: ID{id, d.head + 1}, kind: KindApplication, prev: d.hash, clock: d.clock + 1<<20}
}

// refused requires that a merge is refused and leaves no trace.
func refused(t *testing.T, l *Ledger, what string, entries ...[]byte) {
	t.Helper()
	view, heads, order := dump(t, l), l.Heads(), l.st.Load().order
	n, err := l.Merge(seq(entries...))
	require.ErrorIs(t, err, ErrRefused, what)
	require.Zero(t, n, what)
	require.Equal(t, view, dump(t, l), what)
	require.Equal(t, heads, l.Heads(), what)
	require.Equal(t, order, l.st.Load().order, what)
}

func TestMergeRefusesWhatDoesNotHold(t *testing.T) {
	a, _ := newBook(t)
	b := join(t, a, "two")
	pull(t, a, b)
	_, err := b.Append([]byte("k=1"), []byte("k=2"))
	require.NoError(t, err)
	good := missing(t, b, a.Heads())
	require.Len(t, good, 2)

	// Changed in transit, anywhere.
	for i := range good[0] {
		bad := bytes.Clone(good[0])
		bad[i] ^= 1
		refused(t, a, fmt.Sprintf("byte %d changed", i), bad)
	}
	for n := range good[0] {
		refused(t, a, fmt.Sprintf("cut to %d bytes", n), good[0][:n])
	}
	refused(t, a, "with something behind it", append(bytes.Clone(good[0]), 0))

	// A bad one spoils the batch.
	bad := bytes.Clone(good[1])
	bad[len(bad)-1] ^= 1
	refused(t, a, "the second of two changed", good[0], bad)
	refused(t, a, "the first is missing", good[1])

	n, err := a.Merge(seq(good[0]))
	require.NoError(t, err)
	require.Equal(t, 1, n)
	// The body.
	for i, w := range good { // one that is here and one that is not
		rawEntry, _, _, err := parseWire(w)
		require.NoError(t, err)
		refused(t, a, "another body", encodeWire(rawEntry, []byte("k=9"), true))
		refused(t, a, "a longer body", encodeWire(rawEntry, fmt.Appendf(nil, "k=%d ", i+1), true))
	}
	w, _ := forge(a.Book(), testKey("two"), next(t, a, "two"), make([]byte, MaxBody+1))
	refused(t, a, "a body over the limit", w)
	refused(t, a, "a megabyte", make([]byte, 1<<20))

	// Every test above leaves a ledger that still takes the good ones.
	n, err = a.Merge(seq(good...))
	require.NoError(t, err)
	require.Equal(t, 1, n)
	verified(t, a)
}

func unwireEntry(book BookID, w []byte) (Entry, error) {
	raw, _, _, err := parseWire(w)
	if err != nil {
		return Entry{}, err
	}
	return parseEntry(book, raw)
}

func TestMergeTakesAnyOrderAndRepetition(t *testing.T) {
	a, _ := newBook(t)
	b := join(t, a, "two")
	for i := range 30 {
		_, err := b.Append(fmt.Appendf(nil, "k%d=%d", i%5, i))
		require.NoError(t, err)
	}
	all := missing(t, b, a.Heads())
	slices.Reverse(all)
	n, err := a.Merge(seq(slices.Concat(all, all)...))
	require.NoError(t, err)
	require.Equal(t, 30, n)
	require.Equal(t, dump(t, b), dump(t, a))
	before := a.st.Load()
	n, err = a.Merge(seq(all...))
	require.NoError(t, err)
	require.Zero(t, n)
	require.Same(t, before, a.st.Load(), "nothing was written")
}

// Valid entries in the worst order need one pass, not one for each entry.
func TestOrderOfEntriesDoesNotMultiplyTheCost(t *testing.T) {
	a, _ := newBook(t)
	b := join(t, a, "two")
	pull(t, a, b)
	bodies := make([][]byte, 600)
	for i := range bodies {
		bodies[i] = fmt.Appendf(nil, "k%d=v", i)
	}
	_, err := b.Append(bodies...)
	require.NoError(t, err)
	reversed := missing(t, b, a.Heads())
	slices.Reverse(reversed)
	m := &merging{}
	require.NoError(t, a.write(func(w *writing) error {
		m, err = w.merge(seq(reversed...), false)
		return err
	}))
	require.LessOrEqual(t, m.passes, 2)
	require.Equal(t, dump(t, b), dump(t, a))
}

func TestAnotherBooksEntriesAreRefused(t *testing.T) {
	a, _ := newBook(t)
	o := testOptions()
	o.Rand = &noise{h: [32]byte{9}}
	// The same identity, the same devices, another book.
	c, err := Create(filepath.Join(t.TempDir(), "c.db"), Genesis{Identity: identity, Device: testKey("one"), DeviceName: "one"}, multi{}, o)
	require.NoError(t, err)
	defer c.Close()
	require.NotEqual(t, a.Book(), c.Book())
	_, err = c.Append([]byte("k=elsewhere"))
	require.NoError(t, err)
	refused(t, a, "another book", missing(t, c, nil)...)
	refused(t, a, "without its genesis", missing(t, c, nil)[1:]...)
}

func TestAnAdmissionIsGoodForOneBookAndOneIdentity(t *testing.T) {
	a, _ := newBook(t)
	b := join(t, a, "two")
	pull(t, a, b)
	admitted := func(book BookID, by crypto.Signer, device string) []byte {
		var id DeviceID
		copy(id[:], testKey(device).Public().(ed25519.PublicKey))
		e := next(t, a, "two")
		body, err := admit(book, by, nil, nil, e.id, id, device)
		require.NoError(t, err)
		e.kind = KindAdmit
		w, _ := forge(a.Book(), testKey("two"), e, body)
		return w
	}
	refused(t, a, "for another book", admitted(BookID{7}, identity, "three"))
	refused(t, a, "by another identity", admitted(a.Book(), testKey("mallory"), "three"))
	refused(t, a, "by a device", admitted(a.Book(), testKey("two"), "three"))
	require.Error(t, a.AdmitDevice(testKey("mallory"), testKey("three").Public().(ed25519.PublicKey), "three"))
	require.Len(t, a.Devices(), 2)
	n, err := a.Merge(seq(admitted(a.Book(), identity, "three")))
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.Len(t, a.Devices(), 3)
}

func TestJoinVerifies(t *testing.T) {
	a, _ := newBook(t)
	_, err := a.Append([]byte("k=1"))
	require.NoError(t, err)
	require.NoError(t, a.AdmitDevice(identity, testKey("two").Public().(ed25519.PublicKey), "two"))
	all := missing(t, a, nil)
	try := func(id string, device string, entries [][]byte) error {
		p := identityPointer(t)
		if id != "identity" {
			p = pointerOf(t, id)
		}
		l, err := Join(filepath.Join(t.TempDir(), "j.db"), p, testKey(device), seq(entries...), multi{}, testOptions())
		if err == nil {
			require.NoError(t, l.Close())
		}
		return err
	}
	require.NoError(t, try("identity", "two", all))
	require.ErrorIs(t, try("mallory", "two", all), ErrRefused)
	require.ErrorIs(t, try("identity", "three", all), ErrRefused)
	require.ErrorIs(t, try("identity", "two", all[1:]), ErrRefused)
	require.ErrorIs(t, try("identity", "two", all[:1]), ErrRefused)
	require.ErrorIs(t, try("identity", "two", nil), ErrRefused)
}

func TestARemovedDevicesLaterEntriesDoNotCount(t *testing.T) {
	a, _ := newBook(t)
	b, c := join(t, a, "two"), join(t, a, "three")
	pull(t, b, a)
	_, err := b.Append([]byte("k=counts"))
	require.NoError(t, err)
	pull(t, a, b)
	_, err = b.Append([]byte("k=late"), []byte("x=late"))
	require.NoError(t, err)
	pull(t, c, b) // c has them all, and writes after them
	_, err = c.Append([]byte("y=after late"))
	require.NoError(t, err)
	require.Equal(t, []string{"late"}, get(t, c, "k"))

	require.NoError(t, a.RemoveDevice(identity, b.Device()))
	n, err := a.Merge(slices.Values(missing(t, b, a.Heads())))
	require.ErrorIs(t, err, ErrRefused, "its later entries are refused")
	require.Zero(t, n)
	require.Equal(t, []string{"counts"}, get(t, a, "k"))

	pull(t, c, a) // the removal reaches c, where they had counted
	require.Equal(t, []string{"counts"}, get(t, c, "k"))
	require.Empty(t, get(t, c, "x"))
	pull(t, a, c)
	require.Equal(t, []string{"after late"}, get(t, a, "y"))
	require.Equal(t, dump(t, a), dump(t, c))
	d := join(t, a, "four") // and a new device can still take it all
	require.Equal(t, dump(t, a), dump(t, d))
	verified(t, a)
	verified(t, c)
	verified(t, d)

	// It stays removed, by its own word or by an old admission.
	pull(t, b, a)
	_, err = b.Append([]byte("k=again"))
	require.ErrorContains(t, err, "removed")
	require.NoError(t, a.AdmitDevice(identity, testKey("two").Public().(ed25519.PublicKey), "two"))
	require.True(t, a.Devices()[1].Removed)
	require.Error(t, a.RemoveDevice(testKey("mallory"), c.Device()))
	require.Error(t, a.RemoveDevice(identity, a.Device()))
}

func TestOfAForkTheBranchWithTheSmallerHashCounts(t *testing.T) {
	a, _ := newBook(t)
	b := join(t, a, "two")
	pull(t, a, b)
	e := next(t, a, "two")
	lower, low := forge(a.Book(), testKey("two"), e, []byte("k=lower"))
	higher, high := forge(a.Book(), testKey("two"), e, []byte("k=higher"))
	names := map[bool]string{false: "lower", true: "higher"}
	if string(high.hash[:]) < string(low.hash[:]) {
		lower, higher, low, high = higher, lower, high, low
		names[false], names[true] = names[true], names[false]
	}
	after := high
	after.id.Number, after.prev, after.clock, after.seen = high.id.Number+1, high.hash, high.clock+1, nil
	follow, _ := forge(a.Book(), testKey("two"), after, []byte("l=after the higher"))

	n, err := a.Merge(seq(higher, follow))
	require.NoError(t, err)
	require.Equal(t, 2, n)
	require.Equal(t, []string{names[true]}, get(t, a, "k"))

	// Other devices' entries in the same batch are merged. The view is that of the branch
	// with the smaller hash, whatever came first.
	c := join(t, a, "three")
	_, err = c.Append([]byte("other=good"))
	require.NoError(t, err)
	n, err = a.Merge(seq(append([][]byte{lower}, missing(t, c, a.Heads())...)...))
	require.ErrorIs(t, err, ErrFork)
	require.Equal(t, 2, n)
	require.Equal(t, []string{names[false]}, get(t, a, "k"))
	require.Empty(t, get(t, a, "l"))
	require.Equal(t, []string{"good"}, get(t, a, "other"))
	evidence := func(l *Ledger) {
		forks, err := l.Forks()
		require.NoError(t, err)
		require.Len(t, forks, 1)
		require.Equal(t, low.hash, forks[0].Kept.Hash())
		require.Equal(t, high.hash, forks[0].Other.Hash())
		again, err := unwireEntry(l.Book(), forks[0].Wire)
		require.NoError(t, err)
		require.NoError(t, again.verify())
	}
	evidence(a)
	keeps(t, a, nil, lower, higher, follow) // known
	verified(t, a)
	a = reopen(t, a, "one")
	evidence(a)

	// In the other order it is the same.
	pull := func(to, from *Ledger) {
		if _, err := to.Merge(slices.Values(missing(t, from, to.Heads()))); err != nil {
			require.ErrorIs(t, err, ErrFork)
		}
	}
	pull(b, a)
	require.Equal(t, dump(t, a), dump(t, b))
	evidence(b)
	other, err := Join(filepath.Join(t.TempDir(), "o.db"), identityPointer(t), testKey("two"), seq(append(missing(t, c, nil)[:3], higher, follow)...), multi{}, testOptions())
	require.NoError(t, err)
	defer other.Close()
	_, err = other.Append([]byte("m=of the copy"))
	require.NoError(t, err)
	pull(other, a) // learns of the fork from these heads
	evidence(other)
	require.Equal(t, dump(t, a), dump(t, other))
	// This copy of the device's key continues the branch that does not count: it stops.
	_, err = other.Append([]byte("m=more"))
	require.ErrorIs(t, err, ErrFork)
	pull(a, other)
	pull(c, other)
	require.Equal(t, dump(t, a), dump(t, c))
	require.Empty(t, get(t, a, "m"))
	require.Equal(t, a.Heads(), c.Heads())
	verified(t, a)
	verified(t, other)

	// Its new key continues.
	require.NoError(t, a.AdmitDevice(identity, publicKey("four"), "four"))
	pull(other, a)
	path := other.path
	require.NoError(t, other.Close())
	renewed, err := Open(path, testKey("four"), multi{}, testOptions())
	require.NoError(t, err)
	defer renewed.Close()
	_, err = renewed.Append([]byte("m=again"))
	require.NoError(t, err)
	pull(a, renewed)
	require.Equal(t, []string{"again"}, get(t, a, "m"))
	require.Equal(t, dump(t, a), dump(t, renewed))
	verified(t, renewed)
}

func TestABodyCanBeDroppedWithoutBreakingTheChain(t *testing.T) {
	a, _ := newBook(t)
	es, err := a.Append([]byte("k=secret"), []byte("k2=kept"))
	require.NoError(t, err)
	require.NoError(t, a.DropBody(es[0].ID()))
	e, body, err := a.Entry(es[0].ID())
	require.NoError(t, err)
	require.Nil(t, body)
	require.Equal(t, es[0].Hash(), e.Hash())
	require.Empty(t, get(t, a, "k"))
	require.Equal(t, []string{"kept"}, get(t, a, "k2"))
	verified(t, a)

	b := join(t, a, "two")
	require.Equal(t, dump(t, a), dump(t, b))
	verified(t, b)
	// The body coming from elsewhere: b never had it and takes it, a dropped it.
	raw, _, _, err := parseWire(missing(t, a, nil)[1])
	require.NoError(t, err)
	w := encodeWire(raw, []byte("k=secret"), true)
	_, err = b.Merge(seq(w))
	require.NoError(t, err)
	require.Equal(t, []string{"secret"}, get(t, b, "k"))
	_, err = a.Merge(seq(w))
	require.NoError(t, err)
	require.Empty(t, get(t, a, "k"))
	require.Error(t, a.DropBody(ID{a.Device(), 1}), "the genesis holds the book together")
	require.Error(t, a.DropBody(ID{a.Device(), 99}))
	verified(t, b)
}

func TestSyncCostGrowsWithTheDifference(t *testing.T) {
	a, _ := newBook(t)
	b := join(t, a, "two")
	for i := range 300 {
		_, err := a.Append(fmt.Appendf(nil, "k%d=%080d", i, i))
		require.NoError(t, err)
	}
	pull(t, b, a)
	es, err := a.Append([]byte(fmt.Sprintf("new=%080d", 1)), []byte(fmt.Sprintf("new2=%080d", 2)))
	require.NoError(t, err)
	entries, sent := 0, 0
	for _, e := range es {
		raw := e.encode()
		entries += len(raw) + 66 + e.BodyLen()
	}
	for _, w := range missing(t, a, b.Heads()) {
		sent += len(w)
	}
	require.LessOrEqual(t, float64(sent), 1.1*float64(entries)+200)
}
