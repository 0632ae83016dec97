package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// An invitation in the place of a link is named as one, in each of its forms and whatever is
// around it, with the verb that takes it. Its secret is not in the error.
func TestAnInvitationThatIsAddedIsForPair(t *testing.T) {
	v := opened(t)
	link, compact := newInvitation(t, pasteKey(t, 'a'))
	for _, text := range []string{link, compact, "Hi!\n> " + link + "\n", "<" + compact + ">", "https://www.google.com/url?q=" + strings.Replace(link, ":", "%3A", 1) + "&sa=D"} {
		for _, args := range []addArgs{{Name: "bob", Target: text}, {Name: text, Target: "bob"}} {
			_, err := v.add(t.Context(), args)
			f := classify(err)
			require.Equal(t, exitUsage, f.Exit, text)
			require.Equal(t, "this is an invitation, and no link of a contact", f.Message)
			require.Equal(t, "petname pair INVITATION --as bob", f.Next)
		}
		_, err := v.whois(t.Context(), whoisArgs{Target: text})
		require.Equal(t, "petname pair INVITATION", classify(err).Next)
	}
	_, err := v.add(t.Context(), addArgs{Name: "bob", Target: link[:len(link)-1]})
	require.Equal(t, exitUsage, classify(err).Exit)
	require.Contains(t, classify(err).Message, "an invitation, which petname pair takes")
}
