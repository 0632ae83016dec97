package agent_test

import (
	"bytes"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht/seal"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/agent"
)

// A file that is sealed to contacts by petname opens for them, and for no other contact.
func TestFilesAreSealedByPetname(t *testing.T) {
	alice, bob := acquainted(t)
	carol := served(t, addrs(t, alice))
	publishAddresses(t, carol)
	add(t, alice, "carol", carol.Pointer())
	var file bytes.Buffer
	w, err := alice.Seal(t.Context(), &file, "bob", alice.Pointer().String())
	require.NoError(t, err)
	_, err = io.WriteString(w, "holiday")
	require.NoError(t, err)
	require.NoError(t, w.Close())
	for _, a := range []*agent.Agent{bob, alice} {
		r, err := a.Unseal(bytes.NewReader(file.Bytes()))
		require.NoError(t, err)
		content, err := io.ReadAll(r)
		require.NoError(t, err)
		require.Equal(t, "holiday", string(content))
	}
	_, err = carol.Unseal(bytes.NewReader(file.Bytes()))
	require.ErrorIs(t, err, seal.ErrNotForKeys)

	_, err = alice.Seal(t.Context(), &file, "bob", "nobody")
	require.ErrorIs(t, err, petname.ErrNotFound)
	_, err = alice.Seal(t.Context(), &file)
	require.Error(t, err)
}
