package kad

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/pointer"
)

// A restarted node has the records that it had stored for others and, although
// its bootstrap peer is gone, joins its network again. A node with a damaged file
// starts without them, logs that, and serves.
func TestRestartKeepsRecordsAndPeers(t *testing.T) {
	simulate(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "dht.db")
		key := peerKey(t)
		servers := startServers(t, 5)
		entrance, others := servers[0], servers[1:]
		for _, n := range others { // the first nodes joined a smaller network
			_, err := n.Join(within(t, 10*time.Second), entrance.Addrs())
			require.NoError(t, err)
		}
		c := Config{Key: key, Listen: loopback, Server: true, Bootstrap: entrance.Addrs(), File: file}
		n := startNode(t, c)
		require.Equal(t, 5, n.Peers())
		k := newKey(t)
		rec := sign(t, k, 1)
		_, err := startClient(t, n).Put(within(t, 10*time.Second), k.Pointer(), rec.Bytes())
		require.NoError(t, err)
		require.Equal(t, 1, n.Status().Held)
		require.NoError(t, n.Close())
		require.NoError(t, n.Close(), "Close can be called twice")
		require.NoError(t, entrance.Close())

		n = startNode(t, c)
		require.Equal(t, 1, n.Status().Held)
		require.GreaterOrEqual(t, n.Peers(), 4, "it joined again through known peers")
		require.NoError(t, n.JoinError())
		held, err := n.local.Get(t.Context(), routingKey(k.Pointer()))
		require.NoError(t, err)
		require.Equal(t, rec.Bytes(), held.GetValue())
		require.NoError(t, n.Close())

		// A node that enters another network must not connect the two networks.
		elsewhere := c
		elsewhere.Bootstrap = startServers(t, 1)[0].Addrs()
		n = startNode(t, elsewhere)
		require.Equal(t, 1, n.Peers())
		require.Equal(t, 1, n.Status().Held)
		require.NoError(t, n.Close())

		b, err := os.ReadFile(file)
		require.NoError(t, err)
		b[len(b)/2] ^= 1
		require.NoError(t, os.WriteFile(file, b, 0o600))
		var logged bytes.Buffer
		c.Logger = slog.New(slog.NewTextHandler(&logged, nil))
		n = startNode(t, c)
		require.Contains(t, logged.String(), "damaged")
		_, err = startClient(t, n).Put(within(t, 10*time.Second), k.Pointer(), rec.Bytes())
		require.NoError(t, err)
		require.NoError(t, n.Close())
	})
}

// A node does not start with a file that it cannot write.
func TestAnUnusablePathIsReportedAtStart(t *testing.T) {
	n, err := Start(t.Context(), Config{Listen: loopback, Server: true, File: filepath.Join(t.TempDir(), "not there", "dht.db")})
	if err == nil {
		_ = n.Close()
	}
	require.Error(t, err)
}

// A node that stops writes the peers that it knows at the end, however recent
// its previous list is.
func TestTheLastPeersAreWritten(t *testing.T) {
	simulate(t, func(t *testing.T) {
		servers := startServers(t, 1)
		file := filepath.Join(t.TempDir(), "dht.db")
		n := startNode(t, Config{Server: true, File: file, Bootstrap: servers[0].Addrs()})
		written := func() (peers []string) {
			b, err := os.ReadFile(file)
			require.NoError(t, err)
			require.NoError(t, readJournal(bytes.NewReader(b), n.persistence.head(), func(e entry) error {
				if e.kind == entryPeers {
					peers = nil
					for _, f := range e.fields[1:] {
						peers = append(peers, string(f))
					}
				}
				return nil
			}))
			return peers
		}
		time.Sleep(flushEvery + time.Second)
		require.Equal(t, servers[0].Addrs(), written())
		late := startServers(t, 1)[0]
		acquaint(t, n, peer.AddrInfo{ID: late.host.ID(), Addrs: late.host.Addrs()})
		require.NoError(t, n.Close())
		require.ElementsMatch(t, append(servers[0].Addrs(), late.Addrs()...), written())
	})
}

// A record that expired while the node was stopped is removed at the restart.
func TestARestartRemovesExpiredRecords(t *testing.T) {
	simulate(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "dht.db")
		now := time.Now()
		c := Config{Key: peerKey(t), Listen: loopback, Server: true, File: file, Now: func() time.Time { return now }}
		n := startNode(t, c)
		k := newKey(t)
		rec, err := pointer.Sign(k, pointer.Fields{Value: "/ipfs/bafkqaaa", Sequence: 1, Expires: now.Add(time.Hour), TTL: time.Minute})
		require.NoError(t, err)
		_, err = startClient(t, n).Put(within(t, 10*time.Second), k.Pointer(), rec.Bytes())
		require.NoError(t, err)
		require.NoError(t, n.Close())
		now = now.Add(2 * time.Hour)
		n = startNode(t, c)
		require.Zero(t, n.Status().Held)
		require.NoError(t, n.Close())
		b, err := os.ReadFile(file)
		require.NoError(t, err)
		deleted := false
		require.NoError(t, readJournal(bytes.NewReader(b), n.persistence.head(), func(e entry) error {
			deleted = deleted || e.kind == entryDelete
			return nil
		}))
		require.True(t, deleted, "on disk, too")
	})
}

// A node that was killed has what it had flushed: a flush does not sync the file,
// but the system has the data.
func TestAKilledNodeHasWhatWasFlushed(t *testing.T) {
	simulate(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "dht.db")
		c := Config{Key: peerKey(t), Listen: loopback, Server: true, File: file}
		n := startNode(t, c)
		require.NoError(t, storeAs(t, n.store, "other peer", "flushed", 100))
		require.NoError(t, n.persistence.flush())
		require.NoError(t, storeAs(t, n.store, "other peer", "not flushed", 100))
		b, err := os.ReadFile(file) // the file content after a crash
		require.NoError(t, err)
		file = filepath.Join(t.TempDir(), "dht.db")
		require.NoError(t, os.WriteFile(file, b, 0o600))
		c.File = file
		c.Key = peerKey(t)
		again := startNode(t, c)
		require.True(t, holds(again.store, "flushed"))
		require.False(t, holds(again.store, "not flushed"))
	})
}

func peerKey(t testing.TB) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	return key
}
