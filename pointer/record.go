package pointer

import (
	"bytes"
	"cmp"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/ipfs/boxo/ipns"
	ipnspb "github.com/ipfs/boxo/ipns/pb"
	"github.com/ipfs/boxo/path"
	ic "github.com/libp2p/go-libp2p/core/crypto"
	cryptopb "github.com/libp2p/go-libp2p/core/crypto/pb"
	"github.com/libp2p/go-libp2p/core/peer"
	"google.golang.org/protobuf/proto"
)

const (
	// MaxRecord is the size limit of a record, in bytes (IPNS record
	// specification, "Record Size Limit").
	MaxRecord = ipns.MaxRecordSize

	// NoValue is the content path of a record that only carries a card: zero
	// bytes, inline.
	NoValue = ipns.NoopValue

	// MaxSequence is the highest sequence number: above it Go and JavaScript
	// read different numbers.
	MaxSequence = math.MaxInt64

	// cardKey is the signed metadata key that holds the card.
	cardKey = "_petnames"
)

// Record is a verified IPNS record: only [Open] and [Sign] make one. It is
// what a pointer's owner signed last, as far as the bytes go; whether there is
// a newer one is a question to the network.
type Record struct {
	pointer  Pointer
	bytes    []byte
	signed   []byte // the DAG-CBOR document under the signature
	value    string
	sequence uint64
	expires  time.Time
	ttl      time.Duration
	card     *Card
}

// Pointer is the pointer that the record verifies against.
func (r Record) Pointer() Pointer { return r.pointer }

// Bytes is the record on the wire, exactly as it was opened.
func (r Record) Bytes() []byte { return bytes.Clone(r.bytes) }

// ID identifies the record: the sha2-256 of its signed data. The bytes don't:
// protobuf can be written in many ways without the key.
func (r Record) ID() [sha256.Size]byte { return sha256.Sum256(r.signed) }

// Value is the content path that the record points to, such as
// "/ipfs/bafy…"; [NoValue] when it points to nothing.
func (r Record) Value() string { return r.value }

// Sequence rises with every record that the owner makes.
func (r Record) Sequence() uint64 { return r.sequence }

// Expires is when the record stops being valid, in UTC.
func (r Record) Expires() time.Time { return r.expires }

// TTL is how long the owner wants it to be cached before looking again; ≥ 0.
func (r Record) TTL() time.Duration { return r.ttl }

// Card is what the owner says about itself, and whether it says anything.
func (r Record) Card() (Card, bool) {
	if r.card == nil {
		return Card{}, false
	}
	return r.card.clone(), true
}

// Compare orders two records of one pointer: negative when r is older than
// other. It is the order of boxo's ipns.Validator.Select (the sequence, then
// the later end), and where that goes on to compare bytes that anybody can
// rewrite, the signed data: zero means that both say the same.
func (r Record) Compare(other Record) int {
	return cmp.Or(
		cmp.Compare(r.sequence, other.sequence),
		r.expires.Compare(other.expires),
		bytes.Compare(r.signed, other.signed),
	)
}

// ExpiredError carries a record that verifies and has expired.
type ExpiredError struct {
	Record Record
}

func (e *ExpiredError) Error() string {
	return fmt.Sprintf("record of %s expired on %s", e.Record.pointer, e.Record.expires.Format(time.RFC3339))
}

// ErrInvalid is wrapped by every error of [Open] but [ExpiredError].
var ErrInvalid = errors.New("record does not verify")

// Open parses and verifies a record in one step; there is no way to hold an
// unverified one. It refuses all that boxo's ipns.ValidateWithName refuses, and
// beyond it: fields that are missing, sequences over [MaxSequence], values that
// are no content path, signed data that isn't canonical DAG-CBOR, protobuf
// fields that the specification doesn't know, and a malformed [Card].
//
// An authentic record whose end lies before now comes inside an
// [*ExpiredError]; every other error wraps [ErrInvalid].
func Open(p Pointer, b []byte, now time.Time) (Record, error) {
	r, err := open(p, b)
	if err != nil {
		return Record{}, fmt.Errorf("%w against %s: %w", ErrInvalid, p, err)
	}
	if now.After(r.expires) {
		return Record{}, &ExpiredError{r}
	}
	return r, nil
}

