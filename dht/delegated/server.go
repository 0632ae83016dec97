package delegated

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math"
	"mime"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/pointer"
)

const (
	defaultNetworkTimeout = 10 * time.Second
	defaultRate           = 5  // requests a second
	defaultBurst          = 60 // requests

	maxActive          = 64 // active requests to the network, of all clients
	maxActivePerClient = 8  // and at most an eighth of what the others leave

	bodyTimeout = 5 * time.Second // for the body of a put
	noneMaxAge  = 15              // seconds that the answer without a record may be cached
)

// Server is a router: an [http.Handler] for the part of /routing/v1 for IPNS. The
// zero value has only the records that clients put. Run it by [Serve], or by a
// server that bounds headers and connections itself. It is safe for concurrent
// use once its fields are set.
//
// It stores the records that clients put, and those from the network, in bounded
// memory. It serves a record from memory within its [dht.MaxAge], and refuses a put of an
// older one. It verifies all records.
//
// A refusal has a reason as text: 400 for a record that does not verify against
// the name or has expired, 406 for other content types, 408 for a body
// that takes over 5 s, 409 for a record older than the newest known, 413 for one
// over 10 KiB, 429 (with Retry-After) for a client that sends too many requests,
// in time or at once, 503 (with Retry-After) if the network stored nothing or is
// unreachable: the text states whether the router itself holds the record, and serves it. A record
// may be put again, which renews it in the network. Requests for other paths and methods are
// refused with 404 and 405, and do not count.
//
// A client is an address, in IPv6 a /64. Headers do not affect this. Web pages of
// other origins cannot use the router without CORS: a router on loopback is for its
// owner.
type Server struct {
	// Network is queried for records that are not in memory, and puts go to it
	// before they are answered. Nil: none. A [ClientStore] is asked for each client, and
	// a [HoldingStore] for what it holds.
	Network dht.Store
	// CORS allows the web pages of all origins to use the router, as the specification
	// requires of a public one ("CORS and Web Browsers"). A page that the owner of a
	// router on loopback opens in a browser can then use it as the owner does.
	CORS bool
	// Now is the clock for expiry, TTL and rates; nil means time.Now. The
	// deadlines of connections use the system clock.
	Now func() time.Time
	// Timeout bounds the use of the network for one request; 0: 10 s.
	Timeout time.Duration
	// Rate is the number of requests a second that a client may make on average,
	// and Burst the number at once; 0: 5 and 60.
	Rate, Burst float64
	// Observe, if not nil, is called after every request, from many goroutines.
	Observe func(method string, status int, took time.Duration)

	once    sync.Once
	mux     *http.ServeMux
	limiter limiter
	cache   recordCache
}

// ClientStore is a network that bounds or accounts what it does for each client of a
// router.
type ClientStore interface {
	dht.Store
	// ForClient returns the network for the requests of one client: an IPv4 address,
	// the /64 of an IPv6 address, or the zero address if it is unknown.
	ForClient(client netip.Addr) dht.Store
}

// HoldingStore is a network that holds records itself, as a node of a DHT does. What
// peers stored there since counts over the records in the memory of a router.
type HoldingStore interface {
	dht.Store
	// Held returns the record that the store holds itself, not verified; nil: none.
	Held(ctx context.Context, p pointer.Pointer) []byte
}

// newest returns the record that the network itself holds if it is newer than a record in
// memory, and else that one.
func (s *Server) newest(ctx context.Context, cached pointer.Record) pointer.Record {
	n, ok := s.Network.(HoldingStore)
	if !ok {
		return cached
	}
	b := n.Held(ctx, cached.Pointer())
	if b == nil || bytes.Equal(b, cached.Bytes()) {
		return cached
	}
	held, err := pointer.Open(cached.Pointer(), b, s.now())
	if err != nil || held.Compare(cached) <= 0 {
		return cached
	}
	return held
}

