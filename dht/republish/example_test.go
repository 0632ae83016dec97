package republish_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"iter"
	"log"
	"slices"
	"time"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/dht/republish"
	"github.com/petnames-go/petnames/pointer"
)

// A home has the record of a contact, which the network has lost.
func Example() {
	rec := newRecord()
	home := &dht.Memory{}
	_, err := home.Put(context.Background(), rec.Pointer(), rec.Bytes())
	check(err)

	ctx, cancel := context.WithCancel(context.Background())
	r := republish.New(republish.Config{
		Network:  network{stored: cancel}, // package kad's Node, in a program
		Contacts: contacts{rec.Pointer()},
		Home:     home,
		Rand:     noJitter{},
	})
	fmt.Println(r.Run(ctx))
	// Output:
	// stored /ipfs/bafkqaaa
	// context canceled
}

// noJitter is a source of zeros, so that the example does not wait.
type noJitter struct{}

func (noJitter) Uint64() uint64 { return 0 }

// contacts is the set of contacts with records to republish.
type contacts []pointer.Pointer

func (c contacts) Pointers() iter.Seq2[pointer.Pointer, error] {
	return func(yield func(pointer.Pointer, error) bool) {
		for _, p := range c {
			if !yield(p, nil) {
				return
			}
		}
	}
}

func (c contacts) Contains(p pointer.Pointer) (bool, error) { return slices.Contains(c, p), nil }

// network is a network of one peer, which has no record.
type network struct{ stored func() }

func (n network) UnlinkableClient(context.Context) (republish.Client, error) { return n, nil }

func (n network) Walk(context.Context, republish.Key, int) (republish.Key, []republish.Peer, error) {
	return sha256.Sum256([]byte("a random key")), []republish.Peer{{ID: "peer"}}, nil
}

func (n network) Get(context.Context, republish.Peer, pointer.Pointer) ([]byte, error) {
	return nil, nil
}

func (n network) Put(_ context.Context, _ republish.Peer, p pointer.Pointer, record []byte) error {
	rec, err := pointer.Open(p, record, time.Now())
	check(err)
	fmt.Println("stored", rec.Value())
	n.stored()
	return nil
}

func (n network) Close() error { return nil }

func newRecord() pointer.Record {
	key, err := pointer.NewKey(nil)
	check(err)
	rec, err := pointer.Sign(key, pointer.Fields{Value: "/ipfs/bafkqaaa", Sequence: 1, Expires: time.Now().Add(time.Hour)})
	check(err)
	return rec
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
