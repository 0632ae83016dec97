// Package canonicaltest is for tests of formats that package canonical reads.
// [Agree] and [AgreeOn] compare two decoders of a format on one input, and
// [Variants] makes inputs that are close to a good one.
package canonicaltest

import (
	"bytes"
	"encoding/binary"
	"iter"
	"path/filepath"
	"reflect"
	"slices"

	"github.com/stretchr/testify/require"
)

// Agree requires that both decoders accept b, as equal values, or both refuse
// it. It reports whether they accept it.
func Agree[T any](t require.TestingT, b []byte, current, reference func([]byte) (T, error)) bool {
	input := bytes.Clone(b)
	now, err := current(b)
	before, referenceErr := reference(b)
	if (err == nil) != (referenceErr == nil) {
		require.Fail(t, "the decoders differ", "%T %x:\nnow %v\nreference %v", now, b, err, referenceErr)
	}
	require.True(t, bytes.Equal(input, b), "a decoder changes its input")
	if err != nil {
		return false
	}
	if !reflect.DeepEqual(before, now) {
		require.Equal(t, before, now, "%x", b)
	}
	return true
}

// Codec is one way to write and to read values.
type Codec struct {
	Marshal   func(v any) ([]byte, error)
	Unmarshal func(b []byte, v any) error
}

// AgreeOn is [Agree] for two codecs and the format of a type. The values must
// also have the same encoding in both.
func AgreeOn[T any](t require.TestingT, b []byte, current, reference Codec) bool {
	accepted := Agree(t, b,
		func(b []byte) (v T, err error) { err = current.Unmarshal(b, &v); return },
		func(b []byte) (v T, err error) { err = reference.Unmarshal(b, &v); return })
	if accepted {
		var v T
		require.NoError(t, current.Unmarshal(b, &v))
		now, err := current.Marshal(v)
		require.NoError(t, err)
		before, err := reference.Marshal(v)
		require.NoError(t, err)
		require.True(t, bytes.Equal(before, now), "%T: %x, and in the reference %x", v, now, before)
	}
	return accepted
}

// CheckVariants calls agree with each seed, which it must accept, and with all
// variants of it.
func CheckVariants(t require.TestingT, seeds [][]byte, agree func(require.TestingT, []byte) bool) {
	require.NotEmpty(t, seeds)
	for _, seed := range seeds {
		require.True(t, agree(t, seed), "%x", seed)
		for b := range Variants(seed) {
			agree(t, b)
		}
	}
}

// RequireCorpus requires seeds in testdata/fuzz of the package under test: a
// fuzz target with an empty corpus would test nothing.
func RequireCorpus(t require.TestingT, target string) {
	files, err := filepath.Glob(filepath.Join("testdata", "fuzz", target, "*"))
	require.NoError(t, err)
	require.NotEmpty(t, files, "no corpus of %s", target)
}

