package seal_test

import (
	"bytes"
	"crypto/ecdh"
	"crypto/hpke"
	"fmt"
	"io"
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

// A file is sealed to the cards of two recipients.
func ExampleNewWriter() {
	ana, err := hpke.MLKEM768X25519().GenerateKey()
	check(err)
	ben, err := hpke.DHKEM(ecdh.X25519()).GenerateKey()
	check(err)
	anasCard := pointer.Card{Sealing: []pointer.SealingKey{{KEM: seal.Hybrid, Key: ana.PublicKey().Bytes()}}}
	bensCard := pointer.Card{Sealing: []pointer.SealingKey{{KEM: seal.X25519, Key: ben.PublicKey().Bytes()}}}

	var file bytes.Buffer
	w, err := seal.NewWriter(&file, anasCard.Sealing, bensCard.Sealing)
	check(err)
	_, err = io.WriteString(w, "holiday.jpg")
	check(err)
	check(w.Close())

	r, err := seal.NewReader(&file, []hpke.PrivateKey{ben})
	check(err)
	content, err := io.ReadAll(r)
	check(err)
	fmt.Printf("%s\n", content)
	// Output: holiday.jpg
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
