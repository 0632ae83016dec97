package agent

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/petnames-go/petnames/petname/exchange"
	"github.com/petnames-go/petnames/petname/home"
)

// Check is one thing that was checked.
type Check struct {
	Name   string // "files", "identity", "book", "records", "config", "network", "routers", "copies", "clock"
	OK     bool
	Detail string // for people
}

type checks []Check

func (c *checks) add(name, good string, problems ...error) {
	check := Check{Name: name, OK: len(problems) == 0, Detail: good}
	if !check.OK {
		var texts []string
		for _, err := range problems {
			texts = append(texts, err.Error())
		}
		check.Detail = strings.Join(texts, "; ")
	}
	*c = append(*c, check)
}

// counted returns a number of things in words, such as "1 peer" and "2 peers".
func counted(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// Check checks everything in the home, and whether the networks that were joined
// respond.
func (a *Agent) Check(ctx context.Context) []Check {
	var out checks
	out.add("files", a.home.Dir, a.home.CheckFiles()...)
	if id, err := a.Identity(); err != nil {
		out.add("identity", "", err)
	} else {
		out.add("identity", id.Pointer.String()+", the next key "+nextKeyText(id.Recovery))
	}
	names, err := a.book.Count()
	if err != nil {
		out.add("book", "", err)
	} else {
		out.add("book", counted(names, "name")+", every entry verified", append(a.Verify(ctx), a.checkMessages()...)...)
	}
	a.checkRecords(&out)
	a.checkNetwork(ctx, &out)
	a.checkCopies(ctx, &out)
	a.checkClock(&out) // after the routers, which show their times
	return out
}

// nextKeyText states where the next key is.
func nextKeyText(recovery string) string {
	if recovery == "elsewhere" {
		return "in the recovery file"
	}
	return recovery
}

// checkMessages reads every message and session in the book's device-local
// tables.
func (a *Agent) checkMessages() []error {
	if _, err := a.exchange(); err != nil {
		return []error{err}
	}
	problems := exchange.Check(a.book)
	kept, err := a.home.DamagedFiles()
	if err != nil {
		problems = append(problems, err)
	}
	for _, file := range kept {
		problems = append(problems, fmt.Errorf("%q has messages of an older version that could not be read: remove it when it is of no more use", file))
	}
	return problems
}

// CheckClosed checks what it can of a home that does not open, for the reason
// given. It fails when there is no home at all.
func CheckClosed(dir string, reason error) ([]Check, error) {
	h, err := home.Open(dir)
	if err != nil {
		return nil, err
	}
	var out checks
	one := func(name, good string, err error) {
		if err != nil {
			out.add(name, "", err)
		} else {
			out.add(name, good)
		}
	}
	one("files", h.Dir, errors.Join(h.CheckFiles()...))
	id, err := h.Identity()
	one("identity", id.Pointer.String()+", the next key "+nextKeyText(id.Recovery()), err)
	one("book", "", reason)
	c, err := h.Config()
	one("config", "network "+c.Network, err)
	return out, nil
}

// checkCopies looks for records of the owner that this home has not signed.
func (a *Agent) checkCopies(ctx context.Context, out *checks) {
	c, err := a.OtherCopy(ctx, true)
	if err == nil && c != nil {
		err = errors.New(c.String())
	}
	if err != nil {
		out.add("copies", "", err)
	} else if c, err := a.home.Config(); err == nil && (c.Network != "off" || len(c.Routers) > 0) {
		out.add("copies", "no other copy of this home is seen")
	}
}

func (s *state) checkRecords(out *checks) {
	pointers, err := s.records.Pointers()
	if err != nil {
		out.add("records", "", err)
		return
	}
	var problems []error
	expired := 0
	for _, p := range pointers {
		_, old, err := s.held(p)
		if err != nil {
			problems = append(problems, err)
		}
		if old {
			expired++
		}
	}
	out.add("records", fmt.Sprintf("%d verified, %d of them expired", len(pointers), expired), problems...)
}

func (s *state) checkNetwork(ctx context.Context, out *checks) {
	c, err := s.home.Config()
	if err != nil {
		out.add("config", "", err)
		return
	}
	out.add("config", strings.Join(append([]string{"network " + c.Network}, c.Routers...), ", "))
	if c.Network != "off" {
		switch node, err := s.network(ctx); {
		case err != nil:
			out.add("network", "", err)
		case node.Peers() == 0:
			out.add("network", "", errors.New("none of the peers to join by answered"))
		default:
			out.add("network", counted(node.Peers(), "peer"))
		}
	}
	if len(c.Routers) > 0 {
		out.add("routers", "all answer", s.tryRouters(ctx, c)...)
	}
}
