package replicate_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"io"
	"iter"
	"net"
	"os"
	"path/filepath"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/ledger/replicate"
)

// noView is a fold of an application without a view.
type noView struct{}

func (noView) Version() string                                { return "1" }
func (noView) Apply(*ledger.View, ledger.Entry, []byte) error { return nil }

// must panics on an error.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func newKey() ed25519.PrivateKey {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	return must(key, err)
}

// A laptop admits a phone, which fetches the book, and then sends what it writes.
func Example() {
	dir := must(os.MkdirTemp("", ""))
	defer os.RemoveAll(dir)
	ctx := context.Background()
	identity, laptopKey, phoneKey := newKey(), newKey(), newKey()
	laptop := must(ledger.Create(filepath.Join(dir, "laptop"), ledger.Genesis{Identity: identity, Device: laptopKey, DeviceName: "laptop"}, noView{}, ledger.Options{}))
	defer laptop.Close()
	if err := laptop.AdmitDevice(identity, phoneKey.Public().(ed25519.PublicKey), "phone"); err != nil {
		panic(err)
	}

	conn := accept(ctx, laptop, laptopKey)
	file := must(os.Create(filepath.Join(dir, "entries")))
	defer file.Close()
	result := must(replicate.Fetch(ctx, laptop.Book(), phoneKey, conn, laptop.Device(), file, replicate.Options{}))
	fmt.Println(result.Received, "fetched")
	must(file.Seek(0, io.SeekStart))
	phone := must(ledger.Join(filepath.Join(dir, "phone"), laptop.Identity(), phoneKey, entries(replicate.Read(file)), noView{}, ledger.Options{}))
	defer phone.Close()

	must(phone.Append([]byte("alice")))
	conn = accept(ctx, laptop, laptopKey)
	result = must(replicate.Dial(ctx, phone, phoneKey, conn, laptop.Device(), replicate.Options{}))
	fmt.Println(result.Sent, "sent, equal:", result.Equal)
	// Output:
	// 2 fetched
	// 1 sent, equal: true
}

// accept returns a connection to a device.
func accept(ctx context.Context, l *ledger.Ledger, key ed25519.PrivateKey) net.Conn {
	near, far := net.Pipe()
	go replicate.Accept(ctx, l, key, far, replicate.Options{})
	return near
}

// entries yields entries up to the first error, after which Join reports what is missing.
func entries(all iter.Seq2[[]byte, error]) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for e, err := range all {
			if err != nil || !yield(e) {
				return
			}
		}
	}
}
