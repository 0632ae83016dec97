package mutual_test

import (
	"crypto/rand"
	"fmt"
	"time"

	"github.com/petnames-go/petnames/petname/mutual"
	"github.com/petnames-go/petnames/pointer"
)

// Alice introduces Bob and Carol to each other. A map stands for the channels between
// them.
func Example() {
	now := time.Now()
	alice, bob, carol := newKey(), newKey(), newKey()
	first := mutual.Party{Pointer: bob.Pointer(), Suggested: "Bob W"}
	second := mutual.Party{Pointer: carol.Pointer(), Suggested: "Caro"}
	i, out, err := mutual.Start(now, rand.Reader, alice, first, second, now.Add(time.Hour))
	if err != nil {
		panic(err)
	}

	keys := map[pointer.Pointer]*pointer.Key{bob.Pointer(): bob, carol.Pointer(): carol}
	invitees := make(map[pointer.Pointer]*mutual.Invitee)
	var queue []mutual.Outgoing // messages of the two parties to the introducer
	for _, m := range out {
		v, err := mutual.Receive(now, m.To, alice.Pointer(), m.Bytes)
		if err != nil {
			panic(err)
		}
		invitees[m.To] = v
		accept, err := v.Accept(now, rand.Reader, keys[m.To], pointer.Details{Nickname: "for " + v.Request().Suggested})
		if err != nil {
			panic(err)
		}
		queue = append(queue, from(m.To, accept)...)
	}
	for len(queue) > 0 {
		m := queue[0]
		queue = queue[1:]
		forwarded, err := i.Handle(now, m.To, m.Bytes)
		if err != nil {
			panic(err)
		}
		for _, f := range forwarded {
			v := invitees[f.To]
			answers, err := v.Handle(now, alice.Pointer(), f.Bytes)
			if err != nil {
				panic(err)
			}
			queue = append(queue, from(f.To, answers)...)
			if v.NeedsKey() {
				auth, err := v.Authenticate(now, rand.Reader, keys[f.To])
				if err != nil {
					panic(err)
				}
				queue = append(queue, from(f.To, auth)...)
			}
		}
	}

	phase, _ := i.Phase()
	fmt.Println("introducer:", phase)
	s, err := mutual.Verify(invitees[bob.Pointer()].Transcript())
	if err != nil {
		panic(err)
	}
	fmt.Println("Bob learned Carol's pointer:", s.Pointer == carol.Pointer(), "suggested as", s.Request.Suggested)
	// Output:
	// introducer: active
	// Bob learned Carol's pointer: true suggested as Caro
}

// from replaces the recipient of messages by their sender: all go to the introducer.
func from(sender pointer.Pointer, out []mutual.Outgoing) []mutual.Outgoing {
	for n := range out {
		out[n].To = sender
	}
	return out
}

func newKey() *pointer.Key {
	key, err := pointer.NewKey(nil)
	if err != nil {
		panic(err)
	}
	return key
}
