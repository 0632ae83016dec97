package kad

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/dht/dhttest"
)

func TestPutAndGetThroughANetworkOf24(t *testing.T) {
	simulate(t, func(t *testing.T) {
		began := time.Now()
		nodes := startServers(t, 24)
		t.Logf("24 nodes in %v", time.Since(began))
		client := startClient(t, nodes[3])
		t.Logf("client knows %d", client.Peers())

		rec := sign(t, newKey(t), 1)
		began = time.Now()
		receipt, err := client.Put(within(t, 20*time.Second), rec.Pointer(), rec.Bytes())
		require.NoError(t, err)
		t.Logf("put in %v: %+v", time.Since(began), receipt)
		require.GreaterOrEqual(t, receipt.Stored, 15)
		// The put continues in the background with the other peers: in so small a
		// network, with all known peers.
		require.NoError(t, client.Wait(within(t, 10*time.Second)))

		other := startClient(t, nodes[17])
		began = time.Now()
		found, answers, errs := collect(within(t, 20*time.Second), other, rec.Pointer())
		t.Logf("get in %v: %d of %d answers, errors %v", time.Since(began), len(found), answers, errs)
		// The peers beyond the 20 closest have the record, and the look-up asks
		// them if another peer names them.
		require.GreaterOrEqual(t, len(found), closest)
		for _, b := range found {
			require.Equal(t, rec.Bytes(), b)
		}
		began = time.Now()
		r := dht.Resolver{Stores: []dht.Store{other}}
		res, err := r.Best(within(t, 20*time.Second), rec.Pointer(), dht.LevelFresh)
		require.NoError(t, err)
		t.Logf("resolve fresh in %v: %v of %d/%d", time.Since(began), res.Agreed, res.Answered, res.Asked)
		require.Equal(t, rec.Bytes(), res.Record.Bytes())
		require.Equal(t, dht.LevelFresh, res.Freshness)
	})
}

func TestANodeIsAStore(t *testing.T) {
	nodes := startServers(t, 3)
	dhttest.Run(t, func(t *testing.T) dht.Store { return startClient(t, nodes[0]) })
}

func TestAServerIsAStore(t *testing.T) {
	nodes := startServers(t, 2)
	dhttest.Run(t, func(*testing.T) dht.Store { return nodes[0] })
}
