package delegated

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/pointer"
)

// piped returns a client of a router that is defined by its bytes on the wire:
// answer writes them, after each complete request. The connections are in memory,
// for use in a synctest bubble.
func piped(t *testing.T, answer func(conn net.Conn, r *http.Request)) *Client {
	t.Helper()
	c, err := NewClient("http://router.example")
	require.NoError(t, err)
	c.http.Transport.(*http.Transport).DialContext = pipe(answer)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// pipe returns a dialer of such a router.
func pipe(answer func(conn net.Conn, r *http.Request)) func(context.Context, string, string) (net.Conn, error) {
	return func(context.Context, string, string) (net.Conn, error) {
		near, far := net.Pipe()
		go func() {
			defer far.Close()
			in := bufio.NewReader(far)
			for {
				r, err := http.ReadRequest(in)
				if err != nil {
					return
				}
				if _, err := io.Copy(io.Discard, r.Body); err != nil {
					return
				}
				answer(far, r)
			}
		}()
		return near, nil
	}
}

// respondWith returns a router with one response.
func respondWith(wire string) func(net.Conn, *http.Request) {
	return func(conn net.Conn, _ *http.Request) {
		_, _ = io.WriteString(conn, wire)
		conn.Close()
	}
}

func ok(kind, body string) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", kind, len(body), body)
}

// endless writes without end, at once or at intervals.
func endless(head string, each []byte, every time.Duration) func(net.Conn, *http.Request) {
	return func(conn net.Conn, _ *http.Request) {
		_, err := io.WriteString(conn, head)
		for err == nil {
			if every > 0 {
				time.Sleep(every) // of the bubble's clock
			}
			_, err = conn.Write(each)
		}
	}
}

const recordHead = "HTTP/1.1 200 OK\r\nContent-Type: " + contentType + "\r\n"

