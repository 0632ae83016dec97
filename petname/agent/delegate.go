package agent

import (
	"errors"
	"time"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname/delegation"
	"github.com/petnames-go/petnames/pointer"
)

// delegateAfter is the age at which a delegation is renewed, when the identity key is at hand.
const delegateAfter = 24 * time.Hour

// tableDelegations is a device-local table: keyDelegation → the delegation to the home's own
// peer key.
const tableDelegations = "delegations"

var keyDelegation = []byte("own")

// delegationTo returns the owner's delegation to a peer key: one for the home's own key is
// stored, so that a node serves while the identity is locked. It fails with the errors of a
// locked identity if a new one is needed.
func (a *Agent) delegationTo(peer pointer.Pointer) (delegation.Delegation, error) {
	own, err := a.isOwnPeer(peer)
	if err != nil {
		return delegation.Delegation{}, err
	}
	a.delegating.Lock()
	defer a.delegating.Unlock()
	epoch, err := a.epoch()
	if err != nil {
		return delegation.Delegation{}, err
	}
	now := a.now()
	d := a.delegated
	if own && d.Peer() != peer {
		if d, err = a.storedDelegation(); err != nil {
			return delegation.Delegation{}, err
		}
	}
	valid := !d.IsZero() && d.Peer() == peer && d.By() == a.book.Identity() && d.Check(now, epoch) == nil
	if valid && d.Expires().Sub(now) > delegation.MaxLifetime-delegateAfter {
		a.delegated = d
		return d, nil
	}
	key, err := a.key()
	if err != nil {
		if valid {
			return d, nil
		}
		return delegation.Delegation{}, err
	}
	if d, err = delegation.Sign(key, peer, epoch, now, now.Add(delegation.MaxLifetime)); err != nil {
		return delegation.Delegation{}, err
	}
	if own {
		err = a.updateLocal(func(local *ledger.View) error { return local.Put(tableDelegations, keyDelegation, d.Bytes()) })
	}
	a.delegated = d
	return d, err
}

// storedDelegation returns the stored delegation; zero: there is none of use.
func (s *state) storedDelegation() (d delegation.Delegation, err error) {
	err = s.book.Ledger().ReadLocal(func(local *ledger.View) error {
		row, err := local.Get(tableDelegations, keyDelegation)
		if err == nil && row != nil {
			d, _ = delegation.Open(row) // one of another version is made anew
		}
		return err
	})
	return d, err
}

// isOwnPeer reports whether a peer key is that of the home.
func (s *state) isOwnPeer(peer pointer.Pointer) (bool, error) {
	key, err := s.home.PeerKey()
	if err != nil {
		return false, err
	}
	own, err := pointer.FromPublicKey(key.Public())
	return own == peer, err
}

// epoch returns the epoch of the owner's delegations: the number of devices that were ever
// removed, or what the owner's record states if that is more. So the removal of a device raises
// it on each device that learns of the removal, and nothing lowers it.
func (s *state) epoch() (uint64, error) {
	statements, err := s.book.Ledger().Statements()
	if err != nil {
		return 0, err
	}
	removed := map[ledger.DeviceID]bool{}
	for _, x := range statements {
		if x.Kind == ledger.KindRemove {
			removed[x.Device] = true
		}
	}
	published, err := s.epochOf(s.book.Identity())
	if err != nil {
		s.log.Warn("the epoch in the owner's record is not known", "error", err)
	}
	return max(uint64(len(removed)), published), nil
}

// epochOf returns the epoch that the newest record of a pointer states which the home holds; 0:
// none.
func (s *state) epochOf(p pointer.Pointer) (uint64, error) {
	r, _, err := s.held(p)
	if errors.As(err, new(*NoRecordError)) {
		return 0, nil
	}
	card, _ := r.Card()
	return card.Epoch, err
}
