package drop_test

import (
	"context"
	"crypto/ecdh"
	"crypto/hpke"
	"fmt"
	"log"
	"time"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/dht/drop"
	"github.com/petnames-go/petnames/pointer"
)

// Alice sends a message and goes offline; Bob receives it a day later.
func Example() {
	ctx := context.Background()
	monday := time.Date(2026, 11, 30, 9, 0, 0, 0, time.UTC)
	tuesday := monday.Add(24 * time.Hour)
	alice, aliceCard := newParty()
	bob, bobCard := newParty()
	network := &dht.Memory{Now: func() time.Time { return tuesday }}

	// Monday: Alice sends.
	a, err := drop.Open(alice, bobCard, nil)
	check(err)
	check(a.Send([]byte("meet Carol: petname:k51…")))
	stored := a.State() // to disk, before Put
	_, err = a.Put(ctx, network, monday)
	check(err)

	// Tuesday: Bob receives.
	b, err := drop.Open(bob, aliceCard, nil)
	check(err)
	result, err := b.Poll(ctx, network, tuesday)
	check(err)
	for _, m := range result.Messages {
		fmt.Printf("%d: %s\n", m.Counter, m.Bytes) // once for each m.ID
		check(b.Done(m))
	}
	b.State() // to disk, before Put
	_, err = b.Put(ctx, network, tuesday)
	check(err)

	// Alice again, after a restart.
	a, err = drop.Open(alice, bobCard, stored)
	check(err)
	fmt.Println("waiting:", a.Waiting())
	_, err = a.Poll(ctx, network, tuesday)
	check(err)
	fmt.Println("waiting:", a.Waiting())
	// Output:
	// 1: meet Carol: petname:k51…
	// waiting: 1
	// waiting: 0
}

// newParty returns an identity, and the sealing keys of its card.
func newParty() (drop.Self, drop.Party) {
	key, err := pointer.NewKey(nil)
	check(err)
	self := drop.Self{Pointer: key.Pointer(), Signer: key}
	card := drop.Party{Pointer: key.Pointer()}
	for _, kem := range []hpke.KEM{hpke.DHKEM(ecdh.X25519()), hpke.MLKEM768X25519()} {
		private, err := kem.GenerateKey()
		check(err)
		self.Sealing = append(self.Sealing, private)
		card.Sealing = append(card.Sealing, pointer.SealingKey{KEM: kem.ID(), Key: private.PublicKey().Bytes()})
	}
	return self, card
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
