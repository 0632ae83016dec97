package request_test

import (
	"context"
	"crypto/ecdh"
	"crypto/hpke"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/petname/request"
	"github.com/petnames-go/petnames/pointer"
)

// A sender puts a statement with a proof of work into the request mailbox of a
// recipient, which fetches and verifies it.
func Example() {
	ctx, store, now := context.Background(), &dht.Memory{}, time.Now()
	sender, recipient := newPointer(), newPointer()
	private, err := hpke.DHKEM(ecdh.X25519()).GenerateKey()
	if err != nil {
		panic(err)
	}
	public := []pointer.SealingKey{{KEM: private.KEM().ID(), Key: private.PublicKey().Bytes()}}
	low := request.Difficulty{Solutions: 1, Bits: 1} // for the example

	statement := []byte("a signed introduction of package introduce")
	c := request.Challenge{To: recipient, From: sender, Statement: sha256.Sum256(statement)}
	stamp, err := request.MakeStamp(ctx, c, low, now, nil)
	if err != nil {
		panic(err)
	}
	if _, err := request.Send(ctx, store, recipient, public, request.Message{Stamp: stamp, Statement: statement}, now); err != nil {
		panic(err)
	}

	messages, err := request.Fetch(ctx, store, recipient, []hpke.PrivateKey{private}, now)
	if err != nil {
		panic(err)
	}
	v := request.NewVerifier(func() time.Time { return now })
	for _, m := range messages {
		c := request.Challenge{To: recipient, From: sender, Statement: sha256.Sum256(m.Statement)}
		fmt.Printf("%s: %v\n", m.Statement, v.Verify(m.Stamp, c, low))
	}
	// Output:
	// a signed introduction of package introduce: <nil>
}

func newPointer() pointer.Pointer {
	key, err := pointer.NewKey(nil)
	if err != nil {
		panic(err)
	}
	return key.Pointer()
}
