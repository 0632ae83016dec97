package pointer

import (
	"bytes"
	"encoding/hex"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// fullCard has every field.
func fullCard() *Card {
	ann, bob, next, after := testKey(1), testKey(2), testKey(3), testKey(4)
	step, err := Succeed(bob.Pointer(), ann, testCommitment(next), bob)
	if err != nil {
		panic(err)
	}
	lost, err := Succeed(ann.Pointer(), next, Commitment{}, nil)
	if err != nil {
		panic(err)
	}
	return &Card{
		Nickname:   "Ann Ü",
		Next:       testCommitment(next),
		Sealing:    []SealingKey{{KEM: 0x0020, Key: []byte{1, 2, 3, 4}}, {KEM: 0x647a, Key: []byte{5}}},
		Nodes:      [][]byte{{0x04, 127, 0, 0, 1, 0x06, 0x0f, 0xa1}},
		Edges:      map[string]Edge{"bob": {bob.Pointer(), testCommitment(after)}, "al": {after.Pointer(), Commitment{}}},
		Links:      []CardLink{{Rel: "me", Target: "https://ann.example/"}},
		Succession: []Succession{step, lost},
		Successor:  next.Pointer(),
	}
}

// annotated reads hexadecimal with comments.
func annotated(t testing.TB, file string) []byte {
	text, err := os.ReadFile(filepath.Join("testdata", file))
	require.NoError(t, err)
	var digits strings.Builder
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "#")
		digits.WriteString(strings.Join(strings.Fields(line), ""))
	}
	return unhex(t, digits.String())
}

func TestFullCardKeepsItsWireFormat(t *testing.T) {
	golden := annotated(t, "card-full.hex")
	encoded, err := fullCard().Encode()
	require.NoError(t, err)
	require.Equal(t, hex.EncodeToString(golden), hex.EncodeToString(encoded))
	parsed, err := ParseCard(golden)
	require.NoError(t, err)
	require.Equal(t, *fullCard(), parsed)
}

func TestFullCardTravelsInsideARecord(t *testing.T) {
	key := testKey(1)
	made, err := Sign(key, Fields{Sequence: 1, Expires: testEnd, Card: fullCard()})
	require.NoError(t, err)
	opened, err := Open(key.Pointer(), made.Bytes(), testNow)
	require.NoError(t, err)
	card, ok := opened.Card()
	require.True(t, ok)
	require.Equal(t, *fullCard(), card)
	require.Equal(t, made, opened)
}

func drawCard(t *rapid.T) Card {
	pointer := rapid.Custom(func(t *rapid.T) Pointer { return testKey(rapid.Byte().Draw(t, "key")).Pointer() })
	commitment := rapid.Custom(func(t *rapid.T) Commitment {
		if rapid.Bool().Draw(t, "none") {
			return Commitment{}
		}
		return testCommitment(testKey(rapid.Byte().Draw(t, "next")))
	})
	bytes1 := rapid.SliceOfN(rapid.Byte(), 1, 40)
	c := Card{Nickname: rapid.StringN(0, 64, 64).Draw(t, "nickname"), Next: commitment.Draw(t, "next")}
	for range rapid.IntRange(0, 3).Draw(t, "sealing") {
		c.Sealing = append(c.Sealing, SealingKey{KEM: rapid.Uint16().Draw(t, "kem"), Key: bytes1.Draw(t, "key")})
	}
	c.Nodes = rapid.SliceOfN(bytes1, 0, 3).Draw(t, "nodes")
	c.Edges = rapid.MapOfN(rapid.StringN(1, 16, 64), rapid.Custom(func(t *rapid.T) Edge {
		return Edge{pointer.Draw(t, "edge"), commitment.Draw(t, "edge's next")}
	}), 0, 4).Draw(t, "edges")
	for range rapid.IntRange(0, 2).Draw(t, "links") {
		c.Links = append(c.Links, CardLink{Rel: rapid.StringN(1, 8, 32).Draw(t, "rel"), Target: rapid.StringN(1, 40, 99).Draw(t, "target")})
	}
	if rapid.Bool().Draw(t, "successor") {
		c.Successor = pointer.Draw(t, "successor")
	}
	for i := range rapid.ByteRange(0, MaxDevices).Draw(t, "devices") {
		c.Devices = append(c.Devices, DeviceTag{i, 1})
	}
	c.Epoch = rapid.Uint64Range(0, MaxEpoch).Draw(t, "epoch")
	if len(c.Nodes) == 0 {
		c.Nodes = nil
	}
	if len(c.Edges) == 0 {
		c.Edges = nil
	}
	return c
}

func TestCardsParseToWhatWasEncoded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawCard(t)
		b, err := c.Encode()
		require.NoError(t, err)
		parsed, err := ParseCard(b)
		require.NoError(t, err)
		require.Equal(t, c, parsed)
		again, err := parsed.Encode()
		require.NoError(t, err)
		require.Equal(t, b, again)
	})
}

