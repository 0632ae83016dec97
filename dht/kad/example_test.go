package kad_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"log"
	"time"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/dht/kad"
	"github.com/petnames-go/petnames/pointer"
)

// A client publishes a record through a server, and another client resolves it.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	server, err := kad.Start(ctx, kad.Config{Listen: []string{"/ip4/127.0.0.1/tcp/0"}, Server: true})
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()

	key, err := pointer.NewKey(rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	record, err := pointer.Sign(key, pointer.Fields{
		Value:    "/ipfs/bafkqaaa",
		Sequence: 1,
		Expires:  time.Now().Add(24 * time.Hour),
	})
	if err != nil {
		log.Fatal(err)
	}

	publisher, err := kad.Start(ctx, kad.Config{Bootstrap: server.Addrs()})
	if err != nil {
		log.Fatal(err)
	}
	defer publisher.Close()
	receipt, err := publisher.Put(ctx, record.Pointer(), record.Bytes())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("stored with", receipt.Stored, "peer")

	client, err := kad.Start(ctx, kad.Config{Bootstrap: server.Addrs()})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	resolver := dht.Resolver{Stores: []dht.Store{client}}
	res, err := resolver.Best(ctx, record.Pointer(), dht.LevelAny)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("resolved to", res.Record.Value())
	// Output:
	// stored with 1 peer
	// resolved to /ipfs/bafkqaaa
}
