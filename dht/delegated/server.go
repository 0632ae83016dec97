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

	maxActive          = 64 // requests that the network is asked for, of all clients
	maxActivePerClient = 8

	bodyTimeout = 5 * time.Second // for a record to come in
	noneMaxAge  = 15              // seconds that others may cache that there is none
)

// Server is a router: an [http.Handler] for the part of /routing/v1 that is
// about IPNS. The zero value is one that only knows what it was given. Have it
// served by [Serve], or by a server that bounds headers and connections itself.
//
// It keeps the records that were put, and those that the network gave, in
// bounded memory: answers come from there within a record's TTL, and an older
// record than one that is there is refused. All are verified.
//
// A refusal carries its reason as text: 400 for what doesn't verify against the
// name or has expired, 406 and 415 for other content types, 408 for a body that
// doesn't come in 5 s, 409 for a record older than the newest known, 413 for
// one over 10 KiB, 429 (with Retry-After) for a client that asks too often or
// for too much at once, 503 (the same) when the network stored nothing or can't
// be asked. The same record again is fine, and renews it in the network.
//
// Clients are told apart by address, in IPv6 by /64; no header is believed.
// Web pages of other origins are given no leave (CORS) to use the router: one on
// loopback is its owner's.
type Server struct {
	// Network is asked for what isn't at hand, and stored to. It is given a
	// put before the put is answered. Nil: there is none.
	Network dht.Store
	// Now is the clock for expiry, TTL and rates; nil means time.Now. The
	// deadlines of connections go by the machine's.
	Now func() time.Time
	// Timeout bounds what the network is given for one request; 0: 10 s.
	Timeout time.Duration
	// Rate is how many requests a second a client may make in the long run, and
	// Burst how many at once; 0: 5 and 60.
	Rate, Burst float64
	// Observe, if not nil, is told of every request when it is answered. It is
	// called from many goroutines.
	Observe func(method string, status int, took time.Duration)

	once    sync.Once
	mux     *http.ServeMux
	limiter limiter
	cache   recordCache
	slots   chan struct{}
}

// Records is how many records the server holds.
func (s *Server) Records() int { return s.cache.len() }

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.once.Do(func() {
		s.slots = make(chan struct{}, maxActive)
		s.mux = http.NewServeMux()
		s.mux.HandleFunc("GET "+path+"{name}", s.get)
		s.mux.HandleFunc("PUT "+path+"{name}", s.put)
	})
	began := s.now()
	seen := &statusRecorder{ResponseWriter: w, status: http.StatusOK}
	// Whoever sends or reads slowly gets as much time as an honest one needs.
	// What isn't a connection (a recorder) can't be slow either.
	c := http.NewResponseController(w)
	_ = c.SetReadDeadline(time.Now().Add(bodyTimeout))
	_ = c.SetWriteDeadline(time.Now().Add(bodyTimeout + s.timeout() + bodyTimeout))
	if ok, wait := s.limiter.allow(clientOf(r.RemoteAddr), began, s.rate(), s.burst()); !ok {
		tooMany(seen, wait, "too many requests from your address")
	} else {
		s.mux.ServeHTTP(seen, r)
	}
	if s.Observe != nil {
		s.Observe(r.Method, seen.status, s.now().Sub(began))
	}
}

// watched notes the status.
type statusRecorder struct {
	http.ResponseWriter
	status int
}

