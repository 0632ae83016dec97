package pair

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/petnames-go/petnames/pointer"
)

func TestInvitationIsParsedAsWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		self := newSelf(t, 1, "Alice")
		self.Random = newRandom(rapid.Byte().Draw(t, "seed"))
		self.Identity.Addresses = rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 1, pointer.MaxAddress), 0, pointer.MaxAddresses).Draw(t, "addresses")
		terms := Terms{
			Expires: start.Add(time.Duration(rapid.IntRange(1, 1e6).Draw(t, "life")) * time.Second),
			Uses:    rapid.IntRange(1, MaxUses).Draw(t, "uses"),
			Purpose: rapid.StringN(0, 30, MaxPurpose).Draw(t, "purpose"),
		}
		if rapid.Bool().Draw(t, "for") {
			terms.For = newKey(t, 5).Pointer()
		}
		inv, _, err := self.invite(terms)
		require.NoError(t, err)
		ticket, err := ParseTicket(" "+inv.Link()+"\n", start)
		require.NoError(t, err)
		got := *ticket.Invitation
		require.Equal(t, inv.Link(), got.Link())
		require.Equal(t, terms, Terms{Expires: got.Expires, Uses: got.Uses, Purpose: got.Purpose, For: got.For})
		require.Equal(t, self.Identity.Next, got.Next)
		require.True(t, slices.EqualFunc(self.Identity.Addresses, got.Addresses, bytes.Equal))
		compact, err := ParseTicket(inv.Compact(), start)
		require.NoError(t, err)
		require.Equal(t, self.Identity.Pointer, compact.Inviter)
		require.Equal(t, inv.secret, compact.secret)
		for _, a := range compact.Addresses {
			require.True(t, slices.ContainsFunc(self.Identity.Addresses, func(b []byte) bool { return bytes.Equal(a, b) }))
		}
	})
}

func TestInvalidInvitationIsRefused(t *testing.T) {
	self := newSelf(t, 1, "Alice")
	for why, terms := range map[string]Terms{
		"too many uses":      {Expires: start, Uses: MaxUses + 1},
		"negative uses":      {Expires: start, Uses: -1},
		"a long purpose":     {Expires: start, Purpose: strings.Repeat("x", MaxPurpose+1)},
		"no UTF-8":           {Expires: start, Purpose: "\xff"},
		"no end":             {},
		"for oneself":        {Expires: start, For: self.Identity.Pointer},
		"an end out of time": {Expires: time.Unix(maxExpires+1, 0)},
	} {
		_, err := Invite(t.Context(), self, terms, (&savedStates{}).save)
		require.Error(t, err, why)
	}
	_, err := Invite(t.Context(), self, Terms{Expires: start}, nil)
	require.Error(t, err)

	inv, _, err := self.invite(Terms{Expires: start.Add(time.Hour)})
	require.NoError(t, err)
	for at := range inv.signed {
		bad := slices.Clone(inv.signed)
		bad[at] ^= 1 << (at % 8)
		_, err := openInvitation(bad)
		require.Error(t, err, at)
	}
	for why, s := range map[string]string{
		"nothing": "", "a link to a pointer": "petname:" + self.Identity.Pointer.String(), "cut short": inv.Link()[:60],
		"padded": inv.Link() + "=", "with a control character": inv.Link()[:40] + "\x01" + inv.Link()[40:],
		"huge": linkPrefix + strings.Repeat("A", 1<<20), "a compact form cut short": inv.Compact()[:60],
		"a compact form in lower case": strings.ToLower(inv.Compact()), "one with a zero before": compactPrefix + "0" + strings.TrimPrefix(inv.Compact(), compactPrefix),
		"one with a sign": compactPrefix + "+" + strings.TrimPrefix(inv.Compact(), compactPrefix), "an empty one": compactPrefix,
	} {
		ticket, err := ParseTicket(s, start)
		require.Error(t, err, why)
		require.Zero(t, ticket.Inviter, why)
		require.Less(t, len(err.Error()), 300, why)
	}
	_, err = AcceptTicket(self, Ticket{})
	require.Error(t, err)
	ticket, err := ParseTicket(inv.Link(), start)
	require.NoError(t, err)
	_, err = AcceptTicket(self, ticket)
	require.ErrorIs(t, err, ErrSelf)
}

