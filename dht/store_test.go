package dht_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/dht/dhttest"
)

func TestMemoryIsAStore(t *testing.T) {
	dhttest.Run(t, func(*testing.T) dht.Store { return new(dht.Memory) })
}

func TestDirIsAStore(t *testing.T) {
	dhttest.Run(t, func(t *testing.T) dht.Store {
		d, err := dht.OpenDir(t.TempDir())
		require.NoError(t, err)
		return d
	})
}