func TestUnknownIntegerKeysAreKept(t *testing.T) {
	// {1: 1, 2: "A", 10: "x", 1000: {"a": [1, null]}, 2^63-1: 0, -1: h'00', -2^63: true}
	b := unhex(t, "a7 01 01 02 6141 0a 6178 1903e8 a1 6161 82 01 f6 1b7fffffffffffffff 00 20 4100 3b7fffffffffffffff f5")
	c, err := ParseCard(b)
	require.NoError(t, err)
	require.Equal(t, "A", c.Nickname)
	again, err := c.Encode()
	require.NoError(t, err)
	require.Equal(t, b, again)

	// through a record, and through an edit
	key := testKey(1)
	made, err := Sign(key, Fields{Expires: testEnd, Card: &c})
	require.NoError(t, err)
	back, _ := made.Card()
	back.Nickname = "B"
	changed, err := back.Encode()
	require.NoError(t, err)
	require.Equal(t, bytes.Replace(b, []byte("\x61A"), []byte("\x61B"), 1), changed)
}

// manyNodes are valid but for their number.
func manyNodes(n int) [][]byte {
	nodes := make([][]byte, n)
	for i := range nodes {
		nodes[i] = []byte{byte(i)}
	}
	return nodes
}

func TestCardsOverTheirBoundsAreNotEncoded(t *testing.T) {
	p := testKey(1).Pointer()
	step := fullCard().Succession[0]
	edit := func(change func(*Succession)) Card {
		s := step
		change(&s)
		return Card{Succession: []Succession{s}}
	}
	for why, c := range map[string]Card{
		"nickname of 65 bytes":       {Nickname: strings.Repeat("a", 65)},
		"nickname of 33 letters":     {Nickname: strings.Repeat("é", 33)},
		"nickname not UTF-8":         {Nickname: "\xff"},
		"label empty":                {Edges: map[string]Edge{"": {Pointer: p}}},
		"label of 65 bytes":          {Edges: map[string]Edge{strings.Repeat("a", 65): {Pointer: p}}},
		"label not UTF-8":            {Edges: map[string]Edge{"\xff": {Pointer: p}}},
		"edge to nowhere":            {Edges: map[string]Edge{"a": {}}},
		"sealing key empty":          {Sealing: []SealingKey{{KEM: 32}}},
		"node empty":                 {Nodes: [][]byte{{}}},
		"node nil":                   {Nodes: [][]byte{nil}},
		"1025 nodes":                 {Nodes: manyNodes(maxList + 1)},
		"1025 sealing keys":          {Sealing: make([]SealingKey, maxList+1)},
		"link without a relation":    {Links: []CardLink{{Target: "x"}}},
		"link without a target":      {Links: []CardLink{{Rel: "me"}}},
		"link not UTF-8":             {Links: []CardLink{{Rel: "me", Target: "\xff"}}},
		"33 steps":                   {Succession: make([]Succession, maxSuccession+1)},
		"step from nowhere":          edit(func(s *Succession) { s.Old = Pointer{} }),
		"step to no key":             edit(func(s *Succession) { s.New = nil }),
		"step to a low-order key":    edit(func(s *Succession) { s.New = make([]byte, 32) }),
		"step unsigned":              edit(func(s *Succession) { s.NewSignature = nil }),
		"step signed short":          edit(func(s *Succession) { s.NewSignature = s.NewSignature[:63] }),
		"step with an empty old one": edit(func(s *Succession) { s.OldSignature = []byte{} }),
	} {
		_, err := c.Encode()
		require.ErrorContains(t, err, "card: ", why)
		require.Less(t, len(err.Error()), 600, why)
	}
	full := fullCard()
	full.Nickname, full.Nodes = strings.Repeat("é", 32), manyNodes(maxList)
	b, err := full.Encode()
	require.NoError(t, err)
	_, err = ParseCard(b)
	require.NoError(t, err, "what is just within the bounds is read back")
}

