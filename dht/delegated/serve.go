package delegated

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	headerTimeout = 5 * time.Second
	writeTimeout  = 30 * time.Second // for an answer, unless the handler sets another
	maxHeaders    = 8 << 10          // bytes
	stopTimeout   = 2 * time.Second
)

// Serve serves requests at l until ctx ends, then waits up to 2 s for active
// ones. It closes l, and returns after the last handler has returned, nil if ctx
// ended. It closes connections with long or slow headers, bodies that take over
// 5 s, idle connections, and those over 64 of one client. When 1024 are open, a
// further one replaces one that waits for a request, or one of a client with more
// connections. The 5 s are a read deadline: a handler that takes longer, as
// [Server] may, has to clear it by an http.ResponseController after reading the
// body.
func Serve(ctx context.Context, l net.Listener, h http.Handler) error {
	conns := newBoundedListener(l)
	draining := &drainingHandler{handler: markServing(h)}
	base, end := context.WithCancel(context.Background())
	defer end()
	srv := &http.Server{
		Handler:           draining,
		ReadHeaderTimeout: headerTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaders,
		BaseContext:       func(net.Listener) context.Context { return base },
		ConnContext:       withConn,
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
	err := srv.Serve(conns)
	if !stop() {
		<-stopped
	}
	end()
	srv.Close()
	draining.drain()
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

// ServeHTTP calls the handler, with a deadline for reading the body.
func (d *drainingHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	if d.closed { // the connection is closed, too
		d.mu.Unlock()
		return
	}
	d.active.Add(1)
	d.mu.Unlock()
	defer d.active.Done()
	// Also for a body that the handler does not read: the server waits for it
	// before the next request.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTimeout))
	d.handler.ServeHTTP(w, r)
}

// drain refuses further requests, and waits for the active ones.
func (d *drainingHandler) drain() {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	d.active.Wait()
}
