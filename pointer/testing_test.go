package pointer

import (
	"bytes"
	"time"
)

// Injected times: no test of this package reads the clock, but for those that
// compare with boxo, which does; testEnd is far enough for it.
var (
	testNow = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	testEnd = time.Date(2120, 1, 2, 3, 4, 5, 678, time.UTC)
)

// testKey is the key whose seed is 32 times b.
func testKey(b byte) *Key {
	key, err := NewKey(bytes.NewReader(bytes.Repeat([]byte{b}, 32)))
	if err != nil {
		panic(err)
	}
	return key
}