// isHeld reports whether the network itself holds a record.
func (s *Server) isHeld(ctx context.Context, record pointer.Record) bool {
	n, ok := s.Network.(HoldingStore)
	return ok && bytes.Equal(n.Held(ctx, record.Pointer()), record.Bytes())
}

// network returns the network for the client of a request.
func (s *Server) network(r *http.Request) dht.Store {
	if n, ok := s.Network.(ClientStore); ok {
		return n.ForClient(clientOf(r.RemoteAddr).Addr())
	}
	return s.Network
}

// Records returns the number of records in memory.
func (s *Server) Records() int { return s.cache.len() }

// ServeHTTP serves one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.once.Do(func() {
		s.mux = http.NewServeMux()
		s.mux.HandleFunc("GET "+path+"{name}", s.get)
		s.mux.HandleFunc("PUT "+path+"{name}", s.put)
	})
	began := s.now()
	recorder := &statusRecorder{ResponseWriter: w, status: http.StatusOK}
	// Bound slow clients. Errors are ignored: a writer without deadlines, such as
	// a recorder, is not a connection.
	c := http.NewResponseController(w)
	_ = c.SetReadDeadline(time.Now().Add(bodyTimeout))
	_ = c.SetWriteDeadline(time.Now().Add(bodyTimeout + s.timeout() + bodyTimeout))
	if s.CORS && allowOrigins(recorder, r) {
		// A preflight request, which needs no answer of a router.
	} else if _, served := s.mux.Handler(r); served == "" {
		// What the router does not have, such as /providers/, uses nothing of what
		// the client may ask for: Kubo sends such requests beside those for records.
		s.mux.ServeHTTP(recorder, r)
	} else if ok, wait := s.limiter.allow(clientOf(r.RemoteAddr), began, s.rate(), s.burst()); !ok {
		tooMany(recorder, wait, "too many requests from your address")
	} else {
		s.mux.ServeHTTP(recorder, r)
	}
	if s.Observe != nil {
		s.Observe(r.Method, recorder.status, s.now().Sub(began))
	}
}

// statusRecorder records the status of a response.
type statusRecorder struct {
	http.ResponseWriter
	status int
}

// WriteHeader records the status and sends it.
func (w *statusRecorder) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController.
func (w *statusRecorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// get serves a record, from memory within its MaxAge and else from the network.
func (s *Server) get(w http.ResponseWriter, r *http.Request) {
	p, ok := pathPointer(w, r)
	if !ok {
		return
	}
	if !accepts(r.Header.Values("Accept")) {
		refuse(w, http.StatusNotAcceptable, "this type is not served: try again with Accept: "+contentType)
		return
	}
	if r.ContentLength != 0 {
		w.Header().Set("Connection", "close")
		refuse(w, http.StatusBadRequest, "a GET has no body")
		return
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{}) // the request is read
	now := s.now()
	cached, ok, fresh := s.cache.get(p, now)
	if fresh {
		cached = s.newest(r.Context(), cached)
	}
	if (!fresh || noCache(r)) && s.Network != nil {
		release, acquired := s.acquire(w, r)
		if !acquired {
			return
		}
		found, err := s.queryNetwork(r.Context(), s.network(r), p)
		release()
		switch {
		case err == nil:
			cached, ok = s.cache.put(found, s.now(), clientOf(r.RemoteAddr)), true
		case ok || r.Context().Err() != nil:
			// Serve the record in memory: it has not expired.
		case errors.Is(err, dht.ErrUnreachable) || errors.Is(err, context.DeadlineExceeded):
			tooBusy(w, "the network could not be asked; try again")
			return
		}
	}
	if !ok {
		w.Header().Set("Cache-Control", "public, max-age="+strconv.Itoa(noneMaxAge))
		writeText(w, http.StatusOK, "no record of this name was found")
		return
	}
	s.writeRecord(w, r, cached)
}

// noCache reports whether a request forbids an answer from memory.
func noCache(r *http.Request) bool {
	for _, line := range r.Header.Values("Cache-Control") {
		for directive := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(directive), "no-cache") {
				return true
			}
		}
	}
	return false
}

