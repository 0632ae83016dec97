package agent

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/pointer"
)

// OtherCopy is evidence that the owner's key signs outside of this home: a record of
// the owner's pointer with a sequence above all that this home has reserved. It is a
// plain value.
//
// If another device of the owner has the identity key, that alone is no evidence: then only a
// step to the next key, or another next key, is.
//
// Nothing less is evidence. A sequence is reserved durably before a record is signed,
// so this home signs none above the last reserved one, and only the owner's key signs a
// record that verifies. Old records, which a lying or slow router returns, have lower
// sequences. One cause is not another copy: a home that was restored from a backup has
// forgotten what it signed after the backup. That happens once for each restore, and
// the next publication is above it. Only a step to the next key is proof: see Successor.
//
// A record with the last reserved sequence is evidence as well, whatever its end, if its
// content is not that of the record for which this device reserved it, and no other device
// has the identity key. Other records of that sequence are preferred or not by their end: a look-up
// keeps the later one, so each answer is compared.
type OtherCopy struct {
	Sequence  uint64          // of the record
	Signed    uint64          // the highest sequence that this home had reserved; 0: none
	Successor pointer.Pointer // the next key, if the record proves a rotation to it; zero: none
	// what the record commits to as the next key, if this home has another one, which no older
	// copy of it can cause: the key was made with its next key; zero: nothing
	Next  pointer.Commitment
	Seen  time.Time
	Times int // how often a record of another copy was seen

	// the value of the record, if it is not the one that this home published last and the owner
	// has not decided for a value since; "": nothing to decide. Hostile text.
	Value string

	Devices bool // another device of the owner has the identity key: see [CopiedError]
}

func (c OtherCopy) String() string {
	if !c.Successor.IsZero() || !c.Next.IsZero() {
		return (&CopiedError{Successor: c.Successor, Next: c.Next, Devices: c.Devices}).Error() + c.valueText()
	}
	text := "another copy of this home is in use"
	if c.Times < 2 {
		text += ", or this home was restored from an older copy"
	}
	text += fmt.Sprintf(": there is a record of your pointer with sequence %d", c.Sequence)
	switch {
	case c.Signed == 0:
		text += ", and this home had signed none"
	case c.Signed == c.Sequence:
		text += ", and this home has signed another one with it"
	default:
		text += fmt.Sprintf(", and this home had signed none above %d", c.Signed)
	}
	if c.Times >= 2 {
		text += "; the only other cause is that this home was restored from an older copy each time"
	}
	return text + c.valueText()
}

// valueText returns what the owner has to decide about the value of the record; "": nothing.
func (c OtherCopy) valueText() string {
	if c.Value == "" {
		return ""
	}
	return fmt.Sprintf("; its value is not the one that this home published last: %.200q", c.Value)
}

// CopiedError is returned when another copy of the home has rotated the key: a record
// that the key signed names the next key, which has signed the step, or the next key
// has signed a record. Signing more with the old key would lead followers away from the
// new one. It is also returned when a record of the key commits to another next key
// than this home: then two copies have rotated to the key, or a thief has it, and
// followers that see records of both show a duplicity.
type CopiedError struct {
	Successor pointer.Pointer
	Next      pointer.Commitment // instead of Successor
	Devices   bool               // another device of the owner has the identity key, and may have rotated it

	NextElsewhere bool // the next key is not in this home
}

func (e *CopiedError) Error() string {
	if e.Successor.IsZero() {
		return "another copy of this home is in use, or a thief has its key: there is a record of your pointer with the next key " + e.Next.String() + ", and this home has another one"
	}
	if e.Devices {
		return "another device of yours, or a copy of this home, has rotated this key, and the pointer there is " + e.Successor.String()
	}
	return "another copy of this home is in use, or was recovered: it has rotated this key, and the pointer there is " + e.Successor.String()
}

const (
	tableCopies = "copies" // pointer of the owner → copyRow as JSON
	copyShown   = 30 * 24 * time.Hour
)

// copyRow is the stored form of an OtherCopy.
type copyRow struct {
	Sequence, Signed uint64
	Successor        string `json:",omitempty"`
	Next             string `json:",omitempty"`
	Seen             time.Time
	Times            int
	Shown            bool // the owner was notified

	Value string `json:",omitempty"` // of the record
	ID    []byte `json:",omitempty"` // of the record; nil: written by an older version
	Open  bool   `json:",omitempty"` // Value is foreign, and the owner has published no value since
}

func (s *state) evidence(r copyRow) *OtherCopy {
	c := &OtherCopy{Sequence: r.Sequence, Signed: r.Signed, Seen: r.Seen, Times: r.Times, Devices: s.othersSign()}
	c.Successor, _ = pointer.Parse(r.Successor) // zero: none
	c.Next, _ = pointer.ParseCommitment(r.Next) // likewise
	if r.Open {
		c.Value = r.Value
	}
	return c
}

