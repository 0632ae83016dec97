package delegated

import (
	"fmt"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/pointer"
)

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

// Attack: a holder of a key signs a record that caches may use for a year. The answer allows an
// hour, and for a record with a card minutes; the server asks the network again after that.
func TestARecordIsNotCachedForItsWholeTTL(t *testing.T) {
	const year = 365 * 24 * time.Hour
	for _, tc := range []struct {
		card   *pointer.Card
		until  time.Duration
		header string
	}{
		{nil, time.Hour, "public, max-age=3600, stale-while-revalidate=0, stale-if-error=31532400"},
		{&pointer.Card{Nickname: "Bob"}, 5 * time.Minute, "public, max-age=300, stale-while-revalidate=0, stale-if-error=31535700"},
	} {
		now := epoch
		n := &network{}
		n.Now = func() time.Time { return now }
		s := unlimited(n)
		s.Now = n.Now
		k := newKey(t)
		name := k.Pointer().String()
		sign := func(sequence uint64) pointer.Record {
			rec, err := pointer.Sign(k, pointer.Fields{Value: "/ipfs/bafkqaaa", Sequence: sequence, Expires: epoch.Add(year), TTL: year, Card: tc.card})
			require.NoError(t, err)
			return rec
		}
		require.Equal(t, 200, request(s, here, "PUT", name, sign(1).Bytes()).Code)
		require.Equal(t, tc.header, request(s, here, "GET", name, nil).Header().Get("Cache-Control"))
		next := sign(2)
		_, err := n.Memory.Put(t.Context(), k.Pointer(), next.Bytes())
		require.NoError(t, err)
		now = epoch.Add(tc.until - time.Second)
		require.NotEqual(t, next.Bytes(), request(s, here, "GET", name, nil).Body.Bytes())
		now = epoch.Add(tc.until)
		require.Equal(t, next.Bytes(), request(s, here, "GET", name, nil).Body.Bytes())
	}
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
