package delegated

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
)

// Web servers of the kinds that people take for a router are none, and the error states
// what they are. Kubo's RPC is asked with GET alone, which it refuses.
func TestWhatIsNoRouter(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "index.html"), []byte("<h1>Hello</h1>"), 0o600))
	var methods []string
	rpc := http.NewServeMux()
	rpc.HandleFunc("/api/v0/", func(w http.ResponseWriter, r *http.Request) { // as Kubo v0.39 does
		methods = append(methods, r.Method)
		w.Header().Add("Allow", "OPTIONS")
		w.Header().Add("Allow", "POST")
		http.Error(w, "405 - Method Not Allowed", http.StatusMethodNotAllowed)
	})
	for name, tc := range map[string]struct {
		server http.Handler
		reason string
	}{
		"Kubo's RPC":    {rpc, "RPC port of Kubo"},
		"a file server": {http.FileServer(http.Dir(dir)), "a web server answers there, without /routing/v1"},
		"no routes":     {http.NewServeMux(), "a web server answers there, without /routing/v1"},
		"one page": {http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.ServeFile(w, r, filepath.Join(dir, "index.html"))
		}), "is no router"},
		"a page of a proxy": {http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(http.StatusForbidden)
		}), "a web server answers there with a page, 403"},
		"an API": {http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, `{"message":"no"}`, http.StatusMethodNotAllowed)
		}), "a web server answers there, without /routing/v1"},
		"an endless stream":       {endlessOf("application/octet-stream"), "octet-stream"},
		"an endless text":         {endlessOf("text/plain"), "more than a record"},
		"an endless one, no type": {endlessOf(""), "more than a record"},
		"an API that answers with OK": {http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, "{}")
		}), "json"},
	} {
		server := httptest.NewServer(tc.server)
		c, err := NewClient(server.URL)
		require.NoError(t, err)
		err = c.Check(t.Context())
		require.ErrorAs(t, err, new(*RouterError))
		require.ErrorIs(t, err, dht.ErrUnreachable)
		require.Equal(t, name != "one page", errors.Is(err, ErrNoRouter), "%s: a page with 200 can be a captive portal's", name)
		require.ErrorContains(t, err, tc.reason, name)
		require.NoError(t, c.Close())
		server.Close()
	}
	require.Equal(t, []string{http.MethodGet}, methods)
	c := newClient(t, &Server{CORS: true})
	require.NoError(t, c.Check(t.Context()))
}

// endlessOf returns a server that answers every request with a body of a type without end.
func endlessOf(kind string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = nil
		if kind != "" {
			w.Header().Set("Content-Type", kind)
		}
		for _, err := w.Write(make([]byte, 4096)); err == nil; {
			_, err = w.Write(make([]byte, 4096))
		}
	})
}

// A 404 counts as "no record", and the server as a peer that answered, only if it can be that
// of a router. Web servers answer every path that they do not have with 404.
func TestNotFoundOfAWebServerIsNoAnswer(t *testing.T) {
	files := http.FileServer(http.Dir(t.TempDir()))
	for name, tc := range map[string]struct {
		kind, body string
		server     http.Handler
		router     bool
	}{
		"no body":                  {router: true},
		"boxo, of old":             {kind: "text/plain; charset=utf-8", body: "delegate error: routing: not found", router: true},
		"Helia":                    {kind: "text/plain; charset=utf-8", body: "Record not found", router: true},
		"plain text, no type":      {body: "no record", router: true},
		"python -m http.server":    {kind: "text/html;charset=utf-8", body: "<!DOCTYPE HTML><p>Error code: 404</p>"},
		"a page without a body":    {kind: "text/html"},
		"a page without a type":    {body: "<!DOCTYPE html><h1>Not here</h1>"},
		"XHTML":                    {kind: "application/xhtml+xml", body: "<html/>"},
		"a framework, in JSON":     {kind: "application/json", body: `{"detail":"Not Found"}`},
		"a framework, in text":     {kind: "text/plain", body: "Not Found\n"},
		"a framework, with status": {kind: "text/plain", body: "404 Not Found."},
		"a framework, with path":   {kind: "text/plain", body: "Cannot GET /routing/v1/ipns/x"},
		"no type that is one":      {kind: ";;;", body: "x"},
		"a file server":            {server: files},
		"no routes":                {server: http.NewServeMux()},
	} {
		server := tc.server
		if server == nil {
			server = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header()["Content-Type"] = nil // not found out by net/http
				if tc.kind != "" {
					w.Header().Set("Content-Type", tc.kind)
				}
				w.WriteHeader(http.StatusNotFound)
				_, _ = io.WriteString(w, tc.body)
			})
		}
		c, k := newClient(t, server), newKey(t)
		for a, err := range c.Get(t.Context(), k.Pointer()) {
			require.Nil(t, a.Record, name)
			require.Equal(t, 1, a.Asked, name)
			if tc.router {
				require.NoError(t, err, name)
				require.Equal(t, c.URL(), a.Peer, name)
				continue
			}
			require.ErrorIs(t, err, ErrNoRouter, name)
			require.ErrorIs(t, err, dht.ErrUnreachable, name)
			require.ErrorContains(t, err, "is no router: a web server answers there", name)
			require.Empty(t, a.Peer, name)
		}
		receipt, err := c.Put(t.Context(), k.Pointer(), sign(t, k, 1).Bytes())
		if tc.router {
			require.Equal(t, dht.Receipt{Asked: 1, Refused: 1}, receipt, name)
			require.ErrorContains(t, err, "refused it: 404", name)
			require.ErrorContains(t, err, tc.body, name)
		} else {
			require.Equal(t, dht.Receipt{Asked: 1, Unreachable: 1}, receipt, name)
			require.ErrorIs(t, err, ErrNoRouter, name)
		}
	}
}

