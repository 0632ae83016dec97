package delegated

import (
	"context"
	"net"
	"net/http"

	"github.com/petnames-go/petnames/dht/share"
)

const (
	maxConns          = 1024
	maxConnsPerClient = 64
)

// boundedListener is a listener that bounds the number of open connections, in total
// and of one client. A client with few connections is not excluded by those with many:
// see package share.
type boundedListener struct {
	net.Listener
	slots *share.Slots
}

func newBoundedListener(l net.Listener) *boundedListener {
	return &boundedListener{l, share.New(maxConns, maxConnsPerClient)}
}

// Accept returns the next connection within the bounds, and closes others.
func (l *boundedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if slot := l.slots.Acquire(func() { conn.Close() }, clientOf(conn.RemoteAddr().String()).String()); slot != nil {
			return &countedConn{conn, slot}, nil
		}
		conn.Close()
	}
}

// connKey is the key of the connection in the context of its requests.
type connKey struct{}

// withConn returns a context with a connection, for http.Server.ConnContext.
func withConn(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, conn)
}

// markServing returns a handler that marks the connections of a boundedListener on which
// a request is served.
func markServing(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, ok := r.Context().Value(connKey{}).(*countedConn); ok {
			c.slot.SetServing(true)
			defer c.slot.SetServing(false)
		}
		h.ServeHTTP(w, r)
	})
}

// countedConn is a connection that counts until it is closed.
type countedConn struct {
	net.Conn
	slot *share.Slot
}

// Close closes the connection, which then no longer counts.
func (c *countedConn) Close() error {
	c.slot.Release()
	return c.Conn.Close()
}
