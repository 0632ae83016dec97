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

	// MaxSequence is the highest sequence number. Above it, Go and JavaScript
	// read different numbers.
	MaxSequence = math.MaxInt64

	// cardKey is the signed metadata key that holds the card.
	cardKey = "_petnames"

	// payloadKey is the signed metadata key that holds a payload. A record has
	// a card or a payload.
	payloadKey = "_petnames_payload"
)

// Record is a verified IPNS record. Only [Open] and [Sign] make one. The
// network may have a newer one.
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

// Pointer returns the pointer that the record verifies against.
func (r Record) Pointer() Pointer { return r.pointer }

// Bytes returns the record on the wire, as its owner made it, without additions
// to the copy that was opened. The slice is the caller's.
func (r Record) Bytes() []byte { return bytes.Clone(r.bytes) }

// ID identifies the record: the sha2-256 of its signed data. The bytes do not
// identify it, because anyone can encode the protobuf in many ways.
func (r Record) ID() [sha256.Size]byte { return sha256.Sum256(r.signed) }

// Value returns the content path that the record points to, such as
// "/ipfs/bafy…"; [NoValue] if it points to nothing. After the root it is
// arbitrary bytes of the owner: quote it for display.
func (r Record) Value() string { return r.value }

// Sequence returns the sequence number, which rises with every record of the
// owner.
func (r Record) Sequence() uint64 { return r.sequence }

// Expires returns the end of the record's validity, in UTC.
func (r Record) Expires() time.Time { return r.expires }

// TTL returns for how long the owner allows caches to serve the record; ≥ 0.
func (r Record) TTL() time.Duration { return r.ttl }

// Card returns the owner's statement about itself, and reports whether there is
// one.
func (r Record) Card() (Card, bool) {
	if r.card == nil {
		return Card{}, false
	}
	return r.card.clone(), true
}

// Payload returns the message in a record without a card; nil if there is none.
// The slice is the caller's. The record's signature proves the signer and
// nothing about the content, which may be hostile.
func (r Record) Payload() []byte { return bytes.Clone(r.payload) }

// Compare orders two records of one pointer. It returns a negative number if r
// is older than other, and 0 if both have the same signed data. The order is
// that of boxo's ipns.Validator.Select: by sequence, then by expiry, then by
// the bytes of [Record.Bytes]. With another order, two devices that publish at
// the same time would keep another record than the peers of the network.
//
// The bytes of a record with a V1 signature start with the unsigned copy of the
// value and that signature, which no reader verifies: any peer can move such a
// record among those of equal sequence and expiry. Records without one are
// ordered by their V2 signature.
func (r Record) Compare(other Record) int {
	if order := cmp.Or(cmp.Compare(r.sequence, other.sequence), r.expires.Compare(other.expires)); order != 0 || bytes.Equal(r.signed, other.signed) {
		return order
	}
	return bytes.Compare(r.bytes, other.bytes)
}

// ExpiredError is returned for a record that verifies and has expired. It
// contains the record.
type ExpiredError struct {
	Record Record
}

func (e *ExpiredError) Error() string {
	return fmt.Sprintf("record of %s expired on %s", e.Record.pointer, e.Record.expires.Format(time.RFC3339))
}

// ErrInvalid is wrapped by every error of [Open] except [ExpiredError].
var ErrInvalid = errors.New("record does not verify")

// OpenExpired is [Open] for a record that may have expired. It reports whether
// it has, instead of an [*ExpiredError].
func OpenExpired(p Pointer, record []byte, now time.Time) (r Record, expired bool, err error) {
	r, err = Open(p, record, now)
	var expiredErr *ExpiredError
	if errors.As(err, &expiredErr) {
		return expiredErr.Record, true, nil
	}
	return r, false, err
}

// Open parses and verifies a record in one step; there is no type for an
// unverified one. It refuses all that boxo's ipns.ValidateWithName refuses, and
// beyond that: missing fields, sequences over [MaxSequence], values that are
// not a content path, signed data that is not canonical DAG-CBOR, and a
// malformed [Card]. It removes what is unsigned and not needed to verify: see
// [Record.Bytes].
//
// If the record verifies and now is after its expiry, the error is an
// [*ExpiredError] with the record. Every other error wraps [ErrInvalid].
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

// open checks in the order of cost: each step bounds what hostile bytes can
// make the later ones do. FuzzOpenAgainstBoxo checks that open refuses what
// boxo's ValidateWithName refuses.
func open(p Pointer, b []byte) (Record, error) {
	r, pb, card, err := parseFor(p, b)
	if err != nil {
		return Record{}, err
	}
	if err := checkSignature(p, pb); err != nil {
		return Record{}, err
	}
	return r.withCard(card)
}

// withCard adds the card from its bytes; nil: none.
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
// parseFor has compared a key inside the record with p.
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

