package agent_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"filippo.io/age"
	"filippo.io/age/armor"
	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/petname/home"
	"github.com/petnames-go/petnames/pointer"
)

// syncTries synchronizes devices in turn, some of which may fail.
func syncTries(t *testing.T, all ...*agent.Agent) {
	for _, a := range all {
		agent.SetPatience(a, 0)
	}
	for range 4 {
		for _, a := range all {
			_, _ = a.Sync(t.Context(), agent.SyncOptions{})
		}
	}
}

// A device without the identity key that states that it holds it receives none, before or after a
// rotation.
func TestADeviceThatStatesThatItHoldsTheKeyReceivesNone(t *testing.T) {
	for _, early := range []bool{true, false} {
		hub := served(t, nil)
		a := opened(t)
		join(t, a, addrs(t, hub)...)
		phone, joined := joinedBy(t, a, false, false)
		require.False(t, joined.WithKey)
		syncAll(t, agent.SyncOptions{}, a, phone)
		if early {
			require.NoError(t, agent.BookOf(phone).StateOwnKey(true))
			syncAll(t, agent.SyncOptions{}, a, phone)
		}
		r, err := a.Rotate(t.Context(), agent.Rotation{WorkFactor: 10})
		require.NoError(t, err)
		add(t, a, "bob", newKey(t).Pointer())
		syncAll(t, agent.SyncOptions{}, a, phone)
		if !early {
			require.NoError(t, agent.BookOf(phone).StateOwnKey(true))
			syncAll(t, agent.SyncOptions{}, a, phone)
			add(t, a, "carol", newKey(t).Pointer())
			syncAll(t, agent.SyncOptions{}, a, phone)
		}
		require.Equal(t, r.Pointer, phone.Pointer())
		require.ErrorIs(t, phone.Unlock(), home.ErrKeyElsewhere)
		_, err = phone.PublishDraft(t.Context(), draft(agent.WaitAll, value("/ipfs/bafkqaaa")))
		require.ErrorIs(t, err, home.ErrKeyElsewhere)
	}
}

// forgedIdentity returns an identity.key with a pointer and a succession of the owner, and a
// commitment and a locked body of a thief. It needs no key of the owner.
func forgedIdentity(t *testing.T, p pointer.Pointer, next pointer.Commitment, chain []pointer.Succession) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# petname identity 1\n# pointer: %s\n# next: %s\n# recovery: elsewhere\n", p, next)
	enc, err := pointer.EncodeSuccession(chain)
	require.NoError(t, err)
	fmt.Fprintf(&b, "# succession: %s\n", base64.StdEncoding.EncodeToString(enc))
	r, err := age.NewScryptRecipient("evil")
	require.NoError(t, err)
	r.SetWorkFactor(10)
	a := armor.NewWriter(&b)
	w, err := age.Encrypt(a, r)
	require.NoError(t, err)
	_, err = w.Write([]byte("nothing"))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	require.NoError(t, a.Close())
	return b.Bytes()
}

// The thief of a device without the identity key changes the identity of no other device, with
// the key or without it: neither its commitment nor its pointer.
func TestAThiefOfADeviceWithoutTheKeyTakesNoIdentity(t *testing.T) {
	for _, withKey := range []bool{false, true} {
		hub := served(t, nil)
		a := opened(t)
		join(t, a, addrs(t, hub)...)
		tablet, _ := joinedBy(t, a, withKey, false)
		phone, _ := joinedBy(t, a, false, false) // stolen
		syncAll(t, agent.SyncOptions{}, a, tablet, phone)
		r, err := a.Rotate(t.Context(), agent.Rotation{WorkFactor: 10})
		require.NoError(t, err)
		add(t, a, "bob", newKey(t).Pointer())
		first := []*agent.Agent{a, phone} // before the tablet
		if !withKey {
			first = append(first, tablet)
		}
		syncAll(t, agent.SyncOptions{}, first...)
		require.Equal(t, r.Pointer, phone.Pointer())

		evil, after := newKey(t), newKey(t)
		next, err := pointer.Commit(evil.Public())
		require.NoError(t, err)
		id, err := agent.HomeOf(phone).Identity()
		require.NoError(t, err)
		chain := id.Succession
		require.NoError(t, agent.PlantIdentity(phone, forgedIdentity(t, r.Pointer, r.Next, chain))) // without the key
		add(t, phone, "w", newKey(t).Pointer())
		syncTries(t, phone, tablet)
		theirs, err := agent.HomeOf(tablet).Identity()
		require.NoError(t, err)
		require.False(t, theirs.Locked)
		require.NoError(t, agent.PlantIdentity(phone, forgedIdentity(t, r.Pointer, next, chain)))
		add(t, phone, "x", newKey(t).Pointer())
		syncTries(t, phone, tablet)
		link, err := tablet.Link()
		require.NoError(t, err)
		require.NotEqual(t, next, link.Next)

		commitment, err := pointer.Commit(after.Public())
		require.NoError(t, err)
		step, err := pointer.Succeed(r.Pointer, evil, commitment, nil)
		require.NoError(t, err)
		require.NoError(t, agent.PlantIdentity(phone, forgedIdentity(t, evil.Pointer(), commitment, append(chain[:len(chain):len(chain)], step))))
		add(t, phone, "y", newKey(t).Pointer())
		syncTries(t, phone, tablet)
		require.NotEqual(t, evil.Pointer(), tablet.Pointer())

		second, err := a.Rotate(t.Context(), agent.Rotation{WorkFactor: 10})
		require.NoError(t, err)
		add(t, a, "z", newKey(t).Pointer())
		syncTries(t, a, tablet)
		require.Equal(t, second.Pointer, tablet.Pointer())
		link, err = tablet.Link()
		require.NoError(t, err)
		require.Equal(t, second.Next, link.Next)
		if withKey {
			require.NoError(t, tablet.Unlock())
		} else {
			require.ErrorIs(t, tablet.Unlock(), home.ErrKeyElsewhere)
		}
	}
}

