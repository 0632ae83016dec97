package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"

	"github.com/petnames-go/petnames/dht/delegated"
	"github.com/petnames-go/petnames/petname/agent"
)

// web is the HTTP server of a node: /routing/v1, /healthz and /metrics.
type web struct {
	listener net.Listener
	url      string
	loopback bool
	cors     bool // web pages may use the router

	everywhere bool // it listens on all addresses of this machine
}

// listenHTTP listens on the address. [web.serve] answers the requests.
func listenHTTP(addr string) (*web, error) {
	if err := checkHTTP(addr); err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, &failure{Code: "listen", Exit: exitFailure, Message: fmt.Sprintf("--http %s: %v", addr, err), Next: "petname node --http 127.0.0.1:0"}
	}
	bound := l.Addr().(*net.TCPAddr).AddrPort()
	return &web{listener: l, url: usableURL(bound), loopback: bound.Addr().Unmap().IsLoopback(), everywhere: bound.Addr().IsUnspecified()}, nil
}

// usableURL returns a URL at which this machine reaches a server that listens on an address: the
// unspecified address, for all addresses of the machine, is none.
func usableURL(bound netip.AddrPort) string {
	if bound.Addr().IsUnspecified() {
		bound = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), bound.Port())
	}
	return "http://" + bound.String()
}

// checkHTTP checks the form of an address: a host, which may be empty for all
// addresses of the machine, and a port.
func checkHTTP(addr string) error {
	bad := func(why string) error {
		return usage("--http %q: %s", addr, why).With("petname node --http 127.0.0.1:8080")
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

// serve serves HTTP until ctx ends.
func (w *web) serve(ctx context.Context, a *agent.Agent) error {
	return delegated.Serve(ctx, w.listener, w.handler(ctx, a))
}

func (w *web) handler(ctx context.Context, a *agent.Agent) http.Handler {
	router := a.Router()
	router.CORS = w.cors
	m := newMeters(a, router)
	router.Observe = m.observe
	mux := http.NewServeMux()
	mux.Handle("/routing/v1/", router)
	mux.Handle("GET /metrics", m.handler())
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		if ctx.Err() != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = w.Write([]byte("stopping\n"))
			return
		}
		_, _ = w.Write([]byte("ok\n"))
	})
	if !w.loopback {
		return mux
	}
	// Against DNS rebinding: the script of a web page whose host name resolves to
	// 127.0.0.1 has the same origin as this server, but its requests contain that host
	// name.
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isLocal(r.Host) {
			http.Error(w, "this node serves loopback only, under localhost or a loopback address", http.StatusMisdirectedRequest)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// isLocal reports whether a Host header is localhost or a loopback address.
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
