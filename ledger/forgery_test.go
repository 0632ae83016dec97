package ledger

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// These forgeries are built from the formats in the package's comment with a
// separate encoder, so that they do not depend on the code under test. Each is
// wrong in one thing. Everything that depends on it (hashes, lengths,
// signatures) is right, so that only the intended check can refuse it.

// cborWriter writes CBOR. The head with number wide, counted from 0, is encoded
// one size longer than necessary.
type cborWriter struct {
	b           []byte
	heads, wide int
	widened     bool
}

func (w *cborWriter) head(major byte, n uint64) {
	size := 0
	switch {
	case n >= 1<<32:
		size = 8
	case n >= 1<<16:
		size = 4
	case n >= 1<<8:
		size = 2
	case n >= 24:
		size = 1
	}
	if w.heads++; w.heads-1 == w.wide && size < 8 {
		size, w.widened = max(1, 2*size), true
	}
	if size == 0 {
		w.b = append(w.b, major<<5|byte(n))
		return
	}
	info := map[int]byte{1: 24, 2: 25, 4: 26, 8: 27}[size]
	w.b = append(w.b, major<<5|info)
	w.b = append(w.b, binary.BigEndian.AppendUint64(nil, n)[8-size:]...)
}

func (w *cborWriter) uint(n uint64)  { w.head(0, n) }
func (w *cborWriter) bytes(b []byte) { w.head(2, uint64(len(b))); w.b = append(w.b, b...) }
func (w *cborWriter) text(s string)  { w.head(3, uint64(len(s))); w.b = append(w.b, s...) }
func (w *cborWriter) array(n uint64) { w.head(4, n) }

// draft is an entry before it is encoded and signed.
type draft struct {
	version, number, kind, clock, length uint64
	device, prev, bodyHash               []byte
	seen                                 []draftHead
	body                                 []byte
	noBody                               bool

	key                    ed25519.PrivateKey
	book                   []byte
	hashDomain, signDomain string
	wide, wideWire         int  // heads in the entry, and around it
	more, moreWire         bool // the array header counts one element more than the array has
	sign                   func(sig []byte) []byte
	tail, wireTail         []byte
}

type draftHead struct {
	device []byte
	number uint64
	hash   []byte
	more   bool // as in draft
}

