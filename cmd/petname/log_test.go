package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
)

// The log describes every operation of an event, in words that no other has.
func TestEveryOperationOfTheLogHasAText(t *testing.T) {
	seen := map[string]string{}
	for _, op := range eventOps(t) {
		text := entryText(name.Plain, entry{Op: op, Pointer: newPointer(t), Name: "bob", Label: "bob"})
		require.NotContains(t, text, "does not know", op)
		require.Empty(t, seen[text], "%s: %s", op, text)
		seen[text] = op
	}
	require.Greater(t, len(seen), 17)
	for text, e := range map[string]entry{
		"(of a kind that this version does not know)": {Op: "unknown"},
		"(its content was dropped)":                   {Op: "unknown", Dropped: true},
	} {
		require.Equal(t, text, entryText(name.Plain, e))
	}
}

// The log describes every kind of suggestion, every decision and every kind of statement,
// in words that no other entry has, with the names of the parties.
func TestEverySuggestionOfTheLogHasAText(t *testing.T) {
	by, about := newPointer(t), newPointer(t)
	entries := map[string]entry{}
	for _, kind := range constants(t, "suggestion.go", "SuggestionKind") {
		entries["suggest "+kind] = entry{Op: "suggest", Kind: kind}
	}
	for _, decision := range constants(t, "event.go", "Decision") {
		entries["decide "+decision] = entry{Op: "decide", Decision: decision}
	}
	for _, statement := range []string{"edges", "retraction", "denial"} {
		entries["hear "+statement] = entry{Op: "hear", Statement: statement}
	}
	require.Len(t, entries, 7+4+3)
	seen := map[string]string{}
	for what, e := range entries {
		e.By, e.ByName, e.About, e.AboutName, e.Suggestion = by, "ana", about, "bob", "744544389421"
		text := entryText(name.Plain, e)
		for _, none := range []string{"suggest", "decide", "hear"} {
			require.NotEqual(t, entryText(name.Plain, entry{Op: none}), text, what)
		}
		require.Empty(t, seen[text], "%s: %s", what, text)
		seen[text] = what
		switch e.Op {
		case "hear":
			require.Contains(t, text, "ana")
		case "suggest":
			require.Contains(t, text, "(suggestion 744544389421)")
			require.Regexp(t, "ana|bob", text)
		default:
			require.Contains(t, text, "744544389421")
		}
		require.NotContains(t, text, "public")
	}
	require.Equal(t, "ana introduced bob (suggestion 7)", entryText(name.Plain, entry{Op: "suggest", Kind: "introduced", By: by, ByName: "ana", About: about, AboutName: "bob", Suggestion: "7"}))
	require.Equal(t, "paired with "+short(t, about)+" (suggestion 7)", entryText(name.Plain, entry{Op: "suggest", Kind: "paired", About: about, Suggestion: "7"}))
	require.Equal(t, "declined suggestion 7", entryText(name.Plain, entry{Op: "decide", Decision: "declined", Suggestion: "7"}))
}

func short(t *testing.T, text string) string {
	p, err := pointer.Parse(text)
	require.NoError(t, err)
	return p.Short()
}

// constants returns the values of the constants of a type of package petname.
func constants(t *testing.T, file, kind string) (values []string) {
	parsed, err := parser.ParseFile(token.NewFileSet(), "../../petname/"+file, nil, 0)
	require.NoError(t, err)
	ast.Inspect(parsed, func(n ast.Node) bool {
		spec, is := n.(*ast.ValueSpec)
		if !is || len(spec.Values) != 1 {
			return true
		}
		if of, is := spec.Type.(*ast.Ident); !is || of.Name != kind {
			return true
		}
		value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		require.NoError(t, err)
		values = append(values, value)
		return true
	})
	require.NotEmpty(t, values)
	return values
}

// eventOps returns the values of [petname.Event.Op] except "unknown", read from the
// source of package petname.
func eventOps(t *testing.T) (ops []string) {
	add := func(e ast.Expr) {
		if l, ok := e.(*ast.BasicLit); ok {
			op, err := strconv.Unquote(l.Value)
			require.NoError(t, err)
			if op != "unknown" {
				ops = append(ops, op)
			}
		}
	}
	for _, file := range []string{"act.go", "event.go"} {
		parsed, err := parser.ParseFile(token.NewFileSet(), "../../petname/"+file, nil, 0)
		require.NoError(t, err)
		ast.Inspect(parsed, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.ValueSpec:
				if n.Names[0].Name == "opTexts" {
					for _, e := range n.Values[0].(*ast.CompositeLit).Elts {
						add(e.(*ast.KeyValueExpr).Value)
					}
				}
			case *ast.KeyValueExpr:
				if key, ok := n.Key.(*ast.Ident); ok && key.Name == "Op" {
					add(n.Value)
				}
			case *ast.AssignStmt:
				if s, ok := n.Lhs[0].(*ast.SelectorExpr); ok && s.Sel.Name == "Op" {
					add(n.Rhs[0])
				}
			}
			return true
		})
	}
	return ops
}

