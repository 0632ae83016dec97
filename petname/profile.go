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
