package pointer_test

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/petnames-go/petnames/pointer"
)

// Ann signs a record that commits to her next key, Bob opens it with nothing
// but her pointer, and follows her when she moves to that key.
func Example() {
	// NewKey(nil) makes a random one; an example needs the same each time.
	ann, err := pointer.NewKey(bytes.NewReader(bytes.Repeat([]byte{1}, 32)))
	check(err)
	next, err := pointer.NewKey(bytes.NewReader(bytes.Repeat([]byte{2}, 32)))
	check(err)
	commitment, err := pointer.Commit(next.Public())
	check(err)

	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	record, err := pointer.Sign(ann, pointer.Fields{
		Sequence: 1,
		Expires:  now.Add(48 * time.Hour),
		TTL:      5 * time.Minute,
		Card:     &pointer.Card{Nickname: "Ann", Next: commitment},
	})
	check(err)

	// The bytes may come from anywhere.
	opened, err := pointer.Open(ann.Pointer(), record.Bytes(), now)
	check(err)
	card, _ := opened.Card()
	fmt.Printf("%s says it is %q and points to %s\n", opened.Pointer().Short(), card.Nickname, opened.Value())

	_, err = pointer.Open(next.Pointer(), record.Bytes(), now)
	fmt.Println("against another pointer:", errors.Is(err, pointer.ErrInvalid))
	_, err = pointer.Open(ann.Pointer(), record.Bytes(), now.Add(72*time.Hour))
	var expired *pointer.ExpiredError
	fmt.Println("three days later, expired:", errors.As(err, &expired))

	// Ann's key is lost, or stolen: the next one takes over, and nobody else's.
	step, err := pointer.Succeed(ann.Pointer(), next, pointer.Commitment{}, nil)
	check(err)
	to, _, err := pointer.Follow(ann.Pointer(), card.Next, []pointer.Succession{step})
	check(err)
	fmt.Println("moved to the next key:", to == next.Pointer())

	// Output:
	// k51…dw5uu4 says it is "Ann" and points to /ipfs/bafkqaaa
	// against another pointer: true
	// three days later, expired: true
	// moved to the next key: true
}

// A link is read from a message or a QR code; the words are read aloud.
func ExampleParseLink() {
	link, err := pointer.ParseLink("petname:k51qzi5uqu5djmw2yvf8kk5cdjc1ddc00o4d5sjwi6f79xzcay9j3gkddw5uu4?s=cfcea9a9")
	check(err)
	fmt.Println(link.Pointer)
	fmt.Println(link.Pointer.Words())

	_, err = pointer.ParseLink("petname:k51qzi5uqu5djmw2yvf8kk5cdjc1ddc00o4d5sjwi6f79xzcay9j3gkddw5uu3?s=cfcea9a9")
	fmt.Println("one letter changed:", err != nil)

	// Output:
	// k51qzi5uqu5djmw2yvf8kk5cdjc1ddc00o4d5sjwi6f79xzcay9j3gkddw5uu4
	// stadium parent hover sell island pause resource giraffe flee peanut drip anchor
	// one letter changed: true
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
