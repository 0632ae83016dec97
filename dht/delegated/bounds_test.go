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
		count := func() (n int) {
			for _, conn := range open {
				if conn.SetReadDeadline(time.Now().Add(-1)) != nil { // the other side has closed it
					n++
				}
			}
			return n
		}
		newcomer := l.dialFrom("198.51.100.1:1")
		require.False(t, closed(newcomer), "it replaces a connection of a client with many")
		ended := count()
		require.Equal(t, 1, ended, "one for one: all of them are open")
		require.NoError(t, open[len(open)-1].Close())
		open = open[:len(open)-1]
		synctest.Wait()
		require.False(t, closed(l.dialFrom("198.51.100.1:1")))
		require.Equal(t, ended, count(), "there was room for one again")
		require.False(t, closed(newcomer))
		stop()
	})
}

// A request that is being served ends when all of its client's idle connections
// have been replaced.
func TestAServedRequestKeepsItsConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		finish := make(chan struct{})
		l, stop := serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-finish }))
		busy := l.dialFrom("192.0.2.0:1")
		_, err := io.WriteString(busy, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		require.NoError(t, err)
		synctest.Wait()
		for i := range maxConns - 1 {
			l.dialFrom(fmt.Sprintf("192.0.2.%d:2", i/maxConnsPerClient))
		}
		for i := range maxConns {
			l.dialFrom(fmt.Sprintf("198.51.%d.%d:2", i/250, i%250))
		}
		close(finish)
		resp, err := http.ReadResponse(bufio.NewReader(busy), nil)
		require.NoError(t, err)
		require.Equal(t, 200, resp.StatusCode)
		stop()
	})
}

// 1,100 idle connections from 19 addresses do not exclude a further client, over
// real connections.
func TestIdleConnectionsExcludeNobody(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- Serve(ctx, inner, new(Server)) }()
	for i := range 1100 {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+i%19))}}
		conn, err := d.DialContext(ctx, "tcp", inner.Addr().String())
		if err != nil {
			t.Skipf("no further loopback addresses or files here: %v", err)
		}
		defer conn.Close()
	}
	for range 10 {
		client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
		resp, err := client.Get("http://" + inner.Addr().String() + path + newKey(t).Pointer().String())
		require.NoError(t, err)
		require.Equal(t, 200, resp.StatusCode)
		require.NotEmpty(t, readAll(t, resp))
	}
	cancel()
	require.NoError(t, <-served)
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
