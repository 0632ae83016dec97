package delegated

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/dht/dhttest"
	"github.com/petnames-go/petnames/pointer"
)

// epoch is the start of the injected clocks.
var epoch = time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC)

// request sends a request to a handler, from an address.
func request(h http.Handler, from, method, name string, body []byte, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "http://router.example"+path+name, strings.NewReader(string(body)))
	r.RemoteAddr = from
	if method == http.MethodPut {
		r.Header.Set("Content-Type", contentType)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

const here = "192.0.2.1:1000"

// Every refusal has its status and a reason, and
// nothing is stored.
func TestRefusals(t *testing.T) {
	now := epoch
	s := unlimited(nil)
	s.Now = func() time.Time { return now }
	k := newKey(t)
	name := k.Pointer().String()
	rec := signUntil(t, k, 5, epoch.Add(time.Hour))
	older := signUntil(t, k, 4, epoch.Add(time.Hour))
	tampered := rec.Bytes()
	tampered[len(tampered)/2] ^= 1
	long := append(rec.Bytes(), make([]byte, pointer.MaxRecord)...)

	require.Equal(t, 200, request(s, here, "PUT", name, rec.Bytes()).Code)
	require.Equal(t, 200, request(s, here, "PUT", name, rec.Bytes()).Code, "the same again is fine")
	for what, tc := range map[string]struct {
		method, name string
		body         []byte
		header       []string
		status       int
		reason       string
	}{
		"older":               {"PUT", name, older.Bytes(), nil, 409, "sequence 5"},
		"tampered":            {"PUT", name, tampered, nil, 400, "does not verify"},
		"another name's":      {"PUT", name, signUntil(t, newKey(t), 9, epoch.Add(time.Hour)).Bytes(), nil, 400, "does not verify"},
		"expired":             {"PUT", name, signUntil(t, k, 9, epoch.Add(-time.Second)).Bytes(), nil, 400, "expired"},
		"nothing":             {"PUT", name, nil, nil, 400, "does not verify"},
		"over 10 KiB":         {"PUT", name, long, nil, 413, "10240"},
		"another type":        {"PUT", name, rec.Bytes(), []string{"Content-Type", "application/json"}, 415, contentType},
		"no type":             {"PUT", name, rec.Bytes(), []string{"Content-Type", ""}, 415, contentType},
		"a type that is none": {"PUT", name, rec.Bytes(), []string{"Content-Type", ";;"}, 415, contentType},
		"no name":             {"PUT", "alice", rec.Bytes(), nil, 400, `"alice"`},
		"content's name":      {"GET", "bafkqaaa", nil, nil, 400, "not a pointer"},
		"hostile name":        {"GET", "%1b%5b31m%E2%80%AE", nil, nil, 400, "no pointer"},
		"unacceptable":        {"GET", name, nil, []string{"Accept", "text/html, application/json;q=1"}, 406, contentType},
		"a GET with a body":   {"GET", name, []byte("x"), nil, 400, "body"},
		"a POST":              {"POST", name, rec.Bytes(), nil, 405, ""},
		"a DELETE":            {"DELETE", name, nil, nil, 405, ""},
		"other routes":        {"GET", name + "/more", nil, nil, 404, ""},
	} {
		w := request(s, here, tc.method, tc.name, tc.body, tc.header...)
		require.Equal(t, tc.status, w.Code, what)
		require.Contains(t, w.Body.String(), tc.reason, what)
		require.Less(t, w.Body.Len(), 300, what)
		require.NotContains(t, w.Body.String(), "\x1b")
		require.True(t, strings.HasPrefix(w.Header().Get("Content-Type"), "text/plain"), what)
		if tc.reason != "" { // refused by the Server itself
			require.Equal(t, "no-store", w.Header().Get("Cache-Control"), what)
			require.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"), what)
		}
	}
	w := request(s, here, "GET", name, nil)
	require.Equal(t, rec.Bytes(), w.Body.Bytes())
	require.Equal(t, 1, s.Records())

	now = epoch.Add(2 * time.Hour) // it has expired, and is removed
	w = request(s, here, "GET", name, nil)
	require.Equal(t, 200, w.Code)
	require.Equal(t, "text/plain; charset=utf-8", w.Header().Get("Content-Type"))
	require.Zero(t, s.Records())
}

// Caches may use an answer for the TTL, and never after the
// record has expired.
func TestCacheHeadersOfAnswers(t *testing.T) {
	now := epoch
	s := unlimited(nil)
	s.Now = func() time.Time { return now }
	k := newKey(t)
	name := k.Pointer().String()
	rec := signUntil(t, k, 5, epoch.Add(time.Hour)) // a TTL of 5 minutes
	request(s, here, "PUT", name, rec.Bytes())
	w := request(s, here, "GET", name, nil)
	require.Equal(t, contentType, w.Header().Get("Content-Type"))
	require.Equal(t, "public, max-age=300, stale-while-revalidate=3300, stale-if-error=3300", w.Header().Get("Cache-Control"))
	require.Equal(t, "Sat, 02 Jan 2027 04:04:05 GMT", w.Header().Get("Expires"))
	etag := w.Header().Get("Etag")
	require.Regexp(t, `^"[0-9a-f]{32}"$`, etag)
	w = request(s, here, "GET", name, nil, "If-None-Match", etag)
	require.Equal(t, 304, w.Code)
	require.Zero(t, w.Body.Len())
	w = request(s, here, "HEAD", name, nil)
	require.Equal(t, 200, w.Code)
	require.Equal(t, strconv.Itoa(len(rec.Bytes())), w.Header().Get("Content-Length"))
	for _, accept := range []string{contentType, "*/*", "text/html, */*;q=0.1", strings.ToUpper(contentType)} {
		require.Equal(t, rec.Bytes(), request(s, here, "GET", name, nil, "Accept", accept).Body.Bytes(), accept)
	}
	now = epoch.Add(57 * time.Minute)
	w = request(s, here, "GET", name, nil)
	require.Equal(t, "public, max-age=180, stale-while-revalidate=0, stale-if-error=0", w.Header().Get("Cache-Control"))
	w = request(s, here, "GET", newKey(t).Pointer().String(), nil)
	require.Equal(t, "public, max-age=15", w.Header().Get("Cache-Control"))
}

// The response for a record that expires during the request must not be cached.
func TestAnExpiringRecordMustNotBeCached(t *testing.T) {
	calls := 0
	s := unlimited(nil)
	s.Now = func() time.Time {
		calls++
		return epoch.Add(time.Duration(calls) * time.Minute)
	}
	k := newKey(t)
	name := k.Pointer().String()
	rec := signUntil(t, k, 5, epoch.Add(time.Hour))
	require.Equal(t, 200, request(s, here, "PUT", name, rec.Bytes()).Code)
	calls = 58 // the request is counted at 59, read at 60, and answered at 61 minutes
	w := request(s, here, "GET", name, nil)
	require.Equal(t, rec.Bytes(), w.Body.Bytes())
	require.Equal(t, "public, max-age=0, stale-while-revalidate=0, stale-if-error=0", w.Header().Get("Cache-Control"))
}

// network is a scripted store.
type network struct {
	dht.Memory
	gets, puts atomic.Int32
	err        error         // of all calls
	receipt    dht.Receipt   // beside it
	block      chan struct{} // all calls wait for it, if not nil
	putting    func()        // called by a put, if not nil
}

func (n *network) Get(ctx context.Context, p pointer.Pointer) iter.Seq2[dht.Answer, error] {
	n.gets.Add(1)
	return func(yield func(dht.Answer, error) bool) {
		if n.block != nil {
			select {
			case <-n.block:
			case <-ctx.Done():
			}
		}
		if n.err != nil {
			yield(dht.Answer{Source: dht.SourceNetwork}, n.err)
			return
		}
		n.Memory.Get(ctx, p)(yield)
	}
}

func (n *network) Put(ctx context.Context, p pointer.Pointer, b []byte) (dht.Receipt, error) {
	n.puts.Add(1)
	if n.putting != nil {
		n.putting()
	}
	if n.err != nil {
		return n.receipt, n.err
	}
	return n.Memory.Put(ctx, p, b)
}

// A record is served from memory for its TTL, then looked up again; a newer one
// of the network replaces it, and an older one does not.
func TestTheServerCachesByTTL(t *testing.T) {
	now := epoch
	n := &network{}
	n.Now = func() time.Time { return now }
	s := unlimited(n)
	s.Now = n.Now
	k := newKey(t)
	name := k.Pointer().String()
	one, two := signUntil(t, k, 1, epoch.Add(time.Hour)), signUntil(t, k, 2, epoch.Add(time.Hour))
	require.Equal(t, 200, request(s, here, "PUT", name, one.Bytes()).Code)
	require.Equal(t, one.Bytes(), request(s, here, "GET", name, nil).Body.Bytes())
	require.Zero(t, n.gets.Load())

	now = epoch.Add(6 * time.Minute)
	require.Equal(t, one.Bytes(), request(s, here, "GET", name, nil).Body.Bytes())
	require.EqualValues(t, 1, n.gets.Load())
	require.Equal(t, one.Bytes(), request(s, here, "GET", name, nil).Body.Bytes())
	require.EqualValues(t, 1, n.gets.Load(), "confirmed")

	_, err := n.Memory.Put(t.Context(), k.Pointer(), two.Bytes())
	require.NoError(t, err)
	now = epoch.Add(12 * time.Minute)
	require.Equal(t, two.Bytes(), request(s, here, "GET", name, nil).Body.Bytes())

	now = epoch.Add(18 * time.Minute)
	s.Network = &network{err: fmt.Errorf("%w: cut off", dht.ErrUnreachable)}
	w := request(s, here, "GET", name, nil)
	require.Equal(t, two.Bytes(), w.Body.Bytes(), "within its life it is better than nothing")
	w = request(s, here, "GET", newKey(t).Pointer().String(), nil)
	require.Equal(t, 503, w.Code, "not to be able to ask is no answer")
	require.NotEmpty(t, w.Header().Get("Retry-After"))

	liar := &network{}
	liar.Now = n.Now
	_, err = liar.Memory.Put(t.Context(), k.Pointer(), one.Bytes())
	require.NoError(t, err)
	s.Network = liar
	require.Equal(t, two.Bytes(), request(s, here, "GET", name, nil).Body.Bytes(), "an older one doesn't take its place")
}

// A request with no-cache is not served from memory within the TTL. The client
// sends it at every level above any. It causes a look-up, which is bounded
// as usual.
func TestNoCacheQueriesTheNetwork(t *testing.T) {
	n := &network{}
	s := &Server{Network: n}
	server := httptest.NewServer(s)
	defer server.Close()
	c, err := NewClient(server.URL)
	require.NoError(t, err)
	defer c.Close()
	k := newKey(t)
	one, two := sign(t, k, 1), sign(t, k, 2)
	_, err = n.Memory.Put(t.Context(), k.Pointer(), one.Bytes())
	require.NoError(t, err)
	sequence := func(level dht.Level) uint64 {
		resolver := &dht.Resolver{Stores: []dht.Store{c}}
		res, err := resolver.Best(t.Context(), k.Pointer(), level)
		require.NoError(t, err)
		return res.Record.Sequence()
	}
	require.EqualValues(t, 1, sequence(dht.LevelAny))
	_, err = n.Memory.Put(t.Context(), k.Pointer(), two.Bytes())
	require.NoError(t, err)
	require.EqualValues(t, 1, sequence(dht.LevelAny), "within its TTL")
	require.EqualValues(t, 2, sequence(dht.LevelFresh))
	require.EqualValues(t, 2, sequence(dht.LevelAny))
}

// The response to a put is the result of the network.
func TestPutReportsTheResultOfTheNetwork(t *testing.T) {
	k := newKey(t)
	name := k.Pointer().String()
	rec := sign(t, k, 3)
	short := func(stored int) (dht.Receipt, error) {
		receipt := dht.Receipt{Asked: 20, Stored: stored, Unreachable: 20 - stored}
		return receipt, &dht.ShortError{Receipt: receipt, Want: 15}
	}
	for what, tc := range map[string]struct {
		network *network
		status  int
		body    string
	}{
		"stored":          {&network{}, 200, "stored by 1"},
		"by some":         {func() *network { r, err := short(4); return &network{receipt: r, err: err} }(), 200, "stored by 4"},
		"by nobody":       {func() *network { r, err := short(0); return &network{receipt: r, err: err} }(), 503, "nobody stored it"},
		"no network":      {&network{err: dht.ErrUnreachable}, 503, "nobody stored it"},
		"a newer there":   {&network{err: fmt.Errorf("kad: %w", dht.ErrOlder)}, 409, "newer"},
		"another failure": {&network{err: errors.New("broken\x1b")}, 503, "nobody stored it"},
	} {
		s := unlimited(tc.network)
		w := request(s, here, "PUT", name, rec.Bytes())
		require.Equal(t, tc.status, w.Code, what)
		require.Contains(t, w.Body.String(), tc.body, what)
		require.EqualValues(t, 1, tc.network.puts.Load())
		if tc.status == 200 {
			require.Equal(t, 200, request(s, here, "PUT", name, rec.Bytes()).Code)
			require.EqualValues(t, 2, tc.network.puts.Load(), "again renews it in the network")
			require.Equal(t, 409, request(s, here, "PUT", name, sign(t, k, 2).Bytes()).Code)
			require.EqualValues(t, 2, tc.network.puts.Load())
		}
	}
}

// A put fails if a newer record arrives while the network stores the older one.
// The newer record stays.
func TestAPutOvertakenByANewerRecordIsAConflict(t *testing.T) {
	k := newKey(t)
	name := k.Pointer().String()
	older, newer := sign(t, k, 1), sign(t, k, 2)
	n := &network{}
	s := unlimited(n)
	n.putting = func() {
		n.putting = nil
		require.Equal(t, 200, request(s, here, "PUT", name, newer.Bytes()).Code)
		n.Memory = dht.Memory{} // the new Memory accepts the older record
	}
	w := request(s, here, "PUT", name, older.Bytes())
	require.Equal(t, 409, w.Code)
	require.Contains(t, w.Body.String(), "sequence 2")
	require.Equal(t, newer.Bytes(), request(s, here, "GET", name, nil).Body.Bytes())
}

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

// A cache has a bounded number of records, however small they are. A client
// without records is removed.
func TestTheNumberOfRecordsIsBounded(t *testing.T) {
	var s recordCache
	k := newKey(t)
	rec := signUntil(t, k, 1, epoch.Add(time.Hour))
	many, few := clientOf("192.0.2.1:1"), clientOf("192.0.2.2:1")
	s.put(rec, epoch, few)
	for i := range maxCached - 1 { // of size zero, so that none of them is removed
		p, err := pointer.Parse(fmt.Sprintf("f01721220%064x", i))
		require.NoError(t, err)
		s.byPointer[p] = nil
	}
	require.Equal(t, maxCached, s.len())
	newer := signUntil(t, k, 2, epoch.Add(time.Hour))
	s.put(newer, epoch, many)
	require.Equal(t, maxCached, s.len())
	require.Len(t, s.accounts, 1)
	require.Contains(t, s.accounts, many)
	held, ok, _ := s.get(k.Pointer(), epoch)
	require.True(t, ok)
	require.Equal(t, newer, held)

	s.put(signUntil(t, newKey(t), 1, epoch.Add(time.Hour)), epoch, few)
	require.Equal(t, maxCached, s.len(), "one had to go")
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

// What clients leave in memory is bounded: buckets, and records. A flooding
// client evicts its own.
func TestFloodingClientEvictsItsOwnRecords(t *testing.T) {
	s := unlimited(nil)
	s.Now = func() time.Time { return epoch }
	k := newKey(t)
	for i := range 3 * maxClients {
		from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 1)
		s.limiter.allow(clientOf(from.String()), epoch, 1, 1)
	}
	require.Len(t, s.limiter.buckets, maxClients)
	require.Equal(t, maxClients, s.limiter.recent.Len())

	mine := signUntil(t, k, 1, epoch.Add(time.Hour))
	request(s, here, "PUT", k.Pointer().String(), mine.Bytes())
	big := func() pointer.Record { // of the largest size
		k := newKey(t)
		rec, err := pointer.Sign(k, pointer.Fields{Value: "/ipfs/bafkqaaa/" + strings.Repeat("a", 9900), Expires: epoch.Add(time.Hour)})
		require.NoError(t, err)
		return rec
	}
	var last pointer.Record
	for range maxCachedBytes/9900 + 50 {
		last = big()
		require.Equal(t, 200, request(s, "198.51.100.7:1", "PUT", last.Pointer().String(), last.Bytes()).Code)
	}
	require.LessOrEqual(t, s.cache.bytes, maxCachedBytes)
	require.LessOrEqual(t, s.Records(), maxCachedBytes/9900+1)
	require.Equal(t, mine.Bytes(), request(s, here, "GET", k.Pointer().String(), nil).Body.Bytes(), "what another brought is still there")
	require.Equal(t, last.Bytes(), request(s, here, "GET", last.Pointer().String(), nil).Body.Bytes(), "and the flood's last")
	total := 0
	for _, o := range s.cache.accounts {
		total += o.bytes
	}
	require.Equal(t, s.cache.bytes, total)
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

// A network that ignores its context delays a request by the timeout only.
func TestBlockingNetworkIsTimedOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		deaf := blockingStore{make(chan struct{})}
		s := unlimited(deaf)
		s.Timeout = 3 * time.Second
		k := newKey(t)
		began := time.Now()
		require.Equal(t, 503, request(s, here, "GET", k.Pointer().String(), nil).Code)
		require.Equal(t, 503, request(s, here, "PUT", k.Pointer().String(), sign(t, k, 1).Bytes()).Code)
		require.Equal(t, 6*time.Second, time.Since(began))
		close(deaf.end)
	})
}

