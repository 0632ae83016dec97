package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"filippo.io/edwards25519"
	"github.com/multiformats/go-multibase"
	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/pointer"
)

// badPoints are pointers that look right and hold no good key: of low order,
// not in their canonical form, not on the curve.
func badPoints(t *testing.T) map[string]string {
	text := func(point []byte) string {
		s, err := multibase.Encode(multibase.Base36, append([]byte{1, 0x72, 0, 36, 8, 1, 18, 32}, point...))
		require.NoError(t, err)
		return s
	}
	first := func(encode func(i byte) []byte, good bool) string {
		for i := byte(2); i < 19; i++ {
			if _, err := new(edwards25519.Point).SetBytes(encode(i)); (err == nil) == good {
				return text(encode(i))
			}
		}
		t.Fatal("no such point")
		return ""
	}
	small := func(i byte) []byte { return append([]byte{i}, make([]byte, 31)...) }
	overflowing := func(i byte) []byte { // 2^255-19+i
		return append(append([]byte{0xed + i}, bytes.Repeat([]byte{0xff}, 30)...), 0x7f)
	}
	return map[string]string{
		"LOWORDER": text(small(1)), "OFFCURVE": first(small, false), "NONCANONICAL": first(overflowing, true),
	}
}

// evil clears the screen, asks for a password, and reverses the text direction.
const evil = "\x1b[2J\x1b]0;x\x07a\r\nPassword: \u202e\u200b\x9b"

// crafty are nicknames that a link may carry, and that are meant to be taken for
// something else.
var crafty = map[string]string{
	"ESCAPE":  "\x1b[2J\x1b]0;x\x07\u009b31m",
	"RLO":     "bob\u202e\u2067 gpj.\u2066",
	"PROMPT":  "x\nPassword: \r\nalice  k51…abcdef  paired",
	"ZALGO":   "z" + strings.Repeat("\u0335", 31),
	"MARKS":   "bob\" k51…abcdef (your alice) ⇒ x/y ~.2",
	"BLANK":   "\u3164\u2800\u200b",
	"RTL":     "שלום 12 (כן)",
	"DOMAIN":  "bob.example",
	"LOOKS":   "аlice", // with a Cyrillic а
	"NOTUTF8": "b\xffb",
}

// craftyLinks are links with such nicknames, as far as one may be made.
func craftyLinks(t *testing.T) map[string]string {
	links := make(map[string]string)
	for name, nickname := range crafty {
		l := pointer.Link{Pointer: hostileKey(t, name).Pointer(), Nickname: nickname}
		links[name] = l.String()
	}
	return links
}

// hostileKey is always the same for a name, so that golden outputs stay.
func hostileKey(t *testing.T, name string) *pointer.Key {
	key, err := pointer.NewKey(bytes.NewReader(bytes.Repeat([]byte(name+strings.Repeat("x", 8)), 16)))
	require.NoError(t, err)
	return key
}

// marksRecord is a record that is as full of combining marks as one may be.
func marksRecord(t *testing.T) ([]byte, pointer.Pointer) {
	key := hostileKey(t, "MARKSRECORD")
	record, err := pointer.Sign(key, pointer.Fields{Value: "/ipfs/bafkqaaa/z" + strings.Repeat("\u0335", 4800), Sequence: 1, Expires: time.Now().Add(time.Hour)})
	require.NoError(t, err)
	return record.Bytes(), key.Pointer()
}

// hostile is a contact with hostile text in every field of a link and of a record that
// verify.
func hostile(t *testing.T) (pointer.Link, []byte) {
	key, err := pointer.NewKey(nil)
	require.NoError(t, err)
	next, err := pointer.NewKey(nil)
	require.NoError(t, err)
	commitment, err := pointer.Commit(next.Public())
	require.NoError(t, err)
	link := pointer.Link{Pointer: key.Pointer(), Next: commitment}
	for _, nickname := range []string{evil, "x\nPassword: \u202e", "x\nPassword:", "Password:"} {
		link.Nickname = nickname
		if _, err := pointer.ParseLink(link.String()); err == nil {
			break
		}
	}
	var record pointer.Record
	for _, value := range []string{"/ipfs/bafkqaaa/" + evil, "/ipfs/bafkqaaa/Password:"} {
		for _, text := range []string{evil, "\u202ePassword:", "a  pointer → k51"} {
			for _, nickname := range []string{evil, "\u202ePassword:", `bob" k51qzi…kjpnnr  paired`} {
				card := pointer.Card{Nickname: nickname, Next: commitment,
					Edges: map[string]pointer.Edge{text: {Pointer: key.Pointer()}}, Links: []pointer.CardLink{{Rel: text, Target: text}}}
				record, err = pointer.Sign(key, pointer.Fields{Value: value, Sequence: 1, Expires: time.Now().Add(time.Hour), Card: &card})
				if err == nil {
					return link, record.Bytes()
				}
			}
		}
	}
	t.Fatalf("nothing hostile at all can be said: %v", err)
	return link, nil
}