func addContact(t *testing.T, b *petname.Book, text string, p pointer.Pointer) {
	t.Helper()
	n, err := name.Parse(text)
	require.NoError(t, err)
	_, err = b.Add(n, pointer.Link{Pointer: p}, petname.Source{})
	require.NoError(t, err)
}

// A private share is never described as public, and its recipient is the contact
// with its current pointer and name, or without a name the pointer.
func TestAPrivateShareIsNotCalledPublic(t *testing.T) {
	first, second := newKey(t), newKey(t)
	bob := first.Pointer()
	v := opened(t, func(b *petname.Book) {
		addContact(t, b, "ana", bob)
		addContact(t, b, "ben", second.Pointer())
		label, err := name.Parse("alto")
		require.NoError(t, err)
		_, err = b.ShareWith(second.Pointer(), bob, label)
		require.NoError(t, err)
	})
	log, err := v.log(t.Context(), logArgs{})
	require.NoError(t, err)
	last := log.Entries[len(log.Entries)-1]
	require.Equal(t, []string{"share", second.Pointer().String(), "ben"}, []string{last.Op, last.To, last.ToName})
	require.Equal(t, "shared "+bob.Short()+" with ben as me ⇒ alto", entryText(name.Plain, last))
	last.ToName = ""
	require.Equal(t, "shared "+bob.Short()+" with "+second.Pointer().Short()+" as me ⇒ alto", entryText(name.Plain, last))

	c, err := v.undo(t.Context(), noArgs{})
	require.NoError(t, err)
	require.Equal(t, "ben", c.Undone.ToName)
	log, err = v.log(t.Context(), logArgs{})
	require.NoError(t, err)
	for _, e := range log.Entries {
		require.NotContains(t, entryText(name.Plain, e), "public")
	}
}

// The log of a contact has each event that concerns it, of every operation, and no other.
func TestTheLogOfAContactHasAllThatConcernsIt(t *testing.T) {
	bob, ana := parsed(t, newPointer(t)), parsed(t, newPointer(t))
	isBob := func(p pointer.Pointer) bool { return p == bob }
	item := petname.SuggestionID{7}
	none := map[string]bool{"genesis": true, "admit": true, "retire": true, "device": true, "profile": true, "publish": true}
	of := map[string]func(pointer.Pointer) petname.Event{
		"suggest": func(p pointer.Pointer) petname.Event {
			return petname.Event{About: p, Received: petname.SuggestionID{9}}
		},
		"hear":  func(p pointer.Pointer) petname.Event { return petname.Event{By: p} },
		"relay": func(p pointer.Pointer) petname.Event { return petname.Event{By: p} },
		"decide": func(p pointer.Pointer) petname.Event {
			if p == bob {
				return petname.Event{Item: item}
			}
			return petname.Event{Item: petname.SuggestionID{8}}
		},
		"undo": func(p pointer.Pointer) petname.Event {
			if p == bob {
				return petname.Event{Undoes: 1}
			}
			return petname.Event{Undoes: 2}
		},
	}
	contact := func(p pointer.Pointer) petname.Event { return petname.Event{Contact: p} }
	for _, op := range eventOps(t) {
		all := []petname.Event{
			{ID: ledger.ID{Number: 1}, Op: "suggest", About: bob, Received: item},
			{ID: ledger.ID{Number: 2}, Op: "suggest", About: ana, Received: petname.SuggestionID{8}},
		}
		made := of[op]
		if made == nil {
			made = contact
		}
		want := 1
		for i, p := range []pointer.Pointer{bob, ana} {
			ev := petname.Event{}
			if !none[op] {
				ev = made(p)
			}
			ev.Op, ev.ID = op, ledger.ID{Number: uint64(3 + i)}
			all = append(all, ev)
		}
		got := concerning(all, isBob)
		if none[op] {
			require.Len(t, got, want, op)
			continue
		}
		require.Len(t, got, want+1, op)
		require.Equal(t, all[2], got[1], op)
	}
}

