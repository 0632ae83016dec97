package delegated

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"iter"
	"log"
	"net"
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
	"github.com/petnames-go/petnames/pointer"
)

// pipes is a listener with connections that the test makes.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
}

func newPipes() *pipes { return &pipes{make(chan net.Conn), make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	select {
	case <-p.done:
	default:
		close(p.done)
	}
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

func (p *pipes) dial() net.Conn { return p.dialFrom("192.0.2.1:1") }

func (p *pipes) dialFrom(addr string) net.Conn {
	near, far := net.Pipe()
	p.conns <- addressed{far, addr}
	return near
}

// Slow and endless bodies and headers occupy neither a handler nor a
// connection for longer than the limits.
func TestSlowAndEndlessRequestsAreCut(t *testing.T) {
	k := newKey(t)
	head := "PUT " + path + k.Pointer().String() + " HTTP/1.1\r\nHost: x\r\nContent-Type: " + contentType + "\r\n"
	for _, tc := range []struct {
		name   string
		head   string
		each   string
		every  time.Duration
		status string // of the answer; "": none
		within time.Duration
	}{
		{"a body that doesn't come", head + "Content-Length: 100\r\n\r\n", "", time.Hour, "408", bodyTimeout},
		{"a body that drips", head + "Content-Length: 10000\r\n\r\n", "x", time.Second, "408", bodyTimeout},
		{"a body without end", head + "Transfer-Encoding: chunked\r\n\r\n", "400\r\n" + strings.Repeat("x", 0x400) + "\r\n", 0, "413", time.Second},
		{"a body of 1 GB", head + "Content-Length: 1000000000\r\n\r\n", strings.Repeat("x", 32<<10), 0, "413", time.Second},
		{"a body of one chunk a second", head + "Transfer-Encoding: chunked\r\n\r\n", "1\r\nx\r\n", time.Second, "408", bodyTimeout},
		{"a refused name with a body that drips", "PUT " + path + "alice HTTP/1.1\r\nHost: x\r\nContent-Length: 10000\r\n\r\n", "x", time.Second, "400", bodyTimeout},
		{"a GET whose body drips", "GET " + path + "alice HTTP/1.1\r\nHost: x\r\nContent-Length: 10000\r\n\r\n", "x", time.Second, "400", bodyTimeout},
		{"a body that drips to a handler that is done", "GET /other HTTP/1.1\r\nHost: x\r\nContent-Length: 10000\r\n\r\n", "x", time.Second, "200", bodyTimeout},
		{"headers that drip", "GET / HTTP/1.1\r\n", "X: y\r\n", time.Second, "", headerTimeout},
		{"headers without end", "GET / HTTP/1.1\r\n", "X: " + strings.Repeat("y", 1000) + "\r\n", 0, "431", time.Second},
		{"nothing at all", "", "", time.Hour, "", headerTimeout},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var inside, left atomic.Int32
				s := unlimited(nil)
				h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					inside.Add(1)
					defer left.Add(1)
					if r.URL.Path == "/other" {
						return
					}
					s.ServeHTTP(w, r)
				})
				l := newPipes()
				ctx, stop := context.WithCancel(t.Context())
				served := make(chan error, 1)
				go func() { served <- Serve(ctx, l, h) }()
				conn := l.dial()
				began := time.Now()
				go func() {
					_, err := io.WriteString(conn, tc.head)
					for err == nil {
						time.Sleep(tc.every) // of the bubble's clock
						_, err = io.WriteString(conn, tc.each)
					}
				}()
				resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
				if tc.status == "" {
					require.Error(t, err)
				} else {
					require.NoError(t, err)
					require.Equal(t, tc.status, strconv.Itoa(resp.StatusCode))
				}
				require.LessOrEqual(t, time.Since(began), tc.within+time.Second)
				require.Equal(t, inside.Load(), left.Load(), "no handler is held")
				_, err = io.Copy(io.Discard, conn)
				require.NoError(t, err, "the connection is closed from the other side")
				require.LessOrEqual(t, time.Since(began), tc.within+bodyTimeout)
				stop()
				require.NoError(t, <-served)
				time.Sleep(2 * time.Hour)
				require.Zero(t, s.Records())
			})
		})
	}
}

// A Server bounds the time of a body even under an http.Server without such a
// bound.
func TestSlowBodyIsCutOffByAnyServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPipes()
		srv := &http.Server{Handler: unlimited(nil), ErrorLog: log.New(io.Discard, "", 0)}
		served := make(chan error, 1)
		go func() { served <- srv.Serve(l) }()
		conn := l.dial()
		began := time.Now()
		_, err := io.WriteString(conn, "PUT "+path+newKey(t).Pointer().String()+" HTTP/1.1\r\nHost: x\r\nContent-Type: "+contentType+"\r\nContent-Length: 100\r\n\r\n")
		require.NoError(t, err)
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err)
		require.Equal(t, 408, resp.StatusCode)
		require.Equal(t, bodyTimeout, time.Since(began))
		require.NoError(t, srv.Close())
		require.ErrorIs(t, <-served, http.ErrServerClosed)
	})
}

