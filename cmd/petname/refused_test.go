package main

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/introduce"
	"github.com/petnames-go/petnames/pointer"
)

// Of files in which some statements are refused, inbox receives the others, and returns the inbox
// and the error; accept and decline receive nothing.
func TestARefusedStatementHidesNoOther(t *testing.T) {
	ana, unknown := newKey(t), newKey(t)
	v := opened(t, func(b *petname.Book) { addContact(t, b, "ana", ana.Pointer()) })
	introduced := func(by *pointer.Key) []byte {
		s, err := introduce.Introduction{To: v.agent.Pointer(), About: newKey(t).Pointer(), Suggested: "bob", Expires: time.Now().Add(time.Hour)}.Sign(by, nil, time.Now())
		require.NoError(t, err)
		return introduce.Armor(s.Bytes())
	}
	text := slices.Concat(introduced(ana), introduced(unknown))

	c, err := v.accept(t.Context(), acceptArgs{Text: text, As: "bob"})
	require.Nil(t, c)
	require.Equal(t, exitUnverified, classify(err).Exit)
	require.Regexp(t, "^statement 2 of 2 is refused: .* not in the book; nothing of the text is received$", err.Error())
	s, err := v.decline(t.Context(), declineArgs{Text: text})
	require.Nil(t, s)
	require.Equal(t, exitUnverified, classify(err).Exit)
	out, err := v.inbox(t.Context(), inboxArgs{Offline: true})
	require.NoError(t, err)
	require.Empty(t, out.Suggestions)

	for i, texts := range [][][]byte{{text}, {introduced(unknown), introduced(ana)}, {introduced(ana), introduced(unknown)}} {
		out, err = v.inbox(t.Context(), inboxArgs{Texts: texts})
		require.Equal(t, exitUnverified, classify(err).Exit, i)
		require.Contains(t, err.Error(), "not in the book")
		require.NotNil(t, out, "the result stands beside the error")
		require.Len(t, out.Suggestions, i+1)
		require.Regexp(t, []string{"^statement 2 of 2 is refused: .*; the other one is received$", "^file 1 of 2: by ", "^file 2 of 2: by "}[i], err.Error())
	}
	out, err = v.inbox(t.Context(), inboxArgs{Texts: [][]byte{introduced(unknown)}})
	require.Nil(t, out, "nothing was received")
	require.Equal(t, exitUnverified, classify(err).Exit)
}
