package delegated

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
)

// Attack: an https router redirects the client to http on the same host. The
// client does not follow the redirect and opens no connection. It does not
// follow one from http to https either.
func TestNoRedirectChangesTheScheme(t *testing.T) {
	k := newKey(t)
	rec := sign(t, k, 1)
	for from, to := range map[string]string{"https": "http", "http": "https"} {
		for _, status := range []int{301, 302, 303, 307, 308} {
			synctest.Test(t, func(t *testing.T) {
				var other atomic.Int32
				redirects := pipe(func(conn net.Conn, r *http.Request) {
					_, _ = fmt.Fprintf(conn, "HTTP/1.1 %d No\r\nLocation: %s://router.example%s\r\nContent-Length: 0\r\n\r\n", status, to, r.URL.Path)
				})
				answers := pipe(respondWith(ok(contentType, string(rec.Bytes()))))
				dialed := func(ctx context.Context, network, addr string) (net.Conn, error) {
					other.Add(1)
					return answers(ctx, network, addr)
				}
				c, err := NewClient(from + "://router.example")
				require.NoError(t, err)
				transport := c.http.Transport.(*http.Transport)
				// The client assumes that a connection from DialTLSContext is
				// encrypted.
				transport.DialContext, transport.DialTLSContext = dialed, redirects
				if from == "http" {
					transport.DialContext, transport.DialTLSContext = redirects, dialed
				}
				_, err = get(t, c, k.Pointer())
				require.ErrorIs(t, err, dht.ErrUnreachable)
				require.ErrorContains(t, err, "sends on to")
				receipt, err := c.Put(t.Context(), k.Pointer(), rec.Bytes())
				require.ErrorIs(t, err, dht.ErrUnreachable)
				require.Equal(t, dht.Receipt{Asked: 1, Unreachable: 1}, receipt)
				require.Zero(t, other.Load())
				waitForEnd(t, c)
			})
		}
	}
}

// A client follows at most three redirects on the router's own host. It does
// not follow a redirect that turns a PUT into a GET, since the GET would store
// nothing.
func TestRedirectsOnTheRoutersHostAreFew(t *testing.T) {
	k := newKey(t)
	rec := sign(t, k, 1)
	for _, status := range []int{301, 302, 303, 307, 308} {
		for _, hops := range []int{1, maxRedirects, maxRedirects + 1} {
			var requests atomic.Int32
			var stored atomic.Bool
			c := newClient(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				n := int(requests.Add(1))
				if n <= hops {
					w.Header().Set("Location", fmt.Sprintf("/%d", n))
					w.WriteHeader(status)
					return
				}
				b, _ := io.ReadAll(r.Body)
				stored.Store(r.Method == http.MethodPut && bytes.Equal(b, rec.Bytes()))
				w.Header().Set("Content-Type", contentType)
				_, _ = w.Write(rec.Bytes())
			}))
			a, err := get(t, c, k.Pointer())
			if hops <= maxRedirects {
				require.NoError(t, err)
				require.Equal(t, rec.Bytes(), a.Record)
			} else {
				require.ErrorIs(t, err, dht.ErrUnreachable)
				require.EqualValues(t, maxRedirects+1, requests.Load())
			}
			requests.Store(0)
			receipt, err := c.Put(t.Context(), k.Pointer(), rec.Bytes())
			if hops <= maxRedirects && status >= 307 {
				require.NoError(t, err)
				require.True(t, stored.Load())
				continue
			}
			require.ErrorIs(t, err, dht.ErrUnreachable)
			require.Equal(t, dht.Receipt{Asked: 1, Unreachable: 1}, receipt)
			require.False(t, stored.Load())
			if status < 307 {
				require.EqualValues(t, 1, requests.Load())
			}
		}
	}
}

// A client opens at most as many connections to a router as the router accepts
// requests of one client. No request waits longer than its timeout.
func TestAClientsRequestsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := piped(t, func(conn net.Conn, _ *http.Request) { _, _ = conn.Read(make([]byte, 1)) })
		transport := c.http.Transport.(*http.Transport)
		dial := transport.DialContext
		var dials atomic.Int32
		transport.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			dials.Add(1)
			return dial(ctx, network, addr)
		}
		p := newKey(t).Pointer()
		began := time.Now()
		const many = 3 * maxActivePerClient
		failed := make(chan error, many)
		for range many {
			go func() {
				for _, err := range c.Get(t.Context(), p) {
					failed <- err
				}
			}()
		}
		synctest.Wait()
		require.EqualValues(t, maxActivePerClient, dials.Load())
		for range many {
			requireRouterError(t, <-failed, c, dht.ErrUnreachable)
		}
		require.Equal(t, defaultTimeout, time.Since(began))
		waitForEnd(t, c)
	})
	synctest.Test(t, func(t *testing.T) { // the router is silent during the handshake
		c, err := NewClient("https://router.example")
		require.NoError(t, err)
		c.http.Transport.(*http.Transport).DialContext = func(context.Context, string, string) (net.Conn, error) {
			near, far := net.Pipe()
			go func() { _, _ = io.Copy(io.Discard, far) }()
			return near, nil
		}
		began := time.Now()
		_, err = get(t, c, newKey(t).Pointer())
		require.ErrorIs(t, err, dht.ErrUnreachable)
		require.Equal(t, dialTimeout, time.Since(began))
		waitForEnd(t, c)
	})
}

