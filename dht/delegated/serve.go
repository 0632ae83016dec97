package delegated

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

const (
	headerTimeout = 5 * time.Second
	writeTimeout  = 30 * time.Second // for an answer, unless the handler sets another
	maxHeaders    = 8 << 10          // bytes
	stopTimeout   = 2 * time.Second

	maxConns          = 1024
	maxConnsPerClient = 64
)

// Serve serves requests at l until ctx ends, then waits up to 2 s for active
// ones. It closes l, and returns after the last handler has returned, nil if ctx
// ended. It closes connections with long or slow headers, bodies that take over
// 5 s, idle connections, and those over 64 of one client. The 5 s are a read
// deadline: a handler that takes longer, as [Server] may, has to clear it by an
// http.ResponseController after reading the body.
func Serve(ctx context.Context, l net.Listener, h http.Handler) error {
	g := &drainingHandler{handler: h}
	life, end := context.WithCancel(context.Background())
	defer end()
	srv := &http.Server{
		Handler:           g,
		ReadHeaderTimeout: headerTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaders,
		BaseContext:       func(net.Listener) context.Context { return life },
		// Errors of clients are not logged. Without this they go to a global log.
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug),
	}
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		grace, cancel := context.WithTimeout(context.Background(), stopTimeout)
		defer cancel()
		if srv.Shutdown(grace) != nil {
			end() // cancel the handlers
			srv.Close()
		}
	})
	err := srv.Serve(&boundedListener{Listener: l, conns: map[netip.Prefix]int{}})
	if !stop() {
		<-stopped
	}
	end()
	srv.Close()
	g.drain()
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// drainingHandler calls a handler until drain is called.
type drainingHandler struct {
	handler http.Handler
	mu      sync.Mutex
	closed  bool
	active  sync.WaitGroup
}

func (g *drainingHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	if g.closed { // the connection is closed, too
		g.mu.Unlock()
		return
	}
	g.active.Add(1)
	g.mu.Unlock()
	defer g.active.Done()
	// Also for a body that the handler does not read: the server waits for it
	// before the next request.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTimeout))
	g.handler.ServeHTTP(w, r)
}

// drain refuses further requests, and waits for the active ones.
func (g *drainingHandler) drain() {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	g.active.Wait()
}

// boundedListener is a listener that bounds the number of open connections, in
// total and of one client.
type boundedListener struct {
	net.Listener
	mu    sync.Mutex
	conns map[netip.Prefix]int
	total int
}

// Accept returns the next connection within the bounds, and closes others.
func (c *boundedListener) Accept() (net.Conn, error) {
	for {
		conn, err := c.Listener.Accept()
		if err != nil {
			return nil, err
		}
		client := clientOf(conn.RemoteAddr().String())
		c.mu.Lock()
		room := c.total < maxConns && c.conns[client] < maxConnsPerClient
		if room {
			c.total++
			c.conns[client]++
		}
		c.mu.Unlock()
		if room {
			return &countedConn{Conn: conn, release: sync.OnceFunc(func() { c.release(client) })}, nil
		}
		conn.Close()
	}
}

func (c *boundedListener) release(client netip.Prefix) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.total--
	if c.conns[client]--; c.conns[client] == 0 {
		delete(c.conns, client)
	}
}

// countedConn is a connection that counts until it is closed.
type countedConn struct {
	net.Conn
	release func()
}

// Close closes the connection, which then no longer counts.
func (m *countedConn) Close() error {
	m.release()
	return m.Conn.Close()
}