func TestCardsThatAreMalformedAreRefused(t *testing.T) {
	p := hex.EncodeToString(testKey(1).Pointer().Bytes())
	c := hex.EncodeToString(testCommitment(testKey(2)).Bytes())
	k := p[4:]
	sig := "5840" + strings.Repeat("00", 64)
	step := "85 5826" + p + "5824" + k + "f6" + sig + "f6"
	for why, text := range map[string]string{
		"nothing":                       "",
		"no map":                        "80",
		"text":                          "6141",
		"empty map":                     "a0",
		"no version":                    "a1 02 6141",
		"version 0":                     "a1 01 00",
		"version 2":                     "a1 01 02",
		"version -1":                    "a1 01 20",
		"version null":                  "a1 01 f6",
		"version 1.0":                   "a1 01 f93c00",
		"version as text":               "a1 01 6131",
		"version in two bytes":          "a1 01 1801",
		"key in two bytes":              "a1 1801 01",
		"trailing byte":                 "a1 01 01 00",
		"cut short":                     "a2 01 01 02",
		"indefinite map":                "bf 01 01 ff",
		"indefinite text":               "a2 01 01 02 7f 6141 ff",
		"unsorted":                      "a2 02 6141 01 01",
		"duplicate key":                 "a2 01 01 01 01",
		"length-first order":            "a3 01 01 20 00 1818 00", // RFC 7049's: -1 before 24
		"text key":                      "a2 01 01 6161 00",
		"key 2^63":                      "a2 01 01 1b8000000000000000 00",
		"key -2^63-1":                   "a2 01 01 3b8000000000000000 00",
		"tagged":                        "d9d9f7 a1 01 01",
		"tag inside":                    "a2 01 01 0a c1 00",
		"bignum inside":                 "a2 01 01 0a c2 49 010000000000000000",
		"undefined inside":              "a2 01 01 0a f7",
		"NaN inside":                    "a2 01 01 0a f97e00",
		"infinity inside":               "a2 01 01 0a f97c00",
		"long float inside":             "a2 01 01 0a fb3ff0000000000000",
		"unsorted inside":               "a2 01 01 0a a2 6162 00 6161 00",
		"duplicate inside":              "a2 01 01 0a a2 6161 00 6161 00",
		"not UTF-8 inside":              "a2 01 01 0a 61ff",
		"nested too deep":               "a2 01 01 0a " + strings.Repeat("81", 20) + "00",
		"a list that claims 2^32 items": "a2 01 01 0a 9b0000000100000000 00",
		"nickname empty":                "a2 01 01 02 60",
		"nickname null":                 "a2 01 01 02 f6",
		"nickname as bytes":             "a2 01 01 02 4141",
		"nickname of 65 bytes":          "a2 01 01 02 7841" + strings.Repeat("61", 65),
		"nickname not UTF-8":            "a2 01 01 02 61ff",
		"next empty":                    "a2 01 01 03 40",
		"next null":                     "a2 01 01 03 f6",
		"next as text":                  "a2 01 01 03 6141",
		"next shows the key":            "a2 01 01 03 5826" + p,
		"next cut":                      "a2 01 01 03 5821" + c[:66],
		"sealing empty":                 "a2 01 01 04 80",
		"sealing null":                  "a2 01 01 04 f6",
		"sealing item null":             "a2 01 01 04 81 f6",
		"sealing key null":              "a2 01 01 04 81 82 1820 f6",
		"sealing key empty":             "a2 01 01 04 81 82 1820 40",
		"sealing key as numbers":        "a2 01 01 04 81 82 1820 82 01 02",
		"sealing KEM 65536":             "a2 01 01 04 81 82 1a00010000 4101",
		"sealing with three":            "a2 01 01 04 81 83 1820 4101 00",
		"nodes empty":                   "a2 01 01 05 80",
		"node null":                     "a2 01 01 05 81 f6",
		"node empty":                    "a2 01 01 05 81 40",
		"node as text":                  "a2 01 01 05 81 6141",
		"edges empty":                   "a2 01 01 06 a0",
		"edge label empty":              "a2 01 01 06 a1 60 82 5826" + p + "f6",
		"edge label as bytes":           "a2 01 01 06 a1 4161 82 5826" + p + "f6",
		"edge null":                     "a2 01 01 06 a1 6161 f6",
		"edge pointer null":             "a2 01 01 06 a1 6161 82 f6 f6",
		"edge pointer cut":              "a2 01 01 06 a1 6161 82 5825" + p[:74] + "f6",
		"edge with one":                 "a2 01 01 06 a1 6161 81 5826" + p,
		"edge commitment empty":         "a2 01 01 06 a1 6161 82 5826" + p + "40",
		"links empty":                   "a2 01 01 07 80",
		"link null":                     "a2 01 01 07 81 f6",
		"link empty":                    "a2 01 01 07 81 82 60 60",
		"link as bytes":                 "a2 01 01 07 81 82 626d65 4141",
		"succession empty":              "a2 01 01 08 80",
		"step without a signature":      "a2 01 01 08 81 85 5826" + p + "5824" + k + "f6 f6 f6",
		"step with an empty old one":    "a2 01 01 08 81 85 5826" + p + "5824" + k + "f6" + sig + "40",
		"step's key of another type":    "a2 01 01 08 81 85 5826" + p + "5824 0802" + k[4:] + "f6" + sig + "f6",
		"step's key not canonical":      "a2 01 01 08 81 85 5826" + p + "5824" + k[4:] + "0801 f6" + sig + "f6",
		"step's key of low order":       "a2 01 01 08 81 85 5826" + p + "5824 08011220" + lowOrder[4] + "f6" + sig + "f6",
		"33 steps":                      "a2 01 01 08 9821" + strings.Repeat(step, 33),
		"successor empty":               "a2 01 01 09 40",
		"successor null":                "a2 01 01 09 f6",
		"successor of low order":        "a2 01 01 09 5826 0024 08011220" + lowOrder[4],
	} {
		c, err := ParseCard(unhex(t, text))
		require.ErrorContains(t, err, "card: ", why)
		require.Zero(t, c, why)
	}
	for why, text := range map[string]string{
		"bare":           "a1 01 01",
		"float inside":   "a2 01 01 0a f93c00",
		"canonical sort": "a3 01 01 1818 00 20 00",
		"one step":       "a2 01 01 08 81" + step,
		"32 steps":       "a2 01 01 08 9820" + strings.Repeat(step, 32),
		"one edge":       "a2 01 01 06 a1 6161 82 5826" + p + "5822" + c,
		"a sealing key":  "a2 01 01 04 81 82 1820 4101",
	} {
		_, err := ParseCard(unhex(t, text))
		require.NoError(t, err, why)
	}
}