// Any response to a GET or a PUT ends within the timeout, with an
// error that names the router, on one short line, and counts correctly.
func TestMisbehavingRouterIsReportedInTime(t *testing.T) {
	hang := func(conn net.Conn, _ *http.Request) { _, _ = conn.Read(make([]byte, 1)) }
	for _, tc := range []struct {
		name   string
		answer func(net.Conn, *http.Request)
		get    error  // wrapped by the error of a GET; nil: no record
		reason string // in the error
		put    error  // wrapped by the error of a PUT; nil: stored
	}{
		{"hangs", hang, dht.ErrUnreachable, "no answer in time", dht.ErrUnreachable},
		{"hangs after its headers", endless(recordHead+"Content-Length: 10\r\n\r\n", nil, time.Hour), dht.ErrUnreachable, "no answer in time", nil},
		{"drips a record", endless(recordHead+"\r\n", []byte{'x'}, time.Second), dht.ErrUnreachable, "no answer in time", nil},
		{"drips headers", endless("HTTP/1.1 200 OK\r\n", []byte("X: y\r\n"), time.Second), dht.ErrUnreachable, "no answer in time", dht.ErrUnreachable},
		{"sends headers without end", endless("HTTP/1.1 200 OK\r\n", []byte("X: "+strings.Repeat("y", 1000)+"\r\n"), 0), dht.ErrUnreachable, "headers", dht.ErrUnreachable},
		{"announces 1 GB", endless(recordHead+"Content-Length: 1000000000\r\n\r\n", make([]byte, 32<<10), 0), dht.ErrRejected, "over the 10240 bytes", nil},
		{"sends without end", endless(recordHead+"\r\n", make([]byte, 32<<10), 0), dht.ErrRejected, "over the 10240 bytes", nil},
		{"sends chunks without end", endless(recordHead+"Transfer-Encoding: chunked\r\n\r\n", []byte("400\r\n"+strings.Repeat("x", 0x400)+"\r\n"), 0), dht.ErrRejected, "over the 10240 bytes", nil},
		{"sends a byte too much", respondWith(ok(contentType, strings.Repeat("x", pointer.MaxRecord+1))), dht.ErrRejected, "over the 10240 bytes", nil},
		{"breaks off", respondWith(recordHead + "Content-Length: 100\r\n\r\nhalf"), dht.ErrUnreachable, "EOF", nil},
		{"is silent and closes", respondWith(""), dht.ErrUnreachable, "EOF", dht.ErrUnreachable},
		{"speaks another protocol", respondWith("SSH-2.0-OpenSSH_9.9\r\n\x1b[31m\x00\r\n\r\n"), dht.ErrUnreachable, "malformed", dht.ErrUnreachable},
		{"sends garbage", respondWith(string([]byte{0, 1, 2, 255, 13, 10, 13, 10})), dht.ErrUnreachable, "malformed", dht.ErrUnreachable},
		{"has an empty record", respondWith(ok(contentType, "")), dht.ErrRejected, "empty", nil},
		{"is a captive portal", respondWith(ok("text/html", "<h1>Welcome</h1>")), dht.ErrUnreachable, `"text/html"`, nil},
		{"has a type that is none", respondWith(ok(";;;", "x")), dht.ErrUnreachable, `";;;"`, nil},
		{"has no record", respondWith(ok("text/plain; charset=utf-8", "not found")), nil, "", nil},
		{"has no record, of old", respondWith("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"), nil, "", &dht.ShortError{}},
		{"fails", respondWith("HTTP/1.1 500 No\r\nContent-Length: 9\r\n\r\ndelegate!"), dht.ErrUnreachable, `500 Internal Server Error: "delegate!"`, dht.ErrUnreachable},
		{"fails and drips why", endless("HTTP/1.1 500 No\r\n\r\n", []byte{'x'}, time.Second), dht.ErrUnreachable, "500 Internal Server Error", dht.ErrUnreachable},
		{"fails in strange words", respondWith("HTTP/1.1 599 \r\n\r\n\x1b]0;owned\x07\u202e\r\n$ rm"), dht.ErrUnreachable, "599", dht.ErrUnreachable},
		{"implements no PUT", respondWith("HTTP/1.1 501 No\r\nContent-Type: text/html;charset=utf-8\r\n\r\n<h1>Error</h1>"), dht.ErrUnreachable, "501 Not Implemented", ErrNoRouter},
		{"had to wait for it", respondWith("HTTP/1.1 408 No\r\n\r\nslow"), dht.ErrUnreachable, `408 Request Timeout: "slow"`, dht.ErrUnreachable},
		{"limits", respondWith("HTTP/1.1 429 No\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n"), dht.ErrUnreachable, `try again after "7"`, dht.ErrUnreachable},
		{"refuses", respondWith("HTTP/1.1 400 No\r\n\r\nbecause"), dht.ErrUnreachable, `400 Bad Request: "because"`, &dht.ShortError{}},
		{"has a newer one", respondWith("HTTP/1.1 409 No\r\n\r\nsequence 9"), dht.ErrUnreachable, `409 Conflict: "sequence 9"`, dht.ErrOlder},
		{"says 304", respondWith("HTTP/1.1 304 No\r\n\r\n"), dht.ErrUnreachable, "sends on", dht.ErrUnreachable},
		{"switches protocols", respondWith("HTTP/1.1 101 No\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"), dht.ErrUnreachable, "", dht.ErrUnreachable},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const within = 4 * time.Second
				c := piped(t, tc.answer)
				k := newKey(t)
				rec := sign(t, k, 1)
				for _, byTimeout := range []bool{true, false} {
					ctx, cancel := context.WithTimeout(t.Context(), within)
					if c.Timeout = 0; byTimeout {
						ctx, c.Timeout = t.Context(), within
					}
					began := time.Now()
					var a dht.Answer
					var err error
					for a, err = range c.Get(ctx, k.Pointer()) {
					}
					require.LessOrEqual(t, time.Since(began), within)
					require.NoError(t, ctx.Err(), "there is time left to tell")
					if tc.get == nil {
						require.NoError(t, err)
						require.Equal(t, c.URL(), a.Peer)
					} else {
						requireRouterError(t, err, c, tc.get)
						require.Contains(t, err.Error(), tc.reason)
						require.Equal(t, errors.Is(err, dht.ErrRejected), a.Peer != "", "only an answer counts as one")
					}
					require.Nil(t, a.Record)

					began = time.Now()
					receipt, err := c.Put(ctx, k.Pointer(), rec.Bytes())
					require.LessOrEqual(t, time.Since(began), within)
					switch short := (*dht.ShortError)(nil); {
					case tc.put == nil:
						require.NoError(t, err)
						require.Equal(t, dht.Receipt{Asked: 1, Stored: 1}, receipt)
					case errors.As(tc.put, &short):
						require.ErrorAs(t, err, &short)
						requireRouterError(t, err, c, nil)
						require.Equal(t, dht.Receipt{Asked: 1, Refused: 1}, receipt)
					default:
						requireRouterError(t, err, c, tc.put)
						want := dht.Receipt{Asked: 1, Unreachable: 1}
						if tc.put == dht.ErrOlder {
							want = dht.Receipt{Asked: 1, Refused: 1}
						}
						require.Equal(t, want, receipt)
					}
					cancel()
				}
				waitForEnd(t, c)
			})
		})
	}
}