// A device that only a removed device admitted with the key does not receive the next one, until
// the owner confirms it.
func TestADeviceThatAStolenOneAdmittedReceivesNoKey(t *testing.T) {
	hub := served(t, nil)
	a := opened(t)
	join(t, a, addrs(t, hub)...)
	phone, joined := joinedBy(t, a, true, false) // stolen
	syncAll(t, agent.SyncOptions{}, a, phone)
	second, _ := joinedBy(t, phone, true, false)
	syncAll(t, agent.SyncOptions{}, a, phone)
	id := agent.BookOf(second).Ledger().Device()
	admitted, err := a.AdmittedBy(joined.Device)
	require.NoError(t, err)
	require.Len(t, admitted, 1)
	require.Equal(t, id, admitted[0].ID)
	_, err = a.RemoveDevice(joined.Device)
	require.NoError(t, err)
	r, err := a.Rotate(t.Context(), agent.Rotation{WorkFactor: 10})
	require.NoError(t, err)
	syncTries(t, a, second)
	require.Equal(t, r.Pointer, second.Pointer())
	require.ErrorIs(t, second.Unlock(), home.ErrKeyElsewhere)
	admitted, err = a.AdmittedBy(joined.Device)
	require.NoError(t, err)
	require.Len(t, admitted, 1)
	require.True(t, admitted[0].Unconfirmed)

	d, err := a.ConfirmDevice(id)
	require.NoError(t, err)
	require.True(t, d.IdentityKey && !d.Unconfirmed)
	syncTries(t, a, second)
	require.NoError(t, second.Unlock())
}

// The sealing keys of a device that is removed do not return to the card, also if they are dated
// ahead. Keys that are dated too far ahead fail no exchange.
func TestSealingKeysOfARemovedDeviceDoNotReturn(t *testing.T) {
	hub := served(t, nil)
	a := opened(t)
	join(t, a, addrs(t, hub)...)
	tablet, _ := joinedBy(t, a, true, false)
	phone, joined := joinedBy(t, a, false, false) // stolen
	syncAll(t, agent.SyncOptions{}, a, tablet, phone)
	_, err := agent.HomeOf(phone).RenewSealing(time.Now().Add(23*time.Hour), time.Time{}, 0)
	require.NoError(t, err)
	add(t, phone, "x", newKey(t).Pointer())
	syncAll(t, agent.SyncOptions{}, a, tablet, phone)
	s, err := agent.HomeOf(phone).Sealing()
	require.NoError(t, err)
	stolen := s.PublicKeys()
	_, err = agent.HomeOf(phone).RenewSealing(time.Now().Add(72*time.Hour), time.Time{}, 0)
	require.NoError(t, err)
	add(t, phone, "y", newKey(t).Pointer())
	syncAll(t, agent.SyncOptions{}, a, tablet, phone)

	_, err = a.RemoveDevice(joined.Device)
	require.NoError(t, err)
	r, err := a.Rotate(t.Context(), agent.Rotation{WorkFactor: 10})
	require.NoError(t, err)
	add(t, a, "z", newKey(t).Pointer())
	syncTries(t, a, tablet)
	require.Equal(t, r.Pointer, tablet.Pointer())
	for _, x := range []*agent.Agent{a, tablet} {
		s, err = agent.HomeOf(x).Sealing()
		require.NoError(t, err)
		require.NotEqual(t, stolen, s.PublicKeys())
	}
}

