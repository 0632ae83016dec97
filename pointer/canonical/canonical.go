// Package canonical is the one strict CBOR codec of the module. [Marshal]
// returns the core deterministic encoding (RFC 8949, §4.2.1) of a Go value.
// [Unmarshal] reads that encoding and refuses every other: what it accepts,
// Marshal turns back into the same bytes. So there is one byte string for a
// value, and signatures, hashes and comparisons of encodings are ones of values.
//
// A format is a Go type and its [Bounds]. The type has what the format has: a
// struct with the tag "toarray" for a list of fixed length, with "keyasint" for
// a map with integer keys, int and uint types, []byte, string, bool, slices and
// maps. From the comparison follows, for every format:
//
//   - A key that the type does not have is an error. A format that keeps unknown
//     keys reads a map[int64]Raw.
//   - A field with the tag "omitempty" that is there and empty is an error.
//   - Keys are sorted bytewise by their encoding and occur once; lengths,
//     integers and floats are in the shortest form; nothing follows the item.
//
// Tags, indefinite lengths, texts that are not UTF-8, NaN and infinities are
// refused. Finite floats are read only into float types and any. Into an any,
// keys that Go cannot compare are refused, too: lists, maps, and integers below
// -2^63.
//
// The functions of this package are safe for concurrent use. They keep none of
// the caller's bytes, and no work is done before the first call.
package canonical

import (
	"bytes"
	"errors"
	"fmt"
	"sync"

	"github.com/fxamacker/cbor/v2"
)

// Raw is one encoded item, copied as it is by both Marshal and Unmarshal, which
// check only that it is well-formed. To hold it to the canonical encoding, call
// [Unmarshal] for all of the input with an any first.
type Raw = cbor.RawMessage

var (
	// ErrMalformed is returned for bytes that are not the CBOR of a format:
	// not well-formed, over a bound other than the size, or of another shape.
	ErrMalformed = errors.New("is not the CBOR that it should be")

	// ErrNotCanonical is returned for bytes that have the shape of a format in
	// another than its canonical encoding.
	ErrNotCanonical = errors.New("is not in its canonical encoding")
)

// Marshal returns the canonical encoding of v. It returns an error for a type
// that CBOR does not have, such as a func or a channel.
func Marshal(v any) ([]byte, error) {
	b, err := encoding().Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("canonical: %w", err)
	}
	return b, nil
}

// MustMarshal is [Marshal] for types of the program, all of which can be
// encoded. It panics where Marshal returns an error.
func MustMarshal(v any) []byte {
	b, err := Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

// Unmarshal reads the canonical encoding of one item into v, a pointer to a
// zero value. It returns an error for bytes over the bound on the size,
// [ErrMalformed] or [ErrNotCanonical]. No error repeats the input, which may be
// hostile or secret. After an error the content of v is undefined.
func Unmarshal(b []byte, v any, bounds Bounds) error {
	if err := UnmarshalLoose(b, v, bounds); err != nil {
		return err
	}
	if again, err := encoding().Marshal(v); err != nil || !bytes.Equal(again, b) {
		return ErrNotCanonical
	}
	return nil
}

// UnmarshalLoose is [Unmarshal] without the comparison. It accepts further
// encodings of a value: unsorted keys, longer forms of numbers, empty fields
// that could be omitted, null for an empty value. It is for rows that this
// program wrote, and for parts of what Unmarshal accepted as a whole. Unknown
// keys, duplicate keys, tags and indefinite lengths are refused here, too.
func UnmarshalLoose(b []byte, v any, bounds Bounds) error {
	if bounds.Size > 0 && len(b) > bounds.Size {
		return fmt.Errorf("is %d bytes long, over %d", len(b), bounds.Size)
	}
	if err := bounds.decoding().Unmarshal(b, v); err != nil {
		return ErrMalformed // the decoder's error contains hostile text
	}
	return nil
}

var encoder struct {
	once sync.Once
	mode cbor.EncMode
}

// encoding returns the encoder, which is built at the first use.
func encoding() cbor.EncMode {
	encoder.once.Do(func() {
		mode, err := cbor.CoreDetEncOptions().EncMode()
		if err != nil {
			panic(err) // constant options
		}
		encoder.mode = mode
	})
	return encoder.mode
}
