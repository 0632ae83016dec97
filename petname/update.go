package petname

import (
	"errors"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname/introduce"
	"github.com/petnames-go/petnames/pointer"
)

func appendAct(tx *ledger.Tx, a act) error {
	body, err := a.encode()
	if err != nil {
		return err
	}
	_, err = tx.Append(body)
	return err
}

// Update runs fn in one durable transaction over the book and the device-local
// tables of its file (package ledger). If it returns nil, both are durable;
// otherwise neither has changed. fn receives the tables, and a book with
// methods that read and change the book within the transaction; Close, Ledger,
// Log and Undo must not be called on it. Both are valid until fn returns, and
// fn must not use b. If the book refuses a change, the transaction is as
// before, and fn may continue; fn must return every other error. If a change was
// refused after a part of it was made, Update returns that error. Calls of Update
// exclude one another.
func (b *Book) Update(fn func(book *Book, local *ledger.View) error) error {
	return b.update(func(tx *ledger.Tx) error {
		inner := &Book{ledger: b.ledger, now: b.now, tx: tx}
		inner.own.Store(b.own.Load())
		if err := fn(inner, tx.Local()); err != nil {
			return err
		}
		return inner.partial
	})
}

func (b *Book) update(fn func(tx *ledger.Tx) error) error {
	if b.tx != nil {
		made := b.tx.Appended()
		err := fn(b.tx)
		if err != nil && b.tx.Appended() != made {
			b.partial = errors.Join(b.partial, err)
		}
		return err
	}
	entries, err := b.ledger.Update(fn)
	if err != nil || b.notify == nil {
		return err
	}
	for _, e := range entries {
		// readers report a damaged entry
		if entry, body, err := b.ledger.Entry(e.ID()); err == nil {
			b.notify(logged(entry, body, introduce.Restore)) // the fold has verified it just now
		}
	}
	return nil
}

func (b *Book) read(fn func(v *ledger.View) error) error {
	if b.tx != nil {
		return fn(b.tx.View())
	}
	return b.ledger.Read(fn)
}

// change appends the act that fn returns for a contact that has a name or is in
// conflict over one, and reads the contact again. An act without an op changes
// nothing.
func (b *Book) change(p pointer.Pointer, fn func(v *ledger.View, c Contact) (act, error)) (Contact, error) {
	var c Contact
	err := b.update(func(tx *ledger.Tx) (err error) {
		if c, err = readNamed(tx.View(), p); err != nil {
			return err
		}
		a, err := fn(tx.View(), c)
		if err != nil || a.Op == 0 {
			return err
		}
		if err = appendAct(tx, a); err == nil {
			c, _, err = readContact(tx.View(), c.ID)
		}
		return err
	})
	if err != nil {
		return Contact{}, err
	}
	return c, nil
}
