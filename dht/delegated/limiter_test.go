package delegated

import (
	"fmt"
	"net/http/httptest"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
)

// Each client has its own bucket; headers do not change the client.
func TestRatesArePerClient(t *testing.T) {
	now := epoch
	s := &Server{Now: func() time.Time { return now }, Rate: 2, Burst: 10}
	name := newKey(t).Pointer().String()
	until := func(from string, header ...string) (taken int) {
		for request(s, from, "GET", name, nil, header...).Code != 429 {
			taken++
			require.Less(t, taken, 1000)
		}
		return taken
	}
	require.Equal(t, 10, until("192.0.2.1:1"))
	require.Zero(t, until("192.0.2.1:2"), "another port is the same client")
	require.Zero(t, until("[::ffff:192.0.2.1]:2"), "and the same address in IPv6")
	require.Zero(t, until("192.0.2.1:1", "X-Forwarded-For", "198.51.100.7", "Forwarded", "for=198.51.100.7"))
	w := request(s, "192.0.2.1:1", "PUT", name, nil)
	require.Equal(t, 429, w.Code)
	require.Equal(t, "1", w.Header().Get("Retry-After"))
	require.Equal(t, 10, until("192.0.2.2:1"))
	require.Equal(t, 10, until("[2001:db8::1]:1"))
	require.Zero(t, until("[2001:db8::ffff]:1"), "a /64 is one household")
	require.Equal(t, 10, until("[2001:db8:0:1::1]:1"))
	require.Equal(t, 10, until("what is this"))
	require.Zero(t, until("@"), "who can't be told apart is one")

	now = epoch.Add(time.Second)
	require.Equal(t, 2, until("192.0.2.1:1"))
	now = epoch.Add(-time.Hour) // a clock that is set back changes no bucket
	require.Zero(t, until("192.0.2.1:1"))
	now = now.Add(time.Second)
	require.Equal(t, 2, until("192.0.2.1:1"))
}

// When there are too many clients, the limiter removes the client that has been
// silent the longest. A flood of new addresses does not clear the account of a
// client that keeps sending requests.
func TestActiveClientKeepsItsAccount(t *testing.T) {
	address := func(i int) netip.Prefix {
		return clientOf(netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 1).String())
	}
	var l limiter
	debtor, silent := address(0), address(1)
	for _, c := range []netip.Prefix{debtor, silent} {
		taken, _ := l.allow(c, epoch, 1, 1)
		require.True(t, taken)
	}
	for i := 2; i < maxClients; i++ {
		l.allow(address(i), epoch, 1, 1)
	}
	taken, _ := l.allow(debtor, epoch, 1, 1)
	require.False(t, taken)
	l.allow(address(maxClients), epoch, 1, 1)
	taken, _ = l.allow(debtor, epoch, 1, 1)
	require.False(t, taken, "it asked a moment ago")
	taken, _ = l.allow(silent, epoch, 1, 1)
	require.True(t, taken, "it was forgotten")
}

// The active requests to the network are bounded, for one client and for all
// clients together; others are refused at once.
func TestLongRequestsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{block: make(chan struct{})}
		s := unlimited(n)
		s.Timeout = time.Minute
		k := newKey(t)
		results := make(chan int, 1000)
		ask := func(from string) { go func() { results <- request(s, from, "GET", k.Pointer().String(), nil).Code }() }
		for range maxActivePerClient + 1 {
			ask(here)
		}
		synctest.Wait()
		require.Equal(t, 429, <-results)
		for i := range maxActive - maxActivePerClient {
			ask(fmt.Sprintf("198.51.100.%d:1", i+1))
		}
		synctest.Wait()
		require.Empty(t, results)
		for range maxActivePerClient + 1 { // a refused request uses none of its client's slots
			ask("203.0.113.1:1")
			synctest.Wait()
			require.Equal(t, 503, <-results)
		}
		close(n.block)
		for range maxActive {
			require.Equal(t, 200, <-results)
		}
		require.Equal(t, 200, request(s, here, "GET", k.Pointer().String(), nil).Code, "the places are free again")
	})
}

// Eight clients with slow requests do not occupy all of the places.
func TestSlowRequestsOfAFewClientsExcludeNobody(t *testing.T) {
	var l limiter
	for range 2 * maxActivePerClient {
		for client := range 8 {
			_, _ = l.acquire(clientOf(fmt.Sprintf("192.0.2.%d:1", client)))
		}
	}
	require.LessOrEqual(t, l.active, maxActive/2)
	for client := range maxActive / 2 {
		release, err := l.acquire(clientOf(fmt.Sprintf("198.51.100.%d:1", client)))
		require.NoError(t, err)
		defer release()
	}
	_, err := l.acquire(clientOf("203.0.113.1:1"))
	require.ErrorIs(t, err, errAllBusy)
}

// Requests for paths and methods that the router does not have use none of the
// rate: Kubo sends such requests to the router of its names, too.
func TestUnservedRequestsDoNotCount(t *testing.T) {
	s := &Server{Now: func() time.Time { return epoch }, Rate: 1, Burst: 3}
	k := newKey(t).Pointer().String()
	for range 100 {
		require.Equal(t, 404, requestAt(s, "GET", "/routing/v1/providers/"+k).Code)
		require.Equal(t, 404, requestAt(s, "GET", "/routing/v1/peers/"+k).Code)
		require.Equal(t, 405, requestAt(s, "POST", path+k).Code)
	}
	for range 3 {
		require.Equal(t, 200, requestAt(s, "GET", path+k).Code)
	}
	require.Equal(t, 429, requestAt(s, "GET", path+k).Code)
	require.Equal(t, 429, requestAt(s, "HEAD", path+k).Code)
	require.Equal(t, 404, requestAt(s, "GET", "/routing/v1/providers/"+k).Code)
}

// requestAt is request with a whole path.
func requestAt(s *Server, method, at string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, at, nil)
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

// clientStore is a network that records the clients for which it is asked.
type clientStore struct {
	dht.Memory
	clients []netip.Addr
}

func (c *clientStore) ForClient(client netip.Addr) dht.Store {
	c.clients = append(c.clients, client)
	return &c.Memory
}

// The network of a router is asked for each client by itself.
func TestTheNetworkIsAskedForEachClient(t *testing.T) {
	network := new(clientStore)
	s := unlimited(network)
	k := newKey(t)
	require.Equal(t, 200, request(s, "192.0.2.1:1", "PUT", k.Pointer().String(), sign(t, k, 1).Bytes()).Code)
	require.Equal(t, 200, request(s, "[2001:db8::5]:1", "GET", newKey(t).Pointer().String(), nil).Code)
	require.Equal(t, 200, request(s, "unknown", "GET", newKey(t).Pointer().String(), nil).Code)
	require.Equal(t, []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::"), {}}, network.clients)
}
