package ledger

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Bounds of entries from any device, this one included.
const (
	// MaxBody is the longest body of an entry, in bytes.
	MaxBody = 64 << 10

	maxDevices = 256             // devices ever admitted to one book
	maxName    = 64              // bytes of a device's name
	maxEntry   = 32 << 10        // bytes of an encoded entry, signature included
	maxClock   = uint64(1) << 62 // highest hybrid clock
	maxNumber  = uint64(1) << 62 // highest entry number
	maxAhead   = 24 * time.Hour  // by which an earlier clock, of this device or another, may advance a new one
	logical    = 16              // bits of the hybrid clock that count within one millisecond
	version    = 1               // of the entry format
	hashDomain = "petnames/ledger/entry/v1\x00"
	signDomain = "petnames/ledger/signature/v1\x00"

	digestDomain = "petnames/ledger/digest/v1\x00" // of a set of entries
)

// Hash is the sha2-256 hash that identifies an entry: of a domain, the book's
// id and the entry's canonical bytes with an empty signature.
type Hash [32]byte

// String returns the hash in hexadecimal.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// DeviceID is a device's Ed25519 public key.
type DeviceID [ed25519.PublicKeySize]byte

var base32Lower = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// String returns the key as 52 lower-case base32 letters and digits.
func (d DeviceID) String() string { return base32Lower.EncodeToString(d[:]) }

// MarshalText returns the text of String.
func (d DeviceID) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads the output of MarshalText, and no other form.
func (d *DeviceID) UnmarshalText(text []byte) error {
	b, err := base32Lower.DecodeString(string(text))
	if err != nil || len(b) != len(d) || base32Lower.EncodeToString(b) != string(text) {
		return fmt.Errorf("no device id: %q", text)
	}
	copy(d[:], b)
	return nil
}

// BookID is the random id of a book, drawn at its genesis. It never changes.
type BookID [16]byte

// String returns the id in hexadecimal.
func (b BookID) String() string { return hex.EncodeToString(b[:]) }

// MarshalText returns the text of String.
func (b BookID) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// ID identifies one entry. Numbers start at 1 and have no gaps.
type ID struct {
	Device DeviceID
	Number uint64
}

// String returns the device's first eight letters, a dot and the number.
func (id ID) String() string { return fmt.Sprintf("%s.%d", id.Device.String()[:8], id.Number) }

// Head identifies a device's entry by number and hash, usually its latest.
type Head struct {
	Device DeviceID
	Number uint64
	Hash   Hash
}

// Kind is the kind of an entry's body.
type Kind uint8

// The kinds of entry. Only applications' entries reach the Fold.
const (
	KindGenesis     Kind = 1 // entry 1 of the first device
	KindAdmit       Kind = 2 // the identity admits a device
	KindRemove      Kind = 3 // the identity removes a device
	KindApplication Kind = 4 // opaque to this package
)

// Entry is one verified entry; there is no type for an unverified one.
type Entry struct {
	id       ID
	kind     Kind
	prev     Hash
	seen     []Head
	clock    uint64
	bodyLen  uint32
	bodyHash Hash
	hash     Hash
	sig      [ed25519.SignatureSize]byte
	past     []mark // the entries of other devices that its device had seen; shared, read-only
	st       *state // of the branches in past
}

// ID returns the entry's device and number.
func (e Entry) ID() ID { return e.id }

// Kind returns the kind of the body.
func (e Entry) Kind() Kind { return e.kind }

// Prev returns the hash of the device's previous entry, zero for its first.
func (e Entry) Prev() Hash { return e.prev }

// Seen returns the heads of other devices that the device received since its
// previous entry.
func (e Entry) Seen() []Head { return slices.Clone(e.seen) }

// Time returns the time of the device's hybrid logical clock, to the
// millisecond. It is for display: a device's clock may be wrong.
func (e Entry) Time() time.Time { return clockTime(e.clock) }

// BodyLen returns the length of the body in bytes, dropped or not.
func (e Entry) BodyLen() int { return int(e.bodyLen) }

// BodyHash returns the sha2-256 hash of the body.
func (e Entry) BodyHash() Hash { return e.bodyHash }

// Hash returns the hash by which the device's next entry and other devices'
// seen lists refer to this one.
func (e Entry) Hash() Hash { return e.hash }

// Saw reports whether entry id is in e's causal past: written by the same
// device before e, or held by e's device when it wrote e. Two entries of which
// neither saw the other are concurrent.
func (e Entry) Saw(id ID) bool {
	if id.Number == 0 {
		return false
	}
	if id.Device == e.id.Device {
		return id.Number < e.id.Number
	}
	return e.st.pastOf(e.past, id.Device) >= id.Number
}

