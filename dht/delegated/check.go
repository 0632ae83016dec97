package delegated

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/pointer"
)

// ErrNoRouter is returned when the answer at a URL shows that there is no router: it is that
// of a web server for a path that it has not. It wraps [dht.ErrUnreachable].
var ErrNoRouter = fmt.Errorf("%w: no router", dht.ErrUnreachable)

// Check returns nil if a router answers at the URL. It requests an invalid name, which a
// router refuses without a look-up. Success does not prove that look-ups work. The error
// for a web server that is no router wraps [ErrNoRouter], and states what it is, as far as
// its answers show. A page with status 200 can be that of a captive portal before a router.
func (c *Client) Check(ctx context.Context) error {
	resp, done, err := c.send(ctx, http.MethodGet, path+"-", nil, false)
	var failed *RouterError
	switch {
	case errors.As(err, &failed) && isNotHTTP(failed.Reason):
		return c.routerError(ctx, noRouter("what answers there is not HTTP: "+strings.TrimPrefix(failed.Reason, "net/http: HTTP/1.x transport connection broken: ")))
	case err != nil:
		return err
	}
	defer done()
	if err = c.checkRefusal(ctx, resp); err != nil {
		return c.routerError(ctx, err)
	}
	return nil
}

// isNotHTTP reports whether the reason of a failed request is an answer that is not HTTP, such
// as the banner of another protocol, or is no TLS. The errors of package net/http for these have
// no types; the last is that of an answer before the request.
func isNotHTTP(reason string) bool {
	for _, text := range []string{"malformed HTTP ", "malformed MIME header", "first record does not look like a TLS handshake", "server gave HTTP response to HTTPS client", "readLoopPeekFailLocked"} {
		if strings.Contains(reason, text) {
			return true
		}
	}
	return false
}

// checkRefusal returns nil if the response to a GET of an invalid name can be that of a
// router: of the specification's forms, and of those that boxo's server, which Kubo and
// someguy run, and Helia's answer with. What other servers send is [ErrNoRouter].
func (c *Client) checkRefusal(ctx context.Context, resp *http.Response) error {
	switch code := resp.StatusCode; {
	case code == http.StatusTooManyRequests && resp.Header.Get("Retry-After") == "":
		return statusError(resp)
	case code == http.StatusTooManyRequests:
		return nil
	case code == http.StatusRequestTimeout, code >= 500, code >= 300 && code < 400:
		return statusError(resp)
	case code == http.StatusMethodNotAllowed:
		return noRouter(c.identify(ctx))
	case code == http.StatusOK:
		return checkRecord(resp)
	case isPage(resp):
		return checkPage(resp)
	}
	text, err := readText(resp)
	switch code := resp.StatusCode; {
	case err != nil && !errors.Is(err, ErrNoRouter):
		return err
	case isHTTPS(text):
		return httpsPort(c.url)
	case isWebSocket(resp):
		return noRouter("a WebSocket server answers there")
	case code == http.StatusNotFound && (err != nil || isNoRoute(text) || text != "" && !isNoRecord(text)):
		return noRouter(c.identify(ctx))
	case code == http.StatusNotFound, code == http.StatusBadRequest && err == nil:
		return nil
	case code == http.StatusForbidden && err == nil && text != "" && text != "403 forbidden" && text != "forbidden":
		return nil // a router that serves chosen clients, and states so in words
	}
	return noRouter(fmt.Sprintf("a server answers there with %s", statusText(resp)))
}

// checkRecord returns nil if a response with status 200 is a text, which as IPIP-513 has it can
// state that there is no record. There is no record of an invalid name.
func checkRecord(resp *http.Response) error {
	record, err := readRecord(resp)
	switch {
	case errors.Is(err, dht.ErrRejected), record != nil:
		return noRouter("a server answers there with a record for an invalid name")
	case err != nil && isPage(resp):
		return err // also that of a captive portal before a router
	case err != nil:
		return noRouter(fmt.Sprintf("a server answers there with %q", sanitize(resp.Header.Get("Content-Type"))))
	}
	n, err := io.CopyN(io.Discard, resp.Body, int64(pointer.MaxRecord)+1)
	switch {
	case n == 0:
		return noRouter("a server answers there with nothing")
	case err == nil:
		return noRouter("a server answers there with more than a record")
	}
	return nil
}

