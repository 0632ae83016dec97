package delegated

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/petnames-go/petnames/dht"
)

// Check returns nil if a router answers at the URL. It requests an invalid name, which a
// router refuses without a look-up. Success does not prove that look-ups work. The error
// for a web server that is no router states what it is, as far as its answers show.
func (c *Client) Check(ctx context.Context) error {
	resp, done, err := c.send(ctx, http.MethodGet, path+"-", nil, false)
	if err != nil {
		return err
	}
	defer done()
	switch {
	case resp.StatusCode == http.StatusNotFound || resp.StatusCode == http.StatusMethodNotAllowed:
		if isRouter(resp) {
			return nil
		}
		return c.routerError(ctx, &answerError{"is no router: " + c.identify(ctx), dht.ErrUnreachable})
	case resp.StatusCode >= 400 && resp.StatusCode < 500:
		if isPage(resp) {
			return c.routerError(ctx, &answerError{"is no router: a web server answers there with a page, " + resp.Status, dht.ErrUnreachable})
		}
		return nil
	}
	if _, err = readRecord(resp); err == nil || errors.Is(err, dht.ErrRejected) {
		return nil
	}
	return c.routerError(ctx, err)
}

// isRouter reports whether the refusal of an invalid name with 404 or 405 can be that of a
// router: it is neither a page nor the text of a web server for a path that it has not.
func isRouter(resp *http.Response) bool {
	if resp.StatusCode != http.StatusNotFound || isPage(resp) {
		return false
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxReason))
	text := strings.ToLower(strings.TrimSpace(string(b)))
	return err == nil && !strings.Contains(text, "page not found") && !strings.HasPrefix(text, "file not found") && text != "not found"
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
	return "a web server answers there, without /routing/v1"
}
