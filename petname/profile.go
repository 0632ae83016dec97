package petname

import (
	"fmt"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
)

// SetNickname sets the nickname for the owner's card; "" for none.
func (b *Book) SetNickname(nickname string) error {
	if nickname != "" {
		n, err := name.Parse(nickname)
		if err != nil {
			return fmt.Errorf("nick%w", err)
		}
		nickname = n.String()
	}
	if len(nickname) > pointer.MaxNickname {
		return &name.Error{Text: nickname, Reason: fmt.Sprintf("is %d bytes long, over %d for a nickname", len(nickname), pointer.MaxNickname)}
	}
	return b.update(func(tx *ledger.Tx) error {
		state, err := getState[profileState](tx.View(), tableProfile, []byte(keyNickname))
		if err != nil || len(state.Claims) == 1 && state.Claims[0].Name == nickname || nickname == "" && state.Claims == nil {
			return err
		}
		return appendAct(tx, act{Op: opProfile, Name: nickname})
	})
}

// Nickname returns the nickname for the owner's card, as typed. If devices
// disagree, all devices use the same one of their values.
func (b *Book) Nickname() (string, error) {
	var nickname string
	err := b.read(func(v *ledger.View) error {
		state, err := getState[profileState](v, tableProfile, []byte(keyNickname))
		for _, c := range state.Claims {
			nickname = c.Text
		}
		return err
	})
	return nickname, err
}

// Published is the owner's last publication that the book has recorded.
type Published struct {
	Value    string
	Sequence uint64 // of the owner's current pointer; 0: none
}

// Published returns the last publication; the zero value if there was none.
// After a rotation the value stays, and the sequence is that of the current
// pointer.
func (b *Book) Published() (Published, error) {
	var p Published
	err := b.read(func(v *ledger.View) error {
		for _, own := range b.ownPointers() {
			state, err := getState[publishedState](v, tablePublished, publishedKey(otherPointer(b.ledger.Identity(), own)))
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

// ReserveSequence durably records that a sequence is about to be used for a
// value. So this device never uses a sequence twice, even if the process ends
// before the record is stored anywhere. It fails with a [*SequenceError]
// for a sequence that is not above the last recorded one: of two callers that reserve one
// sequence at the same time, one reads, changes and signs again.
func (b *Book) ReserveSequence(p Published) error {
	return b.update(func(tx *ledger.Tx) error {
		subject := otherPointer(b.ledger.Identity(), b.Identity())
		state, err := getState[publishedState](tx.View(), tablePublished, publishedKey(subject))
		if err != nil {
			return err
		}
		if p.Sequence <= state.Sequence {
			return &SequenceError{Sequence: p.Sequence, Last: state.Sequence}
		}
		return appendAct(tx, act{Op: opPublish, Published: &wireValue{Value: p.Value, Sequence: p.Sequence}, Of: subject})
	})
}