func (w *statusRecorder) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets an http.ResponseController through.
func (w *statusRecorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (s *Server) get(w http.ResponseWriter, r *http.Request) {
	p, ok := pathPointer(w, r)
	if !ok {
		return
	}
	if !accepts(r.Header.Values("Accept")) {
		refuse(w, http.StatusNotAcceptable, "the answer is "+contentType+", which you don't accept")
		return
	}
	if r.ContentLength != 0 {
		w.Header().Set("Connection", "close")
		refuse(w, http.StatusBadRequest, "a GET has no body")
		return
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{}) // it may take its time from here on
	now := s.now()
	held, ok, fresh := s.cache.get(p, now)
	if (!fresh || noCache(r)) && s.Network != nil {
		end, free := s.acquire(w, r)
		if !free {
			return
		}
		found, err := s.queryNetwork(r.Context(), p)
		end()
		switch {
		case err == nil:
			held, ok = s.cache.put(found, s.now(), clientOf(r.RemoteAddr)), true
		case ok || r.Context().Err() != nil:
			// What is there is within its life, and was the newest.
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
	s.writeRecord(w, r, held)
}

// anew reports whether a client wants no answer out of our memory.
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

// answer sends a record, which others may cache for its TTL, use after that
// while they look again, and never beyond its life.
func (s *Server) writeRecord(w http.ResponseWriter, r *http.Request, record pointer.Record) {
	left := max(0, int(record.Expires().Sub(s.now()).Seconds()))
	age := min(left, int(min(record.TTL().Seconds(), math.MaxInt32)))
	b := record.Bytes()
	sum := sha256.Sum256(b)
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Cache-Control", fmt.Sprintf("public, max-age=%d, stale-while-revalidate=%d, stale-if-error=%d", age, left-age, left-age))
	h.Set("Expires", record.Expires().UTC().Format(http.TimeFormat))
	h.Set("Etag", fmt.Sprintf(`"%x"`, sum[:16]))
	h.Set("Vary", "Accept")
	h.Set("Content-Disposition", fmt.Sprintf(`attachment; filename="%s.ipns-record"`, record.Pointer()))
	h.Set("X-Content-Type-Options", "nosniff")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(b))
}

// look asks the network, as hard as for a fresh answer: it is for others, whose
// own caches come before us.
func (s *Server) queryNetwork(ctx context.Context, p pointer.Pointer) (pointer.Record, error) {
	// A resolver for this question alone: what strangers ask for leaves nothing
	// behind but on the shelf.
	resolver := dht.Resolver{Stores: []dht.Store{s.Network}, Now: s.now, Timeout: s.timeout()}
	res, err := resolver.Best(ctx, p, dht.LevelFresh)
	return res.Record, err
}

func (s *Server) put(w http.ResponseWriter, r *http.Request) {
	p, ok := pathPointer(w, r)
	if !ok {
		return
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != contentType {
		refuse(w, http.StatusUnsupportedMediaType, "the Content-Type of a record is "+contentType)
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
	if held, ok, _ := s.cache.get(p, s.now()); ok && held.Compare(record) > 0 {
		refuseOlder(w, held)
		return
	}
	stored := 1
	if s.Network != nil {
		end, free := s.acquire(w, r)
		if !free {
			return
		}
		resolver := dht.Resolver{Stores: []dht.Store{s.Network}, Now: s.now, Timeout: s.timeout()}
		receipt, err := resolver.Publish(r.Context(), record)
		end()
		switch {
		case errors.Is(err, dht.ErrOlder):
			refuse(w, http.StatusConflict, "the network has a newer record")
			return
		case err != nil && receipt.Stored == 0:
			tooBusy(w, "nobody stored it; try again")
			return
		}
		stored = receipt.Stored
	}
	if newest := s.cache.put(record, s.now(), clientOf(r.RemoteAddr)); newest.Compare(record) > 0 {
		refuseOlder(w, newest) // it came in between
		return
	}
	writeText(w, http.StatusOK, fmt.Sprintf("stored by %d", stored))
}

func refuseOlder(w http.ResponseWriter, held pointer.Record) {
	refuse(w, http.StatusConflict, fmt.Sprintf("a newer record is known (sequence %d)", held.Sequence()))
}

// body reads what was put, within the bounds of a record and of patience.
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
	var over *http.MaxBytesError
	switch {
	case errors.As(err, &over):
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

// begin takes a place among those that the network is asked for.
func (s *Server) acquire(w http.ResponseWriter, r *http.Request) (release func(), ok bool) {
	done, ok := s.limiter.acquire(clientOf(r.RemoteAddr), maxActivePerClient)
	if !ok {
		tooMany(w, time.Second, "too many requests from your address at once")
		return nil, false
	}
	select {
	case s.slots <- struct{}{}:
		return func() { <-s.slots; done() }, true
	default:
		done()
		tooBusy(w, "too many requests at once; try again")
		return nil, false
	}
}

// named reads the pointer out of the path.
func pathPointer(w http.ResponseWriter, r *http.Request) (pointer.Pointer, bool) {
	p, err := pointer.Parse(r.PathValue("name"))
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return pointer.Pointer{}, false
	}
	return p, true
}

// accepts is whether a record may be sent to who said so. Nothing said is all
// accepted (RFC 9110, §12.5.1); weights don't matter with one thing to choose.
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

func tooMany(w http.ResponseWriter, wait time.Duration, reason string) {
	w.Header().Set("Retry-After", strconv.Itoa(max(1, int(math.Ceil(wait.Seconds())))))
	refuse(w, http.StatusTooManyRequests, reason)
}

func tooBusy(w http.ResponseWriter, reason string) {
	w.Header().Set("Retry-After", "5")
	refuse(w, http.StatusServiceUnavailable, reason)
}

func refuse(w http.ResponseWriter, status int, reason string) {
	w.Header().Set("Cache-Control", "no-store")
	writeText(w, status, reason)
}

func writeText(w http.ResponseWriter, status int, s string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, sanitize(s)+"\n") // nobody is left to tell if it fails
}

func (s *Server) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
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
