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

	"github.com/ipfs/boxo/ipns"
	ipnspb "github.com/ipfs/boxo/ipns/pb"
	"github.com/ipfs/boxo/path"
	"github.com/ipfs/go-cid"
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

	// payloadKey is the one that holds a payload in its stead.
	payloadKey = "_petnames_payload"
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
	payload  []byte
}

// Pointer is the pointer that the record verifies against.
func (r Record) Pointer() Pointer { return r.pointer }

// Bytes is the record on the wire: as its owner made it, whatever was added to
// the copy that was opened.
func (r Record) Bytes() []byte { return bytes.Clone(r.bytes) }

// ID identifies the record: the sha2-256 of its signed data. The bytes don't:
// protobuf can be written in many ways without the key.
func (r Record) ID() [sha256.Size]byte { return sha256.Sum256(r.signed) }

// Value is the content path that the record points to, such as
// "/ipfs/bafy…"; [NoValue] when it points to nothing. What follows the root is
// the owner's text, with any bytes in it: quote it on display.
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

// Payload is the message that the record carries in the stead of a card; nil
// when there is none. The slice is the caller's. That it stands under the
// record's signature says nothing about what it is: it is as hostile as who
// signed.
func (r Record) Payload() []byte { return bytes.Clone(r.payload) }

