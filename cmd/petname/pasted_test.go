package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/petname/pair"
	"github.com/petnames-go/petnames/pointer"
)

// What was pasted in the place of something else is named, with the verb that takes it. A code
// or an invitation is not in the error.
func TestWhatWasPastedIsNamed(t *testing.T) {
	v := opened(t)
	invitation, compact := newInvitation(t, pasteKey(t, 'a'))
	code, err := pair.ParseCode("742-tunnel-orbit-candy")
	require.NoError(t, err)
	link := pointer.Link{Pointer: pasteKey(t, 'b').Pointer(), Nickname: "Bob"}.String()
	for text, want := range map[string]struct{ what, next string }{
		code.Secret():             {"this is a code, and no ", "petname pair CODE"},
		code.ForDevice().Secret(): {"this is a code for a device, and no ", "on a new device of yours:\npetname device join CODE"},
		invitation:                {"this is an invitation, and no ", "petname pair INVITATION"},
		compact:                   {"this is an invitation, and no ", "petname pair INVITATION"},
		invitation[:90]:           {"this is an invitation, which petname pair takes, and no ", "copy it whole, or ask for a new one"},
	} {
		check := func(door string, f *failure) {
			require.NotNil(t, f, door)
			require.Contains(t, f.Message, want.what, door)
			require.Equal(t, want.next, f.Next, door)
			require.NotContains(t, f.Message, text, door)
		}
		quoted, err := json.Marshal(text)
		require.NoError(t, err)
		for door, args := range map[string]string{
			"add": `{"name":"bob","target":%s}`, "whois": `{"target":%s}`, "show": `{"name":%s}`, "rm": `{"name":%s}`, "why": `{"name":%s}`,
			"rename": `{"old":%s,"new":"b"}`, "resolve": `{"path":%s,"timeout":1000000000}`, "keep": `{"names":[%s]}`, "join": `{"targets":[%s]}`,
			"knock": `{"to":%s,"expires":3600000000000}`, "invite": `{"for":%s,"uses":1,"expires":3600000000000}`,
		} {
			_, f := v.do(t.Context(), door, []byte(strings.Replace(args, "%s", string(quoted), 1)))
			if door == "add" && strings.HasPrefix(want.next, "petname pair ") {
				f.Next = strings.TrimSuffix(f.Next, " --as bob")
			}
			check(door, f)
		}
		a := &app{}
		_, err = a.readUpTo(text, 1)
		check("file", classify(err))
		check("accept", classify(a.suggestionOrFile(text, new(string), new([]byte))))
		_, err = parsePath(text)
		check("publish", classify(err))
	}
	require.Equal(t, "petname add NAME '"+link+"'", pastedFor(link, "network").Next)
	_, f := v.do(t.Context(), "join", []byte(`{"targets":["`+link+`"]}`))
	require.Equal(t, "this is the link of a contact, and no network", f.Message)
	require.Error(t, (&app{}).suggestionOrFile(link, new(string), new([]byte)))
	for _, text := range []string{"", "bob", "127.0.0.1:4001", "ipfs", "496 555", "./record.bin", "/ip4/127.0.0.1/tcp/4001", "/ip4/127.0.0.1/tcp/1/ws/p2p/" + pasteKey(t, 'b').Pointer().String()} {
		require.Nil(t, pastedFor(text, "file"), text)
	}
}

// A contact can have a name in the form of a code.
func TestANameInTheFormOfACode(t *testing.T) {
	v := opened(t)
	_, err := v.add(t.Context(), addArgs{Name: "742-tunnel-orbit-candy", Target: newPointer(t)})
	require.NoError(t, err)
	_, f := v.do(t.Context(), "show", []byte(`{"name":"742-tunnel-orbit-candy"}`))
	require.Nil(t, f)
	require.Equal(t, "742-tunnel-orbit-candy (reads as a code)", shownName(name.Plain, "742-tunnel-orbit-candy"))
}

// A code that can be a part of another is refused before any network is asked.
func TestACodeThatIsCutOffIsRefusedAtOnce(t *testing.T) {
	for _, text := range []string{"7\n42-tunnel-orbit-candy", "742-tunnel-orbit-can\ndy", "742-tunnel-orbit-can\u2026"} {
		err := checkInvitation(text, time.Time{})
		require.Error(t, err, text)
		require.Equal(t, exitUsage, classify(err).Exit)
	}
}
