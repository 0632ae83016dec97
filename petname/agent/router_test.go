package agent_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht/kad"
	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/pointer"
)

// Clients that flood the router of an agent do not get the agent cut off from its DHT:
// 40 addresses, each with as many puts as it may send at once, over real connections
// with the peers. What the clients brought is not held as the agent's own.
func TestAFloodOfClientsDoesNotCutTheAgentOff(t *testing.T) {
	var peers []*kad.Node
	for range 3 {
		c := kad.Config{Listen: []string{"/ip4/127.0.0.1/tcp/0"}, Server: true}
		if len(peers) > 0 {
			c.Bootstrap = peers[0].Addrs()
		}
		n, err := kad.Start(t.Context(), c)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, n.Close()) })
		peers = append(peers, n)
	}
	a := served(t, peers[0].Addrs())
	router := a.Router()
	const clients, each = 40, 59
	slots, codes := make(chan struct{}, 32), map[int]int{}
	var refused pointer.Record
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := range clients * each {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			key := newKey(t)
			rec, err := pointer.Sign(key, pointer.Fields{Value: "/ipfs/bafkqaaa", Sequence: 1, Expires: time.Now().Add(time.Hour)})
			require.NoError(t, err)
			r := httptest.NewRequest(http.MethodPut, "/routing/v1/ipns/"+key.Pointer().String(), bytes.NewReader(rec.Bytes()))
			r.RemoteAddr = fmt.Sprintf("8.8.%d.1:1", i%clients)
			r.Header.Set("Content-Type", "application/vnd.ipfs.ipns-record")
			w := httptest.NewRecorder()
			router.ServeHTTP(w, r)
			mu.Lock()
			defer mu.Unlock()
			if codes[w.Code]++; w.Code == http.StatusServiceUnavailable {
				require.Contains(t, w.Body.String(), "held by this router")
				refused = rec
			}
		})
	}
	wg.Wait()
	t.Log(codes)
	require.Greater(t, codes[http.StatusOK], 300)
	require.Greater(t, codes[http.StatusServiceUnavailable], 300)
	w := httptest.NewRecorder() // what is said to be held is served
	router.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/routing/v1/ipns/"+refused.Pointer().String(), nil))
	require.Equal(t, refused.Bytes(), w.Body.Bytes())
	for _, n := range peers {
		require.Empty(t, n.Status().CutOffs)
	}
	out, err := a.PublishDraft(t.Context(), draft(agent.WaitSome))
	require.NoError(t, err)
	require.Equal(t, len(peers), out.Receipt.Stored)
}

// The router of an agent returns the record that a peer stored on its node since, not the
// older one in its memory.
func TestARouterReturnsWhatItsNodeWasSent(t *testing.T) {
	a := served(t, nil)
	router, key := a.Router(), newKey(t)
	sign := func(sequence uint64) pointer.Record {
		rec, err := pointer.Sign(key, pointer.Fields{Value: "/ipfs/bafkqaaa", Sequence: sequence, Expires: time.Now().Add(time.Hour), TTL: time.Hour})
		require.NoError(t, err)
		return rec
	}
	got := func() []byte {
		w := httptest.NewRecorder()
		router.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/routing/v1/ipns/"+key.Pointer().String(), nil))
		require.Equal(t, http.StatusOK, w.Code)
		return w.Body.Bytes()
	}
	peer, err := kad.Start(t.Context(), kad.Config{Bootstrap: addrs(t, a), Timeout: patient})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, peer.Close()) })
	for sequence := range uint64(3) {
		rec := sign(sequence)
		_, err := peer.Put(t.Context(), key.Pointer(), rec.Bytes())
		require.NoError(t, err)
		require.Equal(t, rec.Bytes(), got())
	}
}
