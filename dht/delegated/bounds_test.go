package delegated

import (
	"bufio"
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
	"github.com/petnames-go/petnames/pointer"
)

// largest returns a record of exactly the maximum size.
func largest(t testing.TB) pointer.Record {
	t.Helper()
	k := newKey(t)
	expires := time.Now().Add(time.Hour).Truncate(time.Second) // text of a constant length
	for length := pointer.MaxRecord - 1000; length < pointer.MaxRecord; {
		rec, err := pointer.Sign(k, pointer.Fields{Value: "/ipfs/bafkqaaa/" + strings.Repeat("a", length), Expires: expires})
		require.NoError(t, err)
		if len(rec.Bytes()) == pointer.MaxRecord {
			return rec
		}
		length += max(1, (pointer.MaxRecord-len(rec.Bytes()))/2)
	}
	t.Fatal("no record of this size")
	return pointer.Record{}
}

// unread is a body that must not be read.
type unread struct{ t *testing.T }

func (u unread) Read([]byte) (int, error) {
	u.t.Error("the body was read")
	return 0, io.EOF
}

// A record of exactly the limit passes the server and the client. Both refuse a
// record that is one byte longer, whether its length is announced or not.
func TestTheLimitOfARecordIsExact(t *testing.T) {
	rec := largest(t)
	name, b := rec.Pointer().String(), rec.Bytes()
	over := append(bytes.Clone(b), 0)
	for _, announced := range []bool{true, false} {
		put := func(body []byte) (*httptest.ResponseRecorder, int) {
			s := unlimited(nil)
			r := httptest.NewRequest(http.MethodPut, "http://router.example"+path+name, bytes.NewReader(body))
			r.Header.Set("Content-Type", contentType)
			if !announced {
				r.ContentLength = -1
			}
			w := httptest.NewRecorder()
			s.ServeHTTP(w, r)
			return w, s.Records()
		}
		w, records := put(b)
		require.Equal(t, 200, w.Code, w.Body)
		require.Equal(t, 1, records)
		w, records = put(over)
		require.Equal(t, 413, w.Code)
		require.Equal(t, "close", w.Header().Get("Connection"))
		require.Zero(t, records)

		c := newClient(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", contentType)
			if !announced {
				w.(http.Flusher).Flush() // forces chunks
			}
			_, _ = w.Write(map[string][]byte{http.MethodGet: over, http.MethodPut: nil}[r.Method])
		}))
		_, err := get(t, c, rec.Pointer())
		require.ErrorIs(t, err, dht.ErrRejected)
		require.ErrorContains(t, err, "over the 10240 bytes")
	}
	r := httptest.NewRequest(http.MethodPut, "http://router.example"+path+name, unread{t})
	r.Header.Set("Content-Type", contentType)
	r.ContentLength = int64(pointer.MaxRecord) + 1
	w := httptest.NewRecorder()
	unlimited(nil).ServeHTTP(w, r)
	require.Equal(t, 413, w.Code)

	var requests atomic.Int32
	s := unlimited(nil)
	c := newClient(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		s.ServeHTTP(w, r)
	}))
	_, err := c.Put(t.Context(), rec.Pointer(), over)
	require.ErrorContains(t, err, "10241 bytes")
	require.Zero(t, requests.Load(), "not even sent")
	receipt, err := c.Put(t.Context(), rec.Pointer(), b)
	require.NoError(t, err)
	require.Equal(t, dht.Receipt{Asked: 1, Stored: 1}, receipt)
	a, err := get(t, c, rec.Pointer())
	require.NoError(t, err)
	require.Equal(t, b, a.Record)
}

// A confirmation in the future, after the clock was set back, is not valid: the
// server asks the network again. A record that has expired by the current clock
// is not served.
func TestConfirmationsInTheFutureAreNotValid(t *testing.T) {
	now := epoch.Add(time.Hour)
	n := &network{}
	n.Now = func() time.Time { return now }
	s := unlimited(n)
	s.Now = n.Now
	k := newKey(t)
	name := k.Pointer().String()
	rec := signUntil(t, k, 1, epoch.Add(2*time.Hour)) // a TTL of 5 minutes
	require.Equal(t, 200, request(s, here, "PUT", name, rec.Bytes()).Code)
	for _, tc := range []struct {
		at   time.Duration
		gets int32
	}{
		{time.Hour, 0},
		{time.Hour + 5*time.Minute - 1, 0},
		{time.Hour - 1, 1}, // before its confirmation, which is renewed
		{time.Hour - 1, 1},
		{time.Hour + 5*time.Minute - 1, 2}, // the end of the TTL
	} {
		now = epoch.Add(tc.at)
		require.Equal(t, rec.Bytes(), request(s, here, "GET", name, nil).Body.Bytes())
		require.Equal(t, tc.gets, n.gets.Load(), tc.at)
	}
	s.Network = nil
	now = epoch.Add(2 * time.Hour)
	require.Equal(t, rec.Bytes(), request(s, here, "GET", name, nil).Body.Bytes(), "at the last moment of its life")
	now = now.Add(1)
	require.Equal(t, "text/plain; charset=utf-8", request(s, here, "GET", name, nil).Header().Get("Content-Type"))
}

