package petname

import (
	"bytes"
	"errors"
	"reflect"
	"slices"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname/introduce"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
)

// contact returns the contact of an act, and reports whether an entry that the act did not see
// changed its name.
func (r *reentry) contact(contact []byte) (c Contact, found, changed bool, err error) {
	id, err := pointer.FromBytes(contact)
	if err != nil {
		return c, false, false, err
	}
	v := r.book.tx.View()
	state, err := getState[contactState](v, tableContacts, contact)
	if err != nil {
		return c, false, false, err
	}
	changed = slices.ContainsFunc(state.Claims, func(cl claim) bool { return !r.saw(cl.Device, cl.Number) })
	c, found, err = readContact(v, id)
	return c, found, changed, err
}

func (r *reentry) name(a act) error {
	c, found, changed, err := r.contact(a.Contact)
	if err != nil {
		return err
	}
	id, n := optionalPointer(a.Contact), name.Recorded(a.Name)
	what := ReentryConflict{Op: opName.String(), Contact: id, Mine: n.String(), Theirs: c.Name.String(), Reason: ReentryChanged}
	thing := "name " + string(a.Contact)
	named := !c.Name.IsZero() || c.Conflict != nil
	replaced, err := r.replaced(a)
	if err != nil {
		return err
	}
	learn := func() error {
		if a.Fact == nil {
			return nil
		}
		return r.learn(act{Op: opLearn, Contact: a.Contact, Fact: a.Fact, Of: a.Of, Item: a.Item})
	}
	has := c.Conflict == nil && c.Name == n
	if has && replaced == nil {
		return learn()
	}
	if changed {
		if !named {
			what.Reason = ReentryRemoved
		}
		if mine, err := r.conflict(thing, what); err != nil || !mine && !has {
			return err
		} else if !mine {
			return learn()
		}
	}
	var taken *TakenError
	if err := checkAvailable(r.book.tx.View(), n, id); errors.As(err, &taken) {
		what.Reason, what.Theirs, what.Other = ReentryTaken, taken.Name.String(), taken.Contact
		if mine, err := r.conflict(thing, what); !mine {
			return err
		}
		if _, err := r.book.Remove(taken.Contact); err != nil {
			return err
		}
	} else if err != nil {
		return r.refused(thing, what, err)
	}
	if found && named {
		_, err = r.book.Rename(id, n, Source{Lookalike: true})
		if err == nil && replaced == nil {
			err = learn()
		}
		if err != nil || replaced == nil {
			return r.refused(thing, what, err)
		}
	}
	s := Source{Lookalike: true}
	l := pointer.Link{Pointer: id}
	if a.Fact != nil {
		s.Kind, s.By, s.Channel = a.Fact.Kind, a.Fact.By, a.Fact.Channel
		l.Nickname = a.Fact.Nickname
		if l.Next, err = a.Fact.next(); err != nil {
			return err
		}
		if a.Of != nil {
			l.Pointer = optionalPointer(a.Of)
		}
	}
	err = r.book.update(func(tx *ledger.Tx) error { return r.book.accept(tx, n, l, s, a.Item, replaced) })
	return r.refused(thing, what, err)
}

// replaced returns the contact that a naming replaces; nil: none, or the book has that already,
// or that contact has a name, because its removal is in conflict.
func (r *reentry) replaced(a act) ([]byte, error) {
	if a.Replaced == nil {
		return nil, nil
	}
	v := r.book.tx.View()
	for kv, err := range v.Scan(tableReplaced, a.Contact) {
		if err != nil || bytes.Equal(kv.Value, a.Replaced) {
			return nil, err
		}
	}
	state, err := getState[contactState](v, tableContacts, a.Replaced)
	if err != nil || len(state.names()) > 0 {
		return nil, err
	}
	return a.Replaced, nil
}

func (r *reentry) remove(a act) error {
	c, _, changed, err := r.contact(a.Contact)
	if err != nil || c.Name.IsZero() && c.Conflict == nil {
		return err // there is no name
	}
	if !changed {
		if changed, err = r.endsUnseen(c.ID); err != nil {
			return err
		}
	}
	what := ReentryConflict{Op: opRemove.String(), Contact: optionalPointer(a.Contact), Theirs: c.Name.String(), Reason: ReentryChanged}
	if changed {
		if mine, err := r.conflict("name "+string(a.Contact), what); !mine {
			return err
		}
	}
	_, err = r.book.Remove(c.ID)
	return r.refused("name "+string(a.Contact), what, err)
}

