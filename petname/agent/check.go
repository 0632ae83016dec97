package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/exchange"
	"github.com/petnames-go/petnames/petname/home"
	"github.com/petnames-go/petnames/pointer"
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
			if step := nextStep(err); step != "" && !slices.Contains(texts, step) {
				texts = append(texts, step)
			}
		}
		check.Detail = strings.Join(texts, "; ")
	}
	*c = append(*c, check)
}

// nextStep returns what the owner can do about a problem; "": it is in the text, or nothing.
func nextStep(err error) string {
	var damaged *ledger.DamagedError
	step, ok := err.(interface{ Next() string })
	switch {
	case ok:
		return step.Next()
	case errors.Is(err, syscall.ENOSPC):
		return "make room on the disk"
	case errors.As(err, &damaged):
		return "put back a copy of " + damaged.Path + ", and delete nothing else"
	}
	return ""
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
	out.add("files", strings.Join(append([]string{a.home.Dir}, a.home.SetAside()...), "; "), slices.Concat(a.home.CheckFiles(), a.checkRecordsFolder(), a.checkSealing(), a.checkRemovals())...)
	if id, err := a.checkIdentity(); err != nil {
		out.add("identity", "", err)
	} else {
		out.add("identity", id.Pointer.String()+", the next key "+NextKeyText(id.Recovery, id.Added))
	}
	a.checkBook(ctx, &out, a.checkMessages()...)
	a.checkRecords(&out)
	a.checkNetwork(ctx, &out)
	a.checkCopies(ctx, &out)
	a.checkClock(ctx, &out) // after the routers, which show their times
	return out
}

// checkBook verifies every entry of the book, and adds other problems of it.
func (s *state) checkBook(ctx context.Context, out *checks, others ...error) {
	names, err := s.book.Count()
	if err != nil {
		out.add("book", "", err)
		return
	}
	problems := append(s.Verify(ctx), others...)
	uncounted, err := s.uncounted(false)
	if err != nil {
		problems = append(problems, err)
	}
	for _, b := range uncounted {
		problems = append(problems, errors.New(b.String()))
	}
	problems = append(problems, s.checkFormerRemovals()...)
	out.add("book", counted(names, "name")+", every entry verified", problems...)
}

// checkFormerRemovals returns an error for each removal that a device other than this one made with
// a former key, if this home has the current one.
func (s *state) checkFormerRemovals() (all []error) {
	id, err := s.home.Identity()
	if err != nil || id.KeyElsewhere {
		return nil // what is wrong is reported elsewhere
	}
	removed, err := s.book.FormerRemovals()
	if err != nil {
		return []error{err}
	}
	devices, err := s.book.Devices()
	if err != nil {
		return []error{err}
	}
	for _, d := range devices {
		if slices.Contains(removed, d.ID) {
			all = append(all, fmt.Errorf("another device of yours removed device %.200q with a former identity key, which a thief may have: if it was you, remove it again here, by device rm %s; if not, its home joins again, by device join --again", d.Name, d.ID))
		}
	}
	return all
}

// checkIdentity compares the header of the identity key with the keys, as far as they
// can be unlocked.
func (a *Agent) checkIdentity() (Identity, error) {
	if err := a.Unlock(); err != nil && !errors.Is(err, home.ErrLocked) {
		return Identity{}, err
	}
	id, err := a.Identity()
	return id, errors.Join(err, a.checkOwnKey())
}

// checkOwnKey returns an error if this home has the identity key, and the book states that its
// device has none.
func (a *Agent) checkOwnKey() error {
	id, err := a.identity()
	if err != nil || id.KeyElsewhere {
		return nil // what is wrong is reported elsewhere
	}
	devices, err := a.book.Devices()
	i := slices.IndexFunc(devices, func(d Device) bool { return d.This })
	if err != nil || i < 0 || devices[i].IdentityKey || devices[i].Removed {
		return err
	}
	return fmt.Errorf("this home has the identity key, and the book states that device %s has none, so that its removal is no reason to rotate the key: remove it on another device of yours, by device rm, and join again as one with the key, by device join --again", devices[i].ID)
}

