package ledger

import (
	"encoding/binary"

	"github.com/petnames-go/petnames/pointer/canonical"
)

// Entries are written and read by the code here and not by package canonical,
// because their shape is fixed: every head must be minimal, so each entry has
// one encoding. A test compares the writer with fxamacker's core deterministic
// encoding (RFC 8949 §4.2.1). Statements, which are rare, use package
// canonical.

const (
	cborUint  byte = 0 << 5
	cborBytes byte = 2 << 5
	cborArray byte = 4 << 5
	cborNull  byte = 0xf6
)

// appendHead appends the shortest head of a CBOR item (RFC 8949 §3) with a major type
// and an argument.
func appendHead(b []byte, major byte, n uint64) []byte {
	switch {
	case n < 24:
		return append(b, major|byte(n))
	case n < 1<<8:
		return append(b, major|24, byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(b, major|25), uint16(n))
	case n < 1<<32:
		return binary.BigEndian.AppendUint32(append(b, major|26), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(b, major|27), n)
}

// appendBytes appends the byte string s.
func appendBytes(b, s []byte) []byte { return append(appendHead(b, cborBytes, uint64(len(s))), s...) }

// reader parses canonical CBOR from b. After an error bad is set, and it returns zero
// values.
type reader struct {
	b   []byte
	bad bool
}

// head reads the head of an item of this major type, and returns its argument.
func (r *reader) head(major byte) uint64 {
	if r.bad || len(r.b) == 0 || r.b[0]&0xe0 != major {
		r.bad = true
		return 0
	}
	info := r.b[0] & 0x1f
	if info < 24 {
		r.b = r.b[1:]
		return uint64(info)
	}
	size := 1 << (info - 24)
	if info > 27 || len(r.b) < 1+size {
		r.bad = true
		return 0
	}
	var full [8]byte
	copy(full[8-size:], r.b[1:1+size])
	n := binary.BigEndian.Uint64(full[:])
	if n < 24 || (size > 1 && n>>(4*size) == 0) { // not the shortest head
		r.bad = true
		return 0
	}
	r.b = r.b[1+size:]
	return n
}

// uint reads an unsigned integer.
func (r *reader) uint() uint64 { return r.head(cborUint) }

// array reads the head of an array of n items.
func (r *reader) array(n uint64) {
	if r.head(cborArray) != n {
		r.bad = true
	}
}

// bytes returns the next byte string, in place.
func (r *reader) bytes() []byte {
	n := r.head(cborBytes)
	if r.bad || n > uint64(len(r.b)) {
		r.bad = true
		return nil
	}
	s := r.b[:n:n]
	r.b = r.b[n:]
	return s
}

// fixed fills dst with a byte string of exactly its length.
func (r *reader) fixed(dst []byte) {
	s := r.bytes()
	if len(s) != len(dst) {
		r.bad = true
		return
	}
	copy(dst, s)
}

// null reads a null, and reports whether it was next.
func (r *reader) null() bool {
	if r.bad || len(r.b) == 0 || r.b[0] != cborNull {
		return false
	}
	r.b = r.b[1:]
	return true
}

// bounds are the bounds of statements and of rows of the index.
var bounds = canonical.Bounds{Elements: 1024, Pairs: 16}

// readRow reads a row of the index. Rows have checksums, so other encodings
// than the canonical one are accepted.
func readRow(b []byte, row any) error { return canonical.UnmarshalLoose(b, row, bounds) }

// encodeWire returns the form of an entry that devices exchange: [entry, body or
// null].
func encodeWire(entry, body []byte, withBody bool) []byte {
	b := make([]byte, 0, len(entry)+len(body)+16)
	b = appendBytes(appendHead(b, cborArray, 2), entry)
	if !withBody {
		return append(b, cborNull)
	}
	return appendBytes(b, body)
}

// parseWire parses an exchanged entry. The results are slices of b.
func parseWire(b []byte) (entry, body []byte, withBody bool, err error) {
	if len(b) > maxEntry+MaxBody+16 {
		return nil, nil, false, errMalformed
	}
	r := reader{b: b}
	r.array(2)
	entry = r.bytes()
	if !r.null() {
		body, withBody = r.bytes(), true
	}
	if r.bad || len(r.b) > 0 {
		return nil, nil, false, errMalformed
	}
	return entry, body, withBody, nil
}
