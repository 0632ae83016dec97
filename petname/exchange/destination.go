package exchange

import (
	"errors"
	"slices"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/canonical"
)

// An unacknowledged message is for a contact, and not for a pointer: a contact advances to its
// next key, and comes back when the act of the owner that advanced it is undone, here or on
// another device. The rows of a message have the pointer that was current when they were
// written, and tableRecipients has the id of the contact. Before a channel is used, and at each
// Sync, followSuccession moves the messages under a pointer to the current pointers of their
// contacts. Rows of an older version have no id: see queued.contact. The messages of a contact
// that has no name any more are for the named contact whose first pointer is theirs, as far as they
// were made for that pointer: the owner can add the same key again as another contact.

// queued is a message under a pointer, in its channel or in the outbox.
type queued struct {
	table      string // tableQueue or tableOutbox
	key, value []byte
	id         pointer.Pointer // of the contact that it is for; zero: a row of an older version
}

// queuedUnder returns the messages under a pointer, in the order in which they are sent.
func queuedUnder(local *ledger.View, p pointer.Pointer) (all []queued, err error) {
	of, err := recipient(local, p.Bytes())
	if err != nil {
		return nil, err
	}
	for _, table := range []string{tableQueue, tableOutbox} {
		for row, err := range local.Scan(table, p.Bytes()) {
			if err != nil {
				return nil, err
			}
			q := queued{table: table, key: slices.Clone(row.Key), value: slices.Clone(row.Value), id: of}
			if table == tableOutbox {
				if q.id, err = recipient(local, row.Key); err != nil {
					return nil, err
				}
			}
			all = append(all, q)
		}
	}
	return all, nil
}

// recipient returns the id of the contact of a channel, or of a row of the outbox; zero: a row
// of an older version.
func recipient(local *ledger.View, key []byte) (pointer.Pointer, error) {
	b, err := local.Get(tableRecipients, key)
	if err != nil || b == nil {
		return pointer.Pointer{}, err
	}
	return pointer.FromBytes(b)
}

// contact returns the id of the contact that a message under a pointer is for. Of a row of an
// older version that is the contact with the pointer or, if an undo took it from its contact,
// the one that the message itself names. known is false if there is none of these: then the id
// is the pointer. If that contact has no name, it is the named contact at the pointer, for which
// the message is made.
func (q queued) contact(book *petname.Book, under pointer.Pointer, addressed addressedFunc) (id pointer.Pointer, known bool, err error) {
	if !q.id.IsZero() {
		id, err := q.successor(book, under, addressed)
		return id, true, err
	}
	for _, p := range []pointer.Pointer{under, statementTo(q.value)} {
		if p.IsZero() {
			continue
		}
		c, err := book.ByPointer(p)
		if err == nil || !errors.Is(err, petname.ErrNotFound) {
			return c.ID, true, err
		}
	}
	return under, false, nil
}

// addressedFunc is isAddressed within a transaction.
type addressedFunc func(trail []pointer.Pointer, encoded []byte) (bool, error)

// successor returns the id of the named contact which the owner added by the pointer of a message
// whose own contact has no name, if the message is addressed to that pointer; else the id of its
// own. A contact that came to the pointer by a succession is not meant: its trail may pass through
// the key of another party.
func (q queued) successor(book *petname.Book, under pointer.Pointer, addressed addressedFunc) (pointer.Pointer, error) {
	own, err := book.ByID(q.id)
	if err != nil && !errors.Is(err, petname.ErrNotFound) || !own.Name.IsZero() || own.Conflict != nil {
		return q.id, err
	}
	now, err := book.ByID(under)
	switch {
	case errors.Is(err, petname.ErrNotFound):
		return q.id, nil
	case err != nil || now.Name.IsZero() || now.Pointer != under:
		return q.id, err
	}
	if is, err := addressed([]pointer.Pointer{under}, q.value); err != nil || !is {
		return q.id, err
	}
	return now.ID, nil
}

// contactID returns the id of the contact with a pointer, or the pointer if there is none.
func contactID(book *petname.Book, p pointer.Pointer) (pointer.Pointer, error) {
	c, err := book.ByPointer(p)
	if errors.Is(err, petname.ErrNotFound) {
		return p, nil
	}
	return c.ID, err
}

// destination returns the contact with an id, and the pointer to which its messages under
// another pointer are moved: the current one, or the same while the contact is removed, in
// conflict or in contradiction, or is not in the book.
func destination(book *petname.Book, id, under pointer.Pointer) (petname.Contact, pointer.Pointer, error) {
	c, err := book.ByID(id)
	if errors.Is(err, petname.ErrNotFound) {
		return petname.Contact{}, under, nil
	}
	if err != nil || len(c.Contradictions) > 0 || c.Conflict != nil || !c.Removed.IsZero() {
		return c, under, err
	}
	return c, c.Pointer, nil
}