// substitutes are items to put in the place of another.
var substitutes = [][]byte{
	{0x00}, {0x01}, {0x18, 0x18}, {0x19, 0x01, 0x00}, {0x1b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
	{0x20}, {0x3b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, {0x3b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
	{0x40}, {0x41, 0x00}, {0x60}, {0x61, 'a'}, {0x61, 0xff}, {0x63, 0xed, 0xa0, 0x80},
	{0x80}, {0x81, 0x00}, {0x81, 0x40}, {0x82, 0x01, 0x02}, {0xa0}, {0xa1, 0x00, 0x00}, {0xa1, 0x61, 'a', 0x00},
	{0xf4}, {0xf5}, {0xf6}, {0xf7}, {0xe0}, {0xf8, 0x20}, {0xf8, 0x14},
	{0xf9, 0x00, 0x00}, {0xf9, 0x3c, 0x00}, {0xf9, 0x7c, 0x00}, {0xf9, 0x7e, 0x00}, {0xfa, 0x47, 0xc3, 0x50, 0x00}, {0xfa, 0x3f, 0x80, 0x00, 0x00},
	{0xfb, 0x3f, 0xf1, 0x99, 0x99, 0x99, 0x99, 0x99, 0x9a}, {0xc0, 0x00}, {0xc2, 0x41, 0x01}, {0xd8, 0x20, 0x60}, {0xff}, {0x1c}, {},
	{0x5f, 0x41, 0x00, 0xff}, {0x7f, 0x61, 'a', 0xff}, {0x9f, 0xff}, {0xbf, 0xff},
}

// Variants yields b and inputs that differ from it in one place: for each item
// of it other lengths of its head, other items in its place, tags, levels around
// it, open ends, pairs and elements twice, in another order, missing and new;
// and the input cut short and continued. Most are refused by most formats; some
// are the encoding of another value. The yielded slices are the caller's. Not
// well-formed input yields fewer.
func Variants(b []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		ok := yield(bytes.Clone(b))
		put := func(from, to int, parts ...[]byte) {
			if ok {
				ok = yield(slices.Concat(append(append([][]byte{b[:from]}, parts...), b[to:])...))
			}
		}
		for _, s := range substitutes {
			put(len(b), len(b), s)
		}
		items(b, 0, func(i item) { i.variants(b, put) })
	}
}

// item is one data item of an input, by offsets.
type item struct {
	at, head, end int // of the head, of what follows it, of what follows the item
	major, info   byte
	n             uint64
	parts         []int // of a list or map: where the elements, keys and values start, and the end
}

// items calls f for the item at an offset and for all within it, and returns
// the offset of what follows; -1 for input that is not well-formed, or that has
// open ends.
func items(b []byte, at int, f func(item)) int {
	if at >= len(b) {
		return -1
	}
	i := item{at: at, head: at + 1, major: b[at] >> 5, info: b[at] & 31}
	i.n = uint64(i.info)
	if i.info >= 24 {
		size := 1 << (i.info - 24)
		if i.info > 27 || len(b) < i.head+size {
			return -1
		}
		i.n = binary.BigEndian.Uint64(append(make([]byte, 8-size), b[i.head:i.head+size]...))
		i.head += size
	}
	i.end = i.head
	switch i.major {
	case 2, 3:
		if i.n > uint64(len(b)-i.head) {
			return -1
		}
		i.end += int(i.n)
	case 4, 5, 6:
		count := i.n
		if i.major == 5 {
			count *= 2
		}
		if i.major == 6 {
			count = 1
		}
		for ; count > 0 && i.end >= 0; count-- {
			i.parts = append(i.parts, i.end)
			i.end = items(b, i.end, f)
		}
		if i.end < 0 {
			return -1
		}
		i.parts = append(i.parts, i.end)
	}
	f(i)
	return i.end
}

// variants calls put with the changes of one item: see Variants.
func (i item) variants(b []byte, put func(from, to int, parts ...[]byte)) {
	for _, cut := range []int{i.at, i.at + 1, i.head, (i.head + i.end) / 2} {
		put(cut, len(b))
	}
	for info := byte(24); info <= 27; info++ { // the head in each length that has room for it
		var full [8]byte
		binary.BigEndian.PutUint64(full[:], i.n)
		size := 1 << (info - 24)
		put(i.at, i.head, []byte{i.major<<5 | info}, full[8-size:])
	}
	for _, s := range substitutes {
		put(i.at, i.end, s)
	}
	for major := range byte(8) { // another type with the same head
		put(i.at, i.at+1, []byte{major<<5 | i.info})
	}
	for _, n := range []int{1, 2, 3, 4, 8, 16} {
		put(i.at, i.at, bytes.Repeat([]byte{0x81}, n))
		put(i.at, i.at, bytes.Repeat([]byte{0xa1, 0x00}, n))
	}
	put(i.at, i.at, []byte{0xc1})
	put(i.at, i.at, []byte{0xd9, 0xd9, 0xf7})
	switch i.major {
	case 2, 3:
		put(i.at, i.end, []byte{i.major<<5 | 31}, b[i.at:i.end], []byte{0xff})
		for _, change := range [][]byte{append(bytes.Clone(b[i.head:i.end]), 'x'), bytes.ToUpper(b[i.head:i.end]), b[i.head : i.head+int(i.n/2)]} {
			put(i.at, i.end, head(i.major, len(change)), change)
		}
	case 4, 5:
		i.container(b, put)
	}
}

// container changes the elements of a list or the pairs of a map.
func (i item) container(b []byte, put func(from, to int, parts ...[]byte)) {
	put(i.at, i.end, []byte{i.major<<5 | 31}, b[i.head:i.end], []byte{0xff})
	width := int(i.major) - 3 // parts of an element
	n := (len(i.parts) - 1) / width
	element := func(k int) []byte { return b[i.parts[k*width]:i.parts[(k+1)*width]] }
	for k := range n {
		start, end := i.parts[k*width], i.parts[(k+1)*width]
		put(i.at, i.end, head(i.major, n-1), b[i.head:start], b[end:i.end])                              // missing
		put(i.at, i.end, head(i.major, n+1), b[i.head:end], element(k), b[end:i.end])                    // twice
		put(i.at, i.end, head(i.major, n+17), b[i.head:end], bytes.Repeat(element(k), 17), b[end:i.end]) // and often
		if k > 0 {
			put(i.parts[(k-1)*width], end, element(k), element(k-1)) // in another order
		}
	}
	for _, s := range [][]byte{{0x00}, {0x18, 0x1f}, {0x20}, {0x40}, {0x61, 'a'}, {0xf6}, {0x80}, {0xf9, 0x7e, 0x00}} {
		put(i.at, i.end, head(i.major, n+1), b[i.head:i.end], s, []byte{0x00}[:width-1]) // new
		put(i.at, i.end, head(i.major, n+1), s, []byte{0x00}[:width-1], b[i.head:i.end])
	}
}

// head is the shortest head of an item.
func head(major byte, n int) []byte {
	switch {
	case n < 24:
		return []byte{major<<5 | byte(n)}
	case n < 1<<8:
		return []byte{major<<5 | 24, byte(n)}
	}
	return []byte{major<<5 | 25, byte(n >> 8), byte(n)}
}
