package kad

import (
	"crypto"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/stretchr/testify/require"
)

// A node runs with a key that only signs: over TCP and QUIC it proves the same
// peer ID as with the private key, and serves.
func TestANodeRunsWithASigner(t *testing.T) {
	private := peerKey(t)
	_, id, err := readKey(private)
	require.NoError(t, err)
	for _, listen := range []string{"/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"} {
		n := startNode(t, Config{Key: struct{ crypto.Signer }{private}, Listen: []string{listen}, Server: true})
		require.Equal(t, id.String(), n.ID())
		require.Len(t, n.Addrs(), 1)
		client := startClient(t, n)
		k := newKey(t)
		_, err := client.Put(within(t, 10*time.Second), k.Pointer(), sign(t, k, 1).Bytes())
		require.NoError(t, err)
		require.Equal(t, 1, n.Status().Held)
		require.NoError(t, n.Close())
	}
}

// A pointer's key can be a peer key; the peer ID is the pointer.
func TestAPointersKeyIsAPeerKey(t *testing.T) {
	k := newKey(t)
	key, id, err := readKey(k)
	require.NoError(t, err)
	require.Equal(t, k.Pointer().Bytes(), []byte(id))
	require.True(t, id.MatchesPrivateKey(key))
	signature, err := key.Sign([]byte("message"))
	require.NoError(t, err)
	ok, err := key.GetPublic().Verify([]byte("message"), signature)
	require.NoError(t, err)
	require.True(t, ok)

	raw, err := key.Raw()
	require.NoError(t, err)
	again, _, err := readKey(k)
	require.NoError(t, err)
	require.True(t, key.Equals(again))
	other, err := again.Raw()
	require.NoError(t, err)
	require.NotEqual(t, raw, other, "no two hosts have the same secret")
	third, _, err := readKey(newKey(t))
	require.NoError(t, err)
	require.False(t, key.Equals(third))
	same, err := peer.IDFromPublicKey(key.GetPublic())
	require.NoError(t, err)
	require.Equal(t, id, same)
}
