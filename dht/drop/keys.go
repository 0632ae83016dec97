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
	// Epoch is the time for which a direction uses one record key. Epochs start
	// at whole multiples of it since 1970, UTC.
	Epoch = 7 * 24 * time.Hour

	// MaxPurpose bounds a purpose, in bytes of UTF-8.
	MaxPurpose = 64

	// maxKeys bounds the own keys of each KEM: the current one and those replaced
	// last. Messages to older keys are not found.
	maxKeys = 8
)

// Self is the party that opens the channel.
type Self struct {
	Pointer pointer.Pointer
	// Signer is the Ed25519 identity key; nil while it is locked. Only
	// [Channel.Put] and [Channel.Outgoing] need it.
	Signer crypto.Signer
	// Sealing is the private sealing keys: X25519, and MLKEM768X25519 if the card
	// has such a key. The current key of each kind comes first. Replaced ones may
	// follow, so that messages to them are still found and read.
	Sealing []hpke.PrivateKey
	// Purpose separates the channels of two parties, such as "example.org/chat/1": both
	// have to use the same one, of at most [MaxPurpose] bytes. The empty purpose belongs
	// to package petname/exchange, and so to every agent and to the command. A second
	// user of a purpose with the same keys would poll and acknowledge what is for the
	// first: messages would be lost on both sides, unless the two exchange what they
	// receive.
	Purpose string
}

// Party is the other party, by its card.
type Party struct {
	Pointer pointer.Pointer
	Sealing []pointer.SealingKey
}

// localKeys is the sealing keys of Self, by use.
type localKeys struct {
	x25519  []*ecdh.PrivateKey // of the record keys; the current one first
	sealing []hpke.PrivateKey
}

// newLocalKeys returns the keys of Self: at most maxKeys of each KEM.
func newLocalKeys(keys []hpke.PrivateKey) (localKeys, error) {
	local := localKeys{}
	count := map[uint16]int{}
	for _, k := range keys {
		id := k.KEM().ID()
		if count[id]++; count[id] > maxKeys {
			continue
		}
		local.sealing = append(local.sealing, k)
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
		local.x25519 = append(local.x25519, private)
	}
	if len(local.x25519) == 0 {
		return localKeys{}, errors.New("there is no own X25519 sealing key")
	}
	return local, nil
}

// remoteKeys is the current keys of Party.
type remoteKeys struct {
	x25519  *ecdh.PublicKey
	sealing hpke.PublicKey
}

// newRemoteKeys returns the current keys of a card: the first of each KEM.
func newRemoteKeys(keys []pointer.SealingKey) (remote remoteKeys, err error) {
	for _, k := range keys {
		if k.KEM != seal.X25519 || remote.x25519 != nil {
			continue
		}
		if remote.x25519, err = ecdh.X25519().NewPublicKey(k.Key); err != nil {
			return remoteKeys{}, errors.New("the party's X25519 key is malformed")
		}
	}
	if remote.x25519 == nil {
		return remoteKeys{}, errors.New("the party's card offers no X25519 key: ask for a newer one")
	}
	remote.sealing, err = seal.SelectKey(keys)
	return remote, err
}

// epochOf returns the number of the epoch of a time.
func epochOf(now time.Time) (uint64, error) {
	if now.Unix() < 0 {
		return 0, fmt.Errorf("the clock shows %s, before 1970", now.Format(time.RFC3339))
	}
	return uint64(now.Unix()) / uint64(Epoch/time.Second), nil
}

// recordExpiry returns when the records of an epoch expire: when the other party
// ceases to poll them. It reveals only the epoch of a record, not its time.
func recordExpiry(epoch uint64) time.Time {
	return time.Unix(int64((epoch+2)*uint64(Epoch/time.Second)), 0).UTC()
}

// recordKey derives the key of the record of one direction in one epoch, as in
// the documentation of the package. X25519 refuses the all-zero output, and so
// every key of low order (RFC 7748, §6.1).
func recordKey(private *ecdh.PrivateKey, public *ecdh.PublicKey, from, to pointer.Pointer, sending bool, epoch uint64, purpose string) (*pointer.Key, error) {
	secret, err := private.ECDH(public)
	if err != nil {
		return nil, errors.New("the party's X25519 key is of low order, which makes no secret")
	}
	fromKey, toKey := private.PublicKey().Bytes(), public.Bytes()
	if !sending {
		fromKey, toKey = toKey, fromKey
	}
	fields := []any{from.Bytes(), to.Bytes(), fromKey, toKey, epoch}
	if purpose != "" {
		fields = append(fields, purpose)
	}
	info, err := canonical.Marshal(fields)
	if err != nil {
		return nil, err
	}
	seed, err := hkdf.Key(sha256.New, secret, []byte("petnames/drop/record/v1"), string(info), ed25519.SeedSize)
	if err != nil {
		return nil, err
	}
	return pointer.NewKey(bytes.NewReader(seed))
}

// recordAddress is a pointer under which the other party may have put a record.
type recordAddress struct {
	pointer pointer.Pointer
	epoch   uint64
}

// inboundAddresses returns the addresses to poll: of the current and the previous
// epoch, for all pairs of keys that the other party may have used.
func (c *Channel) inboundAddresses(now time.Time) ([]recordAddress, error) {
	current, err := epochOf(now)
	if err != nil {
		return nil, err
	}
	var addresses []recordAddress
	for epoch := current; epoch+1 >= current; epoch-- {
		in, err := c.inboundIn(epoch)
		if err != nil {
			return nil, err
		}
		if addresses = append(addresses, in...); epoch == 0 {
			break
		}
	}
	return addresses, nil
}

// inboundIn returns the addresses of the other party's records in an epoch.
func (c *Channel) inboundIn(epoch uint64) (addresses []recordAddress, err error) {
	publicKeys := []*ecdh.PublicKey{c.remote.x25519}
	if c.previousKey != nil {
		publicKeys = append(publicKeys, c.previousKey)
	}
	for _, private := range c.local.x25519 {
		for _, public := range publicKeys {
			key, err := recordKey(private, public, c.party, c.self.Pointer, false, epoch, c.self.Purpose)
			if err != nil {
				return nil, err
			}
			addresses = append(addresses, recordAddress{key.Pointer(), epoch})
		}
	}
	return addresses, nil
}

// outboundKey returns the key of the record to put now, and its epoch.
func (c *Channel) outboundKey(now time.Time) (*pointer.Key, uint64, error) {
	epoch, err := epochOf(now)
	if err != nil {
		return nil, 0, err
	}
	key, err := recordKey(c.local.x25519[0], c.remote.x25519, c.self.Pointer, c.party, true, epoch, c.self.Purpose)
	return key, epoch, err
}
