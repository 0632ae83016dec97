package delegated

import (
	"context"
	"crypto/rand"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/dht/dhttest"
	"github.com/petnames-go/petnames/pointer"
)

func newKey(t testing.TB) *pointer.Key {
	t.Helper()
	k, err := pointer.NewKey(rand.Reader)
	require.NoError(t, err)
	return k
}

// sign returns a record that expires in a day.
func sign(t testing.TB, k *pointer.Key, sequence uint64) pointer.Record {
	t.Helper()
	return signUntil(t, k, sequence, time.Now().Add(24*time.Hour))
}

func signUntil(t testing.TB, k *pointer.Key, sequence uint64, expires time.Time) pointer.Record {
	t.Helper()
	rec, err := pointer.Sign(k, pointer.Fields{Value: "/ipfs/bafkqaaa", Sequence: sequence, Expires: expires, TTL: 5 * time.Minute})
	require.NoError(t, err)
	return rec
}

// newClient returns a client of a router in this process. A busy machine fails
// none of its requests: the deadlines that a Server sets use the machine's
// clock, so only the tests in bubbles set them.
func newClient(t testing.TB, h http.Handler) *Client {
	t.Helper()
	if router, ok := h.(*Server); ok {
		h = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			router.ServeHTTP(struct{ http.ResponseWriter }{w}, r) // this writer cannot set deadlines
		})
	}
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return newTestClient(t, s.URL)
}

func newTestClient(t testing.TB, url string) *Client {
	t.Helper()
	c, err := NewClient(url)
	require.NoError(t, err)
	c.Timeout = time.Minute
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

// get returns the one answer of a client.
func get(t testing.TB, c *Client, p pointer.Pointer) (answer dht.Answer, err error) {
	t.Helper()
	n := 0
	for a, e := range c.Get(t.Context(), p) {
		answer, err = a, e
		n++
	}
	require.Equal(t, 1, n, "a router is one peer")
	return answer, err
}

// unlimited returns a server without rate limits.
func unlimited(network dht.Store) *Server {
	return &Server{Network: network, Timeout: time.Minute, Rate: 1e6, Burst: 1e6}
}

func TestClientOfServer(t *testing.T) {
	dhttest.Run(t, func(t *testing.T) dht.Store { return newClient(t, unlimited(nil)) })
}

func TestClientOfServerWithANetwork(t *testing.T) {
	dhttest.Run(t, func(t *testing.T) dht.Store { return newClient(t, unlimited(&dht.Memory{Source: dht.SourceNetwork})) })
}

func TestServedByServe(t *testing.T) {
	dhttest.Run(t, func(t *testing.T) dht.Store { return newTestClient(t, served(t, unlimited(nil))) })
}

// served returns the URL of a router under Serve, until the test ends.
func served(t testing.TB, h http.Handler) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, l, h) }()
	t.Cleanup(func() {
		stop()
		require.NoError(t, <-done)
	})
	return "http://" + l.Addr().String()
}

func TestAnswerNamesTheRouter(t *testing.T) {
	c := newClient(t, unlimited(nil))
	rec := sign(t, newKey(t), 3)
	receipt, err := c.Put(t.Context(), rec.Pointer(), rec.Bytes())
	require.NoError(t, err)
	require.Equal(t, dht.Receipt{Asked: 1, Stored: 1}, receipt)
	a, err := get(t, c, rec.Pointer())
	require.NoError(t, err)
	require.Equal(t, dht.Answer{Record: rec.Bytes(), Source: dht.SourceRouter, Peer: c.URL(), Asked: 1}, a)
}

func TestURLs(t *testing.T) {
	label := strings.Repeat("a", 63)
	host := strings.Repeat(label+".", 3) + label[:61] // 253
	zeroes := "http://router.example:" + strings.Repeat("0", 512-len("http://router.example:81"))
	for in, want := range map[string]string{
		"http://" + label:                         "http://" + label,
		"http://" + host:                          "http://" + host,
		zeroes + "81":                             "http://router.example:81",
		"http://127.0.0.1:8080":                   "http://127.0.0.1:8080",
		"http://127.0.0.1:8080/":                  "http://127.0.0.1:8080",
		"https://Router.Example/routing/v1":       "https://router.example",
		"https://router.example/routing/v1/":      "https://router.example",
		"https://router.example/routing/v1/ipns":  "https://router.example",
		"https://router.example/routing/v1/ipns/": "https://router.example",
		"HTTPS://router.example:443":              "https://router.example",
		"http://router.example:80":                "http://router.example",
		"https://router.example:80":               "https://router.example:80",
		"http://[::1]:8080":                       "http://[::1]:8080",
		"http://[0:0::1]":                         "http://[::1]",
		"http://localhost:1":                      "http://localhost:1",
		"https://xn--bcher-kva.example":           "https://xn--bcher-kva.example",
		"https://a_b.example.":                    "https://a_b.example.",
	} {
		got, err := ParseURL(in)
		require.NoError(t, err, in)
		require.Equal(t, want, got)
		again, err := ParseURL(got)
		require.NoError(t, err)
		require.Equal(t, got, again)
	}
	for _, bad := range []string{
		"http://" + label + "a", "http://" + host + "a", zeroes + "081",
		"", "router.example", "ftp://router.example", "http://", "http://:8080", "http:router.example", "//router.example",
		"http://user@router.example", "http://user:secret@router.example", "http://@router.example",
		"http://router.example/other", "http://router.example/routing/v1/ipns/k51", "http://router.example/routing/v1/providers", "http://router.example//", "http://router.example/routing%2fv1",
		"http://router.example?", "http://router.example?x=1", "http://router.example#", "http://router.example#x",
		"http://router.example:", "http://router.example:0", "http://router.example:65536", "http://router.example:http", "http://router.example:+1",
		"http://router example", "http://router.example\n", " http://router.example", "http://bücher.example", "http://r\u200but.example",
		"http://[fe80::1%25eth0]", "http://[::1", "http://::1", "http://127.1", "http://1234567", "http://127.0.0.1.", "http://-a.example",
		"http://a..example", "http://a/../b", "http://[127.0.0.1]", "http://" + strings.Repeat("a", 600), "javascript://a", "unix:///tmp/x",
	} {
		got, err := ParseURL(bad)
		require.Error(t, err, "%q became %q", bad, got)
		require.Less(t, len(err.Error()), 700)
		_, err = NewClient(bad)
		require.Error(t, err)
	}
}

func TestNoProxyIsUsed(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	t.Setenv("http_proxy", "http://127.0.0.1:1")
	c := newClient(t, unlimited(nil))
	require.Nil(t, c.http.Transport.(*http.Transport).Proxy)
	_, err := get(t, c, newKey(t).Pointer())
	require.NoError(t, err)
}

// readAll reads and closes a response.
func readAll(t testing.TB, resp *http.Response) string {
	t.Helper()
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return string(b)
}
