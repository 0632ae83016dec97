package petname

import (
	"slices"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/pointer"
)

// What the book has recorded of publications is what devices state: a sequence that is about
// to be used, and its value. The view has the last statement of each device, and only those of
// the devices that hold the identity key count: another one has published nothing, and its
// statement would choose what the owner signs next, or end the sequences.

// publishedState is the publication with the greatest sequence that a device has stated.
type publishedState struct {
	Value    string `cbor:"1,keyasint"`
	Sequence uint64 `cbor:"2,keyasint"`
}

// publishedKey returns the key of what a device stated about one of the owner's pointers; nil:
// the first one.
func publishedKey(of []byte, by ledger.DeviceID) []byte {
	if of == nil {
		of = []byte(keyOwn)
	}
	return slices.Concat(of, by[:])
}

// setPublished stores the publication of an act, unless the device of the entry has stated one
// with a greater sequence.
func (f fold) setPublished(v *ledger.View, e ledger.Entry, a act) error {
	key, stated := publishedKey(a.Of, e.ID().Device), publishedState{a.Published.Value, a.Published.Sequence}
	state, err := getState[publishedState](v, tablePublished, key)
	if err != nil || !state.before(stated) {
		return err
	}
	return putState(v, tablePublished, key, stated)
}

// before reports whether another publication replaces this one. Two devices can publish with one
// sequence: the greater value then counts, so that it is the same one on every device.
func (s publishedState) before(other publishedState) bool {
	return s.Sequence < other.Sequence || s.Sequence == other.Sequence && s.Value < other.Value
}

// publishedAt returns the last publication of one of the owner's pointers, of those that count;
// the zero value if there is none. The publications of this device count always: it uses no
// sequence twice.
func (b *Book) publishedAt(v *ledger.View, of []byte) (last publishedState, err error) {
	holders, err := b.holders(v)
	if err != nil {
		return last, err
	}
	holders[b.ledger.Device()] = true
	for id, holds := range holders {
		if !holds {
			continue
		}
		state, err := getState[publishedState](v, tablePublished, publishedKey(of, id))
		if err != nil {
			return last, err
		}
		if last.before(state) {
			last = state
		}
	}
	return last, nil
}

// Published is the owner's last publication that the book has recorded.
type Published struct {
	Value    string
	Sequence uint64 // of the owner's current pointer; 0: none
}

// Published returns the last publication; the zero value if there was none. Statements of devices
// without the identity key do not count. After a rotation the value stays, and the sequence is
// that of the current pointer.
func (b *Book) Published() (Published, error) {
	var p Published
	err := b.read(func(v *ledger.View) error {
		for _, own := range b.ownPointers() {
			state, err := b.publishedAt(v, otherPointer(b.ledger.Identity(), own))
			if err != nil {
				return err
			}
			if p.Sequence = state.Sequence; state.Sequence > 0 {
				p.Value = state.Value
			}
		}
		return nil
	})
	return p, err
}

// PublishedAt returns the last publication under one of the owner's pointers that the book has
// recorded; the zero value if there was none. Published states which devices count.
func (b *Book) PublishedAt(p pointer.Pointer) (out Published, err error) {
	err = b.read(func(v *ledger.View) error {
		state, err := b.publishedAt(v, otherPointer(b.ledger.Identity(), p))
		out = Published(state)
		return err
	})
	return out, err
}

// ReserveSequence durably records that a sequence is about to be used for a
// value. So this device never uses a sequence twice, even if the process ends
// before the record is stored anywhere. It fails with a [*SequenceError]
// for a sequence that is not above the last recorded one: of two callers that reserve one
// sequence at the same time, one reads, changes and signs again.
func (b *Book) ReserveSequence(p Published) error {
	return b.update(func(tx *ledger.Tx) error {
		subject := otherPointer(b.ledger.Identity(), b.Identity())
		state, err := b.publishedAt(tx.View(), subject)
		if err != nil {
			return err
		}
		if p.Sequence <= state.Sequence {
			return &SequenceError{Sequence: p.Sequence, Last: state.Sequence}
		}
		return appendAct(tx, act{Op: opPublish, Published: &wireValue{Value: p.Value, Sequence: p.Sequence}, Of: subject})
	})
}