// open follows the specification's "Record Verification"; boxo does its six
// steps, and the further ones are ours.
func open(p Pointer, b []byte) (Record, error) {
	if p.IsZero() {
		return Record{}, errors.New("the zero pointer verifies nothing")
	}
	if len(b) > MaxRecord {
		return Record{}, fmt.Errorf("it is %d bytes long, over %d", len(b), MaxRecord)
	}
	// (1)–(6) Size, presence and agreement of fields, signature. boxo checks
	// the end against the machine's clock last of these; Open has its own.
	rec, err := ipns.UnmarshalRecord(b)
	if err != nil {
		return Record{}, err
	}
	if err := ipns.ValidateWithName(rec, ipns.NameFromPeer(peer.ID(p.multihash))); err != nil && !errors.Is(err, ipns.ErrExpiredRecord) {
		return Record{}, err
	}
	// (7) Every signed field is there and in range.
	r := Record{pointer: p, bytes: bytes.Clone(b)}
	value, err := rec.Value()
	if err != nil {
		return Record{}, fmt.Errorf("value: %w", err)
	}
	r.value = value.String()
	if r.expires, err = rec.Validity(); err != nil {
		return Record{}, err
	}
	if r.sequence, err = rec.Sequence(); err != nil || r.sequence > MaxSequence {
		return Record{}, errors.New("its sequence is missing or out of range (0 to 2^63-1)")
	}
	if r.ttl, err = rec.TTL(); err != nil || r.ttl < 0 {
		return Record{}, errors.New("its TTL is missing or negative")
	}
	// (8) The signed document is canonical, and nothing unknown is around it.
	var pb ipnspb.IpnsRecord
	if err := proto.Unmarshal(b, &pb); err != nil {
		return Record{}, err
	}
	if len(pb.ProtoReflect().GetUnknown()) > 0 {
		return Record{}, errors.New("it has protobuf fields outside of the specification")
	}
	r.signed = pb.GetData()
	if err := checkCanonical(r.signed); err != nil {
		return Record{}, err
	}
	// (9) The card.
	if !rec.MetadataExists(cardKey) {
		return r, nil
	}
	meta, err := rec.Metadata(cardKey)
	if err != nil {
		return Record{}, err
	}
	raw, err := meta.AsBytes()
	if err != nil {
		return Record{}, fmt.Errorf("card: is not a byte string: %w", err)
	}
	card, err := ParseCard(raw)
	if err != nil {
		return Record{}, err
	}
	r.card = &card
	return r, nil
}

// DAG-CBOR sorts keys by length first and has floats of 64 bits alone.
var (
	dagEncoder = func() cbor.EncMode {
		mode, err := cbor.EncOptions{Sort: cbor.SortLengthFirst, IndefLength: cbor.IndefLengthForbidden}.EncMode()
		if err != nil {
			panic(err) // constant options
		}
		return mode
	}()
	dagDecoder = func() cbor.DecMode {
		mode, err := cbor.DecOptions{
			DupMapKey:       cbor.DupMapKeyEnforcedAPF,
			IndefLength:     cbor.IndefLengthForbidden,
			MaxNestedLevels: 16,
		}.DecMode()
		if err != nil {
			panic(err) // constant options
		}
		return mode
	}()
)

func checkCanonical(signed []byte) error {
	var fields map[string]any
	if err := dagDecoder.Unmarshal(signed, &fields); err != nil {
		return fmt.Errorf("its signed data is not strict DAG-CBOR: %w", err)
	}
	again, err := dagEncoder.Marshal(fields)
	if err != nil || !bytes.Equal(again, signed) {
		return errors.New("its signed data is not canonical DAG-CBOR")
	}
	return nil
}

