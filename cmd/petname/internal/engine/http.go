package engine

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/dht/delegated"
	"github.com/petnames-go/petnames/dht/kad"
	"github.com/petnames-go/petnames/pointer"
)

// web is the HTTP side of a node: /routing/v1, /healthz and /metrics.
type web struct {
	listener net.Listener
	url      string
	loopback bool
}

// ListenHTTP takes the address for HTTP, which is answered from Serve on.
func (e *Engine) ListenHTTP(addr string) error {
	if err := checkHTTP(addr); err != nil {
		return err
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return &Error{Code: "listen", Exit: ExitFailure, Message: fmt.Sprintf("--http %s: %v", addr, err), Next: "petname node --http 127.0.0.1:0"}
	}
	bound := l.Addr().(*net.TCPAddr).AddrPort()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.web = &web{listener: l, url: "http://" + bound.String(), loopback: bound.Addr().Unmap().IsLoopback()}
	return nil
}

// checkHTTP finds an address to have the form of one: a host, which may be
// empty for all of the machine's, and a port.
func checkHTTP(addr string) error {
	bad := func(why string) error {
		return Usage("--http %q: %s", addr, why).With("petname node --http 127.0.0.1:8080")
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return bad("should be a host and a port")
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return bad("port " + strconv.Quote(port) + " is none of 0 to 65535")
	}
	if _, err := netip.ParseAddr(host); err != nil && host != "" && host != "localhost" {
		return bad("the host should be an address of this machine, such as 127.0.0.1 or ::1, or localhost")
	}
	return nil
}

// serveWeb answers HTTP, if an address was taken, until the engine is closed.
func (e *Engine) serveWeb() {
	e.mu.Lock()
	w := e.web
	e.mu.Unlock()
	if w == nil {
		return
	}
	e.runs.Go(func() {
		if err := delegated.Serve(e.running, w.listener, e.handler(w)); err != nil {
			e.log.Error("HTTP ended", "error", err)
		}
	})
}

func (e *Engine) closeWeb() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.web != nil {
		_ = e.web.listener.Close() // again, mostly: nobody may have served it
	}
}

func (e *Engine) handler(w *web) http.Handler {
	router := &delegated.Server{Network: theDHT{e}}
	m := newMeters(e, router)
	router.Observe = m.observe
	mux := http.NewServeMux()
	mux.Handle("/routing/v1/", router)
	mux.Handle("GET /metrics", m.handler())
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		if e.running.Err() != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = w.Write([]byte("stopping\n"))
			return
		}
		_, _ = w.Write([]byte("ok\n"))
	})
	if !w.loopback {
		return mux
	}
	// A web page whose name is made to mean 127.0.0.1 is of "the same origin":
	// it may read answers, and put. It can't hide its name, though.
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isLocal(r.Host) {
			http.Error(w, "this node is on loopback, and not known by that name", http.StatusMisdirectedRequest)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// isLocal is whether a Host header means this machine by itself.
func isLocal(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && addr.Unmap().IsLoopback()
}

// theDHT is what the node's own router stands for: the DHT, and what the node
// holds of it. The routers that this home joined are not asked on behalf of
// others: one may be this node, or ask it in turn. While no DHT is joined the
// node is one of its own, and all of it.
type theDHT struct{ engine *Engine }

// current is the running node, and whether it stands alone.
func (d theDHT) current() (node *kad.Node, alone bool, err error) {
	e := d.engine
	c, err := e.home.Config()
	if err != nil {
		return nil, false, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.network == nil { // between two networks
		return nil, false, fmt.Errorf("%w: no DHT is running", dht.ErrUnreachable)
	}
	return e.network, c.Network == "off" && e.network.Peers() == 0, nil
}

// Get asks the DHT.
func (d theDHT) Get(ctx context.Context, p pointer.Pointer) iter.Seq2[dht.Answer, error] {
	return func(yield func(dht.Answer, error) bool) {
		node, alone, err := d.current()
		if err != nil {
			yield(dht.Answer{Source: dht.SourceNetwork}, err)
			return
		}
		for a, err := range node.Get(ctx, p) {
			if alone && a.Peer == "" && errors.Is(err, dht.ErrUnreachable) {
				a, err = dht.Answer{Source: dht.SourceHome}, nil // that there is nobody to ask is no failure
			}
			if !yield(a, err) {
				return
			}
		}
	}
}

// Put stores in the DHT; a node that stands alone keeps its copy.
func (d theDHT) Put(ctx context.Context, p pointer.Pointer, record []byte) (dht.Receipt, error) {
	node, alone, err := d.current()
	if err != nil {
		return dht.Receipt{}, err
	}
	receipt, err := node.Put(ctx, p, record)
	if alone && receipt == (dht.Receipt{}) && errors.Is(err, dht.ErrUnreachable) {
		return dht.Receipt{Asked: 1, Stored: 1}, nil
	}
	return receipt, err
}