// encode returns the canonical bytes of e with an empty signature. The signed
// form differs in the signature only: see seal.
func (e *Entry) encode() []byte {
	b := make([]byte, 0, 256+80*len(e.seen))
	b = appendHead(b, cborArray, 10)
	b = appendHead(b, cborUint, version)
	b = appendBytes(b, e.id.Device[:])
	b = appendHead(b, cborUint, e.id.Number)
	b = appendHead(b, cborUint, uint64(e.kind))
	if e.id.Number == 1 {
		b = appendBytes(b, nil)
	} else {
		b = appendBytes(b, e.prev[:])
	}
	b = appendHead(b, cborArray, uint64(len(e.seen)))
	for i := range e.seen {
		b = appendHead(b, cborArray, 3)
		b = appendBytes(b, e.seen[i].Device[:])
		b = appendHead(b, cborUint, e.seen[i].Number)
		b = appendBytes(b, e.seen[i].Hash[:])
	}
	b = appendHead(b, cborUint, e.clock)
	b = appendHead(b, cborUint, uint64(e.bodyLen))
	b = appendBytes(b, e.bodyHash[:])
	return appendBytes(b, nil)
}

// seal returns the canonical bytes of an entry with its signature. unsigned is the
// result of encode, and is overwritten.
func seal(unsigned []byte, sig []byte) []byte {
	return appendBytes(unsigned[:len(unsigned)-1], sig)
}

// hashOf returns the hash of an entry, given its encoding with an empty signature.
func hashOf(book BookID, unsigned []byte) (h Hash) {
	d := sha256.New()
	d.Write([]byte(hashDomain))
	d.Write(book[:])
	d.Write(unsigned)
	d.Sum(h[:0])
	return h
}

// signedMessage returns the bytes that a device signs for an entry with this hash.
func signedMessage(h Hash) []byte { return append([]byte(signDomain), h[:]...) }

var errMalformed = errors.New("malformed entry")

// parseEntry reads an entry's canonical bytes, and no other encoding. It checks
// the form only: not the signature, and not the place of the entry in the book.
func parseEntry(book BookID, b []byte) (Entry, error) {
	var e Entry
	if len(b) > maxEntry {
		return e, fmt.Errorf("%w: %d bytes, at most %d", errMalformed, len(b), maxEntry)
	}
	r := reader{b: b}
	r.array(10)
	if v := r.uint(); !r.bad && v != version {
		return e, fmt.Errorf("%w: version %d, this program knows %d", errMalformed, v, version)
	}
	r.fixed(e.id.Device[:])
	e.id.Number = r.uint()
	kind := r.uint()
	if e.id.Number == 1 {
		r.fixed(nil)
	} else {
		r.fixed(e.prev[:])
	}
	n := r.head(cborArray)
	if n > maxDevices {
		return e, fmt.Errorf("%w: %d devices seen, at most %d", errMalformed, n, maxDevices)
	}
	if n > 0 && !r.bad {
		e.seen = make([]Head, n)
	}
	for i := range e.seen {
		h := &e.seen[i]
		r.array(3)
		r.fixed(h.Device[:])
		h.Number = r.uint()
		r.fixed(h.Hash[:])
		if !r.bad && (h.Device == e.id.Device || h.Number == 0 || h.Number > maxNumber) {
			return e, fmt.Errorf("%w: cannot have seen %v", errMalformed, ID{h.Device, h.Number})
		}
		if !r.bad && i > 0 && string(e.seen[i-1].Device[:]) >= string(h.Device[:]) {
			return e, fmt.Errorf("%w: devices seen are out of order", errMalformed)
		}
	}
	e.clock = r.uint()
	bodyLen := r.uint()
	r.fixed(e.bodyHash[:])
	signed := len(b) - len(r.b) // the start of the signature
	r.fixed(e.sig[:])
	switch {
	case r.bad || len(r.b) > 0:
		return e, fmt.Errorf("%w: not the canonical CBOR of an entry", errMalformed)
	case e.id.Number == 0 || e.id.Number > maxNumber:
		return e, fmt.Errorf("%w: number %d", errMalformed, e.id.Number)
	case kind < uint64(KindGenesis) || kind > uint64(KindApplication):
		return e, fmt.Errorf("%w: unknown kind %d", errMalformed, kind)
	case e.clock > maxClock:
		return e, fmt.Errorf("%w: clock %d", errMalformed, e.clock)
	case bodyLen > MaxBody:
		return e, fmt.Errorf("%w: body of %d bytes, at most %d", errMalformed, bodyLen, MaxBody)
	}
	e.kind = Kind(kind)
	e.bodyLen = uint32(bodyLen)
	e.hash = hashOf(book, appendBytes(b[:signed:signed], nil))
	return e, nil
}

// verify checks the device's signature.
func (e *Entry) verify() error {
	if !ed25519.Verify(e.id.Device[:], signedMessage(e.hash), e.sig[:]) {
		return fmt.Errorf("entry %v: its device's signature does not hold", e.id)
	}
	return nil
}

// checkBody checks the length and the hash of the body.
func (e *Entry) checkBody(body []byte) error {
	if len(body) != int(e.bodyLen) || sha256.Sum256(body) != e.bodyHash {
		return fmt.Errorf("entry %v: the body is not the one that it names", e.id)
	}
	return nil
}
