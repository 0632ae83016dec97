package delegated

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"sync"
)

const (
	maxConns          = 1024
	maxConnsPerClient = 64
)

// boundedListener is a listener that bounds the number of open connections, in
// total and of one client. When the total is reached, a new connection replaces
// another one: of the connections that wait for a request, the oldest of the
// client with the most; if all are serving requests, the oldest of the client with
// the most connections, if these are more than those of the new one's client. So a
// client with few connections is not excluded by those with many.
type boundedListener struct {
	net.Listener
	mu    sync.Mutex
	conns map[netip.Prefix]int
	total int
	open  map[*countedConn]struct{}
	clock uint64 // numbers the changes of the connections
}

func newBoundedListener(l net.Listener) *boundedListener {
	return &boundedListener{Listener: l, conns: map[netip.Prefix]int{}, open: map[*countedConn]struct{}{}}
}

// Accept returns the next connection within the bounds, and closes others.
func (l *boundedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c := &countedConn{Conn: conn, listener: l, client: clientOf(conn.RemoteAddr().String())}
		replaced, room := l.add(c)
		if replaced != nil {
			replaced.Conn.Close()
		}
		if room {
			return c, nil
		}
		conn.Close()
	}
}

// add counts a connection, and reports whether there is room for it. replaced is
// the connection that the caller has to close for it; nil: none.
func (l *boundedListener) add(c *countedConn) (replaced *countedConn, room bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conns[c.client] >= maxConnsPerClient {
		return nil, false
	}
	if l.total >= maxConns {
		if replaced = l.replaceable(c.client); replaced == nil {
			return nil, false
		}
		l.remove(replaced)
	}
	l.total++
	l.conns[c.client]++
	l.open[c] = struct{}{}
	l.touch(c)
	return replaced, true
}

// replaceable returns the connection that a new one of a client replaces; nil:
// none. The caller holds l.mu.
func (l *boundedListener) replaceable(client netip.Prefix) *countedConn {
	var best *countedConn
	for c := range l.open {
		if c.serving && l.conns[c.client] <= l.conns[client]+1 {
			continue
		}
		if best == nil || l.replacedFirst(c, best) {
			best = c
		}
	}
	return best
}

// replacedFirst reports whether a is replaced before b. The caller holds l.mu.
func (l *boundedListener) replacedFirst(a, b *countedConn) bool {
	switch na, nb := l.conns[a.client], l.conns[b.client]; {
	case a.serving != b.serving:
		return b.serving
	case na != nb:
		return na > nb
	}
	return a.changed < b.changed
}

// touch notes that a connection has changed. The caller holds l.mu.
func (l *boundedListener) touch(c *countedConn) {
	l.clock++
	c.changed = l.clock
}

// remove ends the count of a connection. The caller holds l.mu.
func (l *boundedListener) remove(c *countedConn) {
	if _, open := l.open[c]; !open {
		return
	}
	delete(l.open, c)
	l.total--
	if l.conns[c.client]--; l.conns[c.client] == 0 {
		delete(l.conns, c.client)
	}
}

// setServing notes that a connection serves a request, or waits for the next one.
func (l *boundedListener) setServing(c *countedConn, serving bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c.serving = serving
	l.touch(c)
}

// connKey is the key of the connection in the context of its requests.
type connKey struct{}

// withConn returns a context with a connection, for http.Server.ConnContext.
func withConn(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, conn)
}

// handler returns a handler that marks the connections of l on which a request is
// served.
func (l *boundedListener) handler(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, ok := r.Context().Value(connKey{}).(*countedConn); ok {
			l.setServing(c, true)
			defer l.setServing(c, false)
		}
		h.ServeHTTP(w, r)
	})
}

// countedConn is a connection that counts until it is closed. The listener's mu
// guards serving and changed.
type countedConn struct {
	net.Conn
	listener *boundedListener
	client   netip.Prefix
	serving  bool
	changed  uint64 // when it was opened, or began or ended to serve
}

// Close closes the connection, which then no longer counts.
func (c *countedConn) Close() error {
	c.listener.mu.Lock()
	c.listener.remove(c)
	c.listener.mu.Unlock()
	return c.Conn.Close()
}