// Compare orders two records of one pointer: it returns a negative number if r
// is older than other, and 0 if both carry the same signed data. The order is
// that of boxo's ipns.Validator.Select: by sequence, then by end, then by the
// bytes of [Record.Bytes]. Otherwise two devices that publish at one moment
// would keep another record than the peers of the network do.
//
// The bytes of a record with a V1 signature start with the unsigned copy of the
// value and that signature, which no reader verifies: any peer can move such a
// record among those of equal sequence and end. Records without one are ordered
// by their V2 signature.
func (r Record) Compare(other Record) int {
	if order := cmp.Or(cmp.Compare(r.sequence, other.sequence), r.expires.Compare(other.expires)); order != 0 || bytes.Equal(r.signed, other.signed) {
		return order
	}
	return bytes.Compare(r.bytes, other.bytes)
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

// OpenExpired is [Open] for a record that may have expired: it reports whether it
// has, instead of an [*ExpiredError].
func OpenExpired(p Pointer, record []byte, now time.Time) (r Record, expired bool, err error) {
	r, err = Open(p, record, now)
	var old *ExpiredError
	if errors.As(err, &old) {
		return old.Record, true, nil
	}
	return r, false, err
}

// Open parses and verifies a record in one step; there is no way to hold an
// unverified one. It refuses all that boxo's ipns.ValidateWithName refuses, and
// beyond it: fields that are missing, sequences over [MaxSequence], values that
// are no content path, signed data that isn't canonical DAG-CBOR, and a malformed
// [Card]. What isn't signed and says nothing of the pointer is left out: see
// [Record.Bytes].
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

// open checks in the order of cost to us: what hostile bytes can make the
// later steps do is bounded by the earlier ones. It is held against boxo's
// ValidateWithName by FuzzOpenAgainstBoxo: what that refuses, open refuses.
func open(p Pointer, b []byte) (Record, error) {
	r, pb, card, err := read(p, b)
	if err != nil {
		return Record{}, err
	}
	if err := checkSignature(p, pb); err != nil {
		return Record{}, err
	}
	return r.withCard(card)
}

// withCard adds the card out of its bytes; nil: none.
func (r Record) withCard(card []byte) (Record, error) {
	if card != nil {
		c, err := ParseCard(card)
		if err != nil {
			return Record{}, err
		}
		r.card = &c
	}
	return r, nil
}

// checkSignature is steps 3 and 6 of the specification's "Record Verification".
// read has held a key inside against p.
func checkSignature(p Pointer, pb *ipnspb.IpnsRecord) error {
	id := peer.ID(p.multihash)
	var key ic.PubKey
	var err error
	if encoded := pb.GetPubKey(); len(encoded) > 0 {
		key, err = ic.UnmarshalPublicKey(encoded)
	} else {
		key, err = id.ExtractPublicKey()
	}
	if err != nil {
		return errors.New("the key to check it with is missing or malformed")
	}
	if ok, err := key.Verify(append([]byte("ipns-signature:"), pb.GetData()...), pb.GetSignatureV2()); err != nil || !ok {
		return errors.New("its signature is wrong or missing")
	}
	return nil
}

// read takes a record apart under a pointer, and gives it back with the card's
// bytes (nil: no card). The signature is the caller's to check.
func read(p Pointer, b []byte) (Record, *ipnspb.IpnsRecord, []byte, error) {
	if p.IsZero() {
		return Record{}, nil, nil, errors.New("the zero pointer verifies nothing")
	}
	r, pb, card, err := parseRecord(b)
	if err != nil {
		return Record{}, nil, nil, err
	}
	if err := p.tidy(pb); err != nil {
		return Record{}, nil, nil, err
	}
	if r.bytes, err = (proto.MarshalOptions{Deterministic: true}).Marshal(pb); err != nil {
		return Record{}, nil, nil, err
	}
	r.pointer = p
	return r, pb, card, nil
}

// tidy leaves in an envelope what the owner of p put there. Anybody on the way
// can add to it: fields that nobody knows, old fields without the old
// signature, a key where none is needed, or the same key in another spelling.
// Other implementations take such copies, and prefer the longer of two; if
// they were refused here, anyone could make a pointer go dark.
func (p Pointer) tidy(pb *ipnspb.IpnsRecord) error {
	pb.ProtoReflect().SetUnknown(nil)
	if len(pb.GetSignatureV1()) == 0 {
		pb.SignatureV1, pb.Value, pb.ValidityType, pb.Validity, pb.Sequence, pb.Ttl = nil, nil, nil, nil, nil, nil
	}
	if len(pb.GetPubKey()) == 0 {
		pb.PubKey = nil
		return nil
	}
	key, err := ic.UnmarshalPublicKey(pb.GetPubKey())
	if err != nil {
		return errors.New("the key inside is malformed")
	}
	if !peer.ID(p.multihash).MatchesPublicKey(key) {
		return errors.New("the key inside is another pointer's")
	}
	if _, err := peer.ID(p.multihash).ExtractPublicKey(); err == nil {
		pb.PubKey = nil // it stands in the pointer
		return nil
	}
	pb.PubKey, err = ic.MarshalPublicKey(key)
	return err
}

// parseRecord reads all that can be read without knowing whose a record is.
func parseRecord(b []byte) (Record, *ipnspb.IpnsRecord, []byte, error) {
	fail := func(err error) (Record, *ipnspb.IpnsRecord, []byte, error) { return Record{}, nil, nil, err }
	if len(b) > MaxRecord {
		return fail(fmt.Errorf("it is %d bytes long, over %d", len(b), MaxRecord))
	}
	// (1) The envelope.
	var pb ipnspb.IpnsRecord
	if err := proto.Unmarshal(b, &pb); err != nil {
		return fail(errors.New("it is not the protobuf of a record"))
	}
	// (2) The signed document: canonical, with every field in range.
	d, err := readDocument(pb.GetData())
	if err != nil {
		return fail(err)
	}
	r := Record{signed: pb.GetData(), sequence: d.sequence, ttl: time.Duration(d.ttl)}
	if r.value, err = contentPath(d.value); err != nil {
		return fail(err)
	}
	if d.validityType != uint64(ipns.ValidityEOL) {
		return fail(fmt.Errorf("its validity is of type %d, which is unknown", d.validityType))
	}
	end, err := time.Parse(time.RFC3339Nano, string(d.validity))
	if err != nil {
		return fail(fmt.Errorf("its end %s is no time of RFC 3339", quote(string(d.validity))))
	}
	r.expires = end.UTC()
	// (3) In a record of the old kind, the old fields agree with it. (In
	// another they mean nothing: see tidy.)
	old := len(pb.GetSignatureV1()) > 0 || len(pb.GetValue()) > 0
	if old && (!bytes.Equal(pb.GetValue(), d.value) ||
		!bytes.Equal(pb.GetValidity(), d.validity) ||
		uint64(pb.GetValidityType()) != d.validityType ||
		pb.GetSequence() != d.sequence ||
		pb.GetTtl() != d.ttl) {
		return fail(errors.New("its unsigned fields disagree with the signed ones"))
	}
	r.payload = d.payload
	if !d.hasCard {
		return r, &pb, nil, nil
	}
	return r, &pb, d.card, nil
}

// contentPath reads a value: a path as text or, in old records, a binary CID;
// empty stands for [NoValue].
func contentPath(value []byte) (string, error) {
	switch {
	case len(value) == 0:
		return NoValue, nil
	case value[0] == '/':
		p, err := path.NewPath(string(value))
		if err != nil {
			return "", fmt.Errorf("its value %s is no content path", quote(string(value)))
		}
		return p.String(), nil
	default:
		c, err := cid.Cast(value)
		if err != nil {
			return "", fmt.Errorf("its value %s is neither a content path nor a CID", quote(string(value)))
		}
		return path.FromCid(c).String(), nil
	}
}

// Fields are what the owner says in a new record.
type Fields struct {
	Value    string        // content path; empty means NoValue
	Sequence uint64        // above the last one; ≤ MaxSequence
	Expires  time.Time     // kept to the nanosecond, in UTC
	TTL      time.Duration // ≥ 0
	Card     *Card         // nil: none
	Payload  []byte        // opaque bytes, of a record without a card; empty: none
	V1       bool          // sign in the old way too, for readers before 2021
}

// Sign makes a record with an Ed25519 key. What it returns, [Open] accepts and
// reads the same: what a foreign signer (an agent, hardware) gives is verified
// first.
func Sign(key crypto.Signer, f Fields) (Record, error) {
	r, err := sign(key, f)
	if err != nil {
		return Record{}, fmt.Errorf("signing a record: %w", err)
	}
	return r, nil
}

func sign(key crypto.Signer, f Fields) (Record, error) {
	own, isOurs := key.(*Key)
	if key == nil || isOurs && own.isZero() {
		return Record{}, errors.New("there is no key")
	}
	public, err := encodeKey(key.Public())
	if err != nil {
		return Record{}, err
	}
	var p Pointer
	if isOurs {
		p = own.pointer
	} else if p, err = fromEncodedKey(public); err != nil {
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
		return Record{}, fmt.Errorf("value %s is no content path (one looks like %s): %w", quote(f.Value), NoValue, errors.Unwrap(err))
	}
	opts := []ipns.Option{ipns.WithV1Compatibility(f.V1)}
	if f.Card != nil {
		encoded, err := f.Card.Encode()
		if err != nil {
			return Record{}, err
		}
		opts = append(opts, ipns.WithMetadata(map[string]any{cardKey: encoded}))
	}
	if len(f.Payload) > 0 {
		if f.Card != nil {
			return Record{}, errCardAndPayload
		}
		opts = append(opts, ipns.WithMetadata(map[string]any{payloadKey: f.Payload}))
	}
	rec, err := ipns.NewRecord(signerKey{key, public}, value, f.Sequence, f.Expires, f.TTL, opts...)
	if err != nil {
		return Record{}, err
	}
	b, err := ipns.MarshalRecord(rec)
	if err != nil {
		return Record{}, err
	}
	if len(b) > MaxRecord {
		return Record{}, fmt.Errorf("it would be %d bytes long, over %d: shorten the card, the payload or the value", len(b), MaxRecord)
	}
	if !isOurs {
		return open(p, b)
	}
	// What is returned is read back from the bytes, as everybody else will
	// read them; only the signature, which is our own, is not checked again.
	r, _, card, err := read(p, b)
	if err != nil {
		return Record{}, err
	}
	return r.withCard(card)
}

// Embedded gives the pointer of the key that stands inside a record, for
// finding out whose an unlabelled one may be; false when there is none (the
// rule for Ed25519). It proves nothing: [Open] the record with it.
func Embedded(b []byte) (Pointer, bool) {
	var pb ipnspb.IpnsRecord
	if len(b) > MaxRecord || proto.Unmarshal(b, &pb) != nil {
		return Pointer{}, false
	}
	key, err := ic.UnmarshalPublicKey(pb.GetPubKey())
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
	public []byte // libp2p-encoded
}

func (k signerKey) Sign(message []byte) ([]byte, error) {
	return k.Signer.Sign(rand.Reader, message, crypto.Hash(0))
}

func (k signerKey) GetPublic() ic.PubKey {
	pub, err := ic.UnmarshalPublicKey(k.public)
	if err != nil {
		return nil // unreachable: encodeKey made it
	}
	return pub
}

func (k signerKey) Raw() ([]byte, error)     { return nil, errors.New("the secret stays with the signer") }
func (k signerKey) Type() cryptopb.KeyType   { return cryptopb.KeyType_Ed25519 }
func (k signerKey) Equals(other ic.Key) bool { return k.GetPublic().Equals(other) }