// Whatever a server sends at the URL of a router, a check ends in time and reads little.
func TestACheckIsBounded(t *testing.T) {
	const timeout, most = 5 * time.Second, 64 << 10
	block := strings.Repeat("x", 1000)
	for head, of := range map[string]string{
		"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n":                                       block,
		"HTTP/1.1 200 OK\r\nContent-Type: " + contentType + "\r\n\r\n":                             block,
		"HTTP/1.1 200 OK\r\nContent-Type: " + contentType + "\r\nContent-Length: 50000000\r\n\r\n": block,
		"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n":                                      block,
		"HTTP/1.1 200 OK\r\n\r\n":                             block,
		"HTTP/1.1 404 No\r\nContent-Type: text/plain\r\n\r\n": block,
		"HTTP/1.1 404 No\r\nContent-Type: text/html\r\n\r\n":  block,
		"HTTP/1.1 405 No\r\n\r\n":                             block,
		"HTTP/1.1 500 No\r\n\r\n":                             block,
		"HTTP/1.1 200 OK\r\nX: ":                              block,
		"HTTP/1.1 200 OK\r\n":                                 "X: y\r\n",
		"":                                                    "HTTP/1.1 103 Early Hints\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n":           "1\r\nx\r\n",
		"HTTP/1.1 302 No\r\nLocation: /routing/v1/ipns/-\r\nX: y\r\n\r\n": "",
		"HTTP/1.1 404 No\r\nContent-Type: text/plain\r\nX: y\r\n\r\n":     "", // and no end
		"HTTP/1.1 200 OK\r\nX:": "",
	} {
		synctest.Test(t, func(t *testing.T) {
			var sent atomic.Int64
			c := piped(t, func(conn net.Conn, _ *http.Request) {
				for text := head; ; text = of {
					n, err := io.WriteString(conn, text)
					sent.Add(int64(n))
					if err != nil {
						return
					}
					if of == "" {
						_, _ = conn.Read(make([]byte, 1))
						return
					}
				}
			})
			ctx, cancel := context.WithTimeout(t.Context(), timeout)
			defer cancel()
			began := time.Now()
			_ = c.Check(ctx) // which error, TestCheck and TestWhatIsNoRouter hold
			require.LessOrEqual(t, time.Since(began), timeout, head)
			waitForEnd(t, c)
			require.LessOrEqual(t, sent.Load(), int64(most), head)
		})
	}
}