// OtherCopy returns the evidence that another copy of this home is in use; nil if there
// is none that has to be shown. With look, it first asks the networks that were joined
// for the owner's newest record, if this home has published one or rotated its key: a
// query for the record is what every follower sends. Evidence is shown once, while the
// record is the newest, for 30 days if it was seen more than once or is proof, and until the
// owner publishes a value if that of the record is not the owner's, also after a rotation.
func (a *Agent) OtherCopy(ctx context.Context, look bool) (*OtherCopy, error) {
	if look {
		last, err := a.book.Published()
		if err != nil {
			return nil, err
		}
		id, ierr := a.identity()
		if last.Sequence > 0 || ierr == nil && len(id.Succession) > 0 {
			stores, offline := a.joined(ctx)
			if err := a.lookUpOwn(ctx, stores, offline); err != nil {
				return nil, err
			}
		}
	}
	row, newest, err := a.noteCopy()
	at := a.book.Identity()
	if err == nil && (row == nil || !newest && !row.Open) {
		if of, open, err := a.openCopy(); err == nil && open != nil {
			at, row = of, open
		}
	}
	if err != nil || row == nil {
		return nil, err
	}
	// Another next key is proof: no restored backup causes it.
	again := (row.Times > 1 || row.Next != "") && a.now().Sub(row.Seen).Abs() < copyShown // not for years after a clock that was ahead
	if row.Shown && !newest && !again && !row.Open {
		return nil, nil
	}
	if !row.Shown {
		row.Shown = true
		if err := a.putCopy(at, *row); err != nil {
			a.log.Warn("evidence of another copy not noted", "error", err) // it is shown again
		}
	}
	return a.evidence(*row), nil
}

// noteCopy compares the owner's newest record in the home, which includes what look-ups
// returned, with what this home has signed, and stores new evidence. It returns the
// newest evidence, nil if there is none, and reports whether that record is still above
// all that this home has signed.
func (s *state) noteCopy() (row *copyRow, newest bool, err error) {
	id, err := s.identity()
	if err != nil {
		return nil, false, nil // the owner's pointer is not known: a damaged key is reported elsewhere
	}
	own := s.book.Identity()
	if row, err = s.copyRow(own); err != nil {
		return nil, false, err
	}
	record, _, err := s.held(own)
	if newest := s.received.Load(); newest != nil && newest.Pointer() == own && (err != nil || newest.Compare(record) > 0) {
		record, err = *newest, nil
	}
	if seen := s.foreign.Load(); seen != nil && seen.Pointer() == own && (err != nil || seen.Sequence() == record.Sequence() && record.Compare(*seen) > 0 && !s.isForeign(record)) {
		record, err = *seen, nil
	}
	if err != nil {
		return row, false, nil // none, or a damaged one, which Check reports
	}
	signed, err := s.book.Published()
	if err != nil {
		return nil, false, err
	}
	card, _ := record.Card()
	// Another copy, or a device of one, has rotated to this key apart: see [OtherCopy.Next].
	diverged := !card.Next.IsZero() && !id.Next.IsZero() && card.Next != id.Next && record.Pointer() == id.Pointer
	if record.Sequence() < signed.Sequence || record.Sequence() == signed.Sequence && !s.isForeign(record) && !diverged {
		return row, false, nil
	}
	// A thief signs several records with one sequence: each is compared.
	recordID := record.ID()
	if row != nil && row.Signed == signed.Sequence && bytes.Equal(row.ID, recordID[:]) {
		return row, true, nil
	}
	seen := copyRow{Sequence: record.Sequence(), Signed: signed.Sequence, Seen: s.now().UTC().Truncate(time.Second), Times: 1, Value: record.Value(), ID: recordID[:]}
	if seen.Open = seen.Value != cmp.Or(signed.Value, pointer.NoValue) && s.hasValue(signed); !seen.Open && row != nil && row.Open {
		seen.Value, seen.Open = row.Value, true // still to be decided
	}
	if row != nil && row.Signed == signed.Sequence {
		seen.Times = row.Times // nothing was signed here between the two: one restore explains both
	} else if row != nil {
		seen.Times = row.Times + 1
	}
	if to := s.provenSuccessor(record); !to.IsZero() {
		seen.Successor = to.String()
	} else if !card.Next.IsZero() && !id.Next.IsZero() && card.Next != id.Next {
		seen.Next = card.Next.String()
	}
	if seen.Successor == "" && seen.Next == "" && s.othersSign() {
		return row, false, nil // another device of the owner has signed it
	}
	if row != nil && seen.Successor == "" && seen.Next == "" && row.Next != id.Next.String() {
		seen.Successor, seen.Next = row.Successor, row.Next // a later record takes no proof back
	}
	s.log.Warn("another copy of this home may be in use", "sequence", seen.Sequence, "signed", seen.Signed, "successor", seen.Successor)
	if err := s.putCopy(own, seen); err != nil {
		s.log.Warn("evidence of another copy not noted", "error", err)
	}
	return &seen, true, nil
}

// othersSign reports whether another device of the owner has the identity key, so that
// records that this home has not signed prove nothing.
func (s *state) othersSign() bool {
	devices, err := s.book.Devices()
	return err == nil && slices.ContainsFunc(devices, func(d Device) bool { return !d.This && !d.Removed && d.IdentityKey })
}

