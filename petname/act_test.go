package petname

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/petname/introduce"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/canonical"
)

// successionOf returns a succession chain of n steps, each signed by both keys.
func successionOf(t testing.TB, n int) []pointer.Succession {
	t.Helper()
	var steps []pointer.Succession
	for i := range n {
		steps = append(steps, stepTo(t, fmt.Sprint("trail ", i), fmt.Sprint("trail ", i+1), mustCommit(fmt.Sprint("trail ", i+2))))
	}
	return steps
}

// Each of these acts is canonical, has the fields of its op, and breaks one
// bound. The same act at the bound is valid.
func TestActsThatBreakABoundHaveNoEffect(t *testing.T) {
	p, q := pointerOf("a").Bytes(), pointerOf("b").Bytes()
	lowOrder := append([]byte{0x00, 0x24, 0x08, 0x01, 0x12, 0x20}, make([]byte, 32)...)
	long := strings.Repeat
	encode := func(steps []pointer.Succession) []byte {
		b, err := pointer.EncodeSuccession(steps)
		require.NoError(t, err)
		return b
	}
	forged := successionOf(t, 2)
	forged[1].OldSignature = bytes.Clone(forged[1].OldSignature)
	forged[1].OldSignature[0] ^= 1
	fact := func(change func(*wireFact)) act {
		f := wireFact{Kind: "link", By: "me", Channel: "api", Nickname: "Al", Next: commitment("x").Bytes()}
		change(&f)
		return act{Op: opLearn, Contact: p, Fact: &f}
	}
	was := func(w ...wirePrevious) act { return act{Op: opName, Contact: p, Name: "alice", Previous: w} }
	many := func(n int) []wireEdge {
		all := make([]wireEdge, n)
		for i := range all {
			all[i].Label = fmt.Sprint("l", i)
		}
		return all
	}
	manyPrivate := func(n int) []wireShare {
		all := make([]wireShare, n)
		for i := range all {
			all[i] = wireShare{Audience: q, Label: fmt.Sprint("l", i)}
		}
		return all
	}
	edge := func(e wireEdge) act { return act{Op: opRemove, Contact: p, Edges: []wireEdge{e}} }
	private := func(s wireShare) act { return act{Op: opRemove, Contact: p, Private: []wireShare{s}} }
	paired := func(change func(*wireSuggestion)) act {
		w := heard.paired
		change(&w)
		return act{Op: opSuggest, Suggestion: &w}
	}
	said := func(w wireSuggestion, change func(*wireSuggestion)) act {
		change(&w)
		return act{Op: opSuggest, Suggestion: &w}
	}
	named := act{Op: opName, Contact: p, Name: "alice", Fact: &wireFact{Kind: "link", By: "me", Channel: "api"}}
	with := func(change func(*act)) act {
		a := named
		change(&a)
		return a
	}
	// This introduction of a key by itself is a contact request. A contact
	// cannot send it.
	self, err := introduce.Introduction{To: pointerOf("me"), About: pointerOf("a"), Expires: epoch.AddDate(0, 1, 0)}.Sign(testKey("a"), &noise{}, epoch)
	require.NoError(t, err)
	bySelf := func(kind SuggestionKind) act {
		w := fromIntroduction(self, kind, "drop")
		return act{Op: opSuggest, Suggestion: &w}
	}
	wereNamed := make([]wirePrevious, maxPrevious+1)
	for i := range wereNamed {
		wereNamed[i].Name = fmt.Sprint("n", i)
	}

	for name, c := range map[string]struct{ bad, good act }{
		"things it was called":      {was(wereNamed...), was(wereNamed[:maxPrevious]...)},
		"named and removed":         {was(wirePrevious{Name: "al", Removed: true}), was(wirePrevious{Name: "al"})},
		"removed before all time":   {was(wirePrevious{Removed: true, At: -1}), was(wirePrevious{Removed: true, At: 0})},
		"removed past the last":     {was(wirePrevious{Removed: true, At: maxAt + 1}), was(wirePrevious{Removed: true, At: maxAt})},
		"edges":                     {act{Op: opRemove, Contact: p, Edges: many(maxActEdges + 1)}, act{Op: opRemove, Contact: p, Edges: many(maxActEdges)}},
		"private edges":             {act{Op: opRemove, Contact: p, Private: manyPrivate(maxActEdges + 1)}, act{Op: opRemove, Contact: p, Private: manyPrivate(maxActEdges)}},
		"an edge's label":           {edge(wireEdge{Label: "a/b", Contact: q}), edge(wireEdge{Label: "ab", Contact: q})},
		"an edge's label, empty":    {edge(wireEdge{Contact: q}), edge(wireEdge{Label: "a", Contact: q})},
		"an edge's contact":         {edge(wireEdge{Label: "ab", Contact: lowOrder}), edge(wireEdge{Label: "ab"})},
		"a private edge's label":    {private(wireShare{Audience: q, Label: "a/b"}), private(wireShare{Audience: q, Label: "ab"})},
		"a private edge's contact":  {private(wireShare{Audience: q, Label: "ab", Contact: lowOrder}), private(wireShare{Audience: q, Label: "ab", Contact: p})},
		"a private edge's audience": {private(wireShare{Audience: lowOrder, Label: "ab"}), private(wireShare{Audience: p, Label: "ab"})},
		"nobody's private edge":     {private(wireShare{Label: "ab"}), private(wireShare{Audience: p, Label: "ab"})},
		"public, private before": {act{Op: opShare, Contact: p, Label: "pal", Private: []wireShare{{Audience: q, Label: "pal"}}},
			act{Op: opShare, Contact: p, Label: "pal", Edges: []wireEdge{{Label: "pal"}}}},
		"private, public before": {act{Op: opShare, Contact: p, Label: "pal", Audience: q, Edges: []wireEdge{{Label: "pal"}}},
			act{Op: opShare, Contact: p, Label: "pal", Audience: q, Private: []wireShare{{Audience: q, Label: "pal"}}}},
		"unshared, private before": {act{Op: opUnshare, Label: "pal", Private: []wireShare{{Audience: q, Label: "pal"}}}, act{Op: opUnshare, Label: "pal"}},
		"the contact":              {with(func(a *act) { a.Contact = lowOrder }), named},
		"whom a fact is of":        {with(func(a *act) { a.Of = lowOrder }), with(func(a *act) { a.Of = q })},
		"a fact of the contact":    {with(func(a *act) { a.Of = p }), named},
		"of another, and no fact":  {with(func(a *act) { a.Of, a.Fact = q, nil }), with(func(a *act) { a.Fact = nil })},
		"who gave way":             {with(func(a *act) { a.Replaced = lowOrder }), with(func(a *act) { a.Replaced = q })},
		"the audience": {act{Op: opShare, Contact: p, Label: "pal", Audience: lowOrder},
			act{Op: opShare, Contact: p, Label: "pal", Audience: q}},
		"a label":                   {act{Op: opShare, Contact: p, Label: long("l", pointer.MaxLabel+1)}, act{Op: opShare, Contact: p, Label: long("l", pointer.MaxLabel)}},
		"a name":                    {act{Op: opName, Contact: p, Name: long("n", name.MaxLen+1)}, act{Op: opName, Contact: p, Name: long("n", name.MaxLen)}},
		"my nickname":               {act{Op: opProfile, Name: long("n", pointer.MaxNickname+1)}, act{Op: opProfile, Name: long("n", pointer.MaxNickname)}},
		"the kind of a fact":        {fact(func(f *wireFact) { f.Kind = long("x", 257) }), fact(func(f *wireFact) { f.Kind = long("x", 256) })},
		"the source of a fact":      {fact(func(f *wireFact) { f.By = long("x", 257) }), fact(func(f *wireFact) { f.By = long("x", 256) })},
		"the channel of a fact":     {fact(func(f *wireFact) { f.Channel = long("x", 257) }), fact(func(f *wireFact) { f.Channel = long("x", 256) })},
		"a nickname":                {fact(func(f *wireFact) { f.Nickname = long("x", 65) }), fact(func(f *wireFact) { f.Nickname = long("x", 64) })},
		"a commitment":              {fact(func(f *wireFact) { f.Next = p }), fact(func(f *wireFact) { f.Next = nil })},
		"a value":                   {act{Op: opPublish, Published: &wireValue{Value: long("x", maxValueText+1), Sequence: 1}}, act{Op: opPublish, Published: &wireValue{Value: long("x", maxValueText), Sequence: 1}}},
		"a sequence of 0":           {act{Op: opPublish, Published: &wireValue{Value: "/ipfs/a", Sequence: 0}}, act{Op: opPublish, Published: &wireValue{Value: "/ipfs/a", Sequence: 1}}},
		"a sequence of 2^63":        {act{Op: opPublish, Published: &wireValue{Value: "/ipfs/a", Sequence: 1 << 63}}, act{Op: opPublish, Published: &wireValue{Value: "/ipfs/a", Sequence: 1<<63 - 1}}},
		"published under no key":    {act{Op: opPublish, Of: lowOrder, Published: &wireValue{Value: "/ipfs/a", Sequence: 1}}, act{Op: opPublish, Of: q, Published: &wireValue{Value: "/ipfs/a", Sequence: 1}}},
		"whether it is kept":        {act{Op: opKeep, Contact: p, Keep: 3}, act{Op: opKeep, Contact: p, Keep: 2}},
		"steps":                     {act{Op: opAdvance, Contact: p, Fact: named.Fact, Chain: encode(successionOf(t, maxSteps+1))}, act{Op: opAdvance, Contact: p, Fact: named.Fact, Chain: encode(successionOf(t, maxSteps))}},
		"a link's successor":        {act{Op: opLearn, Contact: p, Fact: &wireFact{Kind: "link"}, NamesSuccessor: true}, act{Op: opLearn, Contact: p, Fact: &wireFact{Kind: factCard}, NamesSuccessor: true}},
		"a step's signature":        {act{Op: opAdvance, Contact: p, Fact: named.Fact, Chain: encode(forged)}, act{Op: opAdvance, Contact: p, Fact: named.Fact, Chain: encode(forged[:1])}},
		"no chain of steps":         {act{Op: opAdvance, Contact: p, Fact: named.Fact, Chain: []byte{0x80}}, act{Op: opAdvance, Contact: p, Fact: named.Fact, Chain: encode(successionOf(t, 1))}},
		"an id too short":           {act{Op: opDecide, Item: heard.id[:15], Verdict: verdictDecline}, act{Op: opDecide, Item: heard.id[:], Verdict: verdictDecline}},
		"an id too long":            {act{Op: opDecide, Item: append(heard.id[:], 0), Verdict: verdictDecline}, act{Op: opDecide, Item: heard.id[:], Verdict: verdictNever}},
		"a verdict":                 {act{Op: opDecide, Item: heard.id[:], Verdict: verdictConsent + 1}, act{Op: opDecide, Item: heard.id[:], Verdict: verdictConsent}},
		"how it was heard":          {act{Op: opStatement, Statement: heard.edges, Channel: long("x", 257)}, act{Op: opStatement, Statement: heard.edges, Channel: long("x", 256)}},
		"who suggests":              {said(heard.introduced, func(w *wireSuggestion) { w.By = q }), said(heard.introduced, func(*wireSuggestion) {})},
		"who is suggested":          {paired(func(w *wireSuggestion) { w.About = lowOrder }), paired(func(*wireSuggestion) {})},
		"nobody suggested":          {paired(func(w *wireSuggestion) { w.About = nil }), paired(func(*wireSuggestion) {})},
		"a pairing by another":      {paired(func(w *wireSuggestion) { w.By = q }), paired(func(*wireSuggestion) {})},
		"a suggestion's commitment": {paired(func(w *wireSuggestion) { w.Next = q }), paired(func(w *wireSuggestion) { w.Next = commitment("x").Bytes() })},
		"a suggested name":          {paired(func(w *wireSuggestion) { w.Suggested = long("x", 65) }), paired(func(w *wireSuggestion) { w.Suggested = long("x", 64) })},
		"a suggested nickname":      {paired(func(w *wireSuggestion) { w.Nickname = long("x", 65) }), paired(func(w *wireSuggestion) { w.Nickname = long("x", 64) })},
		"a note":                    {paired(func(w *wireSuggestion) { w.Note = long("x", 513) }), paired(func(w *wireSuggestion) { w.Note = long("x", 512) })},
		"how it was suggested":      {paired(func(w *wireSuggestion) { w.Channel = long("x", 257) }), paired(func(w *wireSuggestion) { w.Channel = long("x", 256) })},
		"no evidence":               {paired(func(w *wireSuggestion) { w.Evidence = nil }), paired(func(w *wireSuggestion) { w.Evidence = []byte{0} })},
		"evidence":                  {paired(func(w *wireSuggestion) { w.Evidence = make([]byte, maxEvidence+1) }), paired(func(w *wireSuggestion) { w.Evidence = make([]byte, maxEvidence) })},
		"expired before all time":   {paired(func(w *wireSuggestion) { w.Expires = -1 }), paired(func(w *wireSuggestion) { w.Expires = 0 })},
		"expires past the last":     {paired(func(w *wireSuggestion) { w.Expires = maxAt + 1 }), paired(func(w *wireSuggestion) { w.Expires = maxAt })},
		"another note":              {said(heard.introduced, func(w *wireSuggestion) { w.Note = "x" }), said(heard.introduced, func(w *wireSuggestion) { w.Channel = "file" })},
		"another end":               {said(heard.introduced, func(w *wireSuggestion) { w.Expires++ }), said(heard.introduced, func(*wireSuggestion) {})},
		"another question":          {said(heard.asked, func(w *wireSuggestion) { w.Suggested = "x" }), said(heard.asked, func(w *wireSuggestion) { w.Channel = "file" })},
		"introduced by itself":      {bySelf(Introduced), bySelf(ContactRequest)},
	} {
		_, err := decodeAct(marshal(c.good))
		require.NoError(t, err, name)
		_, err = decodeAct(marshal(c.bad))
		require.Error(t, err, name)
		require.NotErrorIs(t, err, canonical.ErrNotCanonical, name)
		require.Less(t, len(err.Error()), 1000, name)
		_, err = c.bad.encode()
		require.Error(t, err, name)
	}
}
