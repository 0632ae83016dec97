package x25519

import (
	"crypto/ed25519"
	"crypto/sha256"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/ledger"
)

// Both halves of a key are converted alike.
func TestTheX25519FormsBelongTogether(t *testing.T) {
	seed := sha256.Sum256([]byte("device"))
	key := ed25519.NewKeyFromSeed(seed[:])
	public, err := Public(ledger.DeviceID(key.Public().(ed25519.PublicKey)))
	require.NoError(t, err)
	private, err := Private(key)
	require.NoError(t, err)
	require.Equal(t, public.Bytes(), private.PublicKey().Bytes())
	_, err = Private(nil)
	require.ErrorContains(t, err, "0 bytes")
	_, err = Public(ledger.DeviceID{0: 2})
	require.Error(t, err, "not on the curve")
}
