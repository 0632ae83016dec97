package name_test

import (
	"fmt"

	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
)

func Example() {
	a, _ := name.Parse("Zoë K")
	b, _ := name.Parse("zoë   k")
	fmt.Println(a.Key() == b.Key())

	_, err := name.Parse("alice/bob")
	fmt.Println(err)

	alice, _ := name.Parse("alice")
	other, _ := name.Parse("a1ice")
	fmt.Println(name.Alike(name.Looks(alice), name.LooksOfNew(other)))
	// Output:
	// true
	// name "alice/bob" has a slash: it reads as a path, not as one name
	// true
}

func ExampleStyle() {
	alice, _ := name.Parse("alice")
	key, _ := pointer.Parse("k51qzi5uqu5dl2hdjuvu5mqlxuvezwe5wbedi6uh7dgu1uiv61vh4p4b71b17v")
	fmt.Println(name.Plain.Show(alice))
	fmt.Println(name.Plain.Show(alice.Edge("bob")))
	fmt.Println(name.Plain.Show(name.Nickname{Text: "Bob\nW", Pointer: key}))
	// Output:
	// alice
	// alice ⇒ bob
	// "~Bob W" k51…71b17v
}
