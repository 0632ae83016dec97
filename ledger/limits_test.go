package ledger

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha512"
	"errors"
	"fmt"
	"iter"
	"slices"
	"testing"

	"filippo.io/edwards25519"
	"github.com/stretchr/testify/require"
)

// follow returns the entry after d of the same device, which saw one entry.
func follow(d *draft, saw *draft, body []byte) *draft {
	n := *d
	n.number, n.clock, n.prev, n.seen = d.number+1, d.clock+1, d.hash(), nil
	if saw != nil {
		n.seen = []draftHead{{device: saw.device, number: saw.number, hash: saw.hash()}}
	}
	n.setBody(body)
	return &n
}

func TestTheFormOfAnEntryIsBounded(t *testing.T) {
	a := scene(t)
	try := func(change func(d *draft)) error {
		d := drafted(t, a, "two", []byte("k=1"))
		change(d)
		_, err := parseEntry(a.Book(), d.entry())
		return err
	}
	saw := func(n int) func(d *draft) {
		return func(d *draft) {
			d.seen = nil
			for i := range n {
				id := DeviceID{byte(i >> 8), byte(i)}
				d.seen = append(d.seen, draftHead{device: id[:], number: 1, hash: make([]byte, 32)})
			}
		}
	}
	good := map[string]func(d *draft){
		"as it is":           func(*draft) {},
		"the highest number": func(d *draft) { d.number = 1 << 62 },
		"the highest clock":  func(d *draft) { d.clock = 1 << 62 },
		"the longest body":   func(d *draft) { d.length = 64 << 10 },
		"256 devices seen":   saw(256),
		"the highest seen":   func(d *draft) { d.seen[0].number = 1 << 62 },
	}
	bad := map[string]func(d *draft){
		"number 0":                  func(d *draft) { d.number = 0 },
		"a number over the limit":   func(d *draft) { d.number = 1<<62 + 1 },
		"a clock over the limit":    func(d *draft) { d.clock = 1<<62 + 1 },
		"a body over the limit":     func(d *draft) { d.length = 64<<10 + 1 },
		"257 devices seen":          saw(257),
		"saw entry 0":               func(d *draft) { d.seen[0].number = 0 },
		"saw a number too high":     func(d *draft) { d.seen[0].number = 1<<62 + 1 },
		"an entry before the first": func(d *draft) { d.number = 1 },
	}
	for name, change := range good {
		require.NoError(t, try(change), name)
	}
	for name, change := range bad {
		require.ErrorIs(t, try(change), errMalformed, name)
	}
}

// An entry may have seen an entry that is not the latest of its device in this
// ledger. It need not have seen the entries that the latest one saw.
func TestAnEntryMayHaveSeenLessThanTheLedgerHas(t *testing.T) {
	a := scene(t)
	four := deviceID("four")
	d := drafted(t, a, "two", []byte("k=two"))
	require.True(t, slices.ContainsFunc(d.seen, func(h draftHead) bool { return bytes.Equal(h.device, four[:]) }))
	three := drafted(t, a, "three", []byte("k=three"))
	three.seen = nil
	_, err := a.Merge(seq(three.wire()))
	require.NoError(t, err)
	last := drafted(t, a, "four", []byte("k=four")) // saw three's new entry
	require.NotEmpty(t, last.seen)
	_, err = a.Merge(seq(last.wire()))
	require.NoError(t, err)
	require.Equal(t, last.number, a.st.Load().first(four).head)
	n, err := a.Merge(seq(d.wire())) // saw four's previous entry
	require.NoError(t, err)
	require.Equal(t, 1, n)
	verified(t, a)
}

// waiting yields the same deferred entry without end, and counts the calls.
func waiting(b []byte, pulled *int) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for *pulled < 3*maxDeferred {
			if *pulled++; !yield(b) {
				return
			}
		}
	}
}

func TestEntriesThatWaitAreBounded(t *testing.T) {
	a := scene(t)
	d := drafted(t, a, "two", []byte("k=1"))
	d.number++
	heads, pulled := a.Heads(), 0
	_, err := a.Merge(waiting(d.wire(), &pulled))
	require.ErrorIs(t, err, ErrRefused)
	require.Equal(t, maxDeferred+1, pulled, "by number")

	d.setBody(make([]byte, MaxBody))
	w := d.wire()
	pulled = 0
	_, err = a.Merge(waiting(w, &pulled))
	require.ErrorIs(t, err, ErrRefused)
	require.Equal(t, maxDeferredBytes/len(w)+1, pulled, "by size")
	require.Equal(t, heads, a.Heads())
}

