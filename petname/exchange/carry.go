package exchange

import (
	"bytes"
	"fmt"
	"time"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/pair"
	"github.com/petnames-go/petnames/pointer"
)

// Carried is the result of [Carry].
type Carried struct {
	Messages int         // unacknowledged, that are sent again
	Requests int         // contact requests, likewise
	Unsent   []Uncarried // what is not continued
}

// Uncarried is what a new device does not continue of an earlier one.
type Uncarried struct {
	To   pointer.Pointer `json:",omitzero"` // the recipient; zero: none is known
	What UncarriedKind
}

// UncarriedKind is the kind of an Uncarried.
type UncarriedKind string

const (
	UncarriedMutual     UncarriedKind = "mutual"     // a message of a mutual introduction, whose state is of the earlier device
	UncarriedFormer     UncarriedKind = "former_key" // a message that a former key of the owner signed
	UncarriedInvitation UncarriedKind = "invitation" // an invitation under way, or a code
)

// copiedTables are those whose rows stay valid on another device of the owner.
var copiedTables = []string{tableIntroductions, tableUsedCodes, tableKnown, tableDenials, tableRequests, tableMessageCounts}

// Carry copies what an earlier device of the owner has in its tables to the book of the new one,
// which has none yet: the messages that are not acknowledged are sent again, in channels of the
// new device. A recipient that has received one already receives it twice, and keeps one.
func Carry(from *ledger.Ledger, to *petname.Book, now time.Time) (out Carried, err error) {
	err = to.Update(func(_ *petname.Book, local *ledger.View) error {
		out = Carried{}
		return from.ReadLocal(func(old *ledger.View) error { return out.carry(old, local, now) })
	})
	return out, err
}

func (c *Carried) carry(old, local *ledger.View, now time.Time) error {
	for _, table := range copiedTables {
		for row, err := range old.Scan(table, nil) {
			if err == nil {
				err = local.Put(table, bytes.Clone(row.Key), bytes.Clone(row.Value))
			}
			if err != nil {
				return err
			}
			if table == tableRequests {
				c.Requests++
			}
		}
	}
	for _, table := range []string{tableQueue, tableOutbox} { // in the order of sending
		for row, err := range old.Scan(table, nil) {
			if err != nil {
				return err
			}
			if len(row.Key) < 8 {
				return fmt.Errorf("%s: key of %d bytes", table, len(row.Key))
			}
			party := row.Key[:len(row.Key)-8]
			key := party
			if table == tableOutbox {
				key = row.Key
			}
			to, err := pointer.FromBytes(party)
			if err != nil {
				return fmt.Errorf("%s: %w", table, err)
			}
			id, err := recipient(old, key)
			if err != nil {
				return err
			}
			if err := c.message(local, to, id, bytes.Clone(row.Value)); err != nil {
				return err
			}
		}
	}
	for row, err := range old.Scan(tableFormerQueue, nil) {
		if err != nil {
			return err
		}
		party, err := firstPointer(row.Key)
		if err != nil {
			return err
		}
		c.Unsent = append(c.Unsent, Uncarried{party, UncarriedFormer})
	}
	for _, table := range []string{tableInvitations, tableAcceptedCodes} {
		for row, err := range old.Scan(table, nil) {
			if err != nil {
				return err
			}
			if table == tableAcceptedCodes && codeState(row.Value, now) == nil {
				continue
			}
			if i, err := pair.InvitationOf(row.Value); table == tableInvitations && (err != nil || i.Device || !now.Before(i.Expires)) {
				continue
			}
			c.Unsent = append(c.Unsent, Uncarried{What: UncarriedInvitation})
		}
	}
	return nil
}

// message puts a message into the outbox, unless it belongs to a state that stays with the
// earlier device. Shared edges are not: the new device states them anew.
func (c *Carried) message(local *ledger.View, to, id pointer.Pointer, encoded []byte) error {
	if m, err := decodeMessage(encoded); err == nil && m.Kind == kindMutual {
		c.Unsent = append(c.Unsent, Uncarried{to, UncarriedMutual})
		return nil
	}
	if isEdges(encoded) {
		return nil
	}
	c.Messages++
	if id.IsZero() {
		return enqueue(local, to, encoded)
	}
	return enqueueFor(local, to, id, encoded)
}

// firstPointer returns the pointer at the start of a key of tableFormerQueue: see formerChannel.
func firstPointer(key []byte) (pointer.Pointer, error) {
	for n := len(key) - 8; n > 0; n-- {
		if p, err := pointer.FromBytes(key[:n]); err == nil {
			return p, nil
		}
	}
	return pointer.Pointer{}, fmt.Errorf("former queue: key of %d bytes", len(key))
}