// serve runs a handler under Serve on pipes, in a bubble, and returns a
// function that stops it.
func serve(t *testing.T, h http.Handler) (l *pipes, stop func()) {
	t.Helper()
	l = newPipes()
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- Serve(ctx, l, h) }()
	return l, func() {
		cancel()
		require.NoError(t, <-served)
		time.Sleep(2 * time.Hour) // on the clock of the bubble
		synctest.Wait()
	}
}

// closed reports whether the other side has closed a connection.
func closed(conn net.Conn) bool {
	ended := make(chan error, 1)
	go func() {
		_, err := conn.Read(make([]byte, 1))
		ended <- err
	}()
	synctest.Wait()
	select {
	case err := <-ended:
		return err == io.EOF
	default:
		return false
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	request := "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
	synctest.Test(t, func(t *testing.T) {
		l, stop := serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		var open []net.Conn
		for client := range maxConns / maxConnsPerClient {
			for port := range maxConnsPerClient {
				conn := l.dialFrom(fmt.Sprintf("192.0.2.%d:%d", client, port+1))
				open = append(open, conn)
				if port == 0 { // a used connection counts as well
					_, err := io.WriteString(conn, request)
					require.NoError(t, err)
					resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
					require.NoError(t, err)
					require.Empty(t, readAll(t, resp))
				}
			}
			if client == 0 {
				require.True(t, closed(l.dialFrom("192.0.2.0:9999")), "one client's are all open")
			}
		}
		require.Len(t, open, maxConns)
		require.True(t, closed(l.dialFrom("198.51.100.1:1")), "all of them are open")
		require.False(t, closed(open[1]))
		require.False(t, closed(open[len(open)-1]))
		require.NoError(t, open[2].Close())
		synctest.Wait()
		require.False(t, closed(l.dialFrom("198.51.100.1:1")), "there is room for one again")
		require.True(t, closed(l.dialFrom("198.51.100.1:1")))
		stop()
	})
}

// Headers of up to 8 KiB, plus the standard library's margin, are read. The
// router and the client refuse longer ones.
func TestLongHeadersAreRefused(t *testing.T) {
	for size, status := range map[int]int{8 << 10: 200, 13 << 10: 431} {
		synctest.Test(t, func(t *testing.T) {
			l, stop := serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
			conn := l.dial()
			go func() {
				_, _ = fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: x\r\nX: %s\r\n\r\n", strings.Repeat("y", size-50))
			}()
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			require.NoError(t, err)
			require.Equal(t, status, resp.StatusCode)
			require.NoError(t, conn.Close())
			stop()
		})
	}
	for size, taken := range map[int]bool{maxHeader - 100: true, maxHeader + 100: false} {
		synctest.Test(t, func(t *testing.T) {
			c := piped(t, respondWith("HTTP/1.1 404 No\r\nX: "+strings.Repeat("y", size)+"\r\n\r\n"))
			_, err := get(t, c, newKey(t).Pointer())
			if taken {
				require.NoError(t, err)
			} else {
				requireRouterError(t, err, c, dht.ErrUnreachable)
			}
			waitForEnd(t, c)
		})
	}
}

// A client that sends a request and does not read the response holds a handler
// and a connection for a bounded time. An idle connection between requests has
// a bound as well.
func TestSilentClientsAreDisconnected(t *testing.T) {
	big := bytes.Repeat([]byte("x"), 1<<20)
	plain := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(big) })
	request := "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
	for name, tc := range map[string]struct {
		handler http.Handler
		request string
		within  time.Duration
	}{
		"a handler's own":   {plain, request, writeTimeout},
		"a Server's answer": {&Server{Timeout: time.Second}, strings.Replace(request, "/ ", path+"k51 ", 1), bodyTimeout + time.Second + bodyTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				left := make(chan time.Time, 1)
				l, stop := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					tc.handler.ServeHTTP(w, r)
					_ = http.NewResponseController(w).Flush() // blocks until the client reads it, or the connection is closed
					left <- time.Now()
				}))
				conn := l.dial()
				began := time.Now()
				_, err := io.WriteString(conn, tc.request)
				require.NoError(t, err)
				require.Equal(t, tc.within, (<-left).Sub(began))
				require.True(t, closed(conn))
				stop()
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		l, stop := serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		conn := l.dial()
		in := bufio.NewReader(conn)
		for _, rest := range []time.Duration{idleTimeout - time.Second, 0} {
			_, err := io.WriteString(conn, request)
			require.NoError(t, err)
			resp, err := http.ReadResponse(in, nil)
			require.NoError(t, err)
			require.Empty(t, readAll(t, resp))
			time.Sleep(rest) // on the clock of the bubble
		}
		began := time.Now()
		_, err := conn.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF)
		require.Equal(t, idleTimeout, time.Since(began))
		stop()
	})
}

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