// Two devices answer each other, and the clock of one is always behind the
// other's. Sorted by clock, each pass over the deferred entries accepts one
// pair.
func TestPassesOverEntriesThatWaitAreBounded(t *testing.T) {
	a := scene(t)
	exchange := func(pairs int) (out [][]byte) {
		low, high := drafted(t, a, "two", []byte("k=0")), drafted(t, a, "three", []byte("k=0"))
		high.clock += 1 << 50
		i := slices.IndexFunc(high.seen, func(h draftHead) bool { return bytes.Equal(h.device, low.device) })
		high.seen[i].number, high.seen[i].hash = low.number, low.hash()
		for i := range pairs {
			if i > 0 {
				low = follow(low, high, fmt.Appendf(nil, "k=%d", i))
				high = follow(high, low, fmt.Appendf(nil, "k=%d", i))
			}
			out = append(out, low.wire(), high.wire())
		}
		slices.Reverse(out)
		return out
	}
	keeps(t, a, ErrRefused, exchange(maxPasses+1)...)
	n, err := a.Merge(seq(exchange(maxPasses)...))
	require.NoError(t, err)
	require.Equal(t, 2*maxPasses, n)
	verified(t, a)
}

func TestABookHasABoundedNumberOfDevices(t *testing.T) {
	a, _ := newBook(t)
	require.NoError(t, a.write(func(w *writing) error {
		for i := len(w.st.devices); i < maxDevices-1; i++ {
			name := fmt.Sprint("device ", i)
			require.NoError(t, w.appendStatement(KindAdmit, func(at ID) ([]byte, error) {
				return admit(w.st.book, identity, nil, nil, at, deviceID(name), name)
			}))
		}
		return nil
	}))
	require.NoError(t, a.AdmitDevice(identity, publicKey("two"), "two"))
	require.Len(t, a.Devices(), maxDevices)
	require.Error(t, a.AdmitDevice(identity, publicKey("three"), "three"))
	s := admits(t, a, "three")
	d := drafted(t, a, "two", s.body())
	d.kind = 2
	// Another device admitted one at the same time: a refusal would depend on the order.
	_, err := a.Merge(seq(d.wire()))
	require.NoError(t, err)
	require.NoError(t, a.AdmitDevice(identity, publicKey("two"), "renamed"), "it is one of them")
	a = reopen(t, a, "one")
	require.Len(t, a.Devices(), maxDevices+1)
	require.Error(t, a.AdmitDevice(identity, publicKey("four"), "four"))
	require.NoError(t, a.RemoveDevice(identity, deviceID("three")))
	require.NoError(t, a.RemoveDevice(identity, deviceID("device 7")))
	require.NoError(t, a.AdmitDevice(identity, publicKey("four"), "four"), "removed ones do not count")
}

func TestOfTwoRemovalsTheEarlierEndCounts(t *testing.T) {
	a := scene(t)
	two := drafted(t, a, "two", []byte("k=2"))
	third := follow(two, nil, []byte("k=3"))
	fourth := follow(third, nil, []byte("k=4"))
	_, err := a.Merge(seq(two.wire(), third.wire(), fourth.wire()))
	require.NoError(t, err)
	remove := func(by string, last uint64) []byte {
		s := removes(t, a, "two", last)
		d := drafted(t, a, by, s.body())
		d.kind = 3
		return d.wire()
	}
	early, late := remove("three", two.number), remove("four", third.number)
	fresh := copies(t, a)
	var dumps []string
	for _, order := range [][][][]byte{{{early}, {late}}, {{late}, {early}}, {{early, late}}, {{late, early}}} {
		l, err := Open(fresh(t)[0], testKey("one"), multi{}, testOptions())
		require.NoError(t, err)
		unsynced(l)
		for _, batch := range order {
			n, err := l.Merge(seq(batch...))
			require.NoError(t, err)
			require.Equal(t, len(batch), n)
		}
		d := l.Devices()[l.st.Load().devices[deviceID("two")][0]]
		require.True(t, d.Removed)
		require.Equal(t, two.number, d.Last)
		require.Equal(t, two.number, d.Head)
		n, err := l.Merge(seq(third.wire()))
		require.NoError(t, err, "it is known")
		require.Zero(t, n)
		require.Equal(t, []string{"2"}, get(t, l, "k"))
		verified(t, l)
		dumps = append(dumps, dump(t, l))
		require.NoError(t, l.Close())
	}
	for _, d := range dumps {
		require.Equal(t, dumps[0], d)
	}
}

// A removal does not refuse entries up to its end that arrive after it.
func TestEntriesUpToARemovalsEndAreAccepted(t *testing.T) {
	a := scene(t)
	two := drafted(t, a, "two", []byte("k=counts"))
	later := follow(two, nil, []byte("k=late"))
	s := removes(t, a, "two", two.number)
	d := drafted(t, a, "three", s.body())
	d.kind = 3
	_, err := a.Merge(seq(d.wire()))
	require.NoError(t, err)
	n, err := a.Merge(seq(two.wire(), later.wire()))
	require.ErrorIs(t, err, ErrRefused)
	require.Equal(t, 1, n)
	require.Equal(t, []string{"counts"}, get(t, a, "k"))
	verified(t, a)
}

