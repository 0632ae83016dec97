package exchange

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/pointer"
)

// Held are unacknowledged messages of this device that are not sent while their contact is as it
// is. They are stored until the owner changes that, or until [Exchange.DropHeld]. What the network
// stored before can still be received from there.
type Held struct {
	ID       pointer.Pointer // of the contact
	Pointer  pointer.Pointer // the contact's current pointer
	Messages int
	Reason   HeldReason
}

// HeldReason is the reason why messages are not sent.
type HeldReason string

const (
	HeldRemoved  HeldReason = "removed"  // the contact was removed: they are sent when it is added again
	HeldUnknown  HeldReason = "unknown"  // the book has no such contact, as after an undo: likewise
	HeldMistaken HeldReason = "mistaken" // they were signed for a key that is none of the contact's
	// they are in the channel of an earlier key of the owner, in which nothing is put any more: what
	// the contact has not received from the network before is lost
	HeldFormer HeldReason = "former"
)

// heldRow is a message that is not sent.
type heldRow struct {
	queued
	under pointer.Pointer
	Held
}

// Held returns the messages that are not sent, by contact and reason, in the order of the ids.
func (e *Exchange) Held() ([]Held, error) {
	var rows []heldRow
	err := e.view(func(local *ledger.View) (err error) {
		rows, err = allQueued(local, e.c.Book.Identity())
		return err
	})
	if err == nil {
		rows, err = selectHeld(e.c.Book, rows, e.isAddressed)
	}
	if err != nil {
		return nil, err
	}
	var all []Held
	for _, r := range rows {
		i := slices.IndexFunc(all, func(h Held) bool { return h.ID == r.ID && h.Reason == r.Reason })
		if i < 0 {
			i, all = len(all), append(all, r.Held)
		}
		all[i].Messages++
	}
	slices.SortFunc(all, func(a, b Held) int {
		return cmp.Or(bytes.Compare(a.ID.Bytes(), b.ID.Bytes()), cmp.Compare(a.Reason, b.Reason))
	})
	return all, nil
}

// DropHeld deletes the messages that are not sent to the contact with a pointer, and returns
// their number. It returns [petname.ErrNotFound] if there are none.
func (e *Exchange) DropHeld(p pointer.Pointer) (n int, err error) {
	unlock, err := e.lockHeld(p)
	if err != nil {
		return 0, err
	}
	defer unlock()
	err = e.update(func(tx tx) error {
		n = 0
		rows, err := allQueued(tx.local, tx.book.Identity())
		if err == nil {
			rows, err = selectHeld(tx.book, rows, tx.isAddressed)
		}
		if err != nil {
			return err
		}
		for _, r := range rows {
			if !r.isOf(p) {
				continue
			}
			n++
			if r.table == tableOutbox {
				err = deleteQueued(tx.local, r.key)
			} else {
				err = tx.local.Delete(r.table, r.key)
			}
			if err == nil && r.table == tableFormerQueue { // all messages of a channel are of one contact
				err = tx.local.Delete(tableFormer, r.key[:len(r.key)-8])
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil && n == 0 {
		err = petname.ErrNotFound
	}
	return n, err
}

// isOf reports whether a drop of the messages to p deletes this one.
func (r heldRow) isOf(p pointer.Pointer) bool { return r.ID == p || r.Pointer == p || r.under == p }

// lockHeld waits for exclusive use of the channels with the messages that a drop deletes: a put
// in them would store its messages again. The order of the locks is that of the pointers.
func (e *Exchange) lockHeld(p pointer.Pointer) (unlock func(), err error) {
	var rows []heldRow
	err = e.view(func(local *ledger.View) (err error) {
		rows, err = allQueued(local, e.c.Book.Identity())
		return err
	})
	if err == nil {
		rows, err = selectHeld(e.c.Book, rows, e.isAddressed)
	}
	if err != nil {
		return nil, err
	}
	under := []pointer.Pointer{p}
	for _, r := range rows {
		if r.isOf(p) {
			under = append(under, r.under)
		}
	}
	slices.SortFunc(under, func(a, b pointer.Pointer) int { return bytes.Compare(a.Bytes(), b.Bytes()) })
	var unlocks []func()
	for _, at := range slices.Compact(under) {
		unlocks = append(unlocks, e.lockChannel(at))
	}
	return func() {
		for _, u := range unlocks {
			u()
		}
	}, nil
}

// allQueued returns all unacknowledged messages. self is the pointer of the owner.
func allQueued(local *ledger.View, self pointer.Pointer) (all []heldRow, err error) {
	for _, table := range []string{tableQueue, tableOutbox, tableFormerQueue} {
		for row, err := range local.Scan(table, nil) {
			if err != nil {
				return nil, err
			}
			r := heldRow{queued: queued{table: table, key: bytes.Clone(row.Key), value: bytes.Clone(row.Value)}}
			suffix := 8
			if table == tableFormerQueue {
				suffix += len(self.Bytes()) // the same for every Ed25519 key
			}
			if len(row.Key) < suffix {
				return nil, fmt.Errorf("%s: key of %d bytes", table, len(row.Key))
			}
			if r.under, err = pointer.FromBytes(row.Key[:len(row.Key)-suffix]); err != nil {
				return nil, fmt.Errorf("%s: %w", table, err)
			}
			switch table {
			case tableQueue: // of one contact
				r.id, err = recipient(local, r.under.Bytes())
			case tableFormerQueue:
				r.value = nil
			default:
				r.id, err = recipient(local, row.Key)
			}
			if err != nil {
				return nil, err
			}
			all = append(all, r)
		}
	}
	return all, nil
}

// selectHeld returns the messages that are not sent.
func selectHeld(book *petname.Book, rows []heldRow, addressed addressedFunc) (held []heldRow, err error) {
	contacts := make(map[pointer.Pointer]petname.Contact)
	for _, r := range rows {
		id, _, err := r.contact(book, r.under, addressed)
		if err != nil {
			return nil, err
		}
		c, read := contacts[id]
		if !read {
			if c, err = book.ByID(id); err != nil && !errors.Is(err, petname.ErrNotFound) {
				return nil, err
			}
			contacts[id] = c
		}
		r.Held = Held{ID: id, Pointer: c.Pointer}
		if c.Pointer.IsZero() {
			r.Pointer = id
		}
		switch {
		case r.table == tableFormerQueue:
			r.Reason = HeldFormer
		case !c.Name.IsZero() || c.Conflict != nil:
			if r.table != tableOutbox {
				continue
			}
			if is, err := addressed(trailOf(c), r.value); err != nil || is {
				if err != nil {
					return nil, err
				}
				continue
			}
			r.Reason = HeldMistaken
		case !c.Removed.IsZero():
			r.Reason = HeldRemoved
		default:
			r.Reason = HeldUnknown
		}
		held = append(held, r)
	}
	return held, nil
}
