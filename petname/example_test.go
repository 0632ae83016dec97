package petname_test

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
)

// alice's card has an edge bob. The owner resolves the path alice/bob.
func Example() {
	err := func() error {
		dir, err := os.MkdirTemp("", "petname")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		key := func(seed byte) ed25519.PrivateKey {
			return ed25519.NewKeyFromSeed(append(make([]byte, 31), seed))
		}
		me, device, alice, bob := key(1), key(2), key(3), key(4)
		pa, err := pointer.FromPublicKey(alice.Public())
		if err != nil {
			return err
		}
		pb, err := pointer.FromPublicKey(bob.Public())
		if err != nil {
			return err
		}

		// Contacts publish to a store that need not be trusted.
		ctx, store := context.Background(), &dht.Memory{}
		publish := func(key ed25519.PrivateKey, p pointer.Pointer, card pointer.Card) error {
			r, err := pointer.Sign(key, pointer.Fields{Sequence: 1, Expires: time.Now().Add(time.Hour), Card: &card})
			if err != nil {
				return err
			}
			_, err = store.Put(ctx, p, r.Bytes())
			return err
		}
		if err := publish(alice, pa, pointer.Card{Nickname: "Alice L.", Edges: map[string]pointer.Edge{"bob": {Pointer: pb}}}); err != nil {
			return err
		}
		if err := publish(bob, pb, pointer.Card{Nickname: "alice"}); err != nil { // bob's nickname proves nothing
			return err
		}

		book, err := petname.Create(filepath.Join(dir, "ledger.db"), me, device, petname.Options{})
		if err != nil {
			return err
		}
		defer book.Close()
		her, err := name.Parse("Alice")
		if err != nil {
			return err
		}
		if _, err := book.Add(her, pointer.Link{Pointer: pa}, petname.Source{}); err != nil {
			return err
		}
		res, err := book.Resolve(ctx, &dht.Resolver{Stores: []dht.Store{store}}, "alice/bob", dht.LevelAny)
		if err != nil {
			return err
		}
		for _, hop := range res.Hops {
			fmt.Println(hop.Name, "is", name.Nickname{Text: hop.Card.Nickname, Pointer: hop.Pointer})
		}
		return nil
	}()
	if err != nil {
		fmt.Println(err)
	}
	// Output:
	// alice is "~Alice L." k51…tdert7
	// bob is "~alice" k51…wgq00r
}

// A chat keeps pointers on the wire, and shows each reader the names of their
// own. What a sender writes can't pass for a mention.
func ExampleRender() {
	err := func() error {
		dir, err := os.MkdirTemp("", "petname")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		key := func(seed byte) ed25519.PrivateKey {
			return ed25519.NewKeyFromSeed(append(make([]byte, 31), seed))
		}
		book, err := petname.Create(filepath.Join(dir, "ledger.db"), key(1), key(2), petname.Options{})
		if err != nil {
			return err
		}
		defer book.Close()
		bob, err := pointer.FromPublicKey(key(4).Public())
		if err != nil {
			return err
		}
		name, err := name.Parse("Bob W")
		if err != nil {
			return err
		}
		if _, err := book.Add(name, pointer.Link{Pointer: bob}, petname.Source{}); err != nil {
			return err
		}
		wire, err := petname.Unrender(`ask @"bob w", whoever bob is`, book)
		if err != nil {
			return err
		}
		stranger, err := pointer.FromPublicKey(key(5).Public())
		if err != nil {
			return err
		}
		shown, err := petname.Render(wire+"; I am @bob, says "+stranger.String(), book)
		if err != nil {
			return err
		}
		fmt.Println(shown.Text)
		return nil
	}()
	if err != nil {
		fmt.Println(err)
	}
	// Output:
	// ask @"Bob W", whoever bob is; I am \@bob, says @k51…5nlp7z
}
