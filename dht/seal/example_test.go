package seal_test

import (
	"crypto/ecdh"
	"crypto/hpke"
	"fmt"
	"log"

	"github.com/petnames-go/petnames/dht/seal"
	"github.com/petnames-go/petnames/pointer"
)

// A sender encrypts to the sealing key of a card, and its owner decrypts.
func Example() {
	private, err := hpke.DHKEM(ecdh.X25519()).GenerateKey()
	check(err)
	card := pointer.Card{Sealing: []pointer.SealingKey{{KEM: seal.X25519, Key: private.PublicKey().Bytes()}}}

	info, extra := []byte("example.org/note/1"), []byte("context of this payload")
	key, err := seal.SelectKey(card.Sealing)
	check(err)
	payload, err := seal.Seal(key, info, extra, []int{256, 1024}, []byte("meet Carol"))
	check(err)
	fmt.Println(len(payload), "bytes")

	content, err := seal.Open([]hpke.PrivateKey{private}, info, extra, payload)
	check(err)
	fmt.Printf("%s\n", content)
	// Output:
	// 256 bytes
	// meet Carol
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
