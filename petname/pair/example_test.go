package pair_test

import (
	"context"
	"fmt"
	"time"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/petname/pair"
	"github.com/petnames-go/petnames/pointer"
)

func person(nickname string) pair.Self {
	key, err := pointer.NewKey(nil)
	if err != nil {
		panic(err)
	}
	return pair.Self{Key: key, Identity: pair.Identity{Pointer: key.Pointer(), Details: pointer.Details{Nickname: nickname}}}
}

// Two who are on the telephone pair by four spoken words.
func Example_code() {
	ctx, network := context.Background(), &dht.Memory{}
	burnt := func(context.Context, string, time.Time) error { return nil } // a program notes it on disk

	code, err := pair.NewCode(nil)
	if err != nil {
		panic(err)
	}
	alice, err := pair.InviteByCode(person("Alice"), code, burnt)
	if err != nil {
		panic(err)
	}

	heard, err := pair.ParseCode(code.Secret())
	if err != nil {
		panic(err)
	}
	bob, err := pair.AcceptCode(person("Bob"), heard, burnt)
	if err != nil {
		panic(err)
	}

	done := make(chan pair.Event)
	go func() {
		event, err := pair.Run(ctx, bob, network, nil, 10*time.Millisecond)
		if err != nil {
			panic(err)
		}
		done <- event
	}()
	event, err := pair.Run(ctx, alice, network, nil, 10*time.Millisecond)
	if err != nil {
		panic(err)
	}
	fmt.Println("Alice paired with", event.Paired.Peer.Nickname)
	fmt.Println("Bob paired with", (<-done).Paired.Peer.Nickname)
	// Output:
	// Alice paired with Bob
	// Bob paired with Alice
}

// Somebody takes an invitation that was sent by mail, or scanned.
func Example_invitation() {
	ctx, network, now := context.Background(), &dht.Memory{}, time.Now()
	save := func(_ context.Context, state []byte, answered *pair.Paired) error {
		return nil // a program keeps both on disk, in one transaction
	}

	offer, err := pair.Invite(ctx, person("Alice"), pair.Terms{Expires: now.Add(time.Hour), Purpose: "chess"}, save)
	if err != nil {
		panic(err)
	}
	ticket, err := pair.ParseTicket(offer.Invitation().Compact(), now)
	if err != nil {
		panic(err)
	}
	acceptance, err := pair.AcceptTicket(person("Bob"), ticket)
	if err != nil {
		panic(err)
	}

	for _, side := range []pair.Stepper{offer, acceptance, offer, acceptance} {
		event, err := side.Step(ctx, network, now)
		switch {
		case err != nil:
			panic(err)
		case event.Accepted != nil:
			fmt.Println("taken by", event.Accepted.Peer.Nickname, "whom Alice has yet to confirm")
		case event.Paired != nil:
			fmt.Println("paired with", event.Paired.Peer.Nickname)
		}
	}
	// Output:
	// taken by Bob whom Alice has yet to confirm
	// paired with Alice
}