// Check accepts a router's refusal of an invalid name as an answer, and
// refuses responses that are not from a router.
func TestCheck(t *testing.T) {
	require.NoError(t, newClient(t, unlimited(nil)).Check(t.Context()))
	require.NoError(t, newClient(t, newBoxoRouter()).Check(t.Context()))
	for wire, reason := range map[string]string{
		"HTTP/1.1 404 No\r\n\r\n":                   "",
		"HTTP/1.1 429 No\r\n\r\n":                   "asked too often",
		"HTTP/1.1 429 No\r\nRetry-After: 9\r\n\r\n": "",
		ok("text/plain", "none"):                    "",
		ok("text/html", "<h1>Welcome</h1>"):         `"text/html"`,
		"HTTP/1.1 404 No\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<h1>Error</h1>":        "is no router: a web server",
		"HTTP/1.1 404 No\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n404 page not found\n": "is no router: a web server",
		"HTTP/1.1 403 No\r\nContent-Type: text/html\r\n\r\n<h1>Error</h1>":                       "is no router: a web server",
		"HTTP/1.1 404 No\r\nContent-Type: text/plain\r\n\r\nrouting: not found":                  "",
		"HTTP/1.1 422 No\r\nContent-Type: text/html\r\n\r\nUnprocessable Entity":                 "", // Helia's
		"HTTP/1.1 404 No\r\nContent-Type: application/json\r\n\r\n{\"detail\":\"Not Found\"}":    "is no router: a web server",
		"HTTP/1.1 404 No\r\nContent-Length: 9\r\n\r\nshort":                                      "EOF",
		"HTTP/1.1 405 No\r\nAllow: OPTIONS, POST\r\nContent-Length: 0\r\n\r\n":                   "RPC port of Kubo",
		"HTTP/1.1 500 No\r\n\r\n":                                   "500",
		"HTTP/1.1 302 No\r\nLocation: http://other.example\r\n\r\n": "sends on",
		"": "EOF",
	} {
		synctest.Test(t, func(t *testing.T) {
			c := piped(t, respondWith(wire))
			if err := c.Check(t.Context()); reason == "" {
				require.NoError(t, err, wire)
			} else {
				requireRouterError(t, err, c, dht.ErrUnreachable)
				require.Contains(t, err.Error(), reason)
			}
			waitForEnd(t, c)
		})
	}
	synctest.Test(t, func(t *testing.T) {
		c := piped(t, func(conn net.Conn, _ *http.Request) { _, _ = conn.Read(make([]byte, 1)) })
		c.Timeout = time.Second
		requireRouterError(t, c.Check(t.Context()), c, dht.ErrUnreachable)
		waitForEnd(t, c)
	})
}

