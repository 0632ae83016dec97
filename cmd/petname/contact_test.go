package main

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/pointer"
)

// Of labels that are shown alike, show has the pointer of the one that resolve
// uses, each time.
func TestAnInvisibleLabelHidesNoOther(t *testing.T) {
	key, err := pointer.NewKey(bytes.NewReader(make([]byte, 64)))
	require.NoError(t, err)
	other, err := pointer.NewKey(bytes.NewReader(bytes.Repeat([]byte{1}, 64)))
	require.NoError(t, err)
	next, err := pointer.Commit(other.Public())
	require.NoError(t, err)
	sly := pointer.Edge{Pointer: other.Pointer()}
	r, err := pointer.Sign(key, pointer.Fields{Sequence: 1, Expires: time.Unix(1e10, 0), Card: &pointer.Card{Next: next,
		Edges: map[string]pointer.Edge{"b\u200bob": sly, "bob": {Pointer: key.Pointer()}, "bob\u2060": sly, "\u202ebob": sly}}})
	require.NoError(t, err)
	for range 20 {
		require.Equal(t, map[string]string{"bob": key.Pointer().String()}, asCard(r, false).Edges)
	}
}

// A link that pins another next key than the contact's causes duplicity. The
// result shows the contact as it is in the book.
func TestALinkWithAnotherNextKeyIsAContradiction(t *testing.T) {
	v, bob := opened(t), newKey(t)
	link := func() (string, pointer.Commitment) {
		next, err := pointer.Commit(newKey(t).Public())
		require.NoError(t, err)
		return pointer.Link{Pointer: bob.Pointer(), Next: next}.String(), next
	}
	mine, next := link()
	_, err := v.add(t.Context(), addArgs{Name: "bob", Target: mine})
	require.NoError(t, err)
	other, _ := link()
	for target, code := range map[string]string{bob.Pointer().String(): "", mine: "", other: "contradiction"} {
		c, err := v.whois(t.Context(), whoisArgs{Target: target})
		require.Equal(t, "bob", c.Name)
		require.Equal(t, next.String(), c.Next)
		if code == "" {
			require.NoError(t, err)
		} else {
			require.Equal(t, code, classify(err).Code, "%v", err)
		}
	}
}

// A removed contact cannot be removed again.
func TestTheRemovedAreNotRemovedAgain(t *testing.T) {
	v, p := opened(t), newPointer(t)
	_, err := v.add(t.Context(), addArgs{Name: "bob", Target: p})
	require.NoError(t, err)
	_, err = v.rm(t.Context(), nameArgs{Name: "bob"})
	require.NoError(t, err)
	_, err = v.rm(t.Context(), nameArgs{Name: p})
	require.Equal(t, "not_found", classify(err).Code, "%v", err)
}

// An invalid pointer for a record is a usage error, with a home and without.
func TestAnInvalidPointerIsAUsageError(t *testing.T) {
	v := opened(t)
	for _, text := range []string{"a/b", "k51qzi5uqu5dlvj"} {
		a := inspectArgs{Record: []byte("record"), Pointer: text}
		_, err := inspectWithoutHome(a)
		require.Equal(t, exitUsage, classify(err).Exit, "%v", err)
		require.ErrorContains(t, err, "--pointer", text)
		_, err = v.inspect(t.Context(), a)
		require.Contains(t, []int{exitUsage, exitNotFound}, classify(err).Exit, "%v", err)
	}
}

// keep --all requires an explicit yes even if the book has only one contact.
func TestKeepAllRequiresAnExplicitYes(t *testing.T) {
	v := opened(t)
	_, err := v.add(t.Context(), addArgs{Name: "bob", Target: newPointer(t)})
	require.NoError(t, err)
	_, err = v.keep(t.Context(), keepArgs{All: true})
	require.Equal(t, exitChoose, classify(err).Exit, "%v", err)
	kept, err := v.kept(t.Context(), noArgs{})
	require.NoError(t, err)
	require.Empty(t, kept.Kept)
	kept, err = v.keep(t.Context(), keepArgs{All: true, Yes: true})
	require.NoError(t, err)
	require.Len(t, kept.Kept, 1)
}
