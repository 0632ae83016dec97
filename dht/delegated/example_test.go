package delegated_test

import (
	"context"
	"fmt"
	"log"
	"net/http/httptest"
	"time"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/dht/delegated"
	"github.com/petnames-go/petnames/pointer"
)

// A client publishes a record to a router, and looks it up there.
func Example() {
	server := httptest.NewServer(&delegated.Server{}) // [delegated.Serve], in a program
	defer server.Close()

	router, err := delegated.NewClient(server.URL)
	check(err)
	defer router.Close()
	publisher := &dht.Resolver{Stores: []dht.Store{router}}
	key, err := pointer.NewKey(nil)
	check(err)
	rec, err := pointer.Sign(key, pointer.Fields{Value: "/ipfs/bafkqaaa", Sequence: 1, Expires: time.Now().Add(time.Hour)})
	check(err)
	receipt, err := publisher.Publish(context.Background(), rec)
	check(err)
	fmt.Println("stored by", receipt.Stored)

	resolver := &dht.Resolver{Stores: []dht.Store{router}}
	res, err := resolver.Best(context.Background(), key.Pointer(), dht.LevelAny)
	check(err)
	fmt.Println(res.Record.Value(), res.Source)
	// Output:
	// stored by 1
	// /ipfs/bafkqaaa router
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
