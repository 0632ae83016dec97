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
	if err != nil {
		return err
	}
	defer done()
	switch code := resp.StatusCode; {
	case code == http.StatusMethodNotAllowed:
		return c.routerError(ctx, noRouter(c.identify(ctx)))
	case code == http.StatusNotFound:
		if err = checkNotFound(resp); errors.Is(err, ErrNoRouter) {
			err = noRouter(c.identify(ctx))
		}
		if err != nil {
			return c.routerError(ctx, err)
		}
		return nil
	case code == http.StatusUnprocessableEntity: // Helia's router refuses a name so, as text/html
		return nil
	case code >= 400 && code < 500 && isPage(resp):
		return c.routerError(ctx, noRouter(webPage(resp)))
	case code >= 400 && code < 500:
		return nil
	}
	record, err := readRecord(resp)
	switch {
	case errors.Is(err, dht.ErrRejected):
		return nil // of the type of a record: each look-up states what is wrong
	case err == nil && record == nil && isLong(resp):
		return c.routerError(ctx, noRouter("a server answers there with more than a record"))
	case err != nil && resp.StatusCode == http.StatusOK && !isPage(resp):
		return c.routerError(ctx, noRouter(fmt.Sprintf("a server answers there with %q", sanitize(resp.Header.Get("Content-Type")))))
	case err != nil:
		return c.routerError(ctx, err)
	}
	return nil
}

// isLong reports whether the rest of a body is longer than the longest answer of a router.
func isLong(resp *http.Response) bool {
	n, _ := io.CopyN(io.Discard, resp.Body, int64(pointer.MaxRecord)+1) // an error ends it
	return n > int64(pointer.MaxRecord)
}

// noRouter returns the error for an answer that no router sends.
func noRouter(what string) error { return &answerError{"is no router: " + what, ErrNoRouter} }

// webServer describes a web server that has no routes of a router.
const webServer = "a web server answers there, without /routing/v1"

// webPage describes a web server that answers with a page.
func webPage(resp *http.Response) string {
	return fmt.Sprintf("a web server answers there with a page, %d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
}

// checkNotFound returns nil if an answer with status 404 can be that of a router: it has no
// body, or one of plain text that is not a web server's for a path without a route. The
// body can be read again.
func checkNotFound(resp *http.Response) error {
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxReason))
	if err != nil {
		return err
	}
	resp.Body = readCloser{io.MultiReader(bytes.NewReader(b), resp.Body), resp.Body}
	header := resp.Header.Get("Content-Type")
	if header == "" {
		header = http.DetectContentType(b) // "text/plain; charset=utf-8" if it is empty
	}
	kind, _, err := mime.ParseMediaType(header)
	text := strings.TrimSuffix(strings.ToLower(strings.TrimSpace(string(b))), ".")
	switch {
	case len(b) == 0 && !isPage(resp):
		return nil
	case err != nil || kind != "text/plain", text == "not found", text == "404 not found",
		strings.Contains(text, "page not found"), strings.HasPrefix(text, "file not found"), strings.HasPrefix(text, "cannot get /"):
		return noRouter(webServer)
	}
	return nil
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
