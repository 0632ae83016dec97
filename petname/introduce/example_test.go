package introduce_test

import (
	"fmt"
	"time"

	"github.com/petnames-go/petnames/petname/introduce"
	"github.com/petnames-go/petnames/pointer"
)

// Alice introduces Bob to Carol. Carol opens the statement and checks its time.
func Example() {
	now := time.Now()
	alice, bob, carol := newKey(), newKey(), newKey()
	signed, err := introduce.Introduction{
		To: carol.Pointer(), About: bob.Pointer(), Suggested: "Bob W", Expires: now.Add(24 * time.Hour),
	}.Sign(alice, nil, now)
	if err != nil {
		panic(err)
	}

	received, err := introduce.Open(signed.Bytes(), introduce.KindIntroduction)
	if err != nil {
		panic(err)
	}
	i, _ := received.Introduction()
	if err := i.CheckTime(now); err != nil {
		panic(err)
	}
	fmt.Println(received.Kind(), "of", i.Suggested)
	fmt.Println("by Alice:", i.By == alice.Pointer(), "about Bob:", i.About == bob.Pointer())
	// Output:
	// introduction of Bob W
	// by Alice: true about Bob: true
}

func newKey() *pointer.Key {
	key, err := pointer.NewKey(nil)
	if err != nil {
		panic(err)
	}
	return key
}