// checkPage returns nil if a page is the refusal of an invalid name by Helia's router.
func checkPage(resp *http.Response) error {
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxReason))
	switch {
	case err != nil:
		return err
	case resp.StatusCode == http.StatusUnprocessableEntity && strings.TrimSpace(string(b)) == http.StatusText(http.StatusUnprocessableEntity):
		return nil
	case resp.StatusCode == http.StatusNotFound:
		return noRouter(webServer)
	case resp.Request != nil && isHTTPS(plainText(b)):
		return httpsPort(resp.Request.URL.Scheme + "://" + resp.Request.URL.Host)
	}
	return noRouter(webPage(resp))
}

// isNoRecord reports whether the text of a 404 concerns a record, as that of Helia's router
// and of boxo's before IPIP-513 does.
func isNoRecord(text string) bool {
	return strings.Contains(text, "record") || strings.Contains(text, "routing:")
}

// isHTTPS reports whether a text is the refusal of a request without TLS by a port with TLS:
// of Go, nginx, or Apache.
func isHTTPS(text string) bool {
	return strings.Contains(text, "http request to an https server") || strings.Contains(text, "http request was sent to https port") ||
		strings.Contains(text, "plain http to an ssl-enabled server port")
}

// httpsPort returns the error for a URL with http that is that of a port with TLS.
func httpsPort(router string) error {
	_, host, _ := strings.Cut(router, "://")
	return noRouter("that port needs TLS: use https://" + host)
}

// isWebSocket reports whether a response asks for a WebSocket (RFC 6455, §4.4).
func isWebSocket(resp *http.Response) bool {
	return resp.StatusCode == http.StatusUpgradeRequired || resp.Header.Get("Upgrade") != "" || resp.Header.Get("Sec-Websocket-Version") != "" ||
		resp.Header.Get("Sec-Websocket-Accept") != ""
}

// noRouter returns the error for an answer that no router sends.
func noRouter(what string) error { return &answerError{"is no router: " + what, ErrNoRouter} }

// webServer describes a web server that has no routes of a router.
const webServer = "a web server answers there, without /routing/v1"

// webPage describes a web server that answers with a page.
func webPage(resp *http.Response) string {
	return "a web server answers there with a page, " + statusText(resp)
}

// checkNotFound returns nil if an answer with status 404 can be that of a router: it has no
// body, or one of plain text that is not a web server's for a path without a route. The
// body can be read again.
func checkNotFound(resp *http.Response) error {
	text, err := readText(resp)
	switch {
	case errors.Is(err, ErrNoRouter), err == nil && isNoRoute(text):
		return noRouter(webServer)
	}
	return err
}

// isNoRoute reports whether a text is that of a web server for a path without a route.
func isNoRoute(text string) bool {
	return text == "not found" || text == "404 not found" || strings.Contains(text, "page not found") ||
		strings.HasPrefix(text, "file not found") || strings.HasPrefix(text, "cannot get /")
}

// readText returns the begin of a body of plain text, in lower case; "" for no body. The
// error for another type wraps [ErrNoRouter]. The body can be read again.
func readText(resp *http.Response) (string, error) {
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxReason))
	if err != nil {
		return "", err
	}
	resp.Body = readCloser{io.MultiReader(bytes.NewReader(b), resp.Body), resp.Body}
	header := resp.Header.Get("Content-Type")
	if header == "" {
		header = http.DetectContentType(b) // "text/plain; charset=utf-8" if it is empty
	}
	kind, _, err := mime.ParseMediaType(header)
	if (len(b) > 0 || isPage(resp)) && (err != nil || kind != "text/plain") {
		return "", noRouter(webServer)
	}
	return plainText(b), nil
}

// plainText returns a text in lower case without spaces around it and a full stop.
func plainText(b []byte) string {
	return strings.TrimSuffix(strings.ToLower(strings.TrimSpace(string(b))), ".")
}

// readCloser is a body of which a part was read before.
type readCloser struct {
	io.Reader
	io.Closer
}

// isPage reports whether an answer is a web page.
func isPage(resp *http.Response) bool {
	kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	return err == nil && (kind == "text/html" || kind == "application/xhtml+xml")
}

// identify returns what a web server is that has no routes of a router, for people.
func (c *Client) identify(ctx context.Context) string {
	// Kubo's RPC refuses GET, so this request changes nothing there.
	resp, done, err := c.send(ctx, http.MethodGet, "/api/v0/version", nil, false)
	if err == nil {
		defer done()
		if resp.StatusCode == http.StatusMethodNotAllowed && strings.Contains(strings.Join(resp.Header.Values("Allow"), ","), http.MethodPost) {
			return "it is the RPC port of Kubo, which commands the node; Kubo's router is at its gateway port (8080, with Gateway.ExposeRoutingAPI)"
		}
	}
	return webServer
}