// Only entries that a device has signed are evidence against it.
func TestOnlyADevicesOwnEntriesAreEvidenceOfAFork(t *testing.T) {
	a := scene(t)
	here := drafted(t, a, "two", []byte("k=1"))
	next := follow(here, nil, []byte("k=2"))
	_, err := a.Merge(seq(here.wire(), next.wire()))
	require.NoError(t, err)
	other := *here
	other.setBody([]byte("k=other"))
	last := follow(next, nil, []byte("k=3"))
	last.prev = other.hash() // of another branch
	for _, d := range []draft{other, *last} {
		framed := d
		framed.key = testKey("three")
		keeps(t, a, ErrRefused, framed.wire())
		framed = d
		framed.book = bytes.Clone(d.book)
		framed.book[0] ^= 1
		keeps(t, a, ErrRefused, framed.wire())
	}
	forks, err := a.Forks()
	require.NoError(t, err)
	require.Empty(t, forks)

	// The same entry under another valid signature is not a fork, either.
	again := *here
	again.sign = func([]byte) []byte {
		return signedOtherwise(again.key, append([]byte(again.signDomain), again.hash()...))
	}
	require.NotEqual(t, here.wire(), again.wire())
	n, err := a.Merge(seq(again.wire()))
	require.NoError(t, err)
	require.Zero(t, n)
	forks, err = a.Forks()
	require.NoError(t, err)
	require.Empty(t, forks)

	// Entries that it has signed are evidence, unless the entry before is missing.
	keeps(t, a, ErrRefused, last.wire())
	_, err = a.Merge(seq(other.wire()))
	require.ErrorIs(t, err, ErrFork)
	keeps(t, a, ErrRefused, last.wire())
	forks, err = a.Forks()
	require.NoError(t, err)
	require.Len(t, forks, 1)
	both := [][]byte{hashOfFork(forks[0].Kept), hashOfFork(forks[0].Other)}
	require.ElementsMatch(t, [][]byte{here.hash(), other.hash()}, both)
	require.Negative(t, bytes.Compare(both[0], both[1]), "the smaller hash counts")
	raw, _, body, err := parseWire(forks[0].Wire)
	require.NoError(t, err)
	require.Contains(t, [][]byte{here.entry(), other.entry()}, raw)
	require.False(t, body)
}

func hashOfFork(e Entry) []byte { h := e.Hash(); return h[:] }

// signedOtherwise signs with a different nonce than RFC 8032 specifies.
func signedOtherwise(key ed25519.PrivateKey, message []byte) []byte {
	h := sha512.Sum512(key.Seed())
	secret, err := edwards25519.NewScalar().SetBytesWithClamping(h[:32])
	if err != nil {
		panic(err)
	}
	nonce := sha512.Sum512(append([]byte("another nonce"), message...))
	r, err := edwards25519.NewScalar().SetUniformBytes(nonce[:])
	if err != nil {
		panic(err)
	}
	point := new(edwards25519.Point).ScalarBaseMult(r).Bytes()
	k := sha512.Sum512(append(append(bytes.Clone(point), key.Public().(ed25519.PublicKey)...), message...))
	challenge, err := edwards25519.NewScalar().SetUniformBytes(k[:])
	if err != nil {
		panic(err)
	}
	return append(point, edwards25519.NewScalar().MultiplyAdd(challenge, secret, r).Bytes()...)
}

// Branches are bounded for each device: those of one device take no room from another's.
func TestBranchesAreBoundedForEachDevice(t *testing.T) {
	a := scene(t)
	fork := func(device string, i int) []byte {
		d := drafted(t, a, device, fmt.Appendf(nil, "k=%d", i))
		return d.wire()
	}
	var wires [][]byte
	for i := range maxBranches + 3 {
		wires = append(wires, fork("two", i))
	}
	three, third := fork("three", 0), fork("three", 1)
	for i, w := range wires {
		_, err := a.Merge(seq(w))
		require.Equal(t, i > 0, errors.Is(err, ErrFork))
		if i >= maxBranches {
			keeps(t, a, ErrFork, w)
		}
	}
	_, err := a.Merge(seq(three))
	require.NoError(t, err)
	_, err = a.Merge(seq(third))
	require.ErrorIs(t, err, ErrFork)
	keeps(t, a, nil, third) // stored once
	count := map[DeviceID]int{}
	forks, err := a.Forks()
	require.NoError(t, err)
	for _, f := range forks {
		count[f.Other.ID().Device]++
	}
	require.Equal(t, map[DeviceID]int{deviceID("two"): maxBranches - 1, deviceID("three"): 1}, count)
	verified(t, a)
}
