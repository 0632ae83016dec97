package pair_test

import (
	"context"
	"fmt"
	"time"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/petname/pair"
	"github.com/petnames-go/petnames/pointer"
)

func newSelf(nickname string) pair.Self {
	key, err := pointer.NewKey(nil)
	if err != nil {
		panic(err)
	}
	return pair.Self{Key: key, Identity: pair.Identity{Pointer: key.Pointer(), Details: pointer.Details{Nickname: nickname}}}
}

// Alice and Bob pair by a code that she speaks to him on the telephone.
func Example_code() {
	ctx, network := context.Background(), &dht.Memory{}
	markUsed := func(context.Context, string, time.Time) error { return nil } // a program stores the mark on disk

	code, err := pair.NewCode(nil)
	if err != nil {
		panic(err)
	}
	alice, err := pair.InviteByCode(newSelf("Alice"), code, markUsed)
	if err != nil {
		panic(err)
	}

	entered, err := pair.ParseCode(code.Secret())
	if err != nil {
		panic(err)
	}
	bob, err := pair.AcceptCode(newSelf("Bob"), entered, markUsed)
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

// Bob accepts an invitation that was sent by mail, or scanned.
func Example_invitation() {
	ctx, network, now := context.Background(), &dht.Memory{}, time.Now()
	save := func(_ context.Context, state []byte, accepted *pair.Paired) error {
		return nil // a program stores both on disk, in one transaction
	}

	inviter, err := pair.Invite(ctx, newSelf("Alice"), pair.Terms{Expires: now.Add(time.Hour), Purpose: "chess"}, save)
	if err != nil {
		panic(err)
	}
	ticket, err := pair.ParseTicket(inviter.Invitation().Compact(), now)
	if err != nil {
		panic(err)
	}
	invitee, err := pair.AcceptTicket(newSelf("Bob"), ticket)
	if err != nil {
		panic(err)
	}

	for _, side := range []pair.Stepper{inviter, invitee, inviter, invitee} {
		event, err := side.Step(ctx, network, now)
		switch {
		case err != nil:
			panic(err)
		case event.Accepted != nil:
			fmt.Println("accepted by", event.Accepted.Peer.Nickname+"; Alice confirms it")
		case event.Paired != nil:
			fmt.Println("paired with", event.Paired.Peer.Nickname)
		}
	}
	// Output:
	// accepted by Bob; Alice confirms it
	// paired with Alice
}
