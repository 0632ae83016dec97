package dht_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/pointer"
)

// A publisher puts a record, and a resolver with a cache in memory looks it up.
func Example() {
	network := &dht.Memory{Source: dht.SourceNetwork} // a kad.Node or delegated.Client, in a program
	key, err := pointer.NewKey(nil)
	check(err)
	rec, err := pointer.Sign(key, pointer.Fields{
		Value: "/ipfs/bafkqaaa", Sequence: 1, Expires: time.Now().Add(24 * time.Hour), TTL: time.Minute,
	})
	check(err)
	publisher := &dht.Resolver{Stores: []dht.Store{network}}
	receipt, err := publisher.Publish(context.Background(), rec)
	check(err)
	fmt.Println("stored by", receipt.Stored)

	resolver := &dht.Resolver{Stores: []dht.Store{network}}
	for range 2 {
		res, err := resolver.Best(context.Background(), key.Pointer(), dht.LevelAny)
		check(err)
		fmt.Println(res.Record.Value(), res.Source, res.Freshness)
	}
	// Output:
	// stored by 1
	// /ipfs/bafkqaaa network any
	// /ipfs/bafkqaaa cache any
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
