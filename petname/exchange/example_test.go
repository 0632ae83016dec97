package exchange_test

import (
	"context"
	"crypto/ecdh"
	"crypto/hpke"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/exchange"
	"github.com/petnames-go/petnames/petname/introduce"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/petname/pair"
	"github.com/petnames-go/petnames/pointer"
)

// Ana and Ben pair by a code that she speaks. Then she introduces Cleo to him while he is
// offline. He accepts the introduction later, under a name of his own.
func Example() {
	ctx, network := context.Background(), &dht.Memory{} // or a kad.Node, or routers
	ana, ben, cleo := open("Ana", network), open("Ben", network), open("Cleo", network)
	defer ana.close()
	defer ben.close()
	defer cleo.close()

	// Ana speaks the code, and Ben types it. Either may be first.
	invited, err := ana.Invite(ctx, ana.key, exchange.Terms{Code: true, Terms: pair.Terms{Expires: time.Now().Add(pair.CodeLife)}})
	check(err)
	paired := make(chan petname.Suggestion)
	go func() {
		s, err := ben.Pair(ctx, ben.key, invited.Code.Secret())
		check(err)
		paired <- s
	}()
	s, err := ana.Wait(ctx, invited.ID)
	check(err)
	ana.accept(s, "ben")
	ben.accept(<-paired, "ana")

	// Ana introduces Cleo to Ben alone.
	signed, err := introduce.Introduction{
		To: ben.key.Pointer(), About: cleo.key.Pointer(), Suggested: "Cleo", Expires: time.Now().Add(exchange.IntroductionLifetime),
	}.Sign(ana.key, nil, time.Now())
	check(err)
	sent, err := ana.Send(ctx, ana.key, ben.key.Pointer(), signed)
	check(err)
	fmt.Println("Ana's introduction is", sent)

	// Ben receives the introduction. Cleo becomes a contact when he accepts it.
	report, err := ben.Sync(ctx, ben.key)
	check(err)
	for _, s := range report.Fresh {
		by, err := ben.book.ByPointer(s.By)
		check(err)
		fmt.Printf("%s suggests %q\n", by.Name, name.Clean(s.Suggested))
		ben.accept(s, "choir girl")
	}
	for c, err := range ben.book.Contacts() {
		check(err)
		fmt.Printf("%s: %s\n", c.Name, c.Provenance[0].Kind)
	}
	// Output:
	// Ana's introduction is stored
	// ana suggests "Cleo"
	// ana: paired
	// choir girl: introduced
}

// person is the state of an application for its user.
type person struct {
	*exchange.Exchange
	key  *pointer.Key
	book *petname.Book
	dir  string
}

func open(nickname string, network dht.Store) *person {
	dir, err := os.MkdirTemp("", "exchange-")
	check(err)
	key, err := pointer.NewKey(nil)
	check(err)
	device, err := pointer.NewKey(nil)
	check(err)
	book, err := petname.Create(filepath.Join(dir, "ledger.db"), key, device, petname.Options{})
	check(err)
	sealing, err := hpke.DHKEM(ecdh.X25519()).GenerateKey() // an application stores it
	check(err)
	me := pair.Identity{Pointer: key.Pointer(), Details: pointer.Details{Nickname: nickname,
		Sealing: []pointer.SealingKey{{KEM: sealing.KEM().ID(), Key: sealing.PublicKey().Bytes()}}}}
	e := exchange.Open(exchange.Config{
		Book:         book,
		Records:      &dht.Resolver{Stores: []dht.Store{network}},
		Store:        network,
		Identity:     func(context.Context) (pair.Identity, error) { return me, nil },
		Sealing:      func() ([]hpke.PrivateKey, error) { return []hpke.PrivateKey{sealing}, nil },
		PollInterval: 10 * time.Millisecond, // a network in one process can be queried often
	})
	return &person{e, key, book, dir}
}

// accept accepts a suggestion, as the user does.
func (p *person) accept(s petname.Suggestion, as string) {
	n, err := name.Parse(as)
	check(err)
	_, err = p.book.Accept(s.ID, n, petname.Acceptance{})
	check(err)
}

func (p *person) close() {
	check(p.book.Close())
	check(os.RemoveAll(p.dir))
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
