package delegated

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"net/url"
	"sync"
	"syscall"
	"time"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/pointer"
)

const (
	defaultTimeout   = 15 * time.Second // a router may have to walk a DHT
	dialTimeout      = 5 * time.Second
	idleTimeout      = time.Minute
	maxHeader        = 16 << 10 // bytes
	maxRedirects     = 3
	maxParallel      = maxActivePerClient // connections to the router: as many as Server serves for one client
	maxTimeoutMargin = 500 * time.Millisecond
)

// Client is a [dht.Store] at one router. It verifies no records: a [dht.Resolver]
// does. It uses no proxy, stores no cookies, and follows redirects within the
// router's own host only. It is safe for concurrent use. Close it after use.
type Client struct {
	// Timeout bounds one request with its response; 0 means 15 s. If the context
	// ends earlier, the request ends a little before the context, so that the
	// caller receives the error with the router's URL.
	Timeout time.Duration
	// Now is the clock that the router's is compared with, and by which certificates
	// are verified; nil means time.Now.
	Now func() time.Time

	mu     sync.Mutex
	skew   time.Duration
	skewAt time.Time // zero: never measured

	url  string
	http http.Client
}

var _ dht.LevelStore = (*Client)(nil)

// RouterError is the error of a request to one router. It wraps
// [dht.ErrUnreachable] if there was no answer of a router ([ErrNoRouter] if the answer
// shows that there is none), [dht.ErrRejected] if
// the answer cannot be a record, [dht.ErrOlder] if the router has a newer record
// than the one put, or a [*dht.ShortError] if it refused the put for another
// reason.
type RouterError struct {
	Router string // its URL
	Reason string // for people, on one line; text from the router is quoted
	Err    error
}

func (e *RouterError) Error() string { return "router " + e.Router + ": " + e.Reason }

// Unwrap returns the kind of the failure.
func (e *RouterError) Unwrap() error { return e.Err }

// NewClient returns a client of the router at a URL, which [ParseURL] parses.
func NewClient(router string) (*Client, error) {
	base, err := ParseURL(router)
	if err != nil {
		return nil, err
	}
	dialer := &net.Dialer{Timeout: dialTimeout}
	c := &Client{url: base}
	c.http = http.Client{
		Transport: &http.Transport{
			TLSClientConfig:        &tls.Config{Time: c.now},
			DialContext:            dialer.DialContext,
			TLSHandshakeTimeout:    dialTimeout,
			MaxResponseHeaderBytes: maxHeader,
			MaxIdleConnsPerHost:    2,
			MaxConnsPerHost:        maxParallel,
			IdleConnTimeout:        idleTimeout,
			DisableCompression:     true, // 10 KiB on the wire are 10 KiB
			ForceAttemptHTTP2:      true,
		},
		CheckRedirect: func(req *http.Request, via []*http.Request) error {
			first := via[0]
			if len(via) > maxRedirects || req.URL.Scheme != first.URL.Scheme || req.URL.Host != first.URL.Host || req.Method != first.Method {
				return http.ErrUseLastResponse
			}
			return nil
		},
	}
	return c, nil
}

// URL returns the router's URL in the canonical form of [ParseURL].
func (c *Client) URL() string { return c.url }

// Close closes the idle connections.
func (c *Client) Close() error {
	c.http.CloseIdleConnections()
	return nil
}

// Get yields one answer: an unverified record, or none. Its errors are
// [*RouterError]s. The Peer is set if the router answered, even with something
// that cannot be a record, and empty if it did not answer.
func (c *Client) Get(ctx context.Context, p pointer.Pointer) iter.Seq2[dht.Answer, error] {
	return c.GetAt(ctx, p, dht.LevelAny)
}

// GetAt is Get. Above [dht.LevelAny] it requests the router, and any cache on the
// way, to look up the record again (no-cache; RFC 9111, §5.2.1.4).
func (c *Client) GetAt(ctx context.Context, p pointer.Pointer, level dht.Level) iter.Seq2[dht.Answer, error] {
	return func(yield func(dht.Answer, error) bool) {
		a := dht.Answer{Source: dht.SourceRouter, Asked: 1}
		record, err := c.get(ctx, p, level.AtLeast(dht.LevelAgreed))
		// A router that answered counts as a peer, even if the answer is invalid.
		if err == nil || errors.Is(err, dht.ErrRejected) {
			a.Peer = c.url
		}
		a.Record = record
		yield(a, err)
	}
}