// waitForEnd waits for the goroutines of a bubble to end.
func waitForEnd(t *testing.T, c *Client) {
	require.NoError(t, c.Close())
	time.Sleep(2 * time.Hour) // of the bubble's clock
	synctest.Wait()
}

// requireRouterError requires an error of the router that is safe to print.
func requireRouterError(t *testing.T, err error, c *Client, kind error) {
	t.Helper()
	require.Error(t, err)
	if kind != nil {
		require.ErrorIs(t, err, kind)
	}
	var named *RouterError
	require.ErrorAs(t, err, &named)
	require.Equal(t, c.URL(), named.Router)
	require.Contains(t, err.Error(), "router http://router.example: ")
	require.Less(t, len(err.Error()), 1000)
	require.NotContains(t, err.Error(), "/routing/v1/ipns", "the pointer is no reason")
	for _, r := range err.Error() {
		require.False(t, r < ' ' || r == 0x7f || r == '\u202e', "%q", err.Error())
	}
}

// A router cannot redirect the client to another host, nor in a loop.
func TestRedirects(t *testing.T) {
	var elsewhere atomic.Int32
	other := newClient(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		elsewhere.Add(1)
		w.Header().Set("Content-Type", contentType)
		_, _ = io.WriteString(w, "stolen")
	}))
	var asked atomic.Int32
	to := ""
	status := 0
	c := newClient(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.URL.Path == "/there" {
			w.Header().Set("Content-Type", contentType)
			_, _ = io.WriteString(w, "here")
			return
		}
		http.Redirect(w, r, to, status)
	}))
	k := newKey(t)
	rec := sign(t, k, 1)
	for _, status = range []int{301, 302, 303, 307, 308} {
		for _, to = range []string{other.URL() + "/there", "//" + strings.TrimPrefix(other.URL(), "http://"), "https://127.0.0.1:1/", "file:///etc/passwd", "/there/\x1b[31m", "\x00", "/loop"} {
			asked.Store(0)
			_, err := get(t, c, k.Pointer())
			require.ErrorIs(t, err, dht.ErrUnreachable, to)
			require.NotContains(t, err.Error(), "\x1b")
			_, err = c.Put(t.Context(), k.Pointer(), rec.Bytes())
			require.ErrorIs(t, err, dht.ErrUnreachable, to)
			require.LessOrEqual(t, asked.Load(), int32(2*(maxRedirects+1)))
		}
		to = "/there"
		a, err := get(t, c, k.Pointer())
		require.NoError(t, err, "on its own host it may")
		require.Equal(t, "here", string(a.Record))
	}
	require.Zero(t, elsewhere.Load())
}

// fixedRouter is a router with the same answer for every pointer.
func fixedRouter(record []byte) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		_, _ = w.Write(record)
	})
}

// A router with false answers only adds a rejection to the result, and the
// honest sources decide; without these, the result is an error.
func TestFalseAnswersAreRejected(t *testing.T) {
	k := newKey(t)
	p := k.Pointer()
	newest, older := sign(t, k, 7), sign(t, k, 6)
	expired := signUntil(t, k, 6, time.Now().Add(-time.Hour))
	tampered := newest.Bytes()
	tampered[len(tampered)/2] ^= 1
	for name, tc := range map[string]struct {
		record []byte
		reason string
	}{
		"another name's":  {sign(t, newKey(t), 9).Bytes(), "does not verify"},
		"tampered":        {tampered, "does not verify"},
		"expired":         {expired.Bytes(), "older (sequence 6)"},
		"older":           {older.Bytes(), "older (sequence 6)"},
		"garbage":         {[]byte("\x1b[2Jgarbage"), "does not verify"},
		"over its bounds": {make([]byte, 1<<20), "over the 10240 bytes"},
		"empty":           {nil, "empty"},
	} {
		t.Run(name, func(t *testing.T) {
			liar := newClient(t, fixedRouter(tc.record))
			honest := newClient(t, unlimited(nil))
			_, err := honest.Put(t.Context(), p, newest.Bytes())
			require.NoError(t, err)
			home, err := dht.OpenDir(t.TempDir())
			require.NoError(t, err)
			r := dht.Resolver{Stores: []dht.Store{honest}, Home: home}
			want, err := r.Best(t.Context(), p, dht.LevelFresh) // sets the floor
			require.NoError(t, err)

			r.Stores = []dht.Store{liar, honest}
			got, err := r.Best(t.Context(), p, dht.LevelStrict) // asks all
			require.NoError(t, err)
			require.Len(t, got.Rejected, 1)
			require.Equal(t, dht.SourceRouter, got.Rejected[0].Source)
			require.Equal(t, liar.URL(), got.Rejected[0].Peer)
			require.Contains(t, got.Rejected[0].Reason, tc.reason)
			require.Equal(t, want.Agreed, got.Agreed)
			require.Equal(t, want.Record, got.Record)
			require.Equal(t, want.Source, got.Source)

			r.Stores = []dht.Store{liar}
			_, err = r.Best(t.Context(), p, dht.LevelFresh)
			require.Error(t, err)
			require.NotErrorIs(t, err, dht.ErrNotFound)
			alone := dht.Resolver{Stores: []dht.Store{liar}}
			if name != "older" { // which needs a floor to be detected
				_, err = alone.Best(t.Context(), p, dht.LevelFresh)
				require.Error(t, err)
			}
		})
	}
}

