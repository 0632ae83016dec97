package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/rogpeppe/go-internal/testscript"
)

const recordType = "application/vnd.ipfs.ipns-record"

// refusesInvalid answers the request of an invalid name as a router does, so that join accepts
// it for one.
func refusesInvalid(w http.ResponseWriter, r *http.Request) bool {
	if !strings.HasSuffix(r.URL.Path, "/-") {
		return false
	}
	http.Error(w, "invalid", http.StatusBadRequest)
	return true
}

// badRouter VAR KIND [FILE] starts a router that misbehaves, on a free port of
// loopback, and puts its URL into $VAR: it hangs, drips (a byte at a time,
// as slowly as a test waits), floods (1 GB), sends garbage, is a portal (HTML), is a file
// server without files (a page with 404),
// refuses, fails, limits, leads away (redirects to FILE, a URL), or returns FILE as the
// record of every pointer.
func badRouter(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: badrouter VAR KIND [FILE]")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	var asked atomic.Int64
	end := make(chan struct{})
	var h http.HandlerFunc
	switch args[1] {
	case "hang", "drip":
		h = func(w http.ResponseWriter, r *http.Request) {
			if args[1] == "drip" {
				w.Header().Set("Content-Type", recordType)
				_, _ = w.Write([]byte{'x'})
				_ = http.NewResponseController(w).Flush()
			}
			select {
			case <-r.Context().Done():
			case <-end:
			}
		}
	case "flood":
		h = func(w http.ResponseWriter, r *http.Request) {
			if refusesInvalid(w, r) {
				return
			}
			w.Header().Set("Content-Type", recordType)
			for block, n := make([]byte, 1<<20), 0; n < 1000; n++ {
				if _, err := w.Write(block); err != nil {
					return
				}
			}
		}
	case "garbage":
		h = func(w http.ResponseWriter, r *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return
			}
			defer conn.Close()
			_, _ = io.WriteString(conn, "\x00\x1b[31m\xff\xfegarbage\r\n\r\n\x1b[2J")
		}
	case "portal", "files", "refuse", "fail", "limit", "away":
		h = func(w http.ResponseWriter, r *http.Request) {
			switch args[1] {
			case "portal":
				w.Header().Set("Content-Type", "text/html")
				_, _ = io.WriteString(w, "<h1>Welcome</h1>")
			case "files": // as python -m http.server
				w.Header().Set("Content-Type", "text/html;charset=utf-8")
				w.WriteHeader(http.StatusNotFound)
				_, _ = io.WriteString(w, "<!DOCTYPE HTML><p>Error code: 404</p>")
			case "refuse":
				http.Error(w, "we don't serve \x1b[31myou", http.StatusForbidden)
			case "fail":
				http.Error(w, "out of order", http.StatusInternalServerError)
			case "limit":
				w.Header().Set("Retry-After", "9")
				w.WriteHeader(http.StatusTooManyRequests)
			case "away":
				http.Redirect(w, r, args[2]+r.URL.Path, http.StatusTemporaryRedirect)
			}
		}
	case "gives":
		record, err := os.ReadFile(ts.MkAbs(args[2]))
		ts.Check(err)
		h = func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPut || refusesInvalid(w, r) {
				return // and forgets it
			}
			w.Header().Set("Content-Type", recordType)
			_, _ = w.Write(record)
		}
	default:
		ts.Fatalf("badrouter: no kind %q", args[1])
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		h(w, r)
	})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Serve(l)
	}()
	ts.Defer(func() {
		close(end)
		_ = s.Close()
		<-done
	})
	ts.Setenv(args[0], "http://"+l.Addr().String())
	ts.Value(routers{}).(map[string]*atomic.Int64)[args[0]] = &asked
}

type routers struct{}

// wasAsked VAR checks that a router was asked since the last time, by at least
// one request; with "!", that it wasn't.
func wasAsked(ts *testscript.TestScript, neg bool, args []string) {
	n := ts.Value(routers{}).(map[string]*atomic.Int64)[args[0]]
	if n == nil {
		ts.Fatalf("no router %s", args[0])
	}
	if got := n.Swap(0); got > 0 == neg {
		ts.Fatalf("router %s was asked %d times", args[0], got)
	}
}

// fetch STATUS METHOD URL [TYPE FILE] sends a request; the answer's body becomes
// the output.
func fetch(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 3 {
		ts.Fatalf("usage: fetch STATUS METHOD URL [TYPE FILE]")
	}
	var body io.Reader
	if len(args) == 5 {
		body = strings.NewReader(ts.ReadFile(args[4]))
	}
	r, err := http.NewRequest(args[1], args[2], body)
	ts.Check(err)
	if len(args) == 5 {
		r.Header.Set("Content-Type", args[3])
	}
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	resp, err := c.Do(r)
	ts.Check(err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	ts.Check(err)
	fmt.Fprintf(ts.Stdout(), "%s", b)
	if got := strconv.Itoa(resp.StatusCode); got != args[0] {
		ts.Fatalf("status %s, want %s: %q", got, args[0], b)
	}
}