// endsUnseen reports whether the removal of a contact's name would end an edge or a keep that
// an entry stated that the act did not see.
func (r *reentry) endsUnseen(contact pointer.Pointer) (bool, error) {
	v := r.book.tx.View()
	state, err := getState[contactState](v, tableContacts, contact.Bytes())
	if err != nil {
		return false, err
	}
	if slices.ContainsFunc(state.Keeps, func(k keepClaim) bool { return !r.saw(k.Device, k.Number) }) {
		return true, nil
	}
	ends, err := edgesEndingWith(v, contact)
	if err != nil {
		return false, err
	}
	for _, w := range ends {
		edge, err := readEdge(v, w.Audience, w.Label)
		if err != nil {
			return false, err
		}
		if slices.ContainsFunc(edge.Claims, func(cl edgeClaim) bool { return !r.saw(cl.Device, cl.Number) }) {
			return true, nil
		}
	}
	return false, nil
}

// learn enters a fact about a contact, if the book does not have it.
func (r *reentry) learn(a act) error {
	known, err := r.hasFact(a)
	if err != nil || known && a.Item == nil {
		return err
	}
	entered := act{Op: opLearn, Contact: a.Contact, Fact: a.Fact, Of: a.Of, Item: a.Item, NamesSuccessor: a.NamesSuccessor}
	if a.Pin != nil {
		entered.Pin = &wirePin{Differs: a.Pin.Differs, Replaces: []wireEntry{}}
	}
	return r.about(a, entered)
}

// hasFact reports whether the fact of an act is in the book. Decisions are no facts.
func (r *reentry) hasFact(a act) (bool, error) {
	for f, err := range factsOf(r.book.tx.View(), a.Contact) {
		if err != nil {
			return false, err
		}
		if !f.Undone && !f.Decision && bytes.Equal(f.Of, a.Of) && reflect.DeepEqual(f.Fact, *a.Fact) && bytes.Equal(f.Chain, a.Chain) {
			return true, nil
		}
	}
	return false, nil
}

// about enters an act about a contact that the book has to know.
func (r *reentry) about(a, entered act) error {
	c, found, _, err := r.contact(a.Contact)
	if err != nil {
		return err
	}
	what := ReentryConflict{Op: a.Op.String(), Contact: optionalPointer(a.Contact), Reason: ReentryRemoved, final: true}
	if !found {
		_, err := r.conflict("facts "+string(a.Contact), what)
		return err
	}
	err = appendAct(r.book.tx, entered)
	return r.refused("facts "+string(a.Contact), what, firstError(err, checkMoved(r.book.tx.View(), c)))
}

func (r *reentry) share(a act) error {
	v := r.book.tx.View()
	state, err := readEdge(v, a.Audience, a.Label)
	if err != nil {
		return err
	}
	was, shared, err := state.edge(v)
	if err != nil || a.Op == opUnshare && !shared || a.Op == opShare && shared && !was.Conflict && bytes.Equal(was.Contact.ID.Bytes(), a.Contact) {
		return err // it is so already
	}
	what := ReentryConflict{Op: a.Op.String(), Contact: optionalPointer(a.Contact), Mine: a.Label, Reason: ReentryChanged}
	if shared {
		what.Theirs, what.Other = was.Label, was.Pointer
	}
	if a.Op == opUnshare {
		what.Contact = was.Pointer
	} else if shared {
		what.Reason = ReentryTaken
	}
	thing := "edge " + string(edgeKey(a.Audience, a.Label))
	if slices.ContainsFunc(state.Claims, func(c edgeClaim) bool { return !r.saw(c.Device, c.Number) }) {
		if mine, err := r.conflict(thing, what); !mine {
			return err
		}
	}
	var with *pointer.Pointer
	if a.Audience != nil {
		audience := optionalPointer(a.Audience)
		with = &audience
	}
	n := name.Recorded(a.Label)
	if a.Op == opUnshare {
		_, err = r.book.unshare(n, with)
		return r.refused(thing, what, err)
	}
	if c, _, _, err := r.contact(a.Contact); err != nil || c.Name.IsZero() {
		what.Reason = ReentryRemoved
		what.final = true
		if err == nil {
			_, err = r.conflict(thing, what)
		}
		return err
	}
	if shared && !was.Conflict {
		if _, err := r.book.unshare(n, with); err != nil {
			return r.refused(thing, what, err)
		}
	}
	_, err = r.book.share(what.Contact, n, with)
	return r.refused(thing, what, err)
}

func (r *reentry) profile(a act) error {
	state, err := getState[profileState](r.book.tx.View(), tableProfile, []byte(keyNickname))
	if err != nil {
		return err
	}
	c := ReentryConflict{Op: opProfile.String(), Mine: a.Name, Reason: ReentryChanged}
	unseen := false
	for _, cl := range state.Claims {
		c.Theirs = cl.Name
		unseen = unseen || !r.saw(cl.Device, cl.Number)
	}
	same := c.Theirs == c.Mine
	if same && (len(state.Claims) <= 1 || !unseen) {
		return nil
	}
	if unseen {
		if mine, err := r.conflict("profile "+keyNickname, c); !mine {
			return err
		}
	}
	return r.book.SetNickname(a.Name)
}

