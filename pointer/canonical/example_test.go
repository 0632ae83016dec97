package canonical_test

import (
	"errors"
	"fmt"

	"github.com/petnames-go/petnames/pointer/canonical"
)

func Example() {
	type message struct {
		Version uint64 `cbor:"1,keyasint"`
		Text    string `cbor:"2,keyasint,omitempty"`
	}
	b, err := canonical.Marshal(message{Version: 1, Text: "hello"})
	fmt.Printf("%x %v\n", b, err)

	var m message
	err = canonical.Unmarshal(b, &m, canonical.Bounds{Size: 1024})
	fmt.Println(m.Text, err)

	// 1 in two bytes: a second encoding of the same value.
	err = canonical.Unmarshal([]byte{0xa1, 0x01, 0x18, 0x01}, &m, canonical.Bounds{Size: 1024})
	fmt.Println(errors.Is(err, canonical.ErrNotCanonical))
	// Output:
	// a20101026568656c6c6f <nil>
	// hello <nil>
	// true
}