// A rotation with a passphrase that was killed after identity.key was replaced reaches the other
// devices: what they receive is made at the next unlock.
func TestARotationThatWasKilledReachesTheOtherDevices(t *testing.T) {
	hub := served(t, nil)
	secret := func() ([]byte, error) { return []byte("secret"), nil }
	o := agent.Options{Transport: loopback(), JoinTimeout: 2 * patient,
		Create: &agent.Profile{Passphrase: "secret", WorkFactor: 10}, Passphrase: secret}
	a := openedWith(t, o)
	join(t, a, addrs(t, hub)...)
	b, _ := joinedBy(t, a, true, false)
	c, _ := joinedBy(t, a, false, false)
	syncAll(t, agent.SyncOptions{}, a, b, c)
	dir := a.Dir()

	r, err := agent.HomeOf(a).Rotate(home.RotateOptions{Passphrase: "secret", WorkFactor: 10})
	require.NoError(t, err)
	last, err := pointer.Sign(r.Old, pointer.Fields{Sequence: pointer.MaxSequence, TTL: 5 * time.Minute, Expires: home.LastExpiry(time.Now(), time.Time{}),
		Card: &pointer.Card{Next: r.OldNext, Succession: r.Succession, Successor: r.New.Pointer()}})
	require.NoError(t, err)
	require.NoError(t, r.Commit(last.Bytes()))
	require.NoError(t, a.Close())
	o.Create = nil
	a, err = agent.Open(t.Context(), dir, o)
	require.NoError(t, err)
	defer a.Close()
	require.Equal(t, r.New.Pointer(), a.Pointer())
	require.NoError(t, a.Unlock())
	add(t, a, "bob", newKey(t).Pointer())
	syncAll(t, agent.SyncOptions{}, a, b, c)
	require.Equal(t, a.Pointer(), b.Pointer())
	require.Equal(t, a.Pointer(), c.Pointer())
	require.NoError(t, b.WithPassphrase(secret).Unlock())
	require.ErrorIs(t, c.Unlock(), home.ErrKeyElsewhere)
}

// A device that missed rotations has the last record of each former key, and stores them, when
// the network has forgotten them. A false one is not taken over.
func TestADeviceHasTheLastRecordsOfRotationsThatItMissed(t *testing.T) {
	hub := served(t, nil)
	a := opened(t)
	join(t, a, addrs(t, hub)...)
	b, _ := joinedBy(t, a, true, false)
	c, _ := joinedBy(t, a, false, false)
	syncAll(t, agent.SyncOptions{}, a, b, c)
	for range 3 {
		_, err := a.Rotate(t.Context(), agent.Rotation{WorkFactor: 10})
		require.NoError(t, err)
	}
	add(t, a, "bob", newKey(t).Pointer())
	syncAll(t, agent.SyncOptions{}, a, b, c)
	for _, x := range []*agent.Agent{b, c} {
		id, err := x.Identity()
		require.NoError(t, err)
		require.Equal(t, a.Pointer(), id.Pointer)
		require.Len(t, id.LastRecords, 3)
		for _, l := range id.LastRecords {
			require.False(t, l.Until.IsZero())
		}
	}
	p, err := b.PublishDraft(t.Context(), draft(agent.WaitAll, value("/ipfs/bafkqaaa")))
	require.NoError(t, err)
	require.Len(t, p.Former, 3)
}

// A home with a passphrase that was restored from before its rotation, and so holds the next key,
// is not changed by what it cannot unlock, and continues its rotation when it can.
func TestARestoredHomeContinuesItsRotation(t *testing.T) {
	hub := served(t, nil)
	secret := func() ([]byte, error) { return []byte("secret"), nil }
	o := agent.Options{Transport: loopback(), JoinTimeout: 2 * patient,
		Create: &agent.Profile{Passphrase: "secret", WorkFactor: 10}, Passphrase: secret}
	a := openedWith(t, o)
	join(t, a, addrs(t, hub)...)
	b, _ := joinedBy(t, a, true, false)
	syncAll(t, agent.SyncOptions{}, a, b)
	before, err := os.ReadFile(filepath.Join(a.Dir(), "identity.key"))
	require.NoError(t, err)
	first := a.Pointer()
	r, err := a.Rotate(t.Context(), agent.Rotation{WorkFactor: 10})
	require.NoError(t, err)
	add(t, a, "bob", newKey(t).Pointer())
	syncAll(t, agent.SyncOptions{}, a, b)
	require.Equal(t, r.Pointer, b.Pointer())

	dir := a.Dir()
	require.NoError(t, a.Close())
	require.NoError(t, os.WriteFile(filepath.Join(dir, "identity.key"), before, 0o600))
	o.Create = nil
	a, err = agent.Open(t.Context(), dir, o)
	require.NoError(t, err)
	defer a.Close()
	require.NoError(t, agent.HandTo(a, agent.BookOf(b).Ledger().Device(), b))
	now, err := os.ReadFile(filepath.Join(a.Dir(), "identity.key"))
	require.NoError(t, err)
	require.Equal(t, before, now)
	require.Equal(t, first, a.Pointer())
	wrong := a.WithPassphrase(func() ([]byte, error) { return []byte("wrong"), nil })
	_, err = wrong.PublishDraft(t.Context(), draft(agent.WaitAll, value("/ipfs/bafkqaaa")))
	require.ErrorIs(t, err, home.ErrPassphrase)
	require.Equal(t, first, a.Pointer())
	p, err := a.PublishDraft(t.Context(), draft(agent.WaitAll, value("/ipfs/bafkqaaa")))
	require.NoError(t, err)
	require.Equal(t, r.Pointer, p.Pointer)
	require.NoFileExists(t, filepath.Join(a.Dir(), "identity.key.replaced"))
}