// writeRecord sends a record. Caches may use it for its [dht.MaxAge], until an hour
// has passed while they request it again, for one with a card not longer than its
// MaxAge, after that if the request fails, and never after it has expired.
func (s *Server) writeRecord(w http.ResponseWriter, r *http.Request, record pointer.Record) {
	left := max(0, int(record.Expires().Sub(s.now()).Seconds()))
	age := min(left, int(dht.MaxAge(record).Seconds()))
	revalidate := max(0, min(left, int(dht.AgeBound(record).Seconds()))-age)
	b := record.Bytes()
	sum := sha256.Sum256(b)
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Cache-Control", fmt.Sprintf("public, max-age=%d, stale-while-revalidate=%d, stale-if-error=%d", age, revalidate, left-age))
	h.Set("Expires", record.Expires().UTC().Format(http.TimeFormat))
	h.Set("Etag", fmt.Sprintf(`"%x"`, sum[:16]))
	h.Set("Vary", "Accept")
	h.Set("Content-Disposition", fmt.Sprintf(`attachment; filename="%s.ipns-record"`, record.Pointer()))
	h.Set("X-Content-Type-Options", "nosniff")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(b))
}

// queryNetwork looks a record up at LevelFresh: clients have caches of their own,
// so a request means that a fresh record is needed.
func (s *Server) queryNetwork(ctx context.Context, network dht.Store, p pointer.Pointer) (pointer.Record, error) {
	// A resolver for this request only: requests of clients leave nothing but an
	// entry of the cache.
	resolver := dht.Resolver{Stores: []dht.Store{network}, Now: s.now, Timeout: s.timeout()}
	res, err := resolver.Best(ctx, p, dht.LevelFresh)
	return res.Record, err
}

// put verifies a record, puts it to the network, and stores it in memory.
func (s *Server) put(w http.ResponseWriter, r *http.Request) {
	p, ok := pathPointer(w, r)
	if !ok {
		return
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != contentType {
		refuse(w, http.StatusNotAcceptable, "this type is not stored: try again with Content-Type: "+contentType)
		return
	}
	b, ok := readBody(w, r)
	if !ok {
		return
	}
	record, err := pointer.Open(p, b, s.now())
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	if cached, ok, _ := s.cache.get(p, s.now()); ok && cached.Compare(record) > 0 {
		refuseOlder(w, cached)
		return
	}
	stored := 1
	if s.Network != nil {
		release, acquired := s.acquire(w, r)
		if !acquired {
			return
		}
		resolver := dht.Resolver{Stores: []dht.Store{s.network(r)}, Now: s.now, Timeout: s.timeout()}
		receipt, err := resolver.Publish(r.Context(), record)
		release()
		switch {
		case errors.Is(err, dht.ErrOlder):
			refuse(w, http.StatusConflict, "the network has a newer record")
			return
		case err != nil && receipt.Stored == 0 && s.isHeld(r.Context(), record):
			s.cache.put(record, s.now(), clientOf(r.RemoteAddr))
			tooBusy(w, "held by this router, and not passed on to its peers yet; try again")
			return
		case err != nil && receipt.Stored == 0:
			tooBusy(w, "nobody stored it; try again")
			return
		}
		stored = receipt.Stored
	}
	if newest := s.cache.put(record, s.now(), clientOf(r.RemoteAddr)); newest.Compare(record) > 0 {
		refuseOlder(w, newest) // it arrived in the meantime
		return
	}
	writeText(w, http.StatusOK, fmt.Sprintf("stored by %d", stored))
}

// refuseOlder refuses a put because a newer record is known.
func refuseOlder(w http.ResponseWriter, newest pointer.Record) {
	refuse(w, http.StatusConflict, fmt.Sprintf("a newer record is known (sequence %d)", newest.Sequence()))
}

// readBody reads the body of a put, within the bounds of size and time. If it
// fails, it sends the response and returns false.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, bool) {
	tooLarge := func() {
		w.Header().Set("Connection", "close") // the rest is not waited for
		refuse(w, http.StatusRequestEntityTooLarge, fmt.Sprintf("a record has at most %d bytes", pointer.MaxRecord))
	}
	if r.ContentLength > int64(pointer.MaxRecord) {
		tooLarge()
		return nil, false
	}
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, int64(pointer.MaxRecord)))
	var tooLong *http.MaxBytesError
	switch {
	case errors.As(err, &tooLong):
		tooLarge()
		return nil, false
	case err != nil && isTimeout(err):
		w.Header().Set("Connection", "close")
		refuse(w, http.StatusRequestTimeout, "the record took too long to come in")
		return nil, false
	case err != nil:
		w.Header().Set("Connection", "close")
		refuse(w, http.StatusBadRequest, "the record was cut short")
		return nil, false
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	return b, true
}

