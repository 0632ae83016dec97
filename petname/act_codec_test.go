package petname

import (
	"crypto/ed25519"
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/petname/introduce"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/canonical"
)

// goodActs are one act of each shape.
func goodActs() map[string]act {
	p, q := pointerOf("a").Bytes(), pointerOf("b").Bytes()
	fact := &wireFact{Kind: "link", By: "me", Channel: "stdin", Nickname: "Al", Next: commitment("x").Bytes()}
	was := []wirePrevious{{Name: "al", Contested: true}, {Removed: true, At: 5}}
	edges := []wireEdge{{Label: "friend", Contact: p}, {Label: "friend"}, {Label: "Pal", Contact: q}}
	return map[string]act{
		"name":        {Op: opName, Contact: p, Name: "alice", Fact: fact, Previous: was, Edges: edges},
		"name only":   {Op: opName, Contact: p, Name: "alice"},
		"remove":      {Op: opRemove, Contact: p, Previous: was, Edges: edges},
		"remove only": {Op: opRemove, Contact: p},
		"learn":       {Op: opLearn, Contact: p, Fact: fact},
		"learn card":  {Op: opLearn, Contact: p, Fact: &wireFact{Kind: factCard, By: "b"}, NamesSuccessor: true},
		"share":       {Op: opShare, Contact: p, Label: "friend", Edges: edges},
		"unshare":     {Op: opUnshare, Label: "friend", Edges: edges},
		"undo name":   {Op: opUndo, Number: 7, Contact: p, Name: "alice", Previous: was, Edges: edges},
		"undo share":  {Op: opUndo, Number: 7, Contact: p, Label: "friend"},
		"profile":     {Op: opProfile, Name: "Me"},
		"no profile":  {Op: opProfile},
		"keep":        {Op: opKeep, Contact: p, Keep: keepOn},
		"unkeep":      {Op: opKeep, Contact: p, Keep: keepOff},
		"remove kept": {Op: opRemove, Contact: p, Previous: was, Keep: keepOn},
		"undo keep":   {Op: opUndo, Number: 7, Contact: p, Keep: keepOff},
		"publish":     {Op: opPublish, Published: &wireValue{Value: "/ipfs/bafkqaaa", Sequence: 3}},

		"suggest":        {Op: opSuggest, Suggestion: &heard.introduced},
		"suggest again":  {Op: opSuggest, Suggestion: &heard.introducedByFile},
		"suggest met":    {Op: opSuggest, Suggestion: &heard.paired},
		"suggest asked":  {Op: opSuggest, Suggestion: &heard.asked},
		"decline":        {Op: opDecide, Item: heard.id[:], Verdict: verdictDecline},
		"decline ever":   {Op: opDecide, Item: heard.id[:], Verdict: verdictNever},
		"accept":         {Op: opName, Contact: p, Name: "alice", Fact: fact, Item: heard.id[:]},
		"accept again":   {Op: opLearn, Contact: p, Fact: fact, Item: heard.id[:]},
		"accept instead": {Op: opName, Contact: p, Name: "alice", Fact: fact, Item: heard.id[:], Replaced: q},
		"hear edges":     {Op: opStatement, Statement: heard.edges, Channel: "drop"},
		"hear more":      {Op: opStatement, Statement: heard.moreEdges, Channel: "file"},
		"hear otherwise": {Op: opStatement, Statement: heard.otherEdges, Channel: "drop"},
		"hear denial":    {Op: opStatement, Statement: heard.denial, Channel: "drop"},
		"hear no more":   {Op: opStatement, Statement: heard.retraction, Channel: "drop"},
		"share with":     {Op: opShare, Contact: p, Label: "friend", Audience: q, Private: []wireShare{{Audience: q, Label: "friend"}}},
		"unshare with":   {Op: opUnshare, Label: "friend", Audience: q, Private: []wireShare{{Audience: q, Label: "friend", Contact: p}}},
		"remove shared":  {Op: opRemove, Contact: p, Previous: was, Private: []wireShare{{Audience: p, Label: "pal", Contact: q}}},
		"undo accept":    {Op: opUndo, Number: 7, Contact: p, Name: "alice", Previous: was, Item: heard.id[:]},
		"undo with":      {Op: opUndo, Number: 7, Contact: p, Label: "friend", Audience: q},
	}
}

// said is what others signed, for the acts that keep it.
type said struct {
	introduced, introducedByFile, paired, asked      wireSuggestion
	id                                               SuggestionID
	edges, moreEdges, otherEdges, denial, retraction []byte
}

var heard = func() (h said) {
	i := introduce.Introduction{To: pointerOf("me"), About: pointerOf("b"), Next: commitment("b"), Suggested: "Bob", Expires: epoch.AddDate(0, 6, 0)}
	signed := must(i.Sign(testKey("a"), &noise{}, epoch))
	i, _ = signed.Introduction()
	h.introduced = fromIntroduction(signed, Introduced, "drop")
	h.introducedByFile = fromIntroduction(signed, Introduced, "file")
	h.id = h.introduced.id()
	h.paired = wireSuggestion{Kind: string(Paired), About: pointerOf("a").Bytes(), Nickname: "Al", Channel: "code", Evidence: []byte("transcript")}
	question := must(introduce.Question{To: pointerOf("a"), Subject: subjectOf(signed.Bytes())}.Sign(testKey("me"), epoch))
	h.asked = fromQuestion(question, "drop")
	edges := func(version uint64, label string) []byte {
		e := introduce.Edges{To: pointerOf("me"), Version: version, Edges: map[string]pointer.Edge{label: {Pointer: pointerOf("b")}}}
		return must(e.Sign(testKey("a"), epoch)).Bytes()
	}
	h.edges, h.moreEdges, h.otherEdges = edges(1, "friend"), edges(2, "friend"), edges(2, "pal")
	h.denial = must(introduce.Deny(subjectOf(signed.Bytes()), testKey("c"), epoch)).Bytes()
	h.retraction = must(introduce.Retraction{To: pointerOf("me"), ID: i.ID}.Sign(testKey("a"), epoch)).Bytes()
	return h
}()

