package pair

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha512"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/gtank/ristretto255"
)

// CPace is a balanced PAKE: two sides with the same short secret derive a common key. An
// attacker without the secret can test one guess in each run, against a side that takes
// part. The cipher suite is CPACE-RISTR255-SHA512, in the initiator-responder setting, of
// draft-irtf-cfrg-cpace.
const (
	cpaceDSI   = "CPaceRistretto255"
	cpaceBlock = sha512.BlockSize // s_in_bytes
	shareSize  = 32
	iskSize    = sha512.Size
	scalarBits = 252 // group_size_bits
)

// errIdentity is returned if the share of the peer is invalid or the neutral element,
// with which the key would be known to anyone.
var errIdentity = errors.New("the share of the peer is invalid or the neutral element")

// lvCat is lv_cat of the draft: each part after its length in LEB128.
func lvCat(parts ...[]byte) []byte {
	var b []byte
	for _, part := range parts {
		b = binary.AppendUvarint(b, uint64(len(part)))
		b = append(b, part...)
	}
	return b
}

// generatorString fills the first block of the hash with the suite and the password, so
// that the bytes hashed with the password do not depend on the session.
func generatorString(prs, ci, sid []byte) []byte {
	zeros := max(0, cpaceBlock-1-len(lvCat(prs))-len(lvCat([]byte(cpaceDSI))))
	return lvCat([]byte(cpaceDSI), prs, make([]byte, zeros), ci, sid)
}

// calculateGenerator is calculate_generator of the draft.
func calculateGenerator(prs, ci, sid []byte) *ristretto255.Element {
	sum := sha512.Sum512(generatorString(prs, ci, sid))
	return ristretto255.NewElement().FromUniformBytes(sum[:])
}

// sampleScalar draws 252 random bits, as the draft recommends.
func sampleScalar(random io.Reader) (*ristretto255.Scalar, error) {
	var b [shareSize]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return nil, fmt.Errorf("making a share: %w", err)
	}
	b[31] &= 1<<(scalarBits-248) - 1
	s := ristretto255.NewScalar()
	if err := s.Decode(b[:]); err != nil {
		return nil, fmt.Errorf("making a share: %w", err) // unreachable: 2^252 is below the order
	}
	return s, nil
}

// scalarMultVfy is scalar_mult_vfy of the draft, with an error in place of the neutral
// element.
func scalarMultVfy(y *ristretto255.Scalar, share []byte) ([]byte, error) {
	x := ristretto255.NewElement()
	if len(share) != shareSize || x.Decode(share) != nil {
		return nil, errIdentity
	}
	x.ScalarMult(y, x)
	if x.Equal(ristretto255.NewElement()) == 1 {
		return nil, errIdentity
	}
	return x.Encode(nil), nil
}

// cpaceSide is one side of a run: its secret scalar and its share.
type cpaceSide struct {
	scalar *ristretto255.Scalar
	share  []byte
}

// newCPace starts a run; ci is the context that both sides know in advance. The session
// ID of the draft is empty, as neither side knows the other in advance; the shares
// determine one afterwards, see sidOutput.
func newCPace(prs, ci []byte, random io.Reader) (cpaceSide, error) {
	y, err := sampleScalar(random)
	if err != nil {
		return cpaceSide{}, err
	}
	g := calculateGenerator(prs, ci, nil)
	return cpaceSide{y, g.ScalarMult(y, g).Encode(nil)}, nil
}

// cpaceMessage is the message of a side: its share and associated data.
type cpaceMessage struct {
	share, data []byte
}

// bytes returns the message as it stands in the transcript.
func (s cpaceMessage) bytes() []byte { return lvCat(s.share, s.data) }

// cpaceTranscript is transcript_ir of the draft: the initiator's message first.
func cpaceTranscript(initiator, responder cpaceMessage) []byte {
	return append(initiator.bytes(), responder.bytes()...)
}

// isk returns the key, equal on both sides if their password, ci and transcript are.
func (c cpaceSide) isk(sid []byte, peer, initiator, responder cpaceMessage) ([]byte, error) {
	k, err := scalarMultVfy(c.scalar, peer.share)
	if err != nil {
		return nil, err
	}
	sum := sha512.Sum512(append(lvCat([]byte(cpaceDSI+"_ISK"), sid, k), cpaceTranscript(initiator, responder)...))
	return sum[:], nil
}

// sidOutput is the public session ID of the draft, unique to a run in which at least one
// side is honest.
func sidOutput(initiator, responder cpaceMessage) []byte {
	sum := sha512.Sum512(append([]byte("CPaceSidOutput"), cpaceTranscript(initiator, responder)...))
	return sum[:]
}

// confirmation returns the tag by which the sender of s shows that it has the key:
// HMAC-SHA-512 over its own message, as the draft suggests.
func confirmation(sid, isk []byte, s cpaceMessage) []byte {
	key := sha512.Sum512(bytes.Join([][]byte{[]byte("CPaceMac"), sid, isk}, nil))
	mac := hmac.New(sha512.New, key[:])
	mac.Write(s.bytes())
	return mac.Sum(nil)
}
