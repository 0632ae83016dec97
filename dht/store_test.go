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

// The answers of a Memory have the source SourceHome, unless the Memory has
// another source.
func TestMemoryAnswersHaveItsSource(t *testing.T) {
	rec := sign(t, newKey(t), 1)
	for source, want := range map[dht.Source]dht.Source{"": dht.SourceHome, dht.SourceNetwork: dht.SourceNetwork} {
		m := &dht.Memory{Source: source, Now: newClock().now}
		for range 2 { // with a record, and without
			for a, err := range m.Get(t.Context(), rec.Pointer()) {
				require.NoError(t, err)
				require.Equal(t, want, a.Source)
			}
			_, err := m.Put(t.Context(), rec.Pointer(), rec.Bytes())
			require.NoError(t, err)
		}
	}
}

func TestDirIsAStore(t *testing.T) {
	dhttest.Run(t, func(t *testing.T) dht.Store {
		d, err := dht.OpenDir(t.TempDir())
		require.NoError(t, err)
		return d
	})
}