// A server that is no router is none whatever status it answers every path with, and a port
// with TLS is named as one. A busy or broken server may be a router.
func TestServersThatAreNoRouters(t *testing.T) {
	answer := func(code int, kind, body string, header ...string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Type"] = nil
			if kind != "" {
				w.Header().Set("Content-Type", kind)
			}
			for i := 0; i < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			w.WriteHeader(code)
			_, _ = io.WriteString(w, body)
		})
	}
	const text, api, page = "text/plain; charset=utf-8", "application/json", "text/html"
	for name, tc := range map[string]struct {
		server http.Handler
		reason string // "": a router
		maybe  bool   // it may be a router
	}{
		"WebSocket, 426":           {answer(426, text, "Upgrade Required"), "WebSocket", false},
		"WebSocket, 400":           {answer(400, text, "Bad Request", "Sec-Websocket-Version", "13"), "WebSocket", false},
		"upgrade, 400":             {answer(400, "", "", "Upgrade", "h2c"), "WebSocket", false},
		"nginx with TLS":           {answer(400, page, "<h1>The plain HTTP request was sent to HTTPS port</h1>"), "use https://127.0.0.1:", false},
		"Apache with TLS":          {answer(400, page, "You're speaking plain HTTP to an SSL-enabled server port."), "use https://127.0.0.1:", false},
		"object storage":           {answer(403, "application/xml", "<Error/>"), "403", false},
		"forbidden":                {answer(403, text, "Forbidden"), "403", false},
		"forbidden, empty":         {answer(403, "", ""), "403", false},
		"an API with a login":      {answer(401, api, "{}"), "401", false},
		"a text with a login":      {answer(401, text, "no token"), "401", false},
		"an API":                   {answer(400, api, `{"error":"no"}`), "400", false},
		"gone":                     {answer(410, text, "gone"), "410", false},
		"misdirected":              {answer(421, text, "other host"), "421", false},
		"an API that validates":    {answer(422, api, "{}"), "422", false},
		"a page that validates":    {answer(422, page, "<h1>Unprocessable Entity</h1>"), "422", false},
		"a text that validates":    {answer(422, text, "Unprocessable Entity"), "422", false},
		"no such thing":            {answer(404, text, "no such thing"), "without /routing/v1", false},
		"nothing":                  {answer(200, "", ""), "with nothing", false},
		"nothing, as text":         {answer(200, text, ""), "with nothing", false},
		"garbage as a record":      {answer(200, contentType, "garbage"), "for an invalid name", false},
		"nothing as a record":      {answer(200, contentType, ""), "for an invalid name", false},
		"more than a record":       {answer(200, contentType, strings.Repeat("x", 20<<10)), "for an invalid name", false},
		"no content":               {answer(204, "", ""), "204", false},
		"created":                  {answer(201, text, "created"), "201", false},
		"busy":                     {answer(429, "", ""), "asked too often", true},
		"broken":                   {answer(503, api, "{}"), "503", true},
		"slow":                     {answer(408, "", ""), "408", true},
		"busy, of a router":        {answer(429, "", "", "Retry-After", "9"), "", false},
		"serves chosen clients":    {answer(403, text, "this router serves one network"), "", false},
		"boxo's, an invalid name":  {answer(400, text, "unable to parse CID: selected encoding not supported"), "", false},
		"a router without a text":  {answer(400, "", ""), "", false},
		"Helia's, an invalid name": {answer(422, page, "Unprocessable Entity"), "", false},
		"Helia's, no record":       {answer(404, text, "Record not found"), "", false},
	} {
		c := newClient(t, tc.server)
		err := c.Check(t.Context())
		if tc.reason == "" {
			require.NoError(t, err, name)
			continue
		}
		require.ErrorIs(t, err, dht.ErrUnreachable, name)
		require.ErrorContains(t, err, tc.reason, name)
		require.Equal(t, !tc.maybe, errors.Is(err, ErrNoRouter), "%s: %v", name, err)
	}

	server := httptest.NewTLSServer(answer(404, "", ""))
	defer server.Close()
	c, err := NewClient("http://" + server.Listener.Addr().String())
	require.NoError(t, err)
	defer c.Close()
	err = c.Check(t.Context())
	require.ErrorIs(t, err, ErrNoRouter)
	require.ErrorContains(t, err, "use https://"+server.Listener.Addr().String())
}

// A server of another protocol is no router, whichever it is, and also with TLS in the URL. One
// that closes the connection may be a router that restarts.
func TestAServerOfAnotherProtocolIsNoRouter(t *testing.T) {
	for name, tc := range map[string]struct {
		answer   string
		noRouter bool
	}{
		"SSH": {"SSH-2.0-OpenSSH_9.6\r\n", true}, "Redis": {"-ERR unknown command 'GET'\r\n", true}, "SMTP": {"220 mail ESMTP\r\n", true},
		"TLS": {"\x15\x03\x01\x00\x02\x02\x46", true}, "binary": {"\x00\x1b[31m\xff\xfe\r\n\r\n", true},
		"closed": {"", false},
	} {
		for _, scheme := range []string{"http://", "https://"} {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			go func() {
				for conn, err := l.Accept(); err == nil; conn, err = l.Accept() {
					_, _ = conn.Read(make([]byte, 1024))
					_, _ = io.WriteString(conn, tc.answer)
					conn.Close()
				}
			}()
			c, err := NewClient(scheme + l.Addr().String())
			require.NoError(t, err)
			err = c.Check(t.Context())
			require.ErrorIs(t, err, dht.ErrUnreachable)
			if scheme == "http://" || name != "TLS" { // which is an alert there
				require.Equal(t, tc.noRouter, errors.Is(err, ErrNoRouter), "%s%s: %v", scheme, name, err)
			}
			require.NoError(t, c.Close())
			require.NoError(t, l.Close())
		}
	}
}

// A put is stored only if the router acknowledges it by 200.
func TestOnlyOKMeansStored(t *testing.T) {
	for code := 200; code < 300; code++ {
		c, k := newClient(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) })), newKey(t)
		receipt, err := c.Put(t.Context(), k.Pointer(), sign(t, k, 1).Bytes())
		if code == http.StatusOK {
			require.NoError(t, err)
			require.Equal(t, dht.Receipt{Asked: 1, Stored: 1}, receipt)
			continue
		}
		require.ErrorIs(t, err, dht.ErrUnreachable, code)
		require.ErrorContains(t, err, "answers "+strconv.Itoa(code))
		require.Equal(t, dht.Receipt{Asked: 1, Unreachable: 1}, receipt, code)
	}
}
