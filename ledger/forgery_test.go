package ledger

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// These forgeries are built from the formats in the package's comment with a
// separate encoder, so that they do not depend on the code under test. Each is
// wrong in one thing. Everything that depends on it (hashes, lengths,
// signatures) is right, so that only the intended check can refuse it.

// A forgery changes one thing in an honest draft, or reports that it cannot.
type forgery struct {
	name  string
	forge func(t require.TestingT, l *Ledger, d *draft) bool
}

func always(change func(d *draft)) func(require.TestingT, *Ledger, *draft) bool {
	return func(_ require.TestingT, _ *Ledger, d *draft) bool { change(d); return true }
}

func flipBit(sig []byte) []byte {
	sig = bytes.Clone(sig)
	sig[3] ^= 4
	return sig
}

// entryForgeries apply to every kind of entry.
var entryForgeries = []forgery{
	{name: "version 0", forge: always(func(d *draft) { d.version = 0 })},
	{name: "version 2", forge: always(func(d *draft) { d.version = 2 })},
	{name: "number one too high", forge: always(func(d *draft) { d.number++ })},
	{name: "number over the limit", forge: always(func(d *draft) { d.number = 1<<62 + 1 })},
	{name: "number 0", forge: always(func(d *draft) { d.number = 0 })},
	{name: "kind 0", forge: always(func(d *draft) { d.kind = 0 })},
	{name: "kind 5", forge: always(func(d *draft) { d.kind = 5 })},
	{name: "a kind that is right in its last byte", forge: always(func(d *draft) { d.kind += 256 })},
	{name: "another entry before it", forge: always(func(d *draft) { d.prev[0] ^= 1 })},
	{name: "no entry before it", forge: always(func(d *draft) { d.prev = nil })},
	{name: "31 bytes of the hash before it", forge: always(func(d *draft) { d.prev = d.prev[:31] })},
	{name: "33 bytes of the hash before it", forge: always(func(d *draft) { d.prev = append(d.prev, 0) })},
	{name: "33 bytes of its device", forge: always(func(d *draft) { d.device = append(d.device, 0) })},
	{name: "a clock that stands", forge: func(_ require.TestingT, l *Ledger, d *draft) bool {
		d.clock = l.st.Load().first(DeviceID(d.device)).clock
		return true
	}},
	{name: "a clock that goes back", forge: func(_ require.TestingT, l *Ledger, d *draft) bool {
		d.clock = l.st.Load().first(DeviceID(d.device)).clock - 1
		return true
	}},
	{name: "a clock over the limit", forge: always(func(d *draft) { d.clock = 1<<62 + 1 })},
	{name: "the length of its body one too high", forge: always(func(d *draft) { d.length++ })},
	{name: "the length of its body one too low", forge: always(func(d *draft) { d.length-- })},
	{name: "the length of its body right in its last four bytes", forge: always(func(d *draft) { d.length += 1 << 32 })},
	{name: "the hash of another body", forge: always(func(d *draft) { d.bodyHash[5] ^= 1 })},
	{name: "31 bytes of its body's hash", forge: always(func(d *draft) { d.bodyHash = d.bodyHash[:31] })},
	{name: "signed by a device that is not of the book", forge: always(func(d *draft) { d.key = testKey("stranger") })},
	{name: "signed by another device of the book", forge: always(func(d *draft) {
		if d.key = testKey("one"); bytes.Equal(d.device, publicKey("one")) {
			d.key = testKey("two")
		}
	})},
	{name: "signed by the identity", forge: always(func(d *draft) { d.key = identity })},
	{name: "a bit of the signature changed", forge: always(func(d *draft) { d.sign = flipBit })},
	{name: "63 bytes of the signature", forge: always(func(d *draft) { d.sign = func(sig []byte) []byte { return sig[:63] } })},
	{name: "65 bytes of signature", forge: always(func(d *draft) { d.sign = func(sig []byte) []byte { return append(sig, 0) } })},
	{name: "signed without the domain", forge: always(func(d *draft) { d.signDomain = "" })},
	{name: "signed for another domain", forge: always(func(d *draft) { d.signDomain = "petnames/ledger/admit/v1\x00" })},
	{name: "hashed without the domain", forge: always(func(d *draft) { d.hashDomain = "" })},
	{name: "hashed for another book", forge: always(func(d *draft) { d.book[0] ^= 1 })},
	{name: "a byte behind the entry", forge: always(func(d *draft) { d.tail = []byte{0} })},
	{name: "said to have eleven elements", forge: always(func(d *draft) { d.more = true })},
	{name: "said to have three parts", forge: always(func(d *draft) { d.moreWire = true })},
	{name: "a byte behind the whole", forge: always(func(d *draft) { d.wireTail = []byte{0} })},

	{name: "saw a device that is not of the book", forge: always(func(d *draft) {
		stranger := draftHead{device: publicKey("stranger"), number: 1, hash: make([]byte, 32)}
		at, _ := slices.BinarySearchFunc(d.seen, stranger.device, func(h draftHead, id []byte) int { return bytes.Compare(h.device, id) })
		d.seen = slices.Insert(d.seen, at, stranger)
	})},
	{name: "saw an entry that is not there", forge: withSeen(func(h *draftHead) { h.number++ })}, // with the hash of the head
	{name: "saw another entry", forge: withSeen(func(h *draftHead) { h.hash[31] ^= 1 })},
	{name: "saw entry 0", forge: withSeen(func(h *draftHead) { h.number = 0 })},
	{name: "saw 31 bytes of a device", forge: withSeen(func(h *draftHead) { h.device = h.device[:31] })},
	{name: "saw 31 bytes of a hash", forge: withSeen(func(h *draftHead) { h.hash = h.hash[:31] })},
	{name: "saw what is said to be four things of an entry", forge: withSeen(func(h *draftHead) { h.more = true })},
	{name: "saw an entry twice", forge: func(_ require.TestingT, l *Ledger, d *draft) bool {
		if len(d.seen) == 0 {
			return false
		}
		d.seen = slices.Insert(d.seen, 0, d.seen[0])
		return true
	}},
	{name: "saw two entries of a device", forge: func(t require.TestingT, l *Ledger, d *draft) bool {
		for i, h := range d.seen {
			id := DeviceID(h.device)
			if past := l.st.Load().pastOf(l.st.Load().first(DeviceID(d.device)).past, id); h.number > past+1 {
				d.seen = slices.Insert(d.seen, i, draftHead{device: h.device, number: h.number - 1, hash: hashAt(t, l, id, h.number-1)})
				return true
			}
		}
		return false
	}},
	{name: "saw out of order", forge: func(_ require.TestingT, l *Ledger, d *draft) bool {
		if len(d.seen) < 2 {
			return false
		}
		d.seen[0], d.seen[1] = d.seen[1], d.seen[0]
		return true
	}},
	{name: "saw its own device", forge: func(_ require.TestingT, l *Ledger, d *draft) bool {
		if d.number < 2 {
			return false
		}
		own := draftHead{device: d.device, number: d.number - 1, hash: d.prev}
		at, _ := slices.BinarySearchFunc(d.seen, d.device, func(h draftHead, id []byte) int { return bytes.Compare(h.device, id) })
		d.seen = slices.Insert(d.seen, at, own)
		return true
	}},
	{name: "saw what it had seen before", forge: sawBefore(0)},
	{name: "saw less than it had seen before", forge: sawBefore(1)},
	{name: "saw a head, not what that had seen", forge: func(_ require.TestingT, l *Ledger, d *draft) bool {
		for _, h := range d.seen {
			if alone, ok := withoutWhatItSaw(l, d, h, l.st.Load().first(DeviceID(h.device)).past); ok {
				d.seen = alone
				return true
			}
		}
		return false
	}},
	{name: "saw an entry before a head, not what that had seen", forge: func(t require.TestingT, l *Ledger, d *draft) bool {
		own := l.st.Load().first(DeviceID(d.device))
		for _, h := range d.seen {
			id := DeviceID(h.device)
			if h.number-1 <= l.st.Load().pastOf(own.past, id) {
				continue
			}
			e, _, err := l.Entry(ID{id, h.number - 1})
			require.NoError(t, err)
			before := draftHead{device: h.device, number: h.number - 1, hash: hashAt(t, l, id, h.number-1)}
			if alone, ok := withoutWhatItSaw(l, d, before, e.past); ok {
				d.seen = alone
				return true
			}
		}
		return false
	}},
	{name: "saw another entry than the one before a head", forge: func(t require.TestingT, l *Ledger, d *draft) bool {
		own := l.st.Load().first(DeviceID(d.device))
		for i := range d.seen {
			h := &d.seen[i]
			if h.number-1 > l.st.Load().pastOf(own.past, DeviceID(h.device)) { // the number for which the head's hash would be right
				h.number--
				return true
			}
		}
		return false
	}},
}