// checkRecordsFolder reports a folder of records that Open had to create.
func (s *state) checkRecordsFolder() []error {
	s.notices.Lock()
	defer s.notices.Unlock()
	var lacks *home.IncompleteError
	if !errors.As(s.missing, &lacks) || !slices.Contains(lacks.Missing, "records") {
		return nil
	}
	return []error{errors.New("the folder records was missing, and is created anew: until newer records of your contacts are seen, older ones are accepted")}
}

// ownCard returns the card of the owner's record in the home; empty: there is none.
func (s *state) ownCard() pointer.Card {
	r, _, err := s.held(s.book.Identity())
	if err != nil {
		return pointer.Card{}
	}
	card, _ := r.Card()
	return card
}

// checkSealing reports a card with sealing keys that this home does not have: others
// seal messages with them.
func (a *Agent) checkSealing() []error {
	card := a.ownCard()
	if id, err := a.identity(); len(card.Sealing) == 0 || err == nil && !card.Next.IsZero() && card.Next != id.Next {
		return nil // or the card is one of another holder of the key, which checkCopies reports
	}
	keys, err := a.sealingHome().Sealing()
	var lost *home.IncompleteError
	if errors.As(err, &lost) {
		return []error{fmt.Errorf("%w; %s, or make it anew, by doctor --new-key %s: what was sealed to you before cannot be read then", err, lost.Next(), lost.Missing[0])}
	}
	if err != nil {
		return nil // CheckFiles reports it
	}
	for _, private := range keys.PrivateKeys() {
		for _, public := range card.Sealing {
			if bytes.Equal(private.PublicKey().Bytes(), public.Key) {
				return nil
			}
		}
	}
	return []error{errors.New("no key in sealing.key is one of your card's, so messages to you cannot be read: put back a copy of it, or publish again")}
}

// NextKeyText returns where the next key is, as text for people. recovery is [Identity.Recovery];
// added reports whether another device admitted this one.
func NextKeyText(recovery string, added bool) string {
	switch {
	case recovery != "elsewhere":
		return recovery
	case added:
		return "on the device that made it, or in the recovery file"
	}
	return "in the recovery file"
}

// checkMessages reads every message and session in the book's device-local
// tables.
func (a *Agent) checkMessages() []error {
	_, err := a.exchange() // moves those of an older version to the tables
	problems := exchange.Check(a.book)
	if err != nil {
		problems = append(problems, err)
	}
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
	h, err := home.Inspect(dir)
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
	out.add("files", strings.Join(append([]string{h.Dir}, h.SetAside()...), "; "), h.CheckFiles()...)
	id, err := h.Identity()
	one("identity", id.Pointer.String()+", the next key "+NextKeyText(id.Recovery(), false), err)
	if book, berr := h.Book(petname.Options{}); berr == nil && errors.As(err, new(*home.IncompleteError)) {
		s := state{book: book} // the identity key alone is missing
		s.checkBook(context.Background(), &out)
		_ = book.Close() // nothing was written
	} else {
		if berr == nil {
			_ = book.Close()
		}
		one("book", "", reason)
	}
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
	if f, ferr := a.Fork(); ferr == nil && !f.IsZero() {
		err = errors.Join(err, errors.New(f.String()))
	}
	if err != nil {
		out.add("copies", "", err)
	} else if c, err := a.home.Config(); err == nil && (c.Network != "off" || len(c.Routers) > 0) {
		out.add("copies", "no other copy of this home is seen")
	}
}

// checkRecords checks the records in the home, and that the owner's last publication was not
// superseded before a store received it.
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
	if last, err := s.lastOwn(); err == nil {
		if err := s.superseded(last); err != nil {
			problems = append(problems, err)
		}
	}
	good := fmt.Sprintf("%d verified, %d of them expired", len(pointers), expired)
	if id, err := s.identity(); err == nil { // else it is reported elsewhere
		text, err := s.retiredLabels(id)
		if err != nil {
			problems = append(problems, err)
		}
		good += text
	}
	out.add("records", good, problems...)
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