// parseFor parses a record for a pointer, and also returns the card's bytes (nil:
// no card). The caller verifies the signature.
func parseFor(p Pointer, b []byte) (Record, *ipnspb.IpnsRecord, []byte, error) {
	if p.IsZero() {
		return Record{}, nil, nil, errors.New("the zero pointer verifies nothing")
	}
	r, pb, card, err := parseRecord(b)
	if err != nil {
		return Record{}, nil, nil, err
	}
	if err := p.removeAdditions(pb); err != nil {
		return Record{}, nil, nil, err
	}
	if r.bytes, err = (proto.MarshalOptions{Deterministic: true}).Marshal(pb); err != nil {
		return Record{}, nil, nil, err
	}
	r.pointer = p
	return r, pb, card, nil
}

// removeAdditions removes from an envelope what the owner of p did not put there. Any peer
// on the way can add to it: unknown fields, old fields without the old
// signature, a key that is not needed, or the same key in another encoding.
// Other implementations accept such copies, and prefer the longer of two. If
// open refused them, any peer could make a pointer unresolvable.
func (p Pointer) removeAdditions(pb *ipnspb.IpnsRecord) error {
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
		pb.PubKey = nil // the pointer has it
		return nil
	}
	pb.PubKey, err = ic.MarshalPublicKey(key)
	return err
}

// parseRecord reads all that does not depend on the pointer.
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
	doc, err := readDocument(pb.GetData())
	if err != nil {
		return fail(err)
	}
	r := Record{signed: pb.GetData(), sequence: doc.sequence, ttl: time.Duration(doc.ttl)}
	if r.value, err = contentPath(doc.value); err != nil {
		return fail(err)
	}
	if doc.validityType != uint64(ipns.ValidityEOL) {
		return fail(fmt.Errorf("its validity is of type %d, which is unknown", doc.validityType))
	}
	end, err := time.Parse(time.RFC3339Nano, string(doc.validity))
	if err != nil {
		return fail(fmt.Errorf("its end %s is no time of RFC 3339", quote(string(doc.validity))))
	}
	r.expires = end.UTC()
	// (3) In a V1 record, the old fields agree with the document. (In others
	// they are ignored: see removeAdditions.)
	isV1 := len(pb.GetSignatureV1()) > 0 || len(pb.GetValue()) > 0
	if isV1 && (!bytes.Equal(pb.GetValue(), doc.value) ||
		!bytes.Equal(pb.GetValidity(), doc.validity) ||
		uint64(pb.GetValidityType()) != doc.validityType ||
		pb.GetSequence() != doc.sequence ||
		pb.GetTtl() != doc.ttl) {
		return fail(errors.New("its unsigned fields disagree with the signed ones"))
	}
	r.payload = doc.payload
	if !doc.hasCard {
		return r, &pb, nil, nil
	}
	return r, &pb, doc.card, nil
}

// contentPath reads a value: a path as text or, in old records, a binary CID;
// empty is [NoValue].
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

// Fields are the content of a new record.
type Fields struct {
	Value    string        // content path; empty: NoValue
	Sequence uint64        // above the last one; ≤ MaxSequence
	Expires  time.Time     // stored to the nanosecond, in UTC
	TTL      time.Duration // ≥ 0
	Card     *Card         // nil: none
	Payload  []byte        // opaque bytes, of a record without a card; empty: none
	V1       bool          // sign in V1 form too, for readers before 2021
}

// Sign makes a record with an Ed25519 key. [Open] accepts the result and
// returns the same record: the signature of a foreign signer (an agent,
// hardware) is verified first.
func Sign(key crypto.Signer, f Fields) (Record, error) {
	r, err := sign(key, f)
	if err != nil {
		return Record{}, fmt.Errorf("signing a record: %w", err)
	}
	return r, nil
}

// sign is Sign without the prefix of its errors.
func sign(key crypto.Signer, f Fields) (Record, error) {
	ownKey, isKey := key.(*Key)
	if key == nil || isKey && ownKey.isZero() {
		return Record{}, errors.New("there is no key")
	}
	public, err := encodeKey(key.Public())
	if err != nil {
		return Record{}, err
	}
	var p Pointer
	if isKey {
		p = ownKey.pointer
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
	if !isKey { // the signature of a foreign signer is verified
		return open(p, b)
	}
	// The result is parsed from the bytes, as every reader will parse them;
	// only the signature, which was made here, is not verified again.
	r, _, card, err := parseFor(p, b)
	if err != nil {
		return Record{}, err
	}
	return r.withCard(card)
}

// Embedded returns the pointer of the key inside a record, for a record without
// a known pointer; false if there is none (the rule for Ed25519). It proves
// nothing: call [Open] with it.
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

// signerKey lets boxo sign with a crypto.Signer. It does not return a secret.
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
