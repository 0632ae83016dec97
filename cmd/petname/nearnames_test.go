package main

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
)

// A name that no contact has is answered with those that are spelled alike, the nearest
// first, and with no others.
func TestAMistypedNameIsAnsweredWithNearOnes(t *testing.T) {
	v := opened(t, func(b *petname.Book) {
		for _, text := range []string{"ana", "Hannah", "Anna Müller", "bob", "ben", "it's me", "李明"} {
			n, err := name.Parse(text)
			require.NoError(t, err)
			_, err = b.Add(n, pointer.Link{Pointer: newKey(t).Pointer()}, petname.Source{Lookalike: true})
			require.NoError(t, err)
		}
	})
	for typed, want := range map[string]string{
		"anna":        "did you mean\npetname show ana",
		"aan":         "did you mean\npetname show ana",
		"Hanna":       "did you mean\npetname show Hannah",
		"anna muler":  "did you mean\npetname show 'Anna Müller'",
		"bon":         "did you mean\npetname show ben\npetname show bob",
		"its me":      `did you mean` + "\n" + `petname show 'it'\''s me'`,
		"x":           noContactNext,
		"b":           noContactNext,
		"nobody":      noContactNext,
		"ana ana ana": noContactNext,
	} {
		for verb, args := range map[string]string{"show": `{"name":%q}`, "resolve": `{"path":%q,"timeout":1000000000}`, "keep": `{"names":[%q]}`, "rm": `{"name":%q}`} {
			_, failed := v.do(t.Context(), verb, fmt.Appendf(nil, args, typed))
			require.Equal(t, "not_found", failed.Code, "%s %s: %v", verb, typed, failed)
			require.Equal(t, want, failed.Next, "%s %s", verb, typed)
		}
	}
	_, failed := v.do(t.Context(), "resolve", []byte(`{"path":"hanna/bob","timeout":1000000000}`))
	require.Equal(t, "did you mean\npetname show Hannah", failed.Next)
}

func TestDistanceOfNames(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"a", "", 1}, {"ana", "ana", 0}, {"ana", "anna", 1}, {"ana", "naa", 1}, {"ana", "bnb", 2}, {"alice", "alcie", 1},
		{"alice", "bob", 3}, {"abcdef", "abc", 3}, {"李明", "李鹏", 1},
	} {
		require.Equal(t, c.want, distance([]rune(c.a), []rune(c.b), 2), c)
		require.Equal(t, c.want, distance([]rune(c.b), []rune(c.a), 2), c)
	}
}