type blockingStore struct{ end chan struct{} }

func (d blockingStore) Get(context.Context, pointer.Pointer) iter.Seq2[dht.Answer, error] {
	return func(func(dht.Answer, error) bool) { <-d.end }
}

func (d blockingStore) Put(context.Context, pointer.Pointer, []byte) (dht.Receipt, error) {
	<-d.end
	return dht.Receipt{}, dht.ErrUnreachable
}

// Observe is called for every request, refused ones as well.
func TestObserve(t *testing.T) {
	var seen []string
	s := &Server{Now: func() time.Time { return epoch }, Burst: 2, Observe: func(method string, status int, took time.Duration) {
		seen = append(seen, fmt.Sprintf("%s %d %s", method, status, took))
	}}
	name := newKey(t).Pointer().String()
	request(s, here, "GET", name, nil)
	request(s, here, "PUT", name, nil)
	request(s, here, "PUT", name, nil)
	require.Equal(t, []string{"GET 200 0s", "PUT 400 0s", "PUT 429 0s"}, seen)
}

// A record is served from memory within its TTL, which passes while the machine
// sleeps.
func TestTheTTLPassesDuringASleep(t *testing.T) {
	var clock dhttest.Clock
	k := newKey(t)
	rec, err := pointer.Sign(k, pointer.Fields{Value: "/ipfs/bafkqaaa", Sequence: 1, Expires: clock.Now().Add(time.Hour), TTL: time.Minute})
	require.NoError(t, err)
	var cache recordCache
	s := &Server{Now: clock.Now}
	cache.put(rec, s.now(), clientOf(here))
	_, ok, fresh := cache.get(rec.Pointer(), s.now())
	require.True(t, ok && fresh)
	clock.Sleep(time.Minute)
	_, ok, fresh = cache.get(rec.Pointer(), s.now())
	require.True(t, ok)
	require.False(t, fresh)
}
