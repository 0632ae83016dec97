// Command embed is the smallest program that embeds the library: it opens a
// book, names a pointer, resolves the name over a store, and prints the hops.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
)

func main() {
	dir, err := os.MkdirTemp("", "embed-")
	check(err)
	defer os.RemoveAll(dir)
	var keys [3]*pointer.Key // mine, my device's, and bob's
	for i := range keys {
		keys[i], err = pointer.NewKey(nil)
		check(err)
	}

	// Bob, somewhere else, publishes into a store that nobody has to trust.
	store := &dht.Memory{}
	record, err := pointer.Sign(keys[2], pointer.Fields{Value: "/ipfs/bafkqaaa", Sequence: 1, Expires: time.Now().Add(time.Hour)})
	check(err)
	_, err = store.Put(context.Background(), record.Pointer(), record.Bytes())
	check(err)

	// I give his pointer a name of mine, and resolve it.
	book, err := petname.Create(filepath.Join(dir, "ledger.db"), keys[0], keys[1], petname.Options{})
	check(err)
	defer book.Close()
	bob, err := name.Parse("bob")
	check(err)
	_, err = book.Add(bob, pointer.Link{Pointer: keys[2].Pointer()}, petname.Source{})
	check(err)
	resolution, err := book.Resolve(context.Background(), &dht.Resolver{Stores: []dht.Store{store}}, "bob", dht.LevelAny)
	check(err)
	for _, hop := range resolution.Hops {
		fmt.Println(hop.Name, hop.Pointer, hop.Result.Record.Value(), hop.Result.Source)
	}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
