package ledger_test

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"os"
	"path/filepath"

	"github.com/petnames-go/petnames/ledger"
)

// words is a Fold with one table, which has a row for each body.
type words struct{}

func (words) Version() string { return "1" }

func (words) Apply(v *ledger.View, e ledger.Entry, body []byte) error {
	if body == nil {
		return nil // dropped
	}
	return v.Put("words", body, []byte{})
}

func Example() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)

	identity := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize))
	device := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{2}, ed25519.SeedSize))
	l, err := ledger.Create(filepath.Join(dir, "ledger.db"),
		ledger.Genesis{Identity: identity, Device: device, DeviceName: "laptop"}, words{}, ledger.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer l.Close()

	entries, err := l.Update(func(tx *ledger.Tx) error {
		if _, err := tx.Append([]byte("one")); err != nil {
			return err
		}
		_, err := tx.Append([]byte("two"))
		return err
	})
	fmt.Println(len(entries), err)

	err = l.Read(func(v *ledger.View) error {
		for row, err := range v.Scan("words", nil) {
			if err != nil {
				return err
			}
			fmt.Printf("%s\n", row.Key)
		}
		return nil
	})
	fmt.Println(err)
	// Output:
	// 2 <nil>
	// one
	// two
	// <nil>
}
