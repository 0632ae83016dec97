package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/dht/delegated"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/paste"
)

func (a *app) resolveVerb() *cobra.Command {
	var request resolveArgs
	cmd := &cobra.Command{
		Use:   "resolve NAME[/LABEL…]|POINTER",
		Short: "Print what a name points to",
		Long: `Follow a path of names and print what the last one points to, verified against
its pointer. alice/bob is the contact that your contact alice shares as bob.

A record that this home has is used until its TTL is over (5 minutes by
default), and not longer than an hour, or 5 minutes for a contact. --fresh asks
the network until 5 peers agree or all that were found have been asked.
--fresh=agreed ends when 3 agree; if fewer peers have the record, all that were
found have to be asked. --fresh=strict asks all of the closest peers. An answer
below these two levels ends with status 7. --offline asks no peer.

--recursive follows a value /ipns/POINTER to the record of that pointer, up to
8 times. Each record is verified by its own pointer. DNS names are not followed.

A path behind a pointer, as in /ipns/POINTER/docs or the URL of a gateway, is
added to what the pointer points to. Other verbs ignore it, except publish.`,
		Example: `  petname resolve alice
  petname resolve alice/bob --fresh
  petname resolve alice --fresh=strict
  petname resolve k51qzi5uqu5d… --json
  petname resolve alice --recursive
  petname resolve alice --offline`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeNames,
		RunE: func(_ *cobra.Command, args []string) error {
			if request.Path = args[0]; !utf8.ValidString(request.Path) {
				return notUTF8(request.Path)
			}
			var out resolved
			err := a.call("resolve", request, &out)
			return a.printResult(out, err, out.Verified || a.json && len(out.Hops) > 0, func(w *bufio.Writer) {
				if a.quiet {
					fmt.Fprintln(w, contentPath(cmp.Or(out.Path, out.Value)))
					return
				}
				a.printResolution(w, out)
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&request.Fresh, "fresh", "", "ask the network, up to a `level`: agreed, fresh, strict")
	f.Lookup("fresh").NoOptDefVal = string(dht.LevelFresh)
	completeFlag(cmd, "fresh", cobra.FixedCompletions([]string{"agreed", "fresh", "strict"}, cobra.ShellCompDirectiveNoFileComp))
	f.BoolVar(&request.Offline, "offline", false, "ask no peer")
	f.BoolVar(&request.Recursive, "recursive", false, "follow values that are pointers")
	durationFlag(f, &request.Timeout, "timeout", 30*time.Second, "end after this time")
	return cmd
}

func (a *app) printResolution(w *bufio.Writer, out resolved) {
	s := a.style()
	fmt.Fprintf(w, "%s\n", contentPath(cmp.Or(out.Path, out.Value)))
	if out.Path != "" {
		printCopied(w, "value", contentPath(out.Value))
	}
	var labels []string
	for _, h := range out.Hops[1:] {
		if !h.Followed {
			labels = append(labels, h.Name)
		}
	}
	if labels != nil {
		printField(w, "path", edgeName(s, out.Hops[0].Name, out.Hops[0].Pointer, labels...))
	}
	for i, h := range out.Hops {
		if h.Followed {
			printCopied(w, "followed", contentPath(out.Hops[i-1].Value))
		}
	}
	printField(w, "pointer", out.Pointer)
	for _, p := range out.Former {
		printField(w, "succeeds", p)
	}
	if out.Unproven != "" {
		printCopied(w, "UNPROVEN: it names a successor that no commitment in your book proves", out.Unproven)
		if out.Contact == "" {
			fmt.Fprintln(w, "    compare the words of this pointer with its owner before you add it")
		} else {
			fmt.Fprintln(w, "  compare its words with its owner over another channel, then")
			fmt.Fprintf(w, "  %s\n", a.withHomeFlag("petname confirm "+shellWord(out.Contact)+" --successor "+out.Unproven))
		}
	}
	if out.Nickname != "" {
		printField(w, "calls itself", nickname(s, out.Nickname, out.Pointer))
	}
	if out.Expires != nil {
		printField(w, "record", fmt.Sprintf("sequence %d, until %s", out.Sequence, out.Expires.Local().Format(time.DateTime)))
	}
	printField(w, "source", source(out))
	if out.Clock != "" {
		printField(w, "CLOCK", s.Text(out.Clock))
	}
	for _, r := range out.Rejected {
		printField(w, "rejected", s.Text(r))
	}
}

// source describes the source of an answer and its freshness for people.
func source(out resolved) string {
	s := out.Source
	switch out.Source {
	case "network", "router":
		s += fmt.Sprintf(", %s: %d of %s answered, %d agree", out.Freshness, out.Answered, peersText(out.Asked), out.Agreed)
	case "cache":
		switch {
		case out.Asked > 0:
			s = fmt.Sprintf("cache: %d of %s answered, none with this record or a newer one", out.Answered, peersText(out.Asked))
		case out.Stale:
			s = "cache: no peer could be asked"
		default:
			s = "cache: no peer was asked"
		}
	case "home":
		s = "home, " + out.Freshness + ": no peer was asked"
	}
	if out.Stale {
		s += "; too old to be used without asking"
	}
	return s
}

// resolveArgs are the arguments of resolve.
type resolveArgs struct {
	Path    string        `json:"path"`  // NAME[/EDGE…] or a pointer
	Fresh   string        `json:"fresh"` // the required freshness level; empty: any, also from the cache
	Offline bool          `json:"offline"`
	Timeout time.Duration `json:"timeout"`

	Recursive bool `json:"recursive,omitempty"` // follow values /ipns/…
}

// resolved is the result of resolve. It describes the last hop, the answer. If there is
// no answer, Verified is false, and of these fields only Name, Pointer, Hops, Rejected
// and Contradictions are set: Hops to those that were reached, and Pointer for a path
// of one part whose pointer is known.
type resolved struct {
	Name      string     `json:"name"`
	Pointer   string     `json:"pointer"`
	Hops      []hop      `json:"hops"`
	Value     string     `json:"value"`
	Path      string     `json:"path,omitempty"` // the value with the path that was behind the pointer; empty: there was none
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
	Former    []string   `json:"former,omitempty"`   // pointers whose proven successor this pointer is, oldest first
	Unproven  string     `json:"unproven,omitempty"` // a successor in the record, without a proof
	Contact   string     `json:"contact,omitempty"`  // with Unproven: the petname of the contact at Pointer
	Rejected  []string   `json:"rejected"`           // reasons for which answers were rejected
	Verified  bool       `json:"verified"`
	Clock     string     `json:"clock,omitempty"` // what contradicts this machine's clock

	// of the contact because of which the path does not resolve
	Contradictions []pinContradiction `json:"contradictions,omitempty"`
}

// MarshalJSON encodes what describes an answer as null if there is none, so that the
// record of another part of the path is not taken for it.
func (r resolved) MarshalJSON() ([]byte, error) {
	type plain resolved
	if r.Verified {
		return json.Marshal(plain(r))
	}
	var known *string
	if r.Pointer != "" {
		known = &r.Pointer
	}
	return json.Marshal(struct {
		Name           string             `json:"name"`
		Pointer        *string            `json:"pointer"`
		Hops           []hop              `json:"hops"`
		Value          any                `json:"value"`
		Sequence       any                `json:"sequence"`
		Expires        any                `json:"expires"`
		TTL            any                `json:"ttl"`
		Nickname       any                `json:"nickname"`
		Source         any                `json:"source"`
		Freshness      any                `json:"freshness"`
		Asked          any                `json:"asked"`
		Answered       any                `json:"answered"`
		Agreed         any                `json:"agreed"`
		Stale          any                `json:"stale"`
		Rejected       []string           `json:"rejected"`
		Verified       bool               `json:"verified"`
		Contradictions []pinContradiction `json:"contradictions,omitempty"`
	}{Name: r.Name, Pointer: known, Hops: r.Hops, Rejected: r.Rejected, Contradictions: r.Contradictions})
}

// hop is one step of a path.
type hop struct {
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
	Followed  bool      `json:"followed,omitempty"` // reached by the value of the hop before it
}

func (v *verbs) resolve(ctx context.Context, a resolveArgs) (*resolved, error) {
	if a.Fresh != "" && a.Offline {
		return nil, usage("--fresh asks the network, and --offline asks no peer: choose one")
	}
	if a.Timeout <= 0 || a.Timeout > agent.MaxTimeout {
		return nil, usage("timeout %s: must be over 0 and at most %s", a.Timeout, agent.MaxTimeout)
	}
	level := dht.LevelAny
	switch {
	case a.Fresh != "":
		if level = dht.Level(a.Fresh); level != dht.LevelAgreed && level != dht.LevelFresh && level != dht.LevelStrict {
			return nil, usage("--fresh=%q: is none of agreed, fresh, strict", a.Fresh).With("petname resolve " + shellWord(a.Path) + " --fresh=agreed")
		}
	case a.Offline:
		level = dht.LevelOffline
	}
	if _, scanned := paste.Unscan(a.Path, func(string) bool { return false }); scanned {
		link, err := pointer.ParseLink(a.Path)
		if err != nil {
			return nil, usage("%v", err)
		}
		a.Path = link.String()
		if link.Next.IsZero() {
			a.Path = link.Pointer.String()
		}
	}
	rest, err := remainderOf(a.Path)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, a.Timeout)
	defer cancel()
	resolve := v.agent.Resolve
	if a.Recursive {
		resolve = v.agent.ResolveContent
	}
	res, err := resolve(ctx, a.Path, level)
	out := asResolved(res)
	if err != nil {
		if p, perr := v.pointerOf(a.Path); perr == nil {
			out.Pointer = p.String()
		} else {
			out.Pointer = ""
		}
		first := name.SplitPath(a.Path)[0]
		out.Contradictions = v.contradictions(err)
		if _, cerr := v.agent.Lookup(first); cerr == nil {
			var path *petname.PathError
			if errors.Is(err, petname.ErrNotFound) && errors.As(err, &path) && path.Part != first { // of a label
				err = classify(err).With("petname show " + shellWord(first))
			}
		}
		if a.Offline && errors.Is(err, dht.ErrNotFound) {
			next := "petname resolve " + shellWord(a.Path)
			if joined, jerr := v.agent.Joined(); jerr == nil && joined.Network == "off" && len(joined.Routers) == 0 {
				next = "join a network, then resolve it there:\npetname join --help\n" + next
			}
			err = classify(err).With(next)
		}
		hint := v.agent.ClockHint()
		if hint == "" && errors.As(err, new(*pointer.ExpiredError)) {
			hint = "this machine's clock shows " + v.agent.Clock().UTC().Format("2006-01-02 15:04 UTC")
		}
		err = withClock(v.ownExpired(shortNetworkError(v.withRouter(v.withName(err)))), hint)
		if classify(err).Code == "not_joined" {
			return nil, err
		}
		return out, err
	}
	if rest != "" {
		if out.Path, err = withRemainder(out.Value, rest); err != nil {
			return out, &failure{Code: "not_followed", Exit: exitFailure, Message: err.Error(), Next: "petname resolve " + out.Pointer}
		}
	}
	out.Verified, out.Clock = true, v.agent.ClockHint()
	if out.Unproven != "" {
		if c, cerr := v.agent.ByPointer(res.Pointer); cerr == nil && c.Pointer == res.Pointer {
			out.Contact = c.Name.String()
		}
	}
	if a.Fresh == "" {
		return out, nil
	}
	for _, h := range res.Hops {
		if level != dht.LevelFresh && !h.Freshness.AtLeast(level) { // fresh has no minimum number of peers
			return out, &failure{Code: "network", Exit: exitNetwork, Next: "try again, or require less with --fresh=agreed",
				Message: fmt.Sprintf("the answer is %s, not %s: agreed by %s, and not all that were found could be asked", h.Freshness, level, peersText(h.Agreed))}
		}
	}
	return out, nil
}

// pointerOf returns the pointer for a name in the book, for any form of a pointer or for a
// link, which need not be in the book.
func (v *verbs) pointerOf(text string) (pointer.Pointer, error) {
	if p, err := pointer.Parse(text); err == nil {
		return p, nil
	}
	if link, ok := name.LinkIn(text); ok {
		return link.Pointer, nil
	}
	p, err := v.agent.PointerOf(text)
	if link, lerr := pointer.ParseLink(text); err != nil && lerr == nil {
		return link.Pointer, nil
	}
	return p, err
}

func asResolved(res agent.Resolution) *resolved {
	out := &resolved{Name: name.Clean(res.Path), Hops: []hop{}, Rejected: []string{}}
	for _, h := range res.Hops {
		one := hop{
			Name: name.Clean(h.Name), Pointer: h.Pointer.String(), Value: h.Value, Sequence: h.Sequence,
			Expires: h.Expires, Source: string(h.Source), Freshness: string(h.Freshness),
			Asked: h.Asked, Answered: h.Answered, Agreed: h.Agreed, Stale: h.Stale, Former: pointerTexts(h.Former), Followed: h.Followed,
		}
		if !h.Unproven.IsZero() {
			one.Unproven = h.Unproven.String()
		}
		out.Hops = append(out.Hops, one)
	}
	for _, rejection := range res.Rejected {
		out.Rejected = append(out.Rejected, name.Clean(rejection))
	}
	if len(res.Hops) == 0 {
		return out
	}
	last, expires := out.Hops[len(out.Hops)-1], res.Expires
	out.Pointer, out.Value, out.Sequence, out.Expires = last.Pointer, res.Value, last.Sequence, &expires
	out.TTL, out.Nickname = res.TTL.Seconds(), name.Clean(res.Nickname)
	out.Source, out.Freshness, out.Stale = last.Source, last.Freshness, last.Stale
	out.Asked, out.Answered, out.Agreed = last.Asked, last.Answered, last.Agreed
	out.Former, out.Unproven = last.Former, last.Unproven
	return out
}

// withRouter adds the only router of a home without another network to an error that
// the time was over: whether the router's own error was received before it depends
// on the load of the machine.
func (v *verbs) withRouter(err error) error {
	if !errors.Is(err, context.DeadlineExceeded) || routerReasons(err) != "" {
		return err
	}
	joined, jerr := v.agent.Joined()
	if jerr != nil || joined.Network != "off" || len(joined.Routers) != 1 {
		return err
	}
	return errors.Join(err, &delegated.RouterError{Router: joined.Routers[0], Reason: "no answer in time"})
}

// shortNetworkError returns a network error with a short message for people, without
// the details of the layers. It returns other errors unchanged.
func shortNetworkError(err error) error {
	c := classify(err)
	if c.Code != "network" {
		return err
	}
	message := dht.ErrUnreachable.Error()
	if errors.Is(err, context.DeadlineExceeded) {
		message = "no answer in time"
	}
	if reasons := routerReasons(err); reasons != "" {
		message = dht.ErrUnreachable.Error() + ": " + reasons
	}
	var path *petname.PathError
	if errors.As(err, &path) {
		message = (&petname.PathError{Path: path.Path, Part: path.Part, Err: errors.New(message)}).Error()
	}
	return &failure{Code: c.Code, Exit: c.Exit, Next: c.Next, Message: message}
}

// routerReasons returns the reasons of the router errors in an error, "" for none.
func routerReasons(err error) string {
	var reasons []string
	var walk func(error)
	walk = func(err error) {
		if e, ok := err.(*delegated.RouterError); ok {
			reasons = append(reasons, e.Error())
			return
		}
		switch e := err.(type) {
		case interface{ Unwrap() error }:
			walk(e.Unwrap())
		case interface{ Unwrap() []error }:
			for _, err := range e.Unwrap() {
				walk(err)
			}
		}
	}
	walk(err)
	return strings.Join(reasons, "; ")
}

// ownExpired returns the error of an expired record of the owner with the next step of the
// owner; any other error as it is.
func (v *verbs) ownExpired(err error) error {
	var expired *pointer.ExpiredError
	if !errors.As(err, &expired) || expired.Record.Pointer() != v.agent.Pointer() {
		return err
	}
	c := *classify(err)
	c.Message, c.Next = "this is your own pointer, and its last record has ended, on "+expired.Record.Expires().Format(time.RFC3339), "petname publish"
	return &c
}