// Without a floor, the older record of a router is a result; the newer one
// of another source replaces it, in either order.
func TestNewerRecordOfAnotherSourceIsUsed(t *testing.T) {
	k := newKey(t)
	newest, older := sign(t, k, 7), sign(t, k, 6)
	liar, honest := newClient(t, fixedRouter(older.Bytes())), newClient(t, fixedRouter(newest.Bytes()))
	for range 20 {
		r := dht.Resolver{Stores: []dht.Store{liar, honest}}
		res, err := r.Best(t.Context(), k.Pointer(), dht.LevelFresh)
		require.NoError(t, err)
		require.Equal(t, newest.ID(), res.Record.ID())
		require.Equal(t, 1, res.Agreed)
	}
}

// A router that hangs delays a look-up by its timeout at most, and not at all if an
// answer satisfies the level.
func TestHangingRouterDoesNotDelayOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := piped(t, func(conn net.Conn, _ *http.Request) { _, _ = conn.Read(make([]byte, 1)) })
		k := newKey(t)
		rec := sign(t, k, 1)
		honest := &dht.Memory{}
		_, err := honest.Put(t.Context(), k.Pointer(), rec.Bytes())
		require.NoError(t, err)
		r := dht.Resolver{Stores: []dht.Store{hang, honest}, Timeout: 3 * time.Second}

		began := time.Now()
		res, err := r.Best(t.Context(), k.Pointer(), dht.LevelAny)
		require.NoError(t, err)
		require.Equal(t, rec.ID(), res.Record.ID())
		require.Zero(t, time.Since(began))

		res, err = r.Best(t.Context(), k.Pointer(), dht.LevelFresh)
		require.NoError(t, err)
		require.Equal(t, rec.ID(), res.Record.ID())
		require.LessOrEqual(t, time.Since(began), 3*time.Second)
		require.Equal(t, "router http://router.example: no answer in time", res.Rejected[0].Reason)

		receipt, err := r.Publish(t.Context(), rec)
		require.NoError(t, err)
		require.Equal(t, dht.Receipt{Asked: 2, Stored: 1}, receipt, "it has not answered yet")
		time.Sleep(3 * time.Second) // of the bubble's clock: it ends, too

		alone := dht.Resolver{Stores: []dht.Store{hang}, Timeout: 3 * time.Second}
		_, err = alone.Best(t.Context(), k.Pointer(), dht.LevelAny)
		require.ErrorIs(t, err, dht.ErrUnreachable)
		require.ErrorContains(t, err, "router http://router.example: no answer in time")
		_, err = alone.Publish(t.Context(), rec)
		require.ErrorContains(t, err, "router http://router.example: no answer in time")
		waitForEnd(t, hang)
	})
}
