package canonical

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"path/filepath"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// FuzzMalleability holds Unmarshal to its law, what is accepted re-encodes to
// the same bytes, and to a second reading of the RFC.
func FuzzMalleability(f *testing.F) {
	files, err := filepath.Glob(filepath.Join("testdata", "fuzz", f.Name(), "*"))
	require.NoError(f, err)
	require.NotEmpty(f, files, "no corpus")
	f.Add(MustMarshal(flat{Kind: 5, At: -1, Bytes: []byte{1}, Text: "ü", Flag: true, Map: map[string]uint8{"a": 1, "bb": 2}}))
	f.Add(MustMarshal([]any{-1 << 40, 1.5, 1.1, nil, true, map[any]any{"a": 1, 1: []byte{}, -1: 1e9}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		const nesting = 16
		var whole any
		err := Unmarshal(b, &whole, Bounds{Nesting: nesting})
		rest, walked := walk(b, nesting)
		if walked == nil && len(rest) > 0 {
			walked = errWalk
		}
		require.Equal(t, walked == nil, err == nil, "%x: %v, %v", b, walked, err)
		if err == nil {
			require.Equal(t, b, MustMarshal(whole))
		}
		for _, v := range []any{new(flat), new(row), new([][]byte), new(uint64)} {
			if Unmarshal(b, v, Bounds{}) != nil {
				continue
			}
			require.Equal(t, b, MustMarshal(v))
			require.NoError(t, UnmarshalLoose(b, v, Bounds{}))
			require.NoError(t, err, "what has a shape is canonical as a whole")
		}
	})
}

var errWalk = errors.New("not canonical")

// walk passes over one item in core deterministic encoding, by the text of RFC
// 8949, §4.2.1, and the further rules of this package's comment. Keys are the
// ones that Go can compare: no lists, maps or integers below -2^63.
func walk(b []byte, nesting int) (rest []byte, err error) {
	if len(b) == 0 {
		return nil, errWalk
	}
	major, info, rest := b[0]>>5, b[0]&31, b[1:]
	n := uint64(info)
	if info >= 24 {
		size := 1 << (info - 24)
		if info > 27 || len(rest) < size {
			return nil, errWalk
		}
		n = binary.BigEndian.Uint64(append(make([]byte, 8-size), rest[:size]...))
		rest = rest[size:]
		if major != 7 && (info == 24 && n < 24 || info > 24 && n < 1<<(4*size)) {
			return nil, errWalk
		}
	}
	switch major {
	case 0, 1:
		return rest, nil
	case 2, 3:
		if n > uint64(len(rest)) || major == 3 && !utf8.Valid(rest[:n]) {
			return nil, errWalk
		}
		return rest[n:], nil
	case 6:
		return nil, errWalk
	case 7:
		return rest, simple(info, n)
	}
	if nesting == 0 || n > 131072 {
		return nil, errWalk
	}
	var last, zero []byte
	for range n {
		if major == 5 {
			key := rest
			if rest, err = walk(rest, nesting-1); err != nil {
				return nil, err
			}
			key = key[:len(key)-len(rest)]
			if kind := key[0] >> 5; kind == 4 || kind == 5 || kind == 1 && len(key) == 9 && key[1] >= 0x80 {
				return nil, errWalk
			}
			if bytes.Compare(key, last) <= 0 {
				return nil, errWalk
			}
			last = key
			if key[0] == 0xf9 && key[1]&0x7f == 0 && key[2] == 0 { // 0 and -0 are equal
				if zero != nil {
					return nil, errWalk
				}
				zero = key
			}
		}
		if rest, err = walk(rest, nesting-1); err != nil {
			return nil, err
		}
	}
	return rest, nil
}

// simple checks simple values and floats.
func simple(info byte, n uint64) error {
	var float float64
	switch info {
	case 24:
		if n >= 32 {
			return nil
		}
		return errWalk
	case 25:
		float = half(uint16(n))
	case 26:
		float = float64(math.Float32frombits(uint32(n)))
		if fits16(float) {
			return errWalk
		}
	case 27:
		float = math.Float64frombits(n)
		if float64(float32(float)) == float {
			return errWalk
		}
	default:
		if n == 23 { // undefined
			return errWalk
		}
		return nil
	}
	if math.IsNaN(float) || math.IsInf(float, 0) {
		return errWalk
	}
	return nil
}

// half is the value of a float of 16 bits (RFC 8949, appendix D).
func half(h uint16) float64 {
	exponent, fraction := int(h>>10&31), float64(h&1023)
	sign := 1.0
	if h>>15 == 1 {
		sign = -1
	}
	switch exponent {
	case 0:
		return sign * math.Ldexp(fraction, -24)
	case 31:
		return math.NaN() // or an infinity
	}
	return sign * math.Ldexp(fraction+1024, exponent-25)
}

// fits16 reports whether a float of 16 bits has the value.
func fits16(f float64) bool {
	for h := range 1 << 16 {
		if half(uint16(h)) == f {
			return true
		}
	}
	return false
}
