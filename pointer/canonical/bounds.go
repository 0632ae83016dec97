package canonical

import (
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/fxamacker/cbor/v2"
)

// Bounds are the bounds of a format. They are checked before anything is
// allocated for the items that they bound. The zero value suits a flat message
// or record. A format's bounds are part of it: other bounds accept other bytes.
type Bounds struct {
	Size     int // bytes of the whole item; 0: unbounded
	Nesting  int // levels of lists and maps within each other, 4 to 65535; 0: 4
	Elements int // of each list, 16 or more; 0: 131072
	Pairs    int // of each map, 16 or more; 0: 131072
}

const (
	defaultNesting = 4
	defaultLength  = 1 << 17
)

// decoders has one decoder for each set of bounds in use; a program has a few.
// The slice is replaced, never changed. If two goroutines replace it at the
// same time, one of the new decoders may be dropped, and is built again.
var decoders atomic.Pointer[[]decoder]

// decoder is the decoder for one set of bounds, which have no Size.
type decoder struct {
	bounds Bounds
	mode   cbor.DecMode
}

// decoding returns the decoder for the bounds, which is built at the first use.
// It panics for bounds out of their range, which are a programming error.
func (b Bounds) decoding() cbor.DecMode {
	b.Size = 0
	var built []decoder
	if all := decoders.Load(); all != nil {
		built = *all
	}
	for _, d := range built {
		if d.bounds == b {
			return d.mode
		}
	}
	mode := b.build()
	built = append(slices.Clip(built), decoder{b, mode})
	decoders.Store(&built)
	return mode
}

// build returns a new decoder for the bounds, except Size, which Unmarshal checks. It
// panics as decoding does.
func (b Bounds) build() cbor.DecMode {
	if b.Nesting == 0 {
		b.Nesting = defaultNesting
	}
	if b.Elements == 0 {
		b.Elements = defaultLength
	}
	if b.Pairs == 0 {
		b.Pairs = defaultLength
	}
	mode, err := cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		IndefLength:       cbor.IndefLengthForbidden,
		TagsMd:            cbor.TagsForbidden,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		MaxNestedLevels:   b.Nesting,
		MaxArrayElements:  b.Elements,
		MaxMapPairs:       b.Pairs,
		// A NaN map key equals no other, so duplicates would not be found, and
		// it has no place in the order.
		NaN: cbor.NaNDecodeForbidden,
		Inf: cbor.InfDecodeForbidden,
	}.DecMode()
	if err != nil {
		panic(fmt.Errorf("canonical: %w", err))
	}
	return mode
}
