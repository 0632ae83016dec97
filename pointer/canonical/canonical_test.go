package canonical

import (
	"bytes"
	"encoding/hex"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	_ "github.com/petnames-go/petnames/pointer/lawtest" // a fixed seed
)

// flat has a field of each kind that formats use, by integer keys.
type flat struct {
	Kind  uint8            `cbor:"1,keyasint"`
	At    int64            `cbor:"2,keyasint,omitempty"`
	Bytes []byte           `cbor:"3,keyasint,omitempty"`
	Text  string           `cbor:"4,keyasint,omitempty"`
	Flag  bool             `cbor:"5,keyasint,omitempty"`
	List  []row            `cbor:"24,keyasint,omitempty"`
	Map   map[string]uint8 `cbor:"25,keyasint,omitempty"`
	Part  *row             `cbor:"26,keyasint,omitempty"`
}

type row struct {
	_     struct{} `cbor:",toarray"`
	Name  string
	Bytes []byte
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	require.NoError(t, err)
	return b
}

// The encodings of RFC 8949, appendix A, that are in core deterministic form.
func TestMarshalFollowsTheRFC(t *testing.T) {
	for want, v := range map[string]any{
		"00": 0, "17": 23, "1818": 24, "1903e8": 1000, "1a000f4240": 1000000, "1bffffffffffffffff": uint64(math.MaxUint64),
		"20": -1, "3903e7": -1000, "40": []byte{}, "4401020304": []byte{1, 2, 3, 4}, "6161": "a", "62c3bc": "ü",
		"f4": false, "f5": true, "f6": nil, "80": []int{}, "83010203": []int{1, 2, 3}, "a0": map[int]int{},
		"f93e00": 1.5, "fa47c35000": 100000.0, "fb3ff199999999999a": 1.1,
		// §4.2.1: bytewise order of the encoded keys, not the length first.
		"a8 0a01 1864 02 20 03 617a 04 626161 05 8118 64 06 8120 07 f4 08": map[any]int{
			10: 1, 100: 2, -1: 3, "z": 4, "aa": 5, [1]int{100}: 6, [1]int{-1}: 7, false: 8},
		"a2 01 05 1818 81 82 6161 41 62": flat{Kind: 5, List: []row{{Name: "a", Bytes: []byte("b")}}},
	} {
		b, err := Marshal(v)
		require.NoError(t, err)
		require.Equal(t, hex.EncodeToString(unhex(t, want)), hex.EncodeToString(b))
		require.Equal(t, b, MustMarshal(v))
	}
	_, err := Marshal(func() {})
	require.Error(t, err)
	require.Panics(t, func() { MustMarshal(make(chan int)) })
}