// A NaN equals no NaN, so a map can hold two, and then has no one order: the
// same bytes must not be accepted today and refused tomorrow.
func TestCardsWithNaNKeysAreAlwaysRefused(t *testing.T) {
	for _, text := range []string{"a2 01 01 0a a2 f97e00 01 f97e00 02", "a2 01 01 0a a1 f97e00 01"} {
		for range 50 {
			_, err := ParseCard(unhex(t, text))
			require.Error(t, err)
		}
	}
}

// scribble overwrites all that a holder of the card can reach.
func scribble(c *Card) {
	c.Nickname, c.Next, c.Successor = "thief", Commitment{}, Pointer{}
	for i := range c.Sealing {
		clear(c.Sealing[i].Key)
		c.Sealing[i].KEM = 0
	}
	for i := range c.Nodes {
		clear(c.Nodes[i])
		c.Nodes[i] = nil
	}
	for label := range c.Edges {
		delete(c.Edges, label)
	}
	c.Edges["thief"] = Edge{}
	for i := range c.Links {
		c.Links[i] = CardLink{}
	}
	for i := range c.Succession {
		clear(c.Succession[i].New)
		clear(c.Succession[i].NewSignature)
		clear(c.Succession[i].OldSignature)
		c.Succession[i] = Succession{}
	}
}

func TestCardOfARecordSharesNothingWithTheCaller(t *testing.T) {
	key := testKey(1)
	given := fullCard()
	r, err := Sign(key, Fields{Expires: testEnd, Card: given})
	require.NoError(t, err)
	require.Equal(t, fullCard(), given, "Sign leaves the card alone")
	scribble(given)
	got, _ := r.Card()
	require.Equal(t, *fullCard(), got)
	scribble(&got)
	got, _ = r.Card()
	require.Equal(t, *fullCard(), got)

	b, err := fullCard().Encode()
	require.NoError(t, err)
	parsed, err := ParseCard(b)
	require.NoError(t, err)
	clear(b)
	require.Equal(t, *fullCard(), parsed)

	unknown := unhex(t, "a2 01 01 0a 4401020304")
	parsed, err = ParseCard(unknown)
	require.NoError(t, err)
	clear(unknown)
	again, err := parsed.Encode()
	require.NoError(t, err)
	require.Equal(t, unhex(t, "a2 01 01 0a 4401020304"), again)
}

func FuzzParseCard(f *testing.F) {
	full, err := fullCard().Encode()
	require.NoError(f, err)
	f.Add(full)
	f.Add([]byte{0xa1, 0x01, 0x01})
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := ParseCard(b)
		if err != nil {
			require.Zero(t, c)
			require.Less(t, len(err.Error()), 1000)
			return
		}
		again, err := c.Encode()
		require.NoError(t, err)
		require.Equal(t, b, again)
	})
}

// The stored corpus is what an encoding is held to when nobody fuzzes: it may
// not get lost, nor hold only what is refused.
func TestCardCorpusIsAcceptedAndRefused(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "fuzz", "FuzzParseCard", "*"))
	require.NoError(t, err)
	accepted, refused := 0, 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		_, literal, ok := strings.Cut(strings.TrimSpace(string(text)), "\n[]byte(")
		require.True(t, ok, file)
		b, err := strconv.Unquote(strings.TrimSuffix(literal, ")"))
		require.NoError(t, err, file)
		if _, err := ParseCard([]byte(b)); err == nil {
			accepted++
		} else {
			refused++
		}
	}
	require.GreaterOrEqual(t, accepted, 5)
	require.GreaterOrEqual(t, refused, 5)
}