// get requests a record. It returns unverified bytes, nil if the router has none.
func (c *Client) get(ctx context.Context, p pointer.Pointer, noCache bool) ([]byte, error) {
	resp, done, err := c.do(ctx, http.MethodGet, p, nil, noCache)
	if err != nil {
		return nil, err
	}
	defer done()
	record, err := readRecord(resp)
	if err != nil {
		return nil, c.routerError(ctx, err)
	}
	return record, nil
}

// Put puts the record to the router. The receipt counts the router as one peer,
// whatever the number of peers that the router put the record to.
func (c *Client) Put(ctx context.Context, p pointer.Pointer, record []byte) (dht.Receipt, error) {
	if len(record) > pointer.MaxRecord {
		return dht.Receipt{}, fmt.Errorf("put: %d bytes, over %d", len(record), pointer.MaxRecord)
	}
	resp, done, err := c.do(ctx, http.MethodPut, p, record, false)
	if err == nil {
		defer done()
		err = checkStored(resp)
	}
	switch {
	case err == nil:
		return dht.Receipt{Asked: 1, Stored: 1}, nil
	case p.IsZero():
		return dht.Receipt{}, err
	}
	err = c.routerError(ctx, err)
	if errors.Is(err, dht.ErrUnreachable) {
		return dht.Receipt{Asked: 1, Unreachable: 1}, err
	}
	return dht.Receipt{Asked: 1, Refused: 1}, err
}

// do sends a request for a pointer. The caller calls done after reading the body.
func (c *Client) do(ctx context.Context, method string, p pointer.Pointer, body []byte, noCache bool) (_ *http.Response, done func(), err error) {
	if p.IsZero() {
		return nil, nil, errors.New("router: no pointer given")
	}
	return c.send(ctx, method, path+p.String(), body, noCache)
}

// send sends a request for a path. The caller calls done after reading the body.
func (c *Client) send(ctx context.Context, method, path string, body []byte, noCache bool) (_ *http.Response, done func(), err error) {
	requestCtx, cancel := c.withTimeout(ctx)
	defer func() {
		if err != nil {
			cancel()
		}
	}()
	req, err := http.NewRequestWithContext(requestCtx, method, c.url+path, bytes.NewReader(bytes.Clone(body)))
	if err != nil {
		return nil, nil, err
	}
	req.Header.Set("User-Agent", "petnames")
	if method == http.MethodPut {
		req.Header.Set("Content-Type", contentType)
	} else {
		req.Body, req.GetBody = nil, nil
		req.Header.Set("Accept", contentType)
	}
	if noCache {
		req.Header.Set("Cache-Control", "no-cache")
	}
	sent := c.now()
	resp, err := c.http.Do(req)
	if method == http.MethodGet && isReset(err) && requestCtx.Err() == nil { // by a router that is busy, or restarts
		resp, err = c.http.Do(req)
	}
	if err != nil {
		c.compareCertificate(err)
		return nil, nil, c.routerError(ctx, err)
	}
	c.compareClocks(resp, sent)
	return resp, func() {
		resp.Body.Close() // without reading the rest
		cancel()
	}, nil
}

// withTimeout returns the context of one request: see Client.Timeout.
func (c *Client) withTimeout(ctx context.Context) (context.Context, context.CancelFunc) {
	timeout := c.Timeout
	if timeout <= 0 {
		timeout = defaultTimeout
	}
	if end, ok := ctx.Deadline(); ok {
		left := time.Until(end)
		timeout = min(timeout, left-min(left/10, maxTimeoutMargin))
	}
	return context.WithTimeout(ctx, timeout)
}

// routerError returns err, of the transport or of a response, as a RouterError.
func (c *Client) routerError(ctx context.Context, err error) error {
	var routerErr *RouterError
	if errors.As(err, &routerErr) {
		return err
	}
	out := &RouterError{Router: c.url, Err: dht.ErrUnreachable}
	var answerErr *answerError
	var urlErr *url.Error
	switch {
	case errors.As(err, &answerErr):
		out.Reason, out.Err = answerErr.reason, answerErr.err
	case ctx.Err() != nil && errors.Is(ctx.Err(), context.Canceled):
		out.Reason, out.Err = "asked no further", fmt.Errorf("%w: %w", dht.ErrUnreachable, ctx.Err())
	case isTimeout(err):
		out.Reason, out.Err = "no answer in time", fmt.Errorf("%w: %w", dht.ErrUnreachable, context.DeadlineExceeded)
	case errors.As(err, &urlErr):
		out.Reason = sanitize(urlErr.Err.Error())
	default:
		out.Reason = sanitize(err.Error())
	}
	return out
}

// isReset reports whether err is that of a connection which the router closed before its
// answer.
func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, io.EOF)
}

// isTimeout reports whether err is that of a deadline.
func isTimeout(err error) bool {
	var timeout net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout()
}