// Each input is another encoding of a value that has a canonical one, or no
// value of a format. Loose is whether UnmarshalLoose accepts it.
func TestUnmarshalAcceptsOneEncoding(t *testing.T) {
	const notCanonical, malformed = true, false
	for name, c := range map[string]struct {
		into  func() any
		input string
		loose bool
	}{
		"unsorted keys":              {intoFlat, "a2 03 4101 01 05", notCanonical},
		"a key twice":                {intoFlat, "a2 01 05 01 05", malformed},
		"a text key twice":           {intoFlat, "a2 01 05 1819 a2 6161 01 6161 02", malformed},
		"an unknown key":             {intoFlat, "a2 01 05 181e 00", malformed},
		"an unknown text key":        {intoFlat, "a2 01 05 6161 00", malformed},
		"a bytes key":                {intoFlat, "a2 01 05 4101 00", malformed},
		"an empty field":             {intoFlat, "a2 01 05 03 40", notCanonical},
		"a null field":               {intoFlat, "a2 01 05 03 f6", notCanonical},
		"undefined for a field":      {intoFlat, "a2 01 05 03 f7", notCanonical},
		"an absent field":            {intoFlat, "a1 03 4101", notCanonical},
		"an integer in two bytes":    {intoFlat, "a1 01 1805", notCanonical},
		"a key in two bytes":         {intoFlat, "a1 1801 05", notCanonical},
		"an integer in three":        {intoFlat, "a1 01 190005", notCanonical},
		"an integer in five":         {intoFlat, "a1 01 1a00000005", notCanonical},
		"an integer in nine":         {intoFlat, "a1 01 1b0000000000000005", notCanonical},
		"a length in two bytes":      {intoFlat, "a2 01 05 03 580101", notCanonical},
		"a text length in three":     {intoFlat, "a2 01 05 04 79000161", notCanonical},
		"a list length in two":       {intoFlat, "a2 01 05 1818 9801 82 6161 4162", notCanonical},
		"a map length in two":        {intoFlat, "b801 01 05", notCanonical},
		"an indefinite map":          {intoFlat, "bf 01 05 ff", malformed},
		"an indefinite list":         {intoFlat, "a2 01 05 1818 9f 82 6161 4162 ff", malformed},
		"indefinite bytes":           {intoFlat, "a2 01 05 03 5f 4101 ff", malformed},
		"an indefinite text":         {intoFlat, "a2 01 05 04 7f 6161 ff", malformed},
		"a tag around it":            {intoFlat, "d9d9f7 a1 01 05", malformed},
		"a tag inside":               {intoFlat, "a2 01 05 02 c1 01", malformed},
		"a bignum":                   {intoFlat, "a2 01 05 02 c24101", malformed},
		"text that is not UTF-8":     {intoFlat, "a2 01 05 04 61ff", malformed},
		"a surrogate":                {intoFlat, "a2 01 05 04 63eda080", malformed},
		"an overlong text":           {intoFlat, "a2 01 05 04 62c0af", malformed},
		"a key that is not UTF-8":    {intoFlat, "a2 01 05 1819 a1 61ff 01", malformed},
		"bytes for a text":           {intoFlat, "a2 01 05 04 4161", malformed},
		"a text for bytes":           {intoFlat, "a2 01 05 03 6161", malformed},
		"a list for bytes":           {intoFlat, "a2 01 05 03 8101", notCanonical},
		"a number over its type":     {intoFlat, "a1 01 190100", malformed},
		"a number below its type":    {intoFlat, "a1 01 20", malformed},
		"a float for a number":       {intoFlat, "a1 01 f94500", malformed},
		"a bool for a number":        {intoFlat, "a1 01 f5", malformed},
		"a list for a map":           {intoFlat, "81 05", malformed},
		"a map for a list":           {intoRow, "a2 00 6161 01 4162", malformed},
		"a list too short":           {intoRow, "81 6161", malformed},
		"a list too long":            {intoRow, "83 6161 4162 00", malformed},
		"a simple value":             {intoFlat, "a2 01 05 05 e0", malformed},
		"a reserved simple value":    {intoAny, "f814", malformed},
		"a byte behind it":           {intoFlat, "a1 01 05 00", malformed},
		"an item behind it":          {intoFlat, "a1 01 05 a1 01 05", malformed},
		"nothing":                    {intoFlat, "", malformed},
		"a part":                     {intoFlat, "a2 01 05 03 4201", malformed},
		"a pair missing":             {intoFlat, "a2 01 05", malformed},
		"a length over the input":    {intoFlat, "a2 01 05 03 5bffffffffffffffff", malformed},
		"a reserved head":            {intoFlat, "a1 01 1c", malformed},
		"a lone break":               {intoFlat, "ff", malformed},
		"NaN":                        {intoAny, "f97e00", malformed},
		"NaN with a payload":         {intoAny, "fa7fc00001", malformed},
		"NaN as a key":               {intoAny, "a2 f97e00 01 f97e00 02", malformed},
		"infinity":                   {intoAny, "f97c00", malformed},
		"minus infinity in nine":     {intoAny, "fbfff0000000000000", malformed},
		"a float in five bytes":      {intoAny, "fa3fc00000", notCanonical},
		"a float in nine bytes":      {intoAny, "fb3ff8000000000000", notCanonical},
		"unsorted keys of an any":    {intoAny, "a2 02 00 01 00", notCanonical},
		"a key of an any twice":      {intoAny, "a2 01 00 01 00", malformed},
		"an equal key in two forms":  {intoAny, "a2 01 00 1801 00", malformed},
		"a long number inside":       {intoAny, "81 81 1801", notCanonical},
		"undefined in an any":        {intoAny, "81 f7", notCanonical},
		"length-first order of keys": {intoAny, "a2 20 00 1818 00", notCanonical},
	} {
		b := unhex(t, c.input)
		err := Unmarshal(b, c.into(), Bounds{})
		require.Error(t, err, name)
		loose := UnmarshalLoose(b, c.into(), Bounds{})
		if c.loose {
			require.ErrorIs(t, err, ErrNotCanonical, name)
			require.NoError(t, loose, name)
			continue
		}
		require.ErrorIs(t, err, ErrMalformed, name)
		require.ErrorIs(t, loose, ErrMalformed, name)
	}
	for _, good := range []string{"a1 01 05", "a2 01 05 03 4101", "a2 01 05 1818 81 82 6161 4162", "a3 01 05 04 62c3bc 181a 82 60 f6"} {
		b := unhex(t, good)
		var f flat
		require.NoError(t, Unmarshal(b, &f, Bounds{}), good)
		require.NoError(t, UnmarshalLoose(b, &f, Bounds{}), good)
		require.Equal(t, b, MustMarshal(f))
	}
}