func count(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

func (d *draft) setBody(b []byte) {
	h := sha256.Sum256(b)
	d.body, d.length, d.bodyHash = b, uint64(len(b)), h[:]
}

func (d *draft) encode(sig []byte) *cborWriter {
	w := &cborWriter{wide: d.wide}
	w.array(10 + count(d.more))
	w.uint(d.version)
	w.bytes(d.device)
	w.uint(d.number)
	w.uint(d.kind)
	w.bytes(d.prev)
	w.array(uint64(len(d.seen)))
	for _, h := range d.seen {
		w.array(3 + count(h.more))
		w.bytes(h.device)
		w.uint(h.number)
		w.bytes(h.hash)
	}
	w.uint(d.clock)
	w.uint(d.length)
	w.bytes(d.bodyHash)
	w.bytes(sig)
	return w
}

// hash returns the hash of the entry. It covers the bytes as encoded.
func (d *draft) hash() []byte {
	h := sha256.New()
	h.Write([]byte(d.hashDomain))
	h.Write(d.book)
	unsigned := d.encode(nil)
	if unsigned.heads-1 == d.wide { // the hash does not cover the signature's head
		plain := *d
		plain.wide = -1
		unsigned = plain.encode(nil)
	}
	h.Write(unsigned.b)
	return h.Sum(nil)
}

func (d *draft) entry() []byte {
	sig := ed25519.Sign(d.key, append([]byte(d.signDomain), d.hash()...))
	if d.sign != nil {
		sig = d.sign(sig)
	}
	return append(d.encode(sig).b, d.tail...)
}

func (d *draft) wire() []byte {
	w := &cborWriter{wide: d.wideWire}
	w.array(2 + count(d.moreWire))
	w.bytes(d.entry())
	if d.noBody {
		w.b = append(w.b, 0xf6)
	} else {
		w.bytes(d.body)
	}
	return append(w.b, d.wireTail...)
}

// statement is a statement of the identity, before it is encoded and signed.
type statement struct {
	removal                bool
	domain                 string
	book, identity, device []byte
	name                   string
	last                   uint64
	key                    ed25519.PrivateKey
	wide                   int
	sign                   func(sig []byte) []byte
	more                   bool // a sixth element
}

func (s *statement) encode(sig []byte, wide int) *cborWriter {
	w := &cborWriter{wide: wide}
	if s.more {
		w.array(6)
	} else {
		w.array(5)
	}
	w.bytes(s.book)
	w.bytes(s.identity)
	w.bytes(s.device)
	if s.removal {
		w.uint(s.last)
	} else {
		w.text(s.name)
	}
	w.bytes(sig)
	if s.more {
		w.uint(0)
	}
	return w
}

func (s *statement) body() []byte {
	sig := ed25519.Sign(s.key, append([]byte(s.domain), s.encode(nil, -1).b...))
	if s.sign != nil {
		sig = s.sign(sig)
	}
	return s.encode(sig, s.wide).b
}

func publicKey(name string) []byte { return testKey(name).Public().(ed25519.PublicKey) }

func deviceID(name string) DeviceID { return DeviceID(publicKey(name)) }

// admits returns an honest admission of a device to l's book.
func admits(t require.TestingT, l *Ledger, device string) statement {
	book := l.Book()
	return statement{domain: "petnames/ledger/admit/v1\x00", book: book[:], identity: l.Identity().Bytes(), device: publicKey(device), name: device, key: identity, wide: -1}
}

// removes returns an honest removal of a device from l's book.
func removes(t require.TestingT, l *Ledger, device string, last uint64) statement {
	s := admits(t, l, device)
	s.removal, s.domain, s.last = true, "petnames/ledger/remove/v1\x00", last
	return s
}

// drafted returns an honest next entry of a device of l's book, as if the
// device held every entry of l.
func drafted(t require.TestingT, l *Ledger, device string, body []byte) *draft {
	id, book := deviceID(device), l.Book()
	own := l.st.Load().device(id)
	require.NotNil(t, own)
	d := &draft{
		version: 1, number: own.head + 1, kind: 4, clock: own.clock + 1<<20,
		device: id[:], prev: bytes.Clone(own.hash[:]), key: testKey(device), book: book[:],
		hashDomain: "petnames/ledger/entry/v1\x00", signDomain: "petnames/ledger/signature/v1\x00",
		wide: -1, wideWire: -1,
	}
	if own.head == 0 {
		d.prev = nil
	}
	for _, h := range l.Heads() { // sorted by device
		if h.Device != id && h.Number > pastOf(own.past, h.Device) {
			d.seen = append(d.seen, draftHead{device: bytes.Clone(h.Device[:]), number: h.Number, hash: bytes.Clone(h.Hash[:])})
		}
	}
	d.setBody(body)
	return d
}

// hashAt returns the hash of an entry in l.
func hashAt(t require.TestingT, l *Ledger, device DeviceID, number uint64) []byte {
	e, _, err := l.Entry(ID{device, number})
	require.NoError(t, err)
	h := e.Hash()
	return h[:]
}

// A forgery changes one thing in an honest draft, or reports that it cannot.
type forgery struct {
	name  string
	forge func(t require.TestingT, l *Ledger, d *draft) bool
	fork  bool // it is reported as a fork, and the rest of the batch is merged
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
	{name: "another entry before it", forge: always(func(d *draft) { d.prev[0] ^= 1 }), fork: true},
	{name: "no entry before it", forge: always(func(d *draft) { d.prev = nil })},
	{name: "31 bytes of the hash before it", forge: always(func(d *draft) { d.prev = d.prev[:31] })},
	{name: "33 bytes of the hash before it", forge: always(func(d *draft) { d.prev = append(d.prev, 0) })},
	{name: "33 bytes of its device", forge: always(func(d *draft) { d.device = append(d.device, 0) })},
	{name: "a clock that stands", forge: func(_ require.TestingT, l *Ledger, d *draft) bool {
		d.clock = l.st.Load().device(DeviceID(d.device)).clock
		return true
	}},
	{name: "a clock that goes back", forge: func(_ require.TestingT, l *Ledger, d *draft) bool {
		d.clock = l.st.Load().device(DeviceID(d.device)).clock - 1
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
	{name: "saw another entry", forge: withSeen(func(h *draftHead) { h.hash[31] ^= 1 }), fork: true},
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
			if past := pastOf(l.st.Load().device(DeviceID(d.device)).past, id); h.number > past+1 {
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
			if alone, ok := withoutWhatItSaw(l, d, h, l.st.Load().device(DeviceID(h.device)).past); ok {
				d.seen = alone
				return true
			}
		}
		return false
	}},
	{name: "saw an entry before a head, not what that had seen", forge: func(t require.TestingT, l *Ledger, d *draft) bool {
		own := l.st.Load().device(DeviceID(d.device))
		for _, h := range d.seen {
			id := DeviceID(h.device)
			if h.number-1 <= pastOf(own.past, id) {
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
		own := l.st.Load().device(DeviceID(d.device))
		for i := range d.seen {
			h := &d.seen[i]
			if h.number-1 > pastOf(own.past, DeviceID(h.device)) { // the number for which the head's hash would be right
				h.number--
				return true
			}
		}
		return false
	}, fork: true},
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
		for _, m := range l.st.Load().device(DeviceID(d.device)).past {
			if m.number <= less {
				continue
			}
			old := draftHead{device: m.device[:], number: m.number - less, hash: hashAt(t, l, m.device, m.number-less)}
			d.seen = []draftHead{old} // alone: the device saw the other entries together with it
			return true
		}
		return false
	}
}

// withoutWhatItSaw returns seen with only the head h, if h's entry saw an entry
// that d's device had not seen.
func withoutWhatItSaw(l *Ledger, d *draft, h draftHead, past []mark) ([]draftHead, bool) {
	own := l.st.Load().device(DeviceID(d.device))
	for _, m := range past {
		if m.device != own.id && m.number > pastOf(own.past, m.device) {
			return []draftHead{h}, true
		}
	}
	return nil, false
}

// statementForgeries apply to admissions and removals.
var statementForgeries = []struct {
	name  string
	forge func(l *Ledger, s *statement)
}{
	{"for another book", func(_ *Ledger, s *statement) { s.book[0] ^= 1 }},
	{"for 15 bytes of a book", func(_ *Ledger, s *statement) { s.book = s.book[:15] }},
	{"by another identity", func(_ *Ledger, s *statement) {
		s.key, s.identity = testKey("mallory"), pointerBytes("mallory")
	}},
	{"in another identity's name", func(_ *Ledger, s *statement) { s.identity = pointerBytes("mallory") }},
	{"signed by another identity", func(_ *Ledger, s *statement) { s.key = testKey("mallory") }},
	{"signed by a device", func(_ *Ledger, s *statement) { s.key = testKey("one") }},
	{"a bit of the signature changed", func(_ *Ledger, s *statement) { s.sign = flipBit }},
	{"no signature", func(_ *Ledger, s *statement) { s.sign = func([]byte) []byte { return nil } }},
	{"signed without the domain", func(_ *Ledger, s *statement) { s.domain = "" }},
	{"signed for the other domain", func(_ *Ledger, s *statement) {
		s.domain = map[bool]string{false: "petnames/ledger/remove/v1\x00", true: "petnames/ledger/admit/v1\x00"}[s.removal]
	}},
	{"31 bytes of a device", func(_ *Ledger, s *statement) { s.device = s.device[:31] }},
	{"33 bytes of a device", func(_ *Ledger, s *statement) { s.device = append(bytes.Clone(s.device), 0) }},
	{"a sixth element", func(_ *Ledger, s *statement) { s.more = true }},
}

func pointerBytes(name string) []byte {
	// The identity multihash of the libp2p encoding of an Ed25519 key.
	return append([]byte{0x00, 36, 0x08, 0x01, 0x12, 32}, publicKey(name)...)
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
			want := ErrRefused
			if f.fork {
				want = ErrFork
			}
			t.Run(kind+": "+f.name, func(t *testing.T) { keeps(t, a, want, d.wire()) })
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

func TestAStatementThatIsWrongInOneThingIsRefused(t *testing.T) {
	a := scene(t)
	entry := func(kind uint64, body []byte) []byte {
		d := drafted(t, a, "two", body)
		d.kind = kind
		return d.wire()
	}
	for name, s := range map[string]func() statement{
		"admission": func() statement { return admits(t, a, "five") },
		"removal":   func() statement { return removes(t, a, "four", 1) },
	} {
		kind := map[string]uint64{"admission": 2, "removal": 3}[name]
		for _, f := range statementForgeries {
			s := s()
			f.forge(a, &s)
			t.Run(name+": "+f.name, func(t *testing.T) { keeps(t, a, ErrRefused, entry(kind, s.body())) })
		}
		t.Run(name+": heads that are not minimal", func(t *testing.T) {
			s := s()
			for i := range s.encode(nil, -1).heads {
				s.wide = i
				require.True(t, s.encode(nil, i).widened)
				keeps(t, a, ErrRefused, entry(kind, s.body()))
			}
		})
		t.Run(name+": a byte behind it", func(t *testing.T) {
			s := s()
			keeps(t, a, ErrRefused, entry(kind, append(s.body(), 0)))
		})
		t.Run(name+": not there", func(t *testing.T) {
			s := s()
			d := drafted(t, a, "two", s.body())
			d.kind, d.noBody = kind, true
			keeps(t, a, ErrRefused, d.wire())
		})
		t.Run(name+": in an entry of the other kind", func(t *testing.T) {
			s := s()
			keeps(t, a, ErrRefused, entry(5-kind, s.body()))
		})
		t.Run(name+": in a genesis", func(t *testing.T) {
			s := s()
			keeps(t, a, ErrRefused, entry(1, s.body()))
		})
	}
	admission := func(change func(s *statement)) []byte {
		s := admits(t, a, "five")
		change(&s)
		return entry(2, s.body())
	}
	removal := func(change func(s *statement)) []byte {
		s := removes(t, a, "four", 1)
		change(&s)
		return entry(3, s.body())
	}
	keeps(t, a, ErrRefused, admission(func(s *statement) { s.name = strings.Repeat("n", 65) }))
	keeps(t, a, ErrRefused, admission(func(s *statement) { s.name = "\xff" }))
	keeps(t, a, ErrRefused, removal(func(s *statement) { s.last = 1<<62 + 1 }))
	keeps(t, a, ErrRefused, removal(func(s *statement) { s.device = publicKey("five") }))

	// A refused batch leaves nothing of a device that the batch admitted.
	good := admission(func(*statement) {})
	keeps(t, a, ErrRefused, good, []byte{0})
	_, _, err := a.Entry(ID{deviceID("five"), 1})
	require.Error(t, err)
	require.NotEmpty(t, missing(t, a, []Head{{Device: deviceID("five"), Number: 1}}))

	n, err := a.Merge(seq(admission(func(s *statement) { s.name = strings.Repeat("n", 64) })))
	require.NoError(t, err)
	require.Equal(t, 1, n)
	n, err = a.Merge(seq(removal(func(s *statement) { s.last = 1 << 62 })))
	require.NoError(t, err)
	require.Equal(t, 1, n)
	verified(t, a)
}

func TestAGenesisThatIsWrongInOneThingCreatesNoBook(t *testing.T) {
	a, _ := newBook(t)
	genesis := func(change func(d *draft), say func(s *statement)) []byte {
		s := admits(t, a, "one")
		if say != nil {
			say(&s)
		}
		d := drafted(t, a, "one", s.body())
		d.kind, d.number, d.prev, d.seen = 1, 1, nil, nil
		if change != nil {
			change(d)
		}
		return d.wire()
	}
	try := func(w []byte, device string) error {
		l, err := Join(filepath.Join(t.TempDir(), "j.db"), identityPointer(t), testKey(device), seq(w), multi{}, testOptions())
		if err == nil {
			require.Equal(t, a.Book(), l.Book())
			require.NoError(t, l.Close())
		}
		return err
	}
	require.NoError(t, try(genesis(nil, nil), "one"))
	other := genesis(func(d *draft) { d.device, d.key = publicKey("two"), testKey("two") }, nil)
	require.ErrorIs(t, try(other, "two"), ErrRefused, "by another device than it admits")
	for name, w := range map[string][]byte{
		"signed by another device": genesis(func(d *draft) { d.key = testKey("two") }, nil),
		"an application's entry":   genesis(func(d *draft) { d.kind = 4 }, nil),
		"an admission":             genesis(func(d *draft) { d.kind = 2 }, nil),
		"number 2":                 genesis(func(d *draft) { d.number, d.prev = 2, make([]byte, 32) }, nil),
		"with an entry before it":  genesis(func(d *draft) { d.prev = make([]byte, 32) }, nil),
		"that saw something":       genesis(func(d *draft) { d.seen = []draftHead{{publicKey("two"), 1, make([]byte, 32), false}} }, nil),
		"hashed for another book":  genesis(func(d *draft) { d.book[0] ^= 1 }, nil),
		"with another body's hash": genesis(func(d *draft) { d.bodyHash[0] ^= 1 }, nil),
		"without its body":         genesis(func(d *draft) { d.noBody = true }, nil),
		"of another identity": genesis(nil, func(s *statement) {
			s.key, s.identity = testKey("mallory"), pointerBytes("mallory")
		}),
		"signed by another identity": genesis(nil, func(s *statement) { s.key = testKey("mallory") }),
		"for a removal's domain":     genesis(nil, func(s *statement) { s.domain = "petnames/ledger/remove/v1\x00" }),
		"of 15 bytes of a book":      genesis(nil, func(s *statement) { s.book = s.book[:15] }),
		"with a name too long":       genesis(nil, func(s *statement) { s.name = strings.Repeat("n", 65) }),
	} {
		require.ErrorIs(t, try(w, "one"), ErrRefused, name)
	}
}