// A withdrawal states which contact the label led to, and so does its undo.
func TestTheLogOfAContactHasItsWithdrawals(t *testing.T) {
	bob, ana := parsed(t, newPointer(t)), parsed(t, newPointer(t))
	v := opened(t, func(b *petname.Book) {
		addContact(t, b, "bob", bob)
		addContact(t, b, "ana", ana)
		label, err := name.Parse("pal")
		require.NoError(t, err)
		for range 2 {
			_, err = b.SharePublic(bob, label)
			require.NoError(t, err)
			_, err = b.Unshare(label)
			require.NoError(t, err)
		}
		_, err = b.Undo()
		require.NoError(t, err)
		_, err = b.ShareWith(ana, bob, label)
		require.NoError(t, err)
		_, err = b.UnshareWith(ana, label)
		require.NoError(t, err)
	})
	ops := func(of string) (ops []string) {
		log, err := v.log(t.Context(), logArgs{Name: of})
		require.NoError(t, err)
		for _, e := range log.Entries {
			ops = append(ops, e.Op)
		}
		return ops
	}
	require.Equal(t, []string{"name", "share", "unshare", "share", "unshare", "undo", "share", "unshare"}, ops("bob"))
	require.Equal(t, []string{"name", "share", "unshare"}, ops("ana"))
	require.Equal(t, "set your nickname to \"👩\u200d💻\"", entryText(name.Plain, entry{Op: "profile", Name: "👩\u200d💻"}))
}

// The log, and undo, state what a change did: a second addition under the same name is no renaming,
// and a removal states the labels and the republishing that it ended.
func TestTheLogStatesWhatAChangeDid(t *testing.T) {
	key, other := newKey(t), newKey(t)
	next, err := pointer.Commit(newKey(t).Public())
	require.NoError(t, err)
	p := key.Pointer()
	v := opened(t)
	add := func(target string) {
		t.Helper()
		_, err := v.add(t.Context(), addArgs{Name: "x3", Target: target, Channel: "argument"})
		require.NoError(t, err)
	}
	last := func() string {
		t.Helper()
		log, err := v.log(t.Context(), logArgs{})
		require.NoError(t, err)
		return entryText(name.Plain, log.Entries[len(log.Entries)-1])
	}
	add(p.String())
	add(pointer.Link{Pointer: p, Next: next}.String())
	again := "added x3 again, with its next key (" + p.Short() + ", link)"
	require.Equal(t, again, last())

	undone, err := v.undo(t.Context(), noArgs{})
	require.NoError(t, err)
	require.Equal(t, again, entryText(name.Plain, *undone.Undone))
	require.Equal(t, []any{true, next.String()}, []any{undone.Undone.Again, undone.Undone.Next})
	c, err := v.agent.ByPointer(p)
	require.NoError(t, err)
	require.True(t, c.Next.IsZero(), "the undo removed the pin")
	require.Equal(t, "x3", c.Name.String())

	_, err = v.agent.Rename("x3", "X3", petname.Source{})
	require.NoError(t, err)
	require.Equal(t, "renamed x3 to X3 ("+p.Short()+")", last())

	v = opened(t, func(b *petname.Book) {
		addContact(t, b, "x4", p)
		addContact(t, b, "ana", other.Pointer())
		label, err := name.Parse("pal")
		require.NoError(t, err)
		_, err = b.SharePublic(p, label)
		require.NoError(t, err)
		_, err = b.ShareWith(p, other.Pointer(), label)
		require.NoError(t, err)
		require.NoError(t, b.SetRepublished([]pointer.Pointer{p}, true))
		_, err = b.Remove(p)
		require.NoError(t, err)
	})
	require.Equal(t, "removed x4 ("+p.Short()+"), with 2 labels to it or for it, and stopped republishing its records", last())

	for text, e := range map[string]entry{
		"removed your nickname":                                {Op: "profile"},
		"signed sequence 7 to publish, without a content path": {Op: "publish", Sequence: 7},
		"removed ana (), with 1 label to it or for it":         {Op: "remove", Was: []string{"ana"}, Labels: 1},
		"recorded one more source of  (introduced)":            {Op: "learn", Kind: "introduced"},
		"accepted suggestion 7 under the same name: recorded a statement about the next key of  (introduced)": {Op: "learn", Kind: "introduced", Next: "k2", Suggestion: "7"},
		"recorded the next key of  (card)":                                                 {Op: "learn", Kind: "card", Next: "k2"},
		"settled that  is ana, of the names ana / bob":                                     {Op: "name", Name: "ana", Was: []string{"ana", "bob"}},
		"settled that  is ana and not removed, after different changes on several devices": {Op: "name", Name: "ana", Was: []string{"ana"}, WasRemoved: true},
		"renamed ana / bob to eve ()":                                                      {Op: "name", Name: "eve", Was: []string{"ana", "bob"}},
	} {
		require.Equal(t, text, entryText(name.Plain, e))
	}
}
