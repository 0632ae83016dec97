package ledger

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/pointer"
)

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
	own := l.st.Load().first(id)
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
		if i, _ := l.st.Load().tip(h.Device); l.st.Load().branches[i].hash != h.Hash {
			continue // another branch
		}
		if h.Device != id && h.Number > l.st.Load().pastOf(own.past, h.Device) {
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

// succeeded returns the second key after that of the book's identity, and the steps to it.
func succeeded(t require.TestingT) (key ed25519.PrivateKey, steps []pointer.Succession) {
	keys := []ed25519.PrivateKey{identity, testKey("second"), testKey("third"), testKey("fourth")}
	for i, key := range keys[:2] {
		old, err := pointer.FromPublicKey(key.Public())
		require.NoError(t, err)
		commitment, err := pointer.Commit(keys[i+2].Public())
		require.NoError(t, err)
		step, err := pointer.Succeed(old, keys[i+1], commitment, key)
		require.NoError(t, err)
		steps = append(steps, step)
	}
	return keys[2], steps
}