// At each level above LevelAny the client sends no-cache, so that the router
// and caches on the way look again.
func TestEachLevelAboveAnySendsNoCache(t *testing.T) {
	directive := ""
	c := newClient(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		directive = r.Header.Get("Cache-Control")
		w.WriteHeader(http.StatusNotFound)
	}))
	p := newKey(t).Pointer()
	for level, want := range map[dht.Level]string{
		"": "", dht.LevelAny: "", dht.LevelAgreed: "no-cache", dht.LevelFresh: "no-cache", dht.LevelStrict: "no-cache",
	} {
		directive = "none sent"
		for _, err := range c.GetAt(t.Context(), p, level) {
			require.NoError(t, err)
		}
		require.Equal(t, want, directive, level)
	}
}

// If a router refuses with a long reason, the client reads no more than the
// maximum length of a reason.
func TestTheReasonOfARefusalIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var written atomic.Int64
		c := piped(t, func(conn net.Conn, _ *http.Request) {
			const size = 4 << 20
			_, err := fmt.Fprintf(conn, "HTTP/1.1 500 No\r\nContent-Length: %d\r\n\r\n", size)
			for chunk := make([]byte, 4<<10); err == nil && written.Load() < size; written.Add(int64(len(chunk))) {
				_, err = conn.Write(chunk)
			}
			conn.Close()
		})
		_, err := get(t, c, newKey(t).Pointer())
		requireRouterError(t, err, c, dht.ErrUnreachable)
		require.Less(t, written.Load(), int64(64<<10))
		waitForEnd(t, c)
	})
}

// Text from a router is cut to 240 bytes at a character boundary. It is on one
// line, without control characters for a terminal.
func TestTextFromARouterIsSafeToPrint(t *testing.T) {
	for in, want := range map[string]string{
		"":                                     "",
		" plain words \r\n\tagain\u2028 ":      "plain words    again",
		"\x1b]0;owned\x07\u202e\x00\u200b\xff": "\ufffd]0;owned\ufffd\ufffd\ufffd\ufffd\ufffd",
		"naïve ☂":                              "naïve ☂",
		strings.Repeat("a", maxReason):         strings.Repeat("a", maxReason),
		strings.Repeat("a", maxReason+1):       strings.Repeat("a", maxReason) + "…",
		strings.Repeat("☂", maxReason/3):       strings.Repeat("☂", maxReason/3),
		"a" + strings.Repeat("☂", maxReason/3): "a" + strings.Repeat("☂", maxReason/3-1) + "…",
	} {
		require.Equal(t, want, sanitize(in), "%q", in)
	}
}

// The requests of a client are the same whatever a router answered before. The
// client stores no cookies, and does not accept compression, since the size on
// the wire is what it bounds.
func TestAClientStoresNothingFromARouter(t *testing.T) {
	var seen []http.Header
	c := newClient(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, r.Header)
		w.Header().Set("Set-Cookie", "id=1; Path=/")
		w.Header().Set("Content-Type", "text/plain")
	}))
	p := newKey(t).Pointer()
	for range 2 {
		_, err := get(t, c, p)
		require.NoError(t, err)
	}
	require.Len(t, seen, 2)
	require.Equal(t, http.Header{"Accept": {contentType}, "User-Agent": {"petnames"}}, seen[0])
	require.Equal(t, seen[0], seen[1])
}

// A look-up whose connection is closed before the answer is sent once more, and not a third
// time; a put is not.
func TestALookUpIsRepeatedOnceAfterAReset(t *testing.T) {
	for _, resets := range []int{1, 2} {
		key := newKey(t)
		requests := 0
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if requests++; requests > resets {
				w.WriteHeader(http.StatusNotFound)
				return
			}
			conn, _, err := w.(http.Hijacker).Hijack()
			require.NoError(t, err)
			require.NoError(t, conn.(*net.TCPConn).SetLinger(0))
			require.NoError(t, conn.Close())
		}))
		c, err := NewClient(server.URL)
		require.NoError(t, err)
		_, err = get(t, c, key.Pointer())
		require.Equal(t, 2, requests)
		if resets == 1 {
			require.NoError(t, err)
		} else {
			require.ErrorIs(t, err, dht.ErrUnreachable)
		}
		requests = 0
		_, err = c.Put(t.Context(), key.Pointer(), []byte("x"))
		require.ErrorIs(t, err, dht.ErrUnreachable)
		require.Equal(t, 1, requests)
		require.NoError(t, c.Close())
		server.Close()
	}
}