// followSuccession returns the current pointer of the contact with a pointer; of a pointer that
// no contact has, that of the contact whose messages were there. It moves the unacknowledged
// messages under the pointer to the current pointers of their contacts. Those that a contact has
// received before change nothing when they are received again.
func (e *Exchange) followSuccession(from pointer.Pointer) (to pointer.Pointer, err error) {
	moved, err := e.moveQueued(from)
	if err != nil {
		return from, err
	}
	id, err := contactID(e.c.Book, from)
	if err == nil {
		_, to, err = destination(e.c.Book, id, from)
	}
	if err != nil {
		return from, err
	}
	if to == from && !moved.IsZero() && !e.isContact(from) {
		return moved, nil
	}
	return to, nil
}

// moveQueued moves the messages under a pointer to the current pointers of their contacts, and
// returns one of those; zero: all are where they belong.
func (e *Exchange) moveQueued(from pointer.Pointer) (to pointer.Pointer, err error) {
	var c channelContents
	err = e.view(func(local *ledger.View) error {
		c, err = contentsOf(local, from)
		return err
	})
	if err != nil || !c.exists && len(c.messages) == 0 {
		return pointer.Pointer{}, err
	}
	if plan, err := c.plan(e.c.Book, from, e.isAddressed); err != nil || !plan.changes() { // usually there is nothing to write
		return pointer.Pointer{}, err
	}
	defer e.lockChannel(from)()
	err = e.update(func(tx tx) error {
		c, err := contentsOf(tx.local, from)
		if err != nil {
			return err
		}
		plan, err := c.plan(tx.book, from, tx.isAddressed)
		if err != nil {
			return err
		}
		to, err = tx.carryOut(plan)
		return err
	})
	return to, err
}

// channelContents are the messages under a pointer.
type channelContents struct {
	exists   bool            // there is a channel
	contact  pointer.Pointer // of the channel; zero: a channel of an older version
	messages []queued
}

func contentsOf(local *ledger.View, p pointer.Pointer) (c channelContents, err error) {
	head, err := local.Get(tableChannels, p.Bytes())
	if err == nil {
		c.exists = head != nil
		c.contact, err = recipient(local, p.Bytes())
	}
	if err == nil {
		c.messages, err = queuedUnder(local, p)
	}
	return c, err
}

// movePlan is what moveQueued does with the messages under a pointer.
type movePlan struct {
	from     pointer.Pointer
	leaves   bool            // the channel is left, with all messages: their numbers have no gaps; that of another contact at the pointer continues it
	contact  petname.Contact // of the channel, if it is left because the contact has left the pointer
	stamp    pointer.Pointer // the id to store for the channel; zero: it is stored, or unknown
	messages []plannedMove
}

// plannedMove is what moveQueued does with one message.
type plannedMove struct {
	queued  // with the id of the contact, unless it is unknown
	contact petname.Contact
	at      pointer.Pointer // where it belongs
	stamps  bool            // the id is not stored yet, or it is another one
}

// changes reports whether there is anything to write.
func (p movePlan) changes() bool {
	return p.leaves || !p.stamp.IsZero() || slices.ContainsFunc(p.messages, func(m plannedMove) bool { return m.at != p.from || m.stamps })
}

// plan returns what to do with the messages under a pointer.
func (c channelContents) plan(book *petname.Book, from pointer.Pointer, addressed addressedFunc) (plan movePlan, err error) {
	plan.from = from
	type place struct {
		contact petname.Contact
		at      pointer.Pointer
	}
	places := make(map[pointer.Pointer]place)
	placeOf := func(id pointer.Pointer) (p place, err error) {
		p, known := places[id]
		if !known {
			p.contact, p.at, err = destination(book, id, from)
			places[id] = p
		}
		return p, err
	}
	if c.exists {
		id, known, err := queued{id: c.contact}.contact(book, from, addressed)
		if err != nil {
			return plan, err
		}
		p, err := placeOf(id)
		if err != nil {
			return plan, err
		}
		if plan.leaves = p.at != from; plan.leaves {
			plan.contact = p.contact
		}
		plan.leaves = plan.leaves || !c.contact.IsZero() && id != c.contact
		if known && c.contact.IsZero() {
			plan.stamp = id
		}
	}
	for _, q := range c.messages {
		id, known, err := q.contact(book, from, addressed)
		if err != nil {
			return plan, err
		}
		p, err := placeOf(id)
		if err != nil {
			return plan, err
		}
		m := plannedMove{queued: q, contact: p.contact, at: p.at, stamps: known && q.id != id && q.table == tableOutbox}
		m.id = id
		plan.leaves = plan.leaves || q.table == tableQueue && p.at != from
		plan.messages = append(plan.messages, m)
	}
	return plan, nil
}

