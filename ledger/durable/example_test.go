package durable_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/petnames-go/petnames/ledger/durable"
)

func Example() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)

	file := filepath.Join(dir, "config.toml")
	for _, content := range []string{"a = 1\n", "a = 2\n"} {
		if err := durable.Replace(nil, file, ".config.toml-", time.Time{}, bytes.NewBufferString(content)); err != nil {
			fmt.Println(err)
			return
		}
	}
	b, err := os.ReadFile(file)
	fmt.Printf("%s%v\n", b, err)
	// Output:
	// a = 2
	// <nil>
}