// A network may take longer than the deadline for a request. The deadline ends
// when the request is read.
func TestSlowNetworkMayExceedTheReadDeadline(t *testing.T) {
	k := newKey(t)
	rec := sign(t, k, 1)
	for method, body := range map[string]string{"GET": "", "PUT": string(rec.Bytes())} {
		synctest.Test(t, func(t *testing.T) {
			const took = 2 * bodyTimeout
			n := &network{}
			s := &Server{Network: slowStore{n, took}, Timeout: 3 * bodyTimeout}
			_, err := n.Memory.Put(t.Context(), k.Pointer(), rec.Bytes())
			require.NoError(t, err)
			l, stop := serve(t, s)
			conn := l.dial()
			began := time.Now()
			_, err = fmt.Fprintf(conn, "%s %s%s HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", method, path, k.Pointer(), contentType, len(body), body)
			require.NoError(t, err)
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			require.NoError(t, err)
			require.Equal(t, 200, resp.StatusCode)
			if answer := readAll(t, resp); method == "GET" {
				require.Equal(t, rec.Bytes(), []byte(answer))
			}
			require.Equal(t, took, time.Since(began))
			stop()
		})
	}
}

// slowStore is a store that responds after a delay, unless its caller cancels.
type slowStore struct {
	dht.Store
	takes time.Duration
}

func (s slowStore) wait(ctx context.Context) {
	select {
	case <-time.After(s.takes):
	case <-ctx.Done():
	}
}

func (s slowStore) Get(ctx context.Context, p pointer.Pointer) iter.Seq2[dht.Answer, error] {
	return func(yield func(dht.Answer, error) bool) {
		s.wait(ctx)
		s.Store.Get(ctx, p)(yield)
	}
}

func (s slowStore) Put(ctx context.Context, p pointer.Pointer, b []byte) (dht.Receipt, error) {
	s.wait(ctx)
	return s.Store.Put(ctx, p, b)
}

// A client that leaves connections open has a bounded number of them, and blocks
// no other client.
func TestConnectionsAreBoundedPerClient(t *testing.T) {
	l := newPipes()
	c := newBoundedListener(l)
	dial := l.dialFrom
	accepted := make(chan net.Conn, 2*maxConnsPerClient)
	go func() {
		for {
			conn, err := c.Accept()
			if err != nil {
				close(accepted)
				return
			}
			accepted <- conn
		}
	}()
	var open []net.Conn
	for range maxConnsPerClient {
		dial("192.0.2.1:1")
		open = append(open, <-accepted)
	}
	refused := dial("192.0.2.1:1")
	_, err := refused.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
	dial("192.0.2.2:1")
	open = append(open, <-accepted)
	require.NoError(t, open[0].Close())
	require.NoError(t, open[0].Close(), "counted once")
	dial("192.0.2.1:1")
	open = append(open, <-accepted)
	for _, conn := range open[1:] {
		require.NoError(t, conn.Close())
	}
	require.Zero(t, c.slots.Len())
	require.NoError(t, l.Close())
	_, more := <-accepted
	require.False(t, more)
}

type addressed struct {
	net.Conn
	from string
}

func (a addressed) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(a.from))
}

// A drainingHandler refuses every request after drain.
func TestNoHandlerRunsAfterServe(t *testing.T) {
	var inside atomic.Int32
	g := &drainingHandler{handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { inside.Add(1) })}
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	g.ServeHTTP(httptest.NewRecorder(), r)
	g.drain()
	g.ServeHTTP(httptest.NewRecorder(), r)
	require.EqualValues(t, 1, inside.Load())
}

// Serve waits for active requests up to a limit, then cancels them.
func TestServeWaitsForActiveRequests(t *testing.T) {
	for _, patient := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			entered, release := make(chan struct{}), make(chan struct{})
			var cut atomic.Bool
			h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				close(entered)
				select {
				case <-release:
					_, _ = io.WriteString(w, "done")
				case <-r.Context().Done():
					cut.Store(true)
				}
			})
			l := newPipes()
			ctx, stop := context.WithCancel(t.Context())
			served := make(chan error, 1)
			go func() { served <- Serve(ctx, l, h) }()
			conn := l.dial()
			_, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			require.NoError(t, err)
			<-entered
			stop()
			synctest.Wait()
			began := time.Now()
			if patient {
				close(release)
				resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
				require.NoError(t, err)
				require.Equal(t, "done", readAll(t, resp))
			}
			require.NoError(t, <-served)
			require.Equal(t, !patient, cut.Load())
			require.LessOrEqual(t, time.Since(began), stopTimeout+time.Second)
		})
	}
}
