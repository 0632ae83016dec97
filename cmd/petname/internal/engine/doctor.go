package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/petnames-go/petnames/petname/home"
	"github.com/petnames-go/petnames/petname/peer"
)

// Check is one thing that the doctor looked at.
type Check struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
}

// Checks is the result of doctor.
type Checks struct {
	Checks []Check `json:"checks"`
}

// Doctor looks at everything in the home, and at the network if one is joined.
func (e *Engine) Doctor(ctx context.Context, _ NoArgs) (*Checks, error) {
	out := &Checks{}
	add := func(name, good string, problems ...string) {
		c := Check{Name: name, OK: len(problems) == 0, Detail: good}
		if !c.OK {
			c.Detail = strings.Join(problems, "; ")
		}
		out.Checks = append(out.Checks, c)
	}
	add("files", e.home.Dir, texts(e.home.Ready())...)
	if id, err := e.ID(ctx, NoArgs{}); err != nil {
		add("identity", "", err.Error())
	} else {
		add("identity", id.Pointer+", the next key "+id.Recovery)
	}
	names, err := e.book.Count()
	if err != nil {
		add("book", "", err.Error())
	} else {
		add("book", fmt.Sprintf("%d names, every entry verified", names), append(e.verify(ctx), e.verifyMessages()...)...)
	}
	e.doctorRecords(add)
	e.doctorNetwork(ctx, add)
	for _, c := range out.Checks {
		if !c.OK {
			return out, &Error{Code: "unhealthy", Exit: ExitFailure, Message: c.Name + ": " + c.Detail}
		}
	}
	return out, nil
}

// DoctorAlone is Doctor for a home that doesn't open, with the error that says
// why. Nil when there is no home at all.
func DoctorAlone(dir string, closed error) (*Checks, error) {
	h, err := home.Open(dir)
	if err != nil {
		return nil, err
	}
	out := &Checks{}
	add := func(name, good string, problem error) {
		c := Check{Name: name, OK: problem == nil, Detail: good}
		if problem != nil {
			c.Detail = problem.Error()
		}
		out.Checks = append(out.Checks, c)
	}
	add("files", h.Dir, errors.Join(h.Ready()...))
	id, err := h.Identity()
	add("identity", id.Pointer.String()+", the next key "+id.Recovery(), err)
	add("book", "", closed)
	c, err := h.Config()
	add("config", "network "+c.Network, err)
	return out, &Error{Code: "unhealthy", Exit: ExitFailure, Message: "book: " + closed.Error(), Next: "put back a copy of " + ShellWord(h.Dir)}
}

// verifyMessages reads every message and session in the book's device-local
// tables.
func (e *Engine) verifyMessages() []string {
	if _, err := e.presence(); err != nil {
		return []string{err.Error()}
	}
	errs := peer.Check(e.book)
	kept, err := e.home.Damaged()
	if err != nil {
		errs = append(errs, err)
	}
	for _, file := range kept {
		errs = append(errs, fmt.Errorf("%q has messages of an older version that could not be read: remove it when it is of no more use", file))
	}
	return texts(errs)
}

func (e *Engine) doctorRecords(add func(name, good string, problems ...string)) {
	pointers, err := e.records.Pointers()
	if err != nil {
		add("records", "", err.Error())
		return
	}
	var problems []string
	expired := 0
	for _, p := range pointers {
		_, old, err := e.held(p)
		if err != nil {
			problems = append(problems, err.Error())
		}
		if old {
			expired++
		}
	}
	add("records", fmt.Sprintf("%d verified, %d of them expired", len(pointers), expired), problems...)
}

func (e *Engine) doctorNetwork(ctx context.Context, add func(name, good string, problems ...string)) {
	c, err := e.home.Config()
	if err != nil {
		add("config", "", err.Error())
		return
	}
	add("config", strings.Join(append([]string{"network " + c.Network}, c.Routers...), ", "))
	defer e.doctorRouters(ctx, c, add)
	if c.Network == "off" {
		return
	}
	network, err := e.store(ctx)
	if err != nil {
		add("network", "", err.Error())
		return
	}
	if network.Peers() == 0 {
		add("network", "", "none of the peers to join by answered")
		return
	}
	add("network", fmt.Sprintf("%d peers", network.Peers()))
}

func texts(errs []error) []string {
	var out []string
	for _, err := range errs {
		out = append(out, err.Error())
	}
	return out
}
