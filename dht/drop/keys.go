package drop

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/hpke"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/petnames-go/petnames/dht/seal"
	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/canonical"
)

const (
	// Epoch is how long a direction keeps its record's key; epochs start at
	// whole multiples of it since 1970, UTC.
	Epoch = 7 * 24 * time.Hour

	// maxKeys bounds the keys of each KEM that are looked and opened with: today's
	// and those that were replaced last. What was sent to older ones isn't found.
	maxKeys = 8
)

// Self is the party that opens a channel.
type Self struct {
	Pointer pointer.Pointer
	// Signer is the identity's key; nil while it is locked. Only [Channel.Put]
	// and [Channel.Outgoing] need it.
	Signer crypto.Signer
	// Sealing are the private keys of the card: X25519, and MLKEM768X25519 if
	// it offers that. Those of today come first; behind them may stand replaced
	// ones, with which what was sent to them is still found and read.
	Sealing []hpke.PrivateKey
}

// Party is the one at the other end, as its card has it.
type Party struct {
	Pointer pointer.Pointer
	Sealing []pointer.SealingKey
}

// mine are the keys of Self, sorted out.
type localKeys struct {
	x25519  []*ecdh.PrivateKey // X25519; the first is today's
	sealing []hpke.PrivateKey
}

func newLocalKeys(keys []hpke.PrivateKey) (localKeys, error) {
	m := localKeys{}
	count := map[uint16]int{}
	for _, k := range keys {
		id := k.KEM().ID()
		if count[id]++; count[id] > maxKeys {
			continue
		}
		m.sealing = append(m.sealing, k)
		if id != seal.X25519 {
			continue
		}
		b, err := k.Bytes()
		if err != nil {
			return localKeys{}, err
		}
		private, err := ecdh.X25519().NewPrivateKey(b)
		if err != nil {
			return localKeys{}, err
		}
		m.x25519 = append(m.x25519, private)
	}
	if len(m.x25519) == 0 {
		return localKeys{}, errors.New("there is no X25519 sealing key of one's own")
	}
	return m, nil
}

// theirs are the keys of Party that are used.
type remoteKeys struct {
	x25519  *ecdh.PublicKey
	sealing hpke.PublicKey
}

// pick takes the first key of each KEM, which is today's.
func newRemoteKeys(keys []pointer.SealingKey) (t remoteKeys, err error) {
	for _, k := range keys {
		if k.KEM != seal.X25519 || t.x25519 != nil {
			continue
		}
		if t.x25519, err = ecdh.X25519().NewPublicKey(k.Key); err != nil {
			return remoteKeys{}, errors.New("the party's X25519 key is malformed")
		}
	}
	if t.x25519 == nil {
		return remoteKeys{}, errors.New("the party's card offers no X25519 key: ask for a newer one")
	}
	t.sealing, err = seal.Pick(keys)
	return t, err
}

// epochOf numbers the epoch that a time lies in.
func epochOf(now time.Time) (uint64, error) {
	if now.Unix() < 0 {
		return 0, fmt.Errorf("the clock shows %s, before 1970", now.Format(time.RFC3339))
	}
	return uint64(now.Unix()) / uint64(Epoch/time.Second), nil
}

// recordEnd is when the records of an epoch end: with the last moment at which
// anybody polls for them. It says nothing of when one was made.
func recordExpiry(epoch uint64) time.Time {
	return time.Unix(int64((epoch+2)*uint64(Epoch/time.Second)), 0).UTC()
}

// recordKey derives the key of the record of one direction in one epoch, which
// both parties can (see the package's doc). X25519 refuses the all-zero
// output, and with it every key of low order (RFC 7748, §6.1).
func recordKey(private *ecdh.PrivateKey, public *ecdh.PublicKey, from, to pointer.Pointer, sending bool, epoch uint64) (*pointer.Key, error) {
	secret, err := private.ECDH(public)
	if err != nil {
		return nil, errors.New("the party's X25519 key is of low order, which makes no secret")
	}
	fromKey, toKey := private.PublicKey().Bytes(), public.Bytes()
	if !sending {
		fromKey, toKey = toKey, fromKey
	}
	info, err := canonical.Marshal([]any{from.Bytes(), to.Bytes(), fromKey, toKey, epoch})
	if err != nil {
		return nil, err
	}
	seed, err := hkdf.Key(sha256.New, secret, []byte("petnames/drop/record/v1"), string(info), ed25519.SeedSize)
	if err != nil {
		return nil, err
	}
	return pointer.NewKey(bytes.NewReader(seed))
}

// spot is a place where a record of the other may be.
type recordAddress struct {
	pointer pointer.Pointer
	epoch   uint64
}

// spots are all the places to look at, for the two epochs and for all pairs of
// keys that the other may have used.
func (c *Channel) inboundAddresses(now time.Time) ([]recordAddress, error) {
	current, err := epochOf(now)
	if err != nil {
		return nil, err
	}
	publicKeys := []*ecdh.PublicKey{c.remote.x25519}
	if c.previousKey != nil {
		publicKeys = append(publicKeys, c.previousKey)
	}
	var found []recordAddress
	for epoch := current; epoch+1 >= current; epoch-- {
		for _, private := range c.local.x25519 {
			for _, public := range publicKeys {
				key, err := recordKey(private, public, c.party, c.self.Pointer, false, epoch)
				if err != nil {
					return nil, err
				}
				found = append(found, recordAddress{key.Pointer(), epoch})
			}
		}
		if epoch == 0 {
			break
		}
	}
	return found, nil
}

// own is the key of the record that I write now, and its epoch.
func (c *Channel) outboundKey(now time.Time) (*pointer.Key, uint64, error) {
	epoch, err := epochOf(now)
	if err != nil {
		return nil, 0, err
	}
	key, err := recordKey(c.local.x25519[0], c.remote.x25519, c.self.Pointer, c.party, true, epoch)
	return key, epoch, err
}
