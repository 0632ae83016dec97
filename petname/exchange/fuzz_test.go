package exchange

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht/drop"
	"github.com/petnames-go/petnames/pointer"
)

// Bytes that a contact sends are refused, or are the only encoding of a message, and never add a
// contact.
func FuzzMessage(f *testing.F) {
	alice, bob, carol := three(f)
	statement, err := message{Kind: kindStatement, Body: alice.introduces(f, bob, carol).Bytes()}.encode()
	require.NoError(f, err)
	f.Add(statement)
	offer, err := message{Kind: kindMutual, Body: []byte("request")}.encode()
	require.NoError(f, err)
	f.Add(offer)
	f.Add([]byte{0x82, 0x01, 0x40})
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, err := decodeMessage(b); err == nil {
			again, err := m.encode()
			require.NoError(t, err)
			require.Equal(t, b, again)
		}
		report := Report{Waiting: make(map[pointer.Pointer]int)}
		_, _ = carol.handle(context.Background(), pointerOf("alice"), drop.Message{Bytes: b}, &report)
		n, err := carol.book.Count()
		require.NoError(t, err)
		require.Equal(t, 1, n, "alice, and nobody else")
	})
}

func FuzzKnown(f *testing.F) {
	b, err := encodeKnown(pointer.Details{Sealing: []pointer.SealingKey{{KEM: 0x20, Key: []byte("key")}}, Addresses: [][]byte{{1}}})
	require.NoError(f, err)
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		k, err := decodeKnown(b)
		if err != nil {
			return
		}
		again, err := encodeKnown(k)
		require.NoError(t, err)
		require.Equal(t, b, again)
	})
}
