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

// Serve answers requests that come in at l until ctx ends, then gives those
// under way 2 s to end. It closes l, and returns when no handler runs any more.
// Nil is an end by ctx. Headers that are long or slow, bodies that take over 5 s,
// idle connections, and more than 64 connections of one client are cut. The 5 s
// are a read deadline: a handler that takes longer than that, as [Server] may,
// clears it by an http.ResponseController once the body is read.
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
		// What strangers send is no news; without one it goes to a global log.
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug),
	}
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		grace, cancel := context.WithTimeout(context.Background(), stopTimeout)
		defer cancel()
		if srv.Shutdown(grace) != nil {
			end() // handlers give up
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

// gate lets requests through to a handler until it is shut.
type drainingHandler struct {
	handler http.Handler
	mu      sync.Mutex
	closed  bool
	active  sync.WaitGroup
}

func (g *drainingHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	if g.closed { // its connection is as well
		g.mu.Unlock()
		return
	}
	g.active.Add(1)
	g.mu.Unlock()
	defer g.active.Done()
	// Also for a body that nobody reads: it is waited for before the next request.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTimeout))
	g.handler.ServeHTTP(w, r)
}

// shut returns when nobody is inside any more.
func (g *drainingHandler) drain() {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	g.active.Wait()
}

// crowd is a listener that bounds how many connections are open, and how many
// of one client.
type boundedListener struct {
	net.Listener
	mu    sync.Mutex
	conns map[netip.Prefix]int
	total int
}

// Accept gives the next connection that there is room for.
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

// member is a connection that is counted.
type countedConn struct {
	net.Conn
	release func()
}

// Close closes the connection and gives its place up.
func (m *countedConn) Close() error {
	m.release()
	return m.Conn.Close()
}
