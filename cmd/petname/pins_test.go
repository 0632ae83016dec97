package main

import (
	"crypto/ed25519"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/petnames-go/petnames/pointer"
)

// evilKey is the key of an attacker that states false commitments.
var evilKey = ed25519.NewKeyFromSeed([]byte("an attacker's key of 32 bytes.....")[:32])

// falseLink sets a variable to a link with its commitment replaced by one to the
// attacker's key: the checksum of a link has no key.
func falseLink(ts *testscript.TestScript, _ bool, args []string) {
	link, err := pointer.ParseLink(args[1])
	ts.Check(err)
	link.Next, err = pointer.Commit(evilKey.Public())
	ts.Check(err)
	ts.Setenv(args[0], link.String())
}

// falseStep sets a variable to the attacker's pointer, and writes a record of it
// with a succession from another pointer, which that one's key did not sign.
func falseStep(ts *testscript.TestScript, _ bool, args []string) {
	old, err := pointer.Parse(args[2])
	ts.Check(err)
	step, err := pointer.Succeed(old, evilKey, pointer.Commitment{}, nil)
	ts.Check(err)
	r, err := pointer.Sign(evilKey, pointer.Fields{Value: firstPath, Sequence: 1, Expires: time.Now().Add(24 * time.Hour),
		Card: &pointer.Card{Nickname: "Bob", Succession: []pointer.Succession{step}}})
	ts.Check(err)
	ts.Setenv(args[0], r.Pointer().String())
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), r.Bytes(), 0o600))
}

// signCard sets a variable to a commitment and another one to the pointer of the key
// with a seed, and writes a record of it with a sequence and a card with that
// commitment.
func signCard(ts *testscript.TestScript, _ bool, args []string) {
	seed, sequence := args[0], args[1]
	key := ed25519.NewKeyFromSeed(slices.Repeat([]byte(seed[:1]), ed25519.SeedSize))
	next, err := pointer.Commit(ed25519.NewKeyFromSeed(slices.Repeat([]byte(sequence[:1]), ed25519.SeedSize)).Public())
	ts.Check(err)
	n, err := strconv.ParseUint(sequence, 10, 64)
	ts.Check(err)
	r, err := pointer.Sign(key, pointer.Fields{Value: firstPath, Sequence: n, Expires: time.Now().Add(24 * time.Hour), Card: &pointer.Card{Next: next}})
	ts.Check(err)
	ts.Setenv(args[2], r.Pointer().String())
	ts.Setenv(args[3], next.String())
	ts.Check(os.WriteFile(ts.MkAbs(args[4]), r.Bytes(), 0o600))
}
