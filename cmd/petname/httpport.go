package main

import (
	"log/slog"
	"net"
	"strconv"

	"github.com/petnames-go/petnames/petname/home"
)

// listenHTTPAgain is listenHTTP for a node of the home in dir: for port 0 it listens at
// the port of the first start, by which other homes may have joined the router. If that
// is in use, it listens at another one.
func listenHTTPAgain(dir, addr string, log *slog.Logger) (*web, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil || port != "0" {
		return listenHTTP(addr)
	}
	h, err := home.Open(dir)
	if err != nil {
		return nil, classify(err)
	}
	key := "http " + addr
	ports, _ := h.Ports() // a damaged file is reported when the node starts
	for _, p := range ports {
		if p.Listen != key {
			continue
		}
		first := net.JoinHostPort(host, strconv.Itoa(int(p.Port)))
		if w, err := listenHTTP(first); err == nil {
			return w, nil
		}
		log.Warn("the port that others know is in use by another program: HTTP is served on another one until the next start", "address", first)
	}
	w, err := listenHTTP(addr)
	if err != nil {
		return nil, err
	}
	bound := w.listener.Addr().(*net.TCPAddr).AddrPort().Port()
	if err := h.KeepPorts([]home.ListenPort{{Listen: key, Port: bound}}); err != nil {
		log.Warn("the port of HTTP is not kept", "error", err)
	}
	return w, nil
}