func (r *reentry) deviceName(d wireDevice) error {
	if d.Name == "" {
		return r.book.stateDevice(d)
	}
	v := r.book.tx.View()
	stated, err := r.book.nameStatements(v, d.Device)
	if err != nil {
		return err
	}
	holders, err := r.book.holders(v)
	if err != nil {
		return err
	}
	c := ReentryConflict{Op: opDevice.String(), Mine: d.Name, Reason: ReentryChanged}
	c.final = !holders[r.device] && !bytes.Equal(d.Device, r.device[:]) // the statement would count for nothing
	same, ask := len(stated) > 0, c.final
	for _, s := range stated {
		same = same && s.Name == d.Name
		if !r.saw(s.by[:], s.Number) {
			c.Theirs, ask = s.Name, true
		}
	}
	if same {
		return nil
	}
	if ask {
		if mine, err := r.conflict("device "+string(d.Device), c); !mine {
			return err
		}
	}
	return r.book.stateDevice(d)
}

func (r *reentry) keep(a act) error {
	c, _, _, err := r.contact(a.Contact)
	if err != nil {
		return err
	}
	on, named := a.Keep == keepOn, !c.Name.IsZero() || c.Conflict != nil
	if on == c.Republished || !on && !named {
		return nil
	}
	what := ReentryConflict{Op: "unkeep", Contact: c.ID, Mine: c.Name.String(), Reason: ReentryChanged}
	if on {
		what.Op = opKeep.String()
	}
	thing := "keep " + string(a.Contact)
	if !named {
		what.Reason, what.final = ReentryRemoved, true
		_, err := r.conflict(thing, what)
		return err
	}
	state, err := getState[contactState](r.book.tx.View(), tableContacts, a.Contact)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(state.Keeps, func(k keepClaim) bool { return !r.saw(k.Device, k.Number) }) {
		if mine, err := r.conflict(thing, what); !mine {
			return err
		}
	}
	return r.refused(thing, what, r.book.SetRepublished([]pointer.Pointer{c.ID}, on))
}

func (r *reentry) suggest(a act) error {
	id := a.Suggestion.id()
	state, err := getState[suggestionState](r.book.tx.View(), tableInbox, id.row())
	if err != nil || state.Content != nil {
		return err
	}
	return appendAct(r.book.tx, a)
}

func (r *reentry) decision(a act) error {
	state, err := getState[suggestionState](r.book.tx.View(), tableInbox, SuggestionID(a.Item).row())
	if err != nil || slices.Contains(state.Verdicts, a.Verdict) {
		return err
	}
	if len(state.Accepted) > 0 {
		_, err := r.conflict("decision "+string(a.Item), ReentryConflict{Op: opDecide.String(), Mine: string(decisions[a.Verdict]), Theirs: string(Accepted), Reason: ReentryChanged, final: true})
		return err
	}
	return appendAct(r.book.tx, act{Op: opDecide, Item: a.Item, Verdict: a.Verdict})
}

// statement enters a statement of a contact, unless the book has it or, of edges, a newer one.
func (r *reentry) statement(a act) error {
	s, err := introduce.Restore(a.Statement) // decodeAct has verified it
	if err != nil {
		return err
	}
	v := r.book.tx.View()
	if t, is := s.Retraction(); is {
		if row, err := v.Get(tableRetracted, append(slices.Clone(t.ID[:]), t.By.Bytes()...)); err != nil || row != nil {
			return err
		}
	}
	if edges, is := s.Edges(); is {
		stored, err := getState[statementState](v, tablePrivateEdges, edges.By.Bytes())
		if err != nil {
			return err
		}
		if stored.Statement != nil {
			if old, err := stored.edges(); err != nil || old.Version >= edges.Version {
				return err
			}
		}
	}
	if d, is := s.Denial(); is {
		hash := introduce.Hash(a.Statement)
		if row, err := v.Get(tableAbout, slices.Concat(d.About.Bytes(), []byte{aboutDenial}, hash[:])); err != nil || row != nil {
			return err
		}
	}
	return appendAct(r.book.tx, act{Op: opStatement, Statement: a.Statement, Channel: a.Channel})
}

// publication records the sequence of a publication.
func (r *reentry) publication(a act) error {
	state, err := r.book.publishedAt(r.book.tx.View(), a.Of)
	if err != nil || a.Op != opPublish || state.Sequence >= a.Published.Sequence {
		return err
	}
	return appendAct(r.book.tx, a)
}
