package pointer

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"unicode/utf8"

	"github.com/ipfs/go-cid"
)

// The signed part of a record is a DAG-CBOR map
// (ipld.io/specs/codecs/dag-cbor). The decoder of boxo accepts keys in any
// order, and lengths that make it allocate a thousand times the size of hostile
// input. So readDocument reads the bytes in place, and accepts only the
// canonical encoding.

// document has the fields of the signed map: raw values, slices of the input.
type document struct {
	value, validity     []byte
	sequence, ttl       uint64
	validityType        uint64
	hasValue, hasSeq    bool
	hasValidity, hasTTL bool
	hasType             bool
	card                []byte // the byte string under cardKey
	hasCard             bool
	payload             []byte // the byte string under payloadKey
	hasPayload          bool
}

// maxDepth bounds how deep the signed map nests.
const maxDepth = 16

// CBOR's major types (RFC 8949, §3.1).
const (
	majorUint = iota
	majorNegative
	majorBytes
	majorText
	majorArray
	majorMap
	majorTag
	majorSimple
)

var (
	errNotDAG         = errors.New("its signed data is not canonical DAG-CBOR")
	errCardAndPayload = errors.New("it has both a card and a payload, and a record carries one of them")
)

// readDocument reads the whole signed map.
func readDocument(b []byte) (document, error) {
	var d document
	major, pairs, rest, err := readHead(b)
	if err != nil || major != majorMap {
		return document{}, errNotDAG
	}
	var last []byte
	for range pairs {
		var key, item []byte
		if key, last, rest, err = readMapKey(rest, last); err != nil {
			return document{}, err
		}
		item = rest
		if rest, err = skip(rest, 1); err != nil {
			return document{}, err
		}
		if err := d.set(string(key), item[:len(item)-len(rest)]); err != nil {
			return document{}, err
		}
	}
	if len(rest) > 0 {
		return document{}, errNotDAG
	}
	return d, d.complete()
}

// set stores the item of one key; skip has accepted the item's encoding.
func (d *document) set(key string, item []byte) error {
	major, n, rest, err := readHead(item)
	if err != nil {
		return err
	}
	number := func(dst *uint64, has *bool) error {
		if major != majorUint || n > math.MaxInt64 {
			return errors.New("its " + key + " is not a number from 0 to 2^63-1")
		}
		*dst, *has = n, true
		return nil
	}
	byteString := func(dst *[]byte, has *bool) error {
		if major != majorBytes {
			return errors.New("its " + key + " is not a byte string")
		}
		*dst, *has = rest, true
		return nil
	}
	switch key {
	case "Value":
		return byteString(&d.value, &d.hasValue)
	case "Validity":
		return byteString(&d.validity, &d.hasValidity)
	case "ValidityType":
		return number(&d.validityType, &d.hasType)
	case "Sequence":
		return number(&d.sequence, &d.hasSeq)
	case "TTL":
		return number(&d.ttl, &d.hasTTL)
	case cardKey:
		return byteString(&d.card, &d.hasCard)
	case payloadKey:
		return byteString(&d.payload, &d.hasPayload)
	}
	return nil
}

// complete checks that the required fields are present, and that a card and a payload
// exclude each other.
func (d *document) complete() error {
	for _, field := range []struct {
		name string
		has  bool
	}{{"Value", d.hasValue}, {"Validity", d.hasValidity}, {"ValidityType", d.hasType}, {"Sequence", d.hasSeq}, {"TTL", d.hasTTL}} {
		if !field.has {
			return errors.New("its signed data has no " + field.name)
		}
	}
	if d.hasCard && d.hasPayload {
		return errCardAndPayload
	}
	if d.hasPayload && len(d.payload) == 0 {
		return errors.New("its payload is empty") // the canonical encoding omits an empty payload
	}
	return nil
}

// readHead reads the head of an item: its major type and argument, which must
// be in the shortest form. A float's argument is its bits.
func readHead(b []byte) (major byte, n uint64, rest []byte, err error) {
	if len(b) == 0 {
		return 0, 0, nil, errNotDAG
	}
	major, info, rest := b[0]>>5, b[0]&31, b[1:]
	if info < 24 {
		return major, uint64(info), rest, nil
	}
	size := 1 << (info - 24) // 1, 2, 4 or 8 bytes; 28 to 31 are reserved or indefinite
	if info > 27 || len(rest) < size {
		return 0, 0, nil, errNotDAG
	}
	var full [8]byte
	copy(full[8-size:], rest)
	n = binary.BigEndian.Uint64(full[:])
	if major == majorSimple {
		return major, n, rest[size:], nil
	}
	shortest := [...]uint64{24, 1 << 8, 1 << 16, 1 << 32}[info-24]
	if n < shortest {
		return 0, 0, nil, errNotDAG
	}
	return major, n, rest[size:], nil
}

// readMapKey reads a key, which must be text and come after the last one in the
// order of DAG-CBOR: shorter keys first, then bytewise. That is the bytewise
// order of the encoded keys, because their first byte has the length.
func readMapKey(b, last []byte) (key, encoded, rest []byte, err error) {
	major, n, rest, err := readHead(b)
	if err != nil || major != majorText || n > uint64(len(rest)) {
		return nil, nil, nil, errNotDAG
	}
	key, rest = rest[:n], rest[n:]
	encoded = b[:len(b)-len(rest)]
	if !utf8.Valid(key) || bytes.Compare(encoded, last) <= 0 {
		return nil, nil, nil, errNotDAG
	}
	return key, encoded, rest, nil
}

// skip reads one item at a nesting depth, and returns the rest.
func skip(b []byte, depth int) (rest []byte, err error) {
	major, n, rest, err := readHead(b)
	if err != nil {
		return nil, err
	}
	switch major {
	case majorUint:
		return rest, nil
	case majorNegative:
		if n > math.MaxInt64 {
			return nil, errNotDAG // below -2^63
		}
		return rest, nil
	case majorBytes, majorText:
		if n > uint64(len(rest)) || major == majorText && !utf8.Valid(rest[:n]) {
			return nil, errNotDAG
		}
		return rest[n:], nil
	case majorSimple:
		switch b[0] & 31 {
		case 20, 21, 22: // false, true, null
			return rest, nil
		case 27:
			if f := math.Float64frombits(n); !math.IsNaN(f) && !math.IsInf(f, 0) {
				return rest, nil
			}
		}
		return nil, errNotDAG
	case majorTag:
		// The one tag of DAG-CBOR is a link: 42 around the bytes of a CID
		// behind a zero byte.
		major, length, link, err := readHead(rest)
		if err != nil || n != 42 || major != majorBytes || length < 1 || length > uint64(len(link)) || link[0] != 0 {
			return nil, errNotDAG
		}
		if _, err := cid.Cast(link[1:length]); err != nil {
			return nil, errNotDAG
		}
		return link[length:], nil
	}
	if depth >= maxDepth {
		return nil, errors.New("its signed data nests too deep")
	}
	var last []byte
	for range n {
		if major == majorMap {
			if _, last, rest, err = readMapKey(rest, last); err != nil {
				return nil, err
			}
		}
		if rest, err = skip(rest, depth+1); err != nil {
			return nil, err
		}
	}
	return rest, nil
}