// An invitation is read out of the texts in which people receive it; of two, none is taken.
func TestInvitationWithinATextIsParsed(t *testing.T) {
	inv, _, err := newSelf(t, 1, "Alice").invite(Terms{Expires: start.Add(time.Hour), Purpose: "chess"})
	require.NoError(t, err)
	other, _, err := newSelf(t, 2, "Bob").invite(Terms{Expires: start.Add(time.Hour)})
	require.NoError(t, err)
	for _, form := range []struct{ text, other string }{{inv.Link(), other.Link()}, {inv.Compact(), other.Compact()}} {
		l := form.text
		scheme, rest, _ := strings.Cut(l, ":")
		for _, text := range []string{
			strings.ToUpper(scheme) + ":" + rest,
			l + " " + l, "My invitation: " + l, "[x](" + l + ").", "<" + l + ">,", `<a href="` + l + `">x</a>`,
			"petname pair " + l, "'petname pair " + l + "'", "petname pair '" + l + "' --as ana",
			l + "\n-- \nAna", l + "\n--\nAna (chess)", "Here:\n" + l[:70] + "\n" + l[70:] + "\n\n-- \nAna", "> " + l[:70] + "\n> " + l[70:] + "\n> -- \n> Ana",
			url.QueryEscape(l),
			"https://urldefense.com/v3/__" + l + "__;!!abc!def$",
			"https://urldefense.proofpoint.com/v2/url?u=" + strings.NewReplacer("-", "-2D", "_", "-5F", ":", "-3A").Replace(l) + "&d=a&c=b&e=",
			"https://eur01.safelinks.protection.outlook.com/?url=" + url.QueryEscape(l) + "&data=05&reserved=0",
		} {
			ticket, err := ParseTicket(text, start)
			require.NoError(t, err, "%q", text)
			require.Equal(t, inv.Inviter, ticket.Inviter)
			require.Equal(t, inv.secret, ticket.secret, "%q", text)
		}
		for _, text := range []string{
			l + " " + form.other, "[" + form.other + "](" + l + ")",
			"[x](" + l[:len(l)-9] + ")", "My invitation: " + l[:len(l)-9] + "\n-- \nAna", l + " " + l[:len(l)-9], "x" + l, l + "=",
		} {
			ticket, err := ParseTicket(text, start)
			require.Error(t, err, "%q", text)
			require.Zero(t, ticket, "%q", text)
			require.NotContains(t, err.Error(), rest[20:40])
		}
	}
}

func TestPrintingAnInvitationDoesNotShowItsSecret(t *testing.T) {
	inv, _, err := newSelf(t, 1, "Alice").invite(Terms{Expires: start.Add(time.Hour)})
	require.NoError(t, err)
	ticket, err := ParseTicket(inv.Link(), start)
	require.NoError(t, err)
	printed := fmt.Sprintf("%v %+v %#v %s %x %d %v %+v %#v", inv, inv, inv, inv, inv, inv, ticket, ticket, ticket)
	require.NotContains(t, printed, fmt.Sprintf("%x", inv.secret[:4]))
	require.NotContains(t, printed, fmt.Sprint(inv.secret[:3])[1:8])
	for _, v := range []any{inv, ticket, &ticket} {
		_, err := json.Marshal(v)
		require.Error(t, err)
	}
}

func TestLargestIdentityFitsARecord(t *testing.T) {
	big := func(seed byte) Self {
		self := newSelf(t, seed, strings.Repeat("n", pointer.MaxNickname))
		self.Identity.Sealing = []pointer.SealingKey{{KEM: 1, Key: make([]byte, 2048)}, {KEM: 2, Key: make([]byte, 1600)}}
		self.Identity.Addresses = nil
		for range pointer.MaxAddresses {
			self.Identity.Addresses = append(self.Identity.Addresses, make([]byte, pointer.MaxAddress))
		}
		b, err := self.Identity.encode()
		require.NoError(t, err)
		require.Greater(t, len(b), maxIdentity-300)
		return self
	}
	p := newLinkScenario(t, Terms{})
	p.alice = big(1)
	p.resume(t)
	require.NotNil(t, p.runToEnd(t, p.accept(t, big(2), p.inviter.Invitation().Link()))[0].event.Paired)
	ended := big(3)
	ended.Identity.Sealing = append(ended.Identity.Sealing, pointer.SealingKey{KEM: 3, Key: make([]byte, 2048)})
	_, err := ended.encodeIdentity()
	require.ErrorContains(t, err, "use fewer")
}