// withSeen changes the first head that the draft has seen.
func withSeen(change func(h *draftHead)) func(require.TestingT, *Ledger, *draft) bool {
	return func(_ require.TestingT, _ *Ledger, d *draft) bool {
		if len(d.seen) == 0 {
			return false
		}
		change(&d.seen[0])
		return true
	}
}

// sawBefore lists an entry that the device had already listed, or one that is
// less entries older.
func sawBefore(less uint64) func(require.TestingT, *Ledger, *draft) bool {
	return func(t require.TestingT, l *Ledger, d *draft) bool {
		for _, m := range l.st.Load().first(DeviceID(d.device)).past {
			if m.number <= less {
				continue
			}
			id := l.st.Load().branches[m.branch].device
			old := draftHead{device: id[:], number: m.number - less, hash: hashAt(t, l, id, m.number-less)}
			d.seen = []draftHead{old} // alone: the device saw the other entries together with it
			return true
		}
		return false
	}
}

// withoutWhatItSaw returns seen with only the head h, if h's entry saw an entry
// that d's device had not seen.
func withoutWhatItSaw(l *Ledger, d *draft, h draftHead, past []mark) ([]draftHead, bool) {
	own := l.st.Load().first(DeviceID(d.device))
	for _, m := range past {
		if id := l.st.Load().branches[m.branch].device; id != own.device && m.number > l.st.Load().pastOf(own.past, id) {
			return []draftHead{h}, true
		}
	}
	return nil, false
}

