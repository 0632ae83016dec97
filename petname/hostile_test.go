package petname

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/canonical"
	"github.com/petnames-go/petnames/pointer/lawtest"
)

// hostileBodies are what no honest device writes. Each has to say nothing.
func hostileBodies() map[string][]byte {
	p := pointerOf("a").Bytes()
	lowOrder := append([]byte{0x00, 0x24, 0x08, 0x01, 0x12, 0x20}, make([]byte, 32)...)
	long := strings.Repeat("a", 60<<10)
	named := func(n string) []byte { return marshal(act{Op: opName, Contact: p, Name: n}) }
	m := func(pairs ...any) []byte {
		kv := map[int]any{}
		for i := 0; i < len(pairs); i += 2 {
			kv[pairs[i].(int)] = pairs[i+1]
		}
		return marshal(kv)
	}
	good := marshal(act{Op: opName, Contact: p, Name: "hostile"})
	many := make([]wireEdge, maxActEdges+1)
	for i := range many {
		many[i] = wireEdge{Label: fmt.Sprint("l", i)}
	}
	// Statements that their alleged signers did not make.
	otherwise, unsigned, stranger, self := heard.introduced, heard.introduced, heard.introduced, heard.paired
	otherwise.Suggested = "hostile"
	unsigned.Evidence = append(bytes.Clone(unsigned.Evidence[:len(unsigned.Evidence)-1]), unsigned.Evidence[len(unsigned.Evidence)-1]^1)
	stranger.Kind = string(ContactRequest)
	self.By = p
	forged := append(bytes.Clone(heard.edges[:len(heard.edges)-1]), heard.edges[len(heard.edges)-1]^1)
	bodies := map[string][]byte{
		"suggestion otherwise":      marshal(act{Op: opSuggest, Suggestion: &otherwise}),
		"suggestion not signed":     marshal(act{Op: opSuggest, Suggestion: &unsigned}),
		"suggestion of a stranger":  marshal(act{Op: opSuggest, Suggestion: &stranger}),
		"pairing by somebody else":  marshal(act{Op: opSuggest, Suggestion: &self}),
		"suggestion of no kind":     marshal(act{Op: opSuggest, Suggestion: &wireSuggestion{Kind: "hostile", About: p, Evidence: []byte("x")}}),
		"suggestion with a name":    marshal(act{Op: opSuggest, Suggestion: &heard.introduced, Name: "hostile"}),
		"decision on nothing":       marshal(act{Op: opDecide, Verdict: verdictDecline}),
		"decision of a later time":  marshal(act{Op: opDecide, Item: heard.id[:], Verdict: 9}),
		"decision with a name":      marshal(act{Op: opDecide, Item: heard.id[:], Verdict: verdictDecline, Name: "hostile", Contact: p}),
		"heard and forged":          marshal(act{Op: opStatement, Statement: forged, Channel: "drop"}),
		"heard an introduction":     marshal(act{Op: opStatement, Statement: heard.introduced.Evidence, Channel: "drop"}),
		"private edge made public":  marshal(act{Op: opShare, Contact: p, Label: "hostile", Private: []wireShare{{Audience: p, Label: "hostile", Contact: p}}}),
		"empty":                     {},
		"garbage":                   []byte("garbage"),
		"null":                      {0xf6},
		"array":                     {0x80},
		"no op":                     m(2, p, 3, "hostile"),
		"unknown op":                m(1, 99, 2, p, 3, "hostile"),
		"op too big":                m(1, 256+1, 2, p, 3, "hostile"),
		"op a float":                m(1, 1.0, 2, p, 3, "hostile"),
		"op a text":                 m(1, "name", 2, p, 3, "hostile"),
		"field of a later version":  m(1, int(opShare), 2, p, 6, "hostile", 22, []byte("for alice only")),
		"field of another type":     m(1, int(opName), 2, p, 3, "hostile", 10, []byte("told")),
		"trailing byte":             append(bytes.Clone(good), 0),
		"length in two bytes":       append([]byte{0xb8, 0x03}, good[1:]...),
		"tagged":                    append([]byte{0xd9, 0xd9, 0xf7}, good...),
		"name not UTF-8":            m(1, 1, 2, p, 3, cborText("\xffhostile")),
		"name as bytes":             m(1, 1, 2, p, 3, []byte("hostile")),
		"no contact":                m(1, 1, 3, "hostile"),
		"contact empty":             m(1, 1, 2, []byte{}, 3, "hostile"),
		"contact of no key":         m(1, 1, 2, []byte("who"), 3, "hostile"),
		"contact of low order":      m(1, 1, 2, lowOrder, 3, "hostile"),
		"name and number":           m(1, 1, 2, p, 3, "hostile", 7, 3),
		"keep nobody":               m(1, int(opKeep), 13, 1),
		"keep without a word":       m(1, int(opKeep), 2, p),
		"keep of a later version":   m(1, int(opKeep), 2, p, 13, 3),
		"keep and share":            m(1, int(opShare), 2, p, 6, "hostile", 13, 1),
		"name empty":                named(""),
		"name of spaces":            named("   "),
		"name too long":             named(strings.Repeat("n", name.MaxLen+1)),
		"name of 60 KiB":            named(long),
		"name with escape":          named("ali\x1b[2Jce"),
		"name with bidi override":   named("ali\u202ece"),
		"name with zero width":      named("ali\u200bce"),
		"name with joiner":          named("ali\u200dce"),
		"name of tags":              named("ali\U000e0061ce"),
		"name a noncharacter":       named("ali\ufdd0ce"),
		"name a path":               named("alice/bob"),
		"name a pointer":            named(pointerOf("b").String()),
		"name a link":               named("petname:" + pointerOf("b").String()),
		"name a flag":               named("--help"),
		"remove with a name":        m(1, int(opRemove), 2, p, 3, "hostile"),
		"learn nothing":             m(1, int(opLearn), 2, p),
		"fact too short":            m(1, int(opLearn), 2, p, 4, []any{"a", "b"}),
		"fact of 60 KiB":            marshal(act{Op: opLearn, Contact: p, Fact: &wireFact{Kind: long}}),
		"fact with huge nickname":   marshal(act{Op: opLearn, Contact: p, Fact: &wireFact{Nickname: strings.Repeat("n", pointer.MaxNickname+1)}}),
		"fact with bad commitment":  marshal(act{Op: opLearn, Contact: p, Fact: &wireFact{Next: []byte("next")}}),
		"fact with no commitment":   marshal(act{Op: opLearn, Contact: p, Fact: &wireFact{Next: []byte{}}}),
		"share without label":       m(1, int(opShare), 2, p),
		"label too long":            marshal(act{Op: opShare, Contact: p, Label: strings.Repeat("l", pointer.MaxLabel+1)}),
		"label with a slash":        marshal(act{Op: opShare, Contact: p, Label: "../hostile"}),
		"unshare somebody":          m(1, int(opUnshare), 2, p, 6, "friend"),
		"undo nothing":              m(1, int(opUndo), 2, p),
		"undo to a hostile name":    marshal(act{Op: opUndo, Number: 1, Contact: p, Previous: []wirePrevious{{Name: "\x1b"}}}),
		"undo to removed and named": marshal(act{Op: opUndo, Number: 1, Contact: p, Previous: []wirePrevious{{Name: "hostile", Removed: true}}}),
		"undo to a time past all":   marshal(act{Op: opUndo, Number: 1, Contact: p, Previous: []wirePrevious{{Removed: true, At: 1 << 62}}}),
		"undo to 17 names":          marshal(act{Op: opUndo, Number: 1, Contact: p, Previous: make([]wirePrevious, maxPrevious+1)}),
		"undo to no list":           m(1, int(opUndo), 7, 1, 2, p, 5, []any{}),
		"too many edges":            marshal(act{Op: opRemove, Contact: p, Edges: many}),
		"edge to nobody":            marshal(act{Op: opRemove, Contact: p, Edges: []wireEdge{{Label: "friend", Contact: []byte{}}}}),
		"profile with escape":       marshal(act{Op: opProfile, Name: "\x1b[31m"}),
		"profile too long":          marshal(act{Op: opProfile, Name: strings.Repeat("n", pointer.MaxNickname+1)}),
		"publish nothing":           m(1, int(opPublish)),
		"publish sequence 0":        marshal(act{Op: opPublish, Published: &wireValue{Value: "/ipfs/a", Sequence: 0}}),
		"publish sequence 2^63":     marshal(act{Op: opPublish, Published: &wireValue{Value: "/ipfs/a", Sequence: 1 << 63}}),
		"publish 60 KiB":            marshal(act{Op: opPublish, Published: &wireValue{Value: long, Sequence: 1}}),
		"nested":                    bytes.Repeat([]byte{0x81}, 60<<10),
		"announced and not there":   {0xbb, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
	}
	// The keys of a map, the other way round.
	i := bytes.Index(good, []byte{0x03, 0x67})
	bodies["keys unsorted"] = append(append(append([]byte{0xa3}, good[i:]...), good[1:3]...), good[3:i]...)
	bodies["key twice"] = append(append([]byte{0xa4}, good[1:]...), good[i:]...)
	return bodies
}

// cborText is a text string of these bytes, be they UTF-8 or not.
type cborText string

func (c cborText) MarshalCBOR() ([]byte, error) {
	return append([]byte{0x60 | byte(len(c))}, c...), nil
}

// Entries of an admitted but hostile device that break a bound change nothing
// and block nothing: the honest entries before and after them are merged, and
// the name index is unchanged.
func TestHostileBodiesHaveNoEffect(t *testing.T) {
	a, b := twoDevices(t)
	view := dump(t, a)
	for name, body := range hostileBodies() {
		_, err := decodeAct(body)
		require.Error(t, err, name)
		switch name {
		case "length in two bytes", "keys unsorted", "undo to no list", "contact empty":
			require.ErrorIs(t, err, canonical.ErrNotCanonical, name)
		}
		_, err = b.Ledger().Append(body)
		require.NoError(t, err, name)
		pull(t, a, b)
		require.Equal(t, view, dump(t, a), name)
	}
	must(b.Rename(pointerOf("a"), mustName("al"), Source{}))
	pull(t, a, b)
	require.Equal(t, must(a.Lookup(mustName("al"))), pointerOf("a"))
	require.NoError(t, a.Ledger().Rebuild())
	for ev, err := range a.Log() {
		require.NoError(t, err)
		require.NotEmpty(t, ev.Op)
	}
}

// Valid acts of a hostile device count as the owner's acts, but they cannot
// outgrow a row, stop a merge, or break the bijection.
func TestAFloodFromADeviceHoldsNobodyUp(t *testing.T) {
	a, b := twoDevices(t)
	big := strings.Repeat("x", maxSourceText)
	fact := &wireFact{Kind: big, By: big, Channel: big, Nickname: strings.Repeat("n", pointer.MaxNickname), Next: commitment("x").Bytes()}
	was := make([]wirePrevious, maxPrevious)
	for i := range was {
		was[i].Name = fmt.Sprintf("%s%02d", strings.Repeat("n", name.MaxLen-2), i)
	}
	var bodies [][]byte
	facts := lawtest.Size(400, 1500)
	for i := range facts {
		// These are facts of one contact, over 1 MiB of them at full size, and
		// contacts that are all called alice.
		bodies = append(bodies, marshal(act{Op: opLearn, Contact: pointerOf("a").Bytes(), Fact: fact}))
		if i%(facts/75) == 0 {
			p := pointerOf(fmt.Sprint("flood ", i)).Bytes()
			bodies = append(bodies, marshal(act{Op: opName, Contact: p, Name: "alice"}),
				marshal(act{Op: opUndo, Number: 1, Contact: p, Previous: was}), // undoes others' entries: none of its own
				marshal(act{Op: opName, Contact: p, Name: "alice"}))
		}
	}
	_, err := b.Ledger().Append(bodies...)
	require.NoError(t, err)
	pull(t, a, b)
	_, err = a.Lookup(mustName("alice"))
	var conflict *ConflictError
	require.ErrorAs(t, err, &conflict)
	require.Len(t, conflict.Contacts, maxRivals)
	c, err := a.ByPointer(pointerOf("a"))
	require.NoError(t, err)
	require.Len(t, c.Conflict.Pointers, maxRivals)
	// Pins of one word are no duplicity; the user settles it for the one meant.
	require.Empty(t, c.Contradictions)
	must(a.Rename(c.ID, mustName("the true alice"), Source{}))
	require.Equal(t, c.ID, must(a.Lookup(mustName("the true alice"))))
	view := dump(t, a)
	for row := range strings.Lines(view) {
		require.Less(t, len(row), 2*(8<<10), "a row that grows with what others write would be over its bound one day")
	}
	require.NoError(t, a.Ledger().Rebuild())
	require.Equal(t, view, dump(t, a))
}

// A contact that a hostile device added with the owner's pointer can be
// removed.
func TestOwnPointerNamedByAHostileDevice(t *testing.T) {
	a, b := twoDevices(t)
	_, err := b.Ledger().Append(marshal(act{Op: opName, Contact: pointerOf("me").Bytes(), Name: "bank"}))
	require.NoError(t, err)
	pull(t, a, b)
	_, err = a.Remove(pointerOf("me"))
	require.NoError(t, err)
	_, err = a.Lookup(mustName("bank"))
	require.ErrorIs(t, err, ErrNotFound)
}

// hostileAct draws an act of which anything may be wrong.
func hostileAct(rt *rapid.T) []byte {
	texts := []string{"alice", "bob", "Bob", "", "\x1b", "a/b", pointerOf("a").String(), strings.Repeat("x", 200), "ali\U000e0ffface"}
	text := func(what string) string { return rapid.SampledFrom(texts).Draw(rt, what) }
	contact := func() []byte {
		return rapid.SampledFrom([][]byte{pointerOf("a").Bytes(), pointerOf("b").Bytes(), pointerOf("me").Bytes(), nil, {}, []byte("x")}).Draw(rt, "contact")
	}
	good := goodActs()
	a := good[rapid.SampledFrom([]string{"name", "name only", "remove", "remove only", "learn", "share", "unshare", "undo name", "undo share", "profile", "publish",
		"suggest", "suggest again", "suggest met", "suggest asked", "decline", "decline ever", "accept", "accept again", "accept instead", "undo accept",
		"hear edges", "hear more", "hear otherwise", "hear denial", "hear no more", "share with", "unshare with", "remove shared", "undo with"}).Draw(rt, "shape")]
	for range rapid.IntRange(0, 3).Draw(rt, "changes") {
		switch rapid.IntRange(0, 7).Draw(rt, "change") {
		case 0:
			a.Contact = contact()
		case 1:
			a.Name = text("name")
		case 2:
			a.Label = text("label")
		case 3:
			a.Number = rapid.Uint64Range(0, 20).Draw(rt, "number")
		case 4:
			a.Op = op(rapid.IntRange(0, int(opStatement)).Draw(rt, "op"))
		case 5:
			a.Previous = []wirePrevious{{Name: text("was"), Removed: rapid.Bool().Draw(rt, "removed"), At: rapid.Int64().Draw(rt, "at")}}
		case 6:
			a.Edges = []wireEdge{{Label: text("edge"), Contact: contact()}}
		case 7:
			a.Fact = nil
		}
	}
	body := marshal(a)
	if rapid.IntRange(0, 9).Draw(rt, "flip") == 0 {
		body[rapid.IntRange(0, len(body)-1).Draw(rt, "at")] ^= byte(rapid.IntRange(1, 255).Draw(rt, "by"))
	}
	return body
}

// Whatever bytes hostile devices write beside honest ones: all converge, and a
// name never has two contacts.
func TestHostileActsKeepTheBijection(t *testing.T) {
	newDir := rapidDirs(t)
	lawtest.Check(t, 25, func(rt *rapid.T) {
		books := devices(rt, newDir(rt), 3)
		defer func() {
			for _, b := range books {
				require.NoError(rt, b.Close())
			}
		}()
		for range rapid.IntRange(1, 20).Draw(rt, "steps") {
			i := rapid.IntRange(0, 2).Draw(rt, "device")
			switch rapid.IntRange(0, 3).Draw(rt, "what") {
			case 0:
				pull(rt, books[i], books[rapid.IntRange(0, 2).Draw(rt, "from")])
			case 1:
				n := mustName(rapid.SampledFrom([]string{"alice", "bob"}).Draw(rt, "name"))
				if _, err := books[i].Add(n, pointer.Link{Pointer: pointerOf(rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "who"))}, Source{}); err != nil {
					require.True(rt, documented(err), "%v", err)
				}
			default:
				_, err := books[i].Ledger().Append(hostileAct(rt))
				require.NoError(rt, err)
			}
			if _, err := books[i].Undo(); err != nil {
				require.Truef(rt, documented(err), "%v", err)
			}
			checkBijection(rt, books[i], []string{"alice", "bob", "al"})
		}
		syncBooks(rt, books...)
		for _, b := range books {
			require.Equal(rt, dump(rt, books[0]), dump(rt, b))
			checkBijection(rt, b, []string{"alice", "bob", "al"})
			for _, err := range b.Log() {
				require.NoError(rt, err)
			}
			for label := range must(PublishableEdges(b.Edges())) {
				_, err := CheckLabel(label)
				require.NoError(rt, err)
			}
			_, err := (pointer.Card{Edges: must(PublishableEdges(b.Edges())), Nickname: must(b.Nickname())}).Encode()
			require.NoError(rt, err)
		}
	})
}
