package replicate

import (
	"bytes"
	"cmp"
	"maps"
	"slices"

	"github.com/petnames-go/petnames/ledger"
)

// chains is a set of heads that is extended by entries: an entry replaces the one before
// it. Nothing of it is verified.
type chains map[ledger.Hash]ledger.Head

func newChains(heads []ledger.Head) chains {
	c := chains{}
	for _, h := range heads {
		c[h.Hash] = h
	}
	return c
}

// add adds an entry, given the hash of the one before it.
func (c chains) add(h ledger.Head, prev ledger.Hash) {
	if c[prev].Device == h.Device {
		delete(c, prev)
	}
	c[h.Hash] = h
}

// heads returns the heads, by device and number.
func (c chains) heads() []ledger.Head {
	return slices.SortedFunc(maps.Values(c), func(a, b ledger.Head) int {
		return cmp.Or(bytes.Compare(a.Device[:], b.Device[:]), cmp.Compare(a.Number, b.Number), bytes.Compare(a.Hash[:], b.Hash[:]))
	})
}
