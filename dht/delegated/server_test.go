package delegated

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/http/httptest"
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
		"another type":        {"PUT", name, rec.Bytes(), []string{"Content-Type", "application/json"}, 406, contentType},
		"no type":             {"PUT", name, rec.Bytes(), []string{"Content-Type", ""}, 406, contentType},
		"a type that is none": {"PUT", name, rec.Bytes(), []string{"Content-Type", ";;"}, 406, contentType},
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
