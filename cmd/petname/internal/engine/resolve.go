package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/name"
)

// ResolveArgs are the arguments of resolve.
type ResolveArgs struct {
	Path    string        `json:"path"`  // NAME[/EDGE…] or a pointer
	Fresh   string        `json:"fresh"` // a level over any: the network is asked; empty: the cache may do
	Offline bool          `json:"offline"`
	Timeout time.Duration `json:"timeout"`
}

// Resolved is the result of resolve. It describes the last hop; with an error,
// the last one that was reached, and Verified is false.
type Resolved struct {
	Name      string     `json:"name"`
	Pointer   string     `json:"pointer"`
	Hops      []Hop      `json:"hops"`
	Value     string     `json:"value"`
	Sequence  uint64     `json:"sequence"`
	Expires   *time.Time `json:"expires"`
	TTL       float64    `json:"ttl"` // seconds
	Nickname  string     `json:"nickname"`
	Source    string     `json:"source"`
	Freshness string     `json:"freshness"`
	Asked     int        `json:"asked"`
	Answered  int        `json:"answered"`
	Agreed    int        `json:"agreed"`
	Stale     bool       `json:"stale"`
	Former    []string   `json:"former,omitempty"`   // pointers that this one proved to succeed, oldest first
	Unproven  string     `json:"unproven,omitempty"` // a successor that is named, and that nothing proves
	Rejected  []string   `json:"rejected"`           // answers that were no use, and why
	Verified  bool       `json:"verified"`
}

// Hop is one step of a path.
type Hop struct {
	Name      string    `json:"name"`
	Pointer   string    `json:"pointer"`
	Value     string    `json:"value"`
	Sequence  uint64    `json:"sequence"`
	Expires   time.Time `json:"expires"`
	Source    string    `json:"source"`
	Freshness string    `json:"freshness"`
	Asked     int       `json:"asked"`
	Answered  int       `json:"answered"`
	Agreed    int       `json:"agreed"`
	Stale     bool      `json:"stale"`
	Former    []string  `json:"former,omitempty"`
	Unproven  string    `json:"unproven,omitempty"`
}

const maxTimeout = 10 * time.Minute

// Resolve walks a path of names and gives the record at its end, verified.
func (e *Engine) Resolve(ctx context.Context, a ResolveArgs) (*Resolved, error) {
	if a.Fresh != "" && a.Offline {
		return nil, Usage("--fresh asks the network and --offline doesn't: choose one")
	}
	if a.Timeout <= 0 || a.Timeout > maxTimeout {
		return nil, Usage("timeout %s: must be over 0 and at most %s", a.Timeout, maxTimeout)
	}
	level := dht.LevelAny
	switch {
	case a.Fresh != "":
		if level = dht.Level(a.Fresh); level != dht.LevelAgreed && level != dht.LevelFresh && level != dht.LevelStrict {
			return nil, Usage("--fresh=%s: is none of agreed, fresh, strict", a.Fresh)
		}
	case a.Offline:
		level = dht.LevelOffline
	}
	ctx, cancel := context.WithTimeout(ctx, a.Timeout)
	defer cancel()
	network := &lazyNetwork{engine: e}
	resolver := e.resolver(e.sources(network)...)
	resolver.Timeout = a.Timeout
	res, err := e.book.Resolve(ctx, resolver, a.Path, level)
	out := resolved(res)
	if err != nil {
		var at *petname.PathError
		if errors.As(err, &at) && at.Part == at.Path { // a name alone is no path: what is wrong with it says it all
			err = malformed(a.Path, at.Err)
		}
		// That no network was joined, or the configuration can't be read, is the
		// cause worth telling, unless what came out is stronger: a record that
		// expired or fails to verify.
		if cause := network.err; cause != nil && Classify(err).Exit == ExitNetwork {
			if c := Classify(cause); c.Code != "network" && c.Code != "interrupted" {
				err = c
			}
		}
		if out.Pointer == "" {
			first, _, _ := strings.Cut(a.Path, "/")
			if p, perr := e.pointerOf(first); perr == nil {
				out.Pointer = p.String()
			}
		}
		return out, plainer(err)
	}
	out.Verified = true
	if a.Fresh == "" {
		return out, nil
	}
	for _, hop := range res.Hops {
		switch r := hop.Result; {
		case r.Answered == 0:
			return out, &Error{Code: "network", Exit: ExitNetwork, Message: "nobody answered: this is what the home holds, not a fresh answer",
				Next: "petname resolve " + ShellWord(a.Path) + " --offline"}
		case level != dht.LevelFresh && !r.Freshness.AtLeast(level): // fresh is as many as can be found
			return out, &Error{Code: "network", Exit: ExitNetwork, Next: "try again, or settle for less with --fresh=agreed",
				Message: fmt.Sprintf("the answer is %s, not %s: %d peers agree, and not all that were found could be asked", r.Freshness, level, r.Agreed)}
		}
	}
	return out, nil
}

func resolved(res petname.Resolution) *Resolved {
	out := &Resolved{Name: name.Clean(res.Path), Hops: []Hop{}, Rejected: []string{}}
	for _, h := range res.Hops {
		r := h.Result
		hop := Hop{
			Name: name.Clean(h.Name), Pointer: h.Pointer.String(), Value: r.Record.Value(), Sequence: r.Record.Sequence(),
			Expires: r.Record.Expires(), Source: string(r.Source), Freshness: string(r.Freshness),
			Asked: r.Asked, Answered: r.Answered, Agreed: r.Agreed, Stale: r.Stale,
		}
		for _, p := range h.Former {
			hop.Former = append(hop.Former, p.String())
		}
		if !h.Unproven.IsZero() {
			hop.Unproven = h.Unproven.String()
		}
		out.Hops = append(out.Hops, hop)
		for _, rejection := range r.Rejected {
			out.Rejected = append(out.Rejected, name.Clean(rejection.String()))
		}
	}
	if len(res.Hops) == 0 {
		return out
	}
	last := res.Last()
	hop, expires := out.Hops[len(out.Hops)-1], last.Result.Record.Expires()
	out.Pointer, out.Value, out.Sequence, out.Expires = hop.Pointer, hop.Value, hop.Sequence, &expires
	out.TTL, out.Nickname = last.Result.Record.TTL().Seconds(), name.Clean(last.Card.Nickname)
	out.Source, out.Freshness, out.Stale = hop.Source, hop.Freshness, hop.Stale
	out.Asked, out.Answered, out.Agreed = hop.Asked, hop.Answered, hop.Agreed
	out.Former, out.Unproven = hop.Former, hop.Unproven
	return out
}

// plainer drops from a failure of the network what only its layers care for.
func plainer(err error) error {
	c := Classify(err)
	if c.Code != "network" {
		return err
	}
	message := "nobody could be reached"
	if errors.Is(err, context.DeadlineExceeded) {
		message = "no answer in time"
	}
	if said := routersSaid(err); said != "" {
		message = "nobody could be reached: " + said
	}
	var path *petname.PathError
	if errors.As(err, &path) {
		message = (&petname.PathError{Path: path.Path, Part: path.Part, Err: errors.New(message)}).Error()
	}
	return &Error{Code: c.Code, Exit: c.Exit, Next: c.Next, Message: message}
}