// scene returns the book of device one, with devices one to four: three has
// written one entry, four has written two after seeing it, and two has seen
// none of these.
func scene(t testing.TB) *Ledger {
	a, _ := newBook(t)
	two, three := join(t, a, "two"), join(t, a, "three")
	four := join(t, a, "four")
	for i, l := range []*Ledger{two, three, four, four} {
		if l == four {
			pull(t, four, three)
		}
		_, err := l.Append(fmt.Appendf(nil, "k%d=honest", i))
		require.NoError(t, err)
	}
	pull(t, a, two)
	pull(t, a, four) // with the entry of three
	return a
}

// keeps requires that a merge accepts none of the given entries: no head moves,
// and no row of the view changes.
func keeps(t *testing.T, l *Ledger, want error, entries ...[]byte) {
	t.Helper()
	view, heads, devices, order := dump(t, l), l.Heads(), l.Devices(), l.st.Load().order
	n, err := l.Merge(seq(entries...))
	require.ErrorIs(t, err, want)
	require.Zero(t, n)
	require.Equal(t, view, dump(t, l))
	require.Equal(t, heads, l.Heads())
	require.Equal(t, devices, l.Devices())
	require.Equal(t, order, l.st.Load().order)
}

func TestAnEntryThatIsWrongInOneThingIsRefused(t *testing.T) {
	a := scene(t)
	base := func(kind string) *draft {
		switch kind {
		case "entry":
			return drafted(t, a, "two", []byte("k=forged"))
		case "admission":
			s := admits(t, a, "five")
			d := drafted(t, a, "three", s.body())
			d.kind = 2
			return d
		default:
			s := removes(t, a, "four", 1)
			d := drafted(t, a, "three", s.body())
			d.kind = 3
			return d
		}
	}
	for _, kind := range []string{"entry", "admission", "removal"} {
		tried := 0
		for _, f := range entryForgeries {
			d := base(kind)
			if !f.forge(t, a, d) {
				continue
			}
			tried++
			t.Run(kind+": "+f.name, func(t *testing.T) { keeps(t, a, ErrRefused, d.wire()) })
		}
		if kind == "entry" {
			require.Len(t, entryForgeries, tried, "the scene has what each forgery needs")
		}
		t.Run(kind+": heads that are not minimal", func(t *testing.T) {
			widened := 0
			for i := range base(kind).encode(nil).heads {
				d := base(kind)
				d.wide = i
				if d.encode(nil).widened {
					widened++
					keeps(t, a, ErrRefused, d.wire())
				}
			}
			require.Greater(t, widened, 12)
			for i := range 3 {
				d := base(kind)
				d.wideWire = i
				keeps(t, a, ErrRefused, d.wire())
			}
		})
	}
	// Every base of the forgeries is itself accepted. A removal that ends a
	// device comes last.
	for _, kind := range []string{"entry", "admission", "removal"} {
		n, err := a.Merge(seq(base(kind).wire()))
		require.NoError(t, err, kind)
		require.Equal(t, 1, n, kind)
	}
	verified(t, a)
}
