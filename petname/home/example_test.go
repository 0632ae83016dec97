package home_test

import (
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/home"
)

func Example() {
	parent, err := os.MkdirTemp("", "home-example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(parent)

	h, err := home.Create(filepath.Join(parent, "home"), home.CreateOptions{Nickname: "Alice"})
	if err != nil {
		log.Fatal(err)
	}
	id, err := h.Identity()
	if err != nil {
		log.Fatal(err)
	}
	book, err := h.Book(petname.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer book.Close()
	fmt.Println(book.Identity() == id.First(), id.Locked, id.Recovery())
	// Output: true false in this home
}
