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

	maxConns         = 1024
	maxConnsOfClient = 64
)

// Serve answers requests that come in at l until ctx ends, then gives those
// under way 2 s to end. It closes l, and returns when no handler runs any more.
// Nil is an end by ctx. Headers that are long or slow, bodies that take over 5 s,
// idle connections, and more than 64 connections of one client are cut. The 5 s
// are a read deadline: a handler that takes longer than that, as [Server] may,
// clears it by an http.ResponseController once the body is read.
func Serve(ctx context.Context, l net.Listener, h http.Handler) error {
	g := &gate{handler: h}
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
	err := srv.Serve(&crowd{Listener: l, conns: map[netip.Prefix]int{}})
	if !stop() {
		<-stopped
	}
	end()
	srv.Close()
	g.shut()
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// gate lets requests through to a handler until it is shut.
type gate struct {
	handler http.Handler
	mu      sync.Mutex
	closed  bool
	inside  sync.WaitGroup
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	if g.closed { // its connection is as well
		g.mu.Unlock()
		return
	}
	g.inside.Add(1)
	g.mu.Unlock()
	defer g.inside.Done()
	// Also for a body that nobody reads: it is waited for before the next request.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTimeout))
	g.handler.ServeHTTP(w, r)
}

// shut returns when nobody is inside any more.
func (g *gate) shut() {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	g.inside.Wait()
}

// crowd is a listener that bounds how many connections are open, and how many
// of one client.
type crowd struct {
	net.Listener
	mu    sync.Mutex
	conns map[netip.Prefix]int
	total int
}

// Accept gives the next connection that there is room for.
func (c *crowd) Accept() (net.Conn, error) {
	for {
		conn, err := c.Listener.Accept()
		if err != nil {
			return nil, err
		}
		who := client(conn.RemoteAddr().String())
		c.mu.Lock()
		room := c.total < maxConns && c.conns[who] < maxConnsOfClient
		if room {
			c.total++
			c.conns[who]++
		}
		c.mu.Unlock()
		if room {
			return &member{Conn: conn, leave: sync.OnceFunc(func() { c.left(who) })}, nil
		}
		conn.Close()
	}
}

func (c *crowd) left(who netip.Prefix) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.total--
	if c.conns[who]--; c.conns[who] == 0 {
		delete(c.conns, who)
	}
}

// member is a connection that is counted.
type member struct {
	net.Conn
	leave func()
}

// Close closes the connection and gives its place up.
func (m *member) Close() error {
	m.leave()
	return m.Conn.Close()
}