func marshal(a any) []byte { return canonical.MustMarshal(a) }

func TestActsReadAsTheyWereWritten(t *testing.T) {
	for name, a := range goodActs() {
		body, err := a.encode()
		require.NoError(t, err, name)
		back, err := decodeAct(body)
		require.NoError(t, err, name)
		require.Equal(t, a, back, name)
	}
}

// The encoding of an act doesn't change: a golden one.
func TestGoldenAct(t *testing.T) {
	body, err := act{Op: opName, Contact: pointerOf("a").Bytes(), Name: "alice", Fact: &wireFact{Kind: "typed", By: "me", Channel: "argument"}, Previous: []wirePrevious{{Removed: true, At: 1000}}}.encode()
	require.NoError(t, err)
	require.Equal(t, "a50101025826002408011220"+hex.EncodeToString(testKey("a").Public().(ed25519.PublicKey))+
		"0365616c6963650485657479706564626d6568617267756d656e7460f605818460f51903e8f4", hex.EncodeToString(body))
}

// The texts that go into acts are bounded and UTF-8 where they come in: an act
// that the fold would pass over isn't written.
func TestWhatCannotBeReadBackIsNotWritten(t *testing.T) {
	b := newTestBook(t)
	n, p := entries(b), pointerOf("a")
	for name, do := range map[string]func() error{
		"source not UTF-8": func() error { _, err := b.Add(mustName("alice"), link("a"), Source{Channel: "\xff"}); return err },
		"source too long": func() error {
			_, err := b.Add(mustName("alice"), link("a"), Source{By: strings.Repeat("x", 257)})
			return err
		},
		"nickname not UTF-8": func() error {
			_, err := b.Add(mustName("alice"), pointer.Link{Pointer: p, Nickname: "\xff"}, Source{})
			return err
		},
		"nickname too long": func() error {
			_, err := b.Add(mustName("alice"), pointer.Link{Pointer: p, Nickname: strings.Repeat("x", 65)}, Source{})
			return err
		},
		"no name":               func() error { _, err := b.Add(name.Name{}, link("a"), Source{}); return err },
		"no name, among others": func() error { return addAll(b, []Naming{{mustName("bob"), link("b"), Source{}}, {Link: link("a")}}) },
		"no pointer":            func() error { _, err := b.Add(mustName("alice"), pointer.Link{}, Source{}); return err },
		"no pointer in a batch": func() error { return addAll(b, []Naming{{Name: mustName("alice")}}) },
		"value not UTF-8":       func() error { return b.ReserveSequence(Published{"/ipfs/\xff", 1}) },
		"value too long":        func() error { return b.ReserveSequence(Published{strings.Repeat("x", 9<<10), 1}) },
		"sequence too high":     func() error { return b.ReserveSequence(Published{"/ipfs/a", 1 << 63}) },
		"nickname with escape":  func() error { return b.SetNickname("\x1b") },
		"my nickname too long":  func() error { return b.SetNickname(strings.Repeat("x", 65)) },
		"no label":              func() error { _, err := b.SharePublic(p, name.Name{}); return err },
		"label too long":        func() error { _, err := b.SharePublic(p, mustName(strings.Repeat("x", 65))); return err },
		"rename to nothing":     func() error { _, err := b.Rename(p, name.Name{}, Source{}); return err },
	} {
		require.Error(t, do(), name)
		require.Equal(t, n, entries(b), name)
	}
}

func FuzzDecodeAct(f *testing.F) {
	seeds := 0
	for _, a := range goodActs() {
		f.Add(marshal(a))
		seeds++
	}
	for _, body := range hostileBodies() {
		if len(body) < 4<<10 {
			f.Add(body)
			seeds++
		}
	}
	require.Positive(f, seeds)
	f.Fuzz(func(t *testing.T, body []byte) {
		a, err := decodeAct(body)
		if err != nil {
			return
		}
		again, err := a.encode()
		require.NoError(t, err)
		require.Equal(t, body, again)
		require.NotEmpty(t, a.Op.String())
		if a.Op == opName {
			n := name.Recorded(a.Name)
			require.False(t, n.IsZero())
			require.Equal(t, n.String(), name.Clean(n.String()), "what is shown of a name is clean")
		}
	})
}

// The seeds of the fuzz targets are there: an empty corpus would test nothing.
func TestFuzzCorpusIsThere(t *testing.T) {
	for _, target := range []string{"FuzzDecodeAct"} {
		files, err := os.ReadDir("testdata/fuzz/" + target)
		require.NoError(t, err)
		require.NotEmpty(t, files)
	}
}