// isForeign reports whether a record has the sequence that this device reserved last, and
// is another one than the record that it was reserved for; or has the sequence of the last
// publication, such as that of a device that was removed since, and another value. With another
// device that signs and may have reserved the same sequence, it is false.
func (s *state) isForeign(record pointer.Record) bool {
	last, err := s.reserved(record.Pointer())
	if err != nil || s.othersSign() {
		return false
	}
	if last.hashed && last.sequence == record.Sequence() {
		return last.id != record.ID()
	}
	signed, err := s.book.Published()
	return err == nil && signed.Sequence == record.Sequence() && signed.Value != record.Value()
}

// watchedStore is a Store that passes each answer about one pointer to see, beside its caller.
// With compareOwn, those about the owner's pointer are compared with the record that this
// device signed last: see [state.isForeign].
type watchedStore struct {
	dht.Store
	of  pointer.Pointer
	see func(p pointer.Pointer, record []byte)
}

// watch returns stores whose answers about p are passed to see.
func watch(stores []dht.Store, p pointer.Pointer, see func(pointer.Pointer, []byte)) []dht.Store {
	watched := make([]dht.Store, len(stores))
	for i, store := range stores {
		watched[i] = &watchedStore{store, p, see}
	}
	return watched
}

func (w *watchedStore) Get(ctx context.Context, p pointer.Pointer) iter.Seq2[dht.Answer, error] {
	return w.watch(p, w.Store.Get(ctx, p))
}

// GetAt implements [dht.LevelStore].
func (w *watchedStore) GetAt(ctx context.Context, p pointer.Pointer, level dht.Level) iter.Seq2[dht.Answer, error] {
	if store, ok := w.Store.(dht.LevelStore); ok {
		return w.watch(p, store.GetAt(ctx, p, level))
	}
	return w.Get(ctx, p)
}

func (w *watchedStore) watch(p pointer.Pointer, answers iter.Seq2[dht.Answer, error]) iter.Seq2[dht.Answer, error] {
	if p != w.of {
		return answers
	}
	return func(yield func(dht.Answer, error) bool) {
		var last []byte
		for answer, err := range answers {
			if answer.Record != nil && !bytes.Equal(answer.Record, last) { // most peers return the same one
				w.see(p, answer.Record)
				last = answer.Record
			}
			if !yield(answer, err) {
				return
			}
		}
	}
}

// compareOwn remembers a record of the owner's pointer, which a store returned, if it
// is foreign or the newest: a home that cannot be written does not keep it.
func (s *state) compareOwn(p pointer.Pointer, b []byte) {
	r, expired, err := pointer.OpenExpired(p, b, s.now())
	if err == nil && s.isForeign(r) {
		s.foreign.Store(&r)
	}
	for err == nil && !expired {
		newest := s.received.Load()
		if newest != nil && newest.Pointer() == p && newest.Compare(r) >= 0 || s.received.CompareAndSwap(newest, &r) {
			return
		}
	}
}

// provenSuccessor returns the next key of this home if a record of the owner's pointer
// has a step to it; zero if there is none. A thief of the current key alone cannot make
// one: the step opens the commitment, and the next key has signed it.
func (s *state) provenSuccessor(record pointer.Record) pointer.Pointer {
	id, err := s.identity()
	if err != nil {
		return pointer.Pointer{}
	}
	card, _ := record.Card()
	for _, step := range card.Succession {
		if step.Old != record.Pointer() || !id.Next.Opens(step.New) {
			continue
		}
		if to, err := step.Verify(); err == nil {
			return to
		}
	}
	return pointer.Pointer{}
}

// checkRotatedElsewhere returns the evidence that the owner's newest record in the home
// is one of another copy; nil: it is not. If it proves that this copy has rotated the
// key, or has rotated to it, that is a [*CopiedError].
func (s *state) checkRotatedElsewhere() (*OtherCopy, error) {
	row, newest, err := s.noteCopy()
	if err != nil || row == nil || !newest {
		return nil, err
	}
	other := s.evidence(*row)
	if !other.Successor.IsZero() || !other.Next.IsZero() {
		return other, &CopiedError{Successor: other.Successor, Next: other.Next, Devices: other.Devices, NextElsewhere: s.nextElsewhere()}
	}
	return other, nil
}

func (s *state) copyRow(own pointer.Pointer) (*copyRow, error) {
	var row *copyRow
	err := s.book.Ledger().ReadLocal(func(local *ledger.View) error {
		b, err := local.Get(tableCopies, own.Bytes())
		if err != nil || b == nil {
			return err
		}
		row = &copyRow{}
		return json.Unmarshal(b, row)
	})
	return row, err
}

func (s *state) putCopy(own pointer.Pointer, row copyRow) error {
	b, err := json.Marshal(row)
	if err != nil {
		return err
	}
	return s.book.Update(func(_ *petname.Book, local *ledger.View) error { return local.Put(tableCopies, own.Bytes(), b) })
}

// nextElsewhere reports whether the next key is not in this home.
func (s *state) nextElsewhere() bool {
	id, err := s.identity()
	return err == nil && id.NextElsewhere
}
