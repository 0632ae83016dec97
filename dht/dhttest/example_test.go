package dhttest_test

import (
	"testing"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/dht/dhttest"
)

// A test of a Store runs the suite on new stores.
func Example() {
	_ = func(t *testing.T) { // func TestMyStore(t *testing.T)
		dhttest.Run(t, func(*testing.T) dht.Store { return &dht.Memory{} })
	}
	// Output:
}