// acquire counts a request to the network, until release is called. Over the
// limits it sends the response and returns false.
func (s *Server) acquire(w http.ResponseWriter, r *http.Request) (release func(), ok bool) {
	release, err := s.limiter.acquire(clientOf(r.RemoteAddr))
	switch {
	case errors.Is(err, errClientBusy):
		tooMany(w, time.Second, "too many requests from your address at once")
		return nil, false
	case err != nil:
		tooBusy(w, "too many requests at once; try again")
		return nil, false
	}
	return release, true
}

// pathPointer returns the pointer of the path. If there is none, it sends the
// response and returns false.
func pathPointer(w http.ResponseWriter, r *http.Request) (pointer.Pointer, bool) {
	p, err := pointer.Parse(r.PathValue("name"))
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return pointer.Pointer{}, false
	}
	return p, true
}

// accepts reports whether the values of Accept allow a record. Without the header
// all types are allowed (RFC 9110, §12.5.1). Weights do not matter for one type.
func accepts(accept []string) bool {
	if len(accept) == 0 {
		return true
	}
	for _, part := range strings.Split(strings.Join(accept, ","), ",") {
		kind, _, _ := strings.Cut(part, ";")
		switch strings.ToLower(strings.TrimSpace(kind)) {
		case contentType, "application/*", "*/*":
			return true
		}
	}
	return false
}

// tooMany refuses a request of a client that sends too many; wait is the time until a
// further one is accepted.
func tooMany(w http.ResponseWriter, wait time.Duration, reason string) {
	w.Header().Set("Retry-After", strconv.Itoa(max(1, int(math.Ceil(wait.Seconds())))))
	refuse(w, http.StatusTooManyRequests, reason)
}

// tooBusy refuses a request that may succeed later.
func tooBusy(w http.ResponseWriter, reason string) {
	w.Header().Set("Retry-After", "5")
	refuse(w, http.StatusServiceUnavailable, reason)
}

// refuse sends an answer other than success, with its reason.
func refuse(w http.ResponseWriter, status int, reason string) {
	w.Header().Set("Cache-Control", "no-store")
	writeText(w, status, reason)
}

// writeText sends an answer of one line of text.
func writeText(w http.ResponseWriter, status int, s string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, sanitize(s)+"\n") // an error means that the client has gone
}

func (s *Server) now() time.Time {
	if s.Now != nil {
		return s.Now().Round(0)
	}
	return time.Now().Round(0)
}

func (s *Server) timeout() time.Duration {
	if s.Timeout > 0 {
		return s.Timeout
	}
	return defaultNetworkTimeout
}

func (s *Server) rate() float64 {
	if s.Rate > 0 {
		return s.Rate
	}
	return defaultRate
}

func (s *Server) burst() float64 {
	if s.Burst >= 1 {
		return s.Burst
	}
	return defaultBurst
}