// Fields are what the owner says in a new record.
type Fields struct {
	Value    string        // content path; empty means NoValue
	Sequence uint64        // above the last one; ≤ MaxSequence
	Expires  time.Time     // kept to the nanosecond, in UTC
	TTL      time.Duration // ≥ 0
	Card     *Card         // nil: none
	V1       bool          // sign in the old way too, for readers before 2021
}

// Sign makes a record with an Ed25519 key. What a foreign signer (an agent,
// hardware) returns is verified before Sign returns it.
func Sign(key crypto.Signer, f Fields) (Record, error) {
	r, err := sign(key, f)
	if err != nil {
		return Record{}, fmt.Errorf("signing a record: %w", err)
	}
	return r, nil
}

func sign(key crypto.Signer, f Fields) (Record, error) {
	own, isOurs := key.(*Key)
	var p Pointer
	var err error
	if isOurs {
		p = own.pointer
	} else if p, err = FromPublicKey(key.Public()); err != nil {
		return Record{}, err
	}
	if f.Sequence > MaxSequence {
		return Record{}, fmt.Errorf("sequence %d is over %d", f.Sequence, uint64(MaxSequence))
	}
	if f.TTL < 0 {
		return Record{}, fmt.Errorf("TTL %s is negative", f.TTL)
	}
	if f.Value == "" {
		f.Value = NoValue
	}
	value, err := path.NewPath(f.Value)
	if err != nil {
		return Record{}, fmt.Errorf("value %s: %w", quote(f.Value), err)
	}
	opts := []ipns.Option{ipns.WithV1Compatibility(f.V1)}
	r := Record{pointer: p, value: value.String(), sequence: f.Sequence, expires: f.Expires.UTC().Round(0), ttl: f.TTL}
	if f.Card != nil {
		encoded, err := f.Card.Encode()
		if err != nil {
			return Record{}, err
		}
		card := f.Card.clone()
		r.card = &card
		opts = append(opts, ipns.WithMetadata(map[string]any{cardKey: encoded}))
	}
	rec, err := ipns.NewRecord(signerKey{key}, value, f.Sequence, f.Expires, f.TTL, opts...)
	if err != nil {
		return Record{}, err
	}
	if r.bytes, err = ipns.MarshalRecord(rec); err != nil {
		return Record{}, err
	}
	if len(r.bytes) > MaxRecord {
		return Record{}, fmt.Errorf("it would be %d bytes long, over %d: shorten the card", len(r.bytes), MaxRecord)
	}
	if !isOurs {
		return open(p, r.bytes)
	}
	var pb ipnspb.IpnsRecord
	if err := proto.Unmarshal(r.bytes, &pb); err != nil {
		return Record{}, err
	}
	r.signed = pb.GetData()
	return r, nil
}

// Embedded gives the pointer of the key that stands inside a record, for
// finding out whose an unlabelled one may be; false when there is none (the
// rule for Ed25519). It proves nothing: [Open] the record with it.
func Embedded(b []byte) (Pointer, bool) {
	rec, err := ipns.UnmarshalRecord(b)
	if err != nil {
		return Pointer{}, false
	}
	key, err := rec.PubKey()
	if err != nil {
		return Pointer{}, false
	}
	id, err := peer.IDFromPublicKey(key)
	if err != nil {
		return Pointer{}, false
	}
	p, err := FromBytes([]byte(id))
	return p, err == nil
}

// signerKey lets boxo sign with a crypto.Signer. It has no secret to give.
type signerKey struct {
	crypto.Signer
}

func (k signerKey) Sign(message []byte) ([]byte, error) {
	return k.Signer.Sign(rand.Reader, message, crypto.Hash(0))
}

func (k signerKey) GetPublic() ic.PubKey {
	encoded, err := encodeKey(k.Public())
	if err != nil {
		return nil
	}
	pub, err := ic.UnmarshalPublicKey(encoded)
	if err != nil {
		return nil
	}
	return pub
}

func (k signerKey) Raw() ([]byte, error)     { return nil, errors.New("the secret stays with the signer") }
func (k signerKey) Type() cryptopb.KeyType   { return cryptopb.KeyType_Ed25519 }
func (k signerKey) Equals(other ic.Key) bool { return k.GetPublic().Equals(other) }