func intoFlat() any { return new(flat) }
func intoRow() any  { return new(row) }
func intoAny() any  { return new(any) }

// Each bound holds exactly, at any place of the input, before the items that it
// bounds are there.
func TestBounds(t *testing.T) {
	list := func(n int) []byte { return MustMarshal(make([]bool, n)) }
	pairs := func(n int) []byte {
		m := make(map[int]bool)
		for i := range n {
			m[i] = true
		}
		return MustMarshal(m)
	}
	nested := func(n int) []byte { return append(bytes.Repeat([]byte{0x81}, n-1), 0x80) }
	maps := func(n int) []byte { return append(bytes.Repeat([]byte{0xa1, 0}, n-1), 0xa0) }
	within := func(b []byte) []byte { return append([]byte{0x81}, b...) }
	for name, c := range map[string]struct {
		bounds     Bounds
		good, over []byte
	}{
		"size":              {Bounds{Size: 9}, MustMarshal(make([]byte, 8)), MustMarshal(make([]byte, 9))},
		"size of a list":    {Bounds{Size: 9}, list(8), list(9)},
		"nesting, the zero": {Bounds{}, nested(4), nested(5)},
		"nesting":           {Bounds{Nesting: 5}, nested(5), nested(6)},
		"nesting of maps":   {Bounds{Nesting: 16}, maps(16), maps(17)},
		"elements":          {Bounds{Elements: 16}, list(16), list(17)},
		"elements within":   {Bounds{Elements: 64}, within(list(64)), within(list(65))},
		"elements, the zero": {Bounds{}, list(131072),
			append([]byte{0x9a, 0, 2, 0, 1}, make([]byte, 131072+1)...)},
		"pairs":             {Bounds{Pairs: 16}, pairs(16), pairs(17)},
		"pairs within":      {Bounds{Pairs: 1024}, within(pairs(1024)), within(pairs(1025))},
		"pairs, the zero":   {Bounds{}, pairs(131072), pairs(131072 + 1)},
		"a length, no list": {Bounds{Elements: 16}, list(16), []byte{0x9b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}},
		"a length, no map":  {Bounds{}, pairs(1), []byte{0xbb, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff}},
	} {
		require.NoError(t, Unmarshal(c.good, new(any), c.bounds), name)
		for _, f := range []func([]byte, any, Bounds) error{Unmarshal, UnmarshalLoose} {
			err := f(c.over, new(any), c.bounds)
			if c.bounds.Size > 0 {
				require.EqualError(t, err, "is 10 bytes long, over 9", name)
				continue
			}
			require.ErrorIs(t, err, ErrMalformed, name)
		}
	}
	for _, wrong := range []Bounds{{Nesting: 3}, {Nesting: 1 << 16}, {Elements: 15}, {Pairs: -1}} {
		require.Panics(t, func() { _ = Unmarshal([]byte{0}, new(any), wrong) }, "%v", wrong)
	}
}

