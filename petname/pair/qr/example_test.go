package qr_test

import (
	"fmt"

	"github.com/petnames-go/petnames/petname/pair/qr"
)

// An image with a QR code is read back.
func Example() {
	file, err := qr.PNG("petname-invite:example")
	if err != nil {
		panic(err)
	}
	text, err := qr.Read(file)
	if err != nil {
		panic(err)
	}
	fmt.Println(text)
	// Output: petname-invite:example
}
