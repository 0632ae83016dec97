package pointer

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Details are held to each of their bounds, and to no narrower ones.
func TestDetailsAreBounded(t *testing.T) {
	keys := func(n, size int) (keys []SealingKey) {
		for range n {
			keys = append(keys, SealingKey{KEM: 0x20, Key: make([]byte, size)})
		}
		return keys
	}
	addresses := func(n, size int) (all [][]byte) {
		for range n {
			all = append(all, make([]byte, size))
		}
		return all
	}
	for name, c := range map[string]struct {
		details Details
		fits    bool
	}{
		"nothing":              {Details{}, true},
		"the longest nickname": {Details{Nickname: strings.Repeat("n", 64)}, true},
		"a longer nickname":    {Details{Nickname: strings.Repeat("n", 65)}, false},
		"not UTF-8":            {Details{Nickname: "\xff"}, false},
		"four keys":            {Details{Sealing: keys(4, 1)}, true},
		"five keys":            {Details{Sealing: keys(5, 1)}, false},
		"the longest key":      {Details{Sealing: keys(1, 2048)}, true},
		"a longer key":         {Details{Sealing: keys(1, 2049)}, false},
		"a longer second key":  {Details{Sealing: append(keys(1, 1), keys(1, 2049)...)}, false},
		"an empty key":         {Details{Sealing: keys(1, 0)}, false},
		"eight addresses":      {Details{Addresses: addresses(8, 1)}, true},
		"nine addresses":       {Details{Addresses: addresses(9, 1)}, false},
		"the longest address":  {Details{Addresses: addresses(1, 256)}, true},
		"a longer address":     {Details{Addresses: addresses(1, 257)}, false},
		"an empty address":     {Details{Addresses: append(addresses(1, 1), nil)}, false},
		"all at their bounds": {Details{Nickname: strings.Repeat("n", 64), Sealing: keys(4, 2048),
			Addresses: addresses(8, 256)}, true},
	} {
		if err := c.details.Check(); c.fits {
			require.NoError(t, err, name)
		} else {
			require.Error(t, err, name)
		}
	}
}
