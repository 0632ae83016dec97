package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

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