// Bounds do not affect each other: those of one call are not those of the next,
// whatever the order and the number of goroutines.
func TestBoundsAreOfOneCall(t *testing.T) {
	list := MustMarshal(make([]bool, 40))
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for n := 16; n < 64; n++ {
				err := Unmarshal(list, new(any), Bounds{Elements: n})
				if (err == nil) != (n >= 40) {
					t.Errorf("%d elements: %v", n, err)
				}
			}
		})
	}
	group.Wait()
	require.NoError(t, Unmarshal(list, new(any), Bounds{Size: 42}))
	require.Error(t, Unmarshal(list, new(any), Bounds{Size: 41}), "the size is not part of a decoder")
	built := *decoders.Load()
	seen := make(map[Bounds]bool)
	for _, d := range built {
		require.False(t, seen[d.bounds], "a decoder is built once")
		require.Zero(t, d.bounds.Size)
		seen[d.bounds] = true
	}
}

// Errors never repeat the input.
func TestErrorsDoNotRepeatTheInput(t *testing.T) {
	secret := "swordfish"
	for _, v := range []any{
		map[string]int{secret: 1}, map[int]string{1: secret}, secret,
		[]string{secret}, map[int]any{1: map[string]string{secret: secret}},
	} {
		err := Unmarshal(MustMarshal(v), new(flat), Bounds{})
		require.Error(t, err)
		require.NotContains(t, err.Error(), secret)
	}
	twice := slices.Concat([]byte{0xa2}, MustMarshal(secret), []byte{0}, MustMarshal(secret), []byte{0})
	require.EqualError(t, Unmarshal(twice, new(any), Bounds{}), ErrMalformed.Error())
}

// What is read shares no memory with the input.
func TestUnmarshalKeepsNoBytesOfTheCaller(t *testing.T) {
	b := unhex(t, "a2 01 05 03 43010203")
	var f flat
	require.NoError(t, Unmarshal(b, &f, Bounds{}))
	var raw map[int64]Raw
	require.NoError(t, Unmarshal(b, &raw, Bounds{}))
	clear(b)
	require.Equal(t, flat{Kind: 5, Bytes: []byte{1, 2, 3}}, f)
	require.Equal(t, map[int64]Raw{1: {5}, 3: unhex(t, "43010203")}, raw)
}

// drawFlat draws a value of the type.
func drawFlat(t *rapid.T) flat {
	rows := rapid.Custom(func(t *rapid.T) row {
		return row{Name: rapid.String().Draw(t, "name"), Bytes: rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")}
	})
	f := flat{
		Kind: rapid.Uint8().Draw(t, "kind"), At: rapid.Int64().Draw(t, "at"), Text: rapid.String().Draw(t, "text"),
		Flag: rapid.Bool().Draw(t, "flag"),
	}
	if rapid.Bool().Draw(t, "more") {
		f.Bytes = rapid.SliceOfN(rapid.Byte(), 1, 300).Draw(t, "bytes")
		f.List = rapid.SliceOfN(rows, 1, 30).Draw(t, "list")
		f.Map = rapid.MapOfN(rapid.String(), rapid.Uint8(), 1, 30).Draw(t, "map")
		part := rows.Draw(t, "part")
		f.Part = &part
	}
	return f
}

// A value comes back as it was, and a change of one byte of its encoding is
// refused or is the encoding of another value.
func TestRoundTripAndMalleability(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := drawFlat(t)
		b := MustMarshal(f)
		var got flat
		require.NoError(t, Unmarshal(b, &got, Bounds{}))
		require.Equal(t, f, got)
		var whole any
		require.NoError(t, Unmarshal(b, &whole, Bounds{}))
		require.Equal(t, b, MustMarshal(whole))

		at := rapid.IntRange(0, len(b)-1).Draw(t, "at")
		b[at] ^= byte(rapid.IntRange(1, 255).Draw(t, "change"))
		got = flat{}
		if Unmarshal(b, &got, Bounds{}) == nil {
			require.Equal(t, b, MustMarshal(got))
			require.NotEqual(t, f, got)
		}
	})
}