// carryOut writes a plan, and returns a pointer to which messages or the channel were moved.
func (tx tx) carryOut(plan movePlan) (to pointer.Pointer, err error) {
	for _, m := range plan.messages {
		switch {
		case m.table == tableQueue && !plan.leaves:
		case m.table == tableOutbox && m.at == plan.from:
			if m.stamps {
				err = tx.local.Put(tableRecipients, m.key, m.id.Bytes())
			}
		default:
			err = tx.moveOne(m)
		}
		if err != nil {
			return to, err
		}
		if m.at != plan.from {
			to = m.at
		}
	}
	switch {
	case !plan.leaves && !plan.stamp.IsZero():
		return to, tx.local.Put(tableRecipients, plan.from.Bytes(), plan.stamp.Bytes())
	case !plan.leaves:
		return to, nil
	}
	if !plan.contact.ID.IsZero() {
		to = plan.contact.Pointer
		if err := tx.forgetShared(plan.contact, plan.from); err != nil {
			return to, err
		}
	}
	return to, tx.leaveChannel(plan.from)
}

// moveOne moves a message to the outbox of the pointer where it belongs. Edges that were signed
// for a pointer which is none of the contact's are deleted: the current ones are sent instead.
func (tx tx) moveOne(m plannedMove) (err error) {
	if signedFor := statementTo(m.value); isEdges(m.value) && !m.contact.ID.IsZero() && !onTrail(m.contact, signedFor) {
		err = tx.forgetShared(m.contact, signedFor)
	} else {
		err = enqueueFor(tx.local, m.at, m.id, m.value)
	}
	if err != nil {
		return err
	}
	if m.table == tableOutbox {
		return deleteQueued(tx.local, m.key)
	}
	return tx.local.Delete(tableQueue, m.key)
}

// leaveChannel deletes the channel with a pointer after its messages were moved. Its position is
// stored, so that the channel continues if the contact comes back.
func (tx tx) leaveChannel(from pointer.Pointer) error {
	head, err := tx.local.Get(tableChannels, from.Bytes())
	if err != nil || head == nil {
		return err
	}
	if err := tx.local.Put(tableLeft, from.Bytes(), slices.Clone(head)); err != nil {
		return err
	}
	if err := tx.local.Delete(tableRecipients, from.Bytes()); err != nil {
		return err
	}
	return tx.local.Delete(tableChannels, from.Bytes())
}

// clearChannel moves the messages of another contact out of the channel with a pointer, before
// a contact uses it: they wait in the outbox, where isFor excludes them. The caller holds the
// lock of the channel.
func (e *Exchange) clearChannel(p, contact pointer.Pointer) error {
	other := false
	check := func(local *ledger.View) error {
		id, err := recipient(local, p.Bytes())
		other = !id.IsZero() && id != contact
		return err
	}
	if err := e.view(check); err != nil || !other {
		return err
	}
	return e.update(func(tx tx) error {
		c, err := contentsOf(tx.local, p)
		if err != nil || c.contact == contact {
			return err
		}
		for _, q := range c.messages {
			if q.table != tableQueue {
				continue
			}
			if err := tx.moveOne(plannedMove{queued: q, at: p}); err != nil {
				return err
			}
		}
		return tx.leaveChannel(p)
	})
}

// setRecipient stores the id of the contact of a channel.
func (tx tx) setRecipient(c *channel) error {
	if c.contact.IsZero() {
		return nil
	}
	id, err := recipient(tx.local, c.rows.key)
	if err != nil || id == c.contact {
		return err
	}
	return tx.local.Put(tableRecipients, c.rows.key, c.contact.Bytes())
}

// forgetShared makes the next Sync send the shared edges to a contact again, if a pointer that
// it had is none of its pointers any more: they may have been sent there.
func (tx tx) forgetShared(c petname.Contact, had pointer.Pointer) error {
	if onTrail(c, had) {
		return nil
	}
	b, err := tx.local.Get(tableShared, c.ID.Bytes())
	if err != nil || b == nil {
		return err
	}
	var last sharedState
	if err := canonical.UnmarshalLoose(b, &last, canonical.Bounds{}); err != nil {
		return err
	}
	last.Hash = []byte{}
	if b, err = canonical.Marshal(last); err != nil {
		return err
	}
	return tx.local.Put(tableShared, c.ID.Bytes(), b)
}

// onTrail reports whether a pointer is one of a contact.
func onTrail(c petname.Contact, p pointer.Pointer) bool {
	return slices.ContainsFunc(c.Chain, func(s petname.Step) bool { return s.Pointer == p })
}
