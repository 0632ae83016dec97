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

// CPace, a balanced PAKE: two who know a short secret get a key that nobody
// else has, and whoever doesn't know it can test one guess a run, against
// somebody who takes part. The cipher suite is CPACE-RISTR255-SHA512, in the
// initiator-responder setting, of draft-irtf-cfrg-cpace.
const (
	cpaceDSI   = "CPaceRistretto255"
	cpaceBlock = sha512.BlockSize // s_in_bytes
	shareSize  = 32
	iskSize    = sha512.Size
	scalarBits = 252 // group_size_bits
)

// errIdentity: the peer's share is the neutral element, or none at all, so
// that the key would be known to everybody.
var errIdentity = errors.New("the other side's share is no element, or the neutral one")

// lvCat is the draft's lv_cat: each part behind its length in LEB128.
func lvCat(parts ...[]byte) []byte {
	var b []byte
	for _, part := range parts {
		b = binary.AppendUvarint(b, uint64(len(part)))
		b = append(b, part...)
	}
	return b
}

// generatorString fills the first block of the hash with the suite and the
// password, so that what is hashed next to the password doesn't depend on the
// session.
func generatorString(prs, ci, sid []byte) []byte {
	zeros := max(0, cpaceBlock-1-len(lvCat(prs))-len(lvCat([]byte(cpaceDSI))))
	return lvCat([]byte(cpaceDSI), prs, make([]byte, zeros), ci, sid)
}

func calculateGenerator(prs, ci, sid []byte) *ristretto255.Element {
	sum := sha512.Sum512(generatorString(prs, ci, sid))
	return ristretto255.NewElement().FromUniformBytes(sum[:])
}

// sampleScalar takes 252 random bits, as the draft recommends.
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

// scalarMultVfy is the draft's scalar_mult_vfy, with an error in place of the
// neutral element.
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

// newCPace starts a run; ci is what both sides know beforehand. The session id
// that the draft would take beforehand is empty, as neither side has heard of
// the other: the shares give one afterwards, see sidOutput.
func newCPace(prs, ci []byte, random io.Reader) (cpaceSide, error) {
	y, err := sampleScalar(random)
	if err != nil {
		return cpaceSide{}, err
	}
	g := calculateGenerator(prs, ci, nil)
	return cpaceSide{y, g.ScalarMult(y, g).Encode(nil)}, nil
}

// cpaceMessage is what a side puts on the wire: the share and associated data.
type cpaceMessage struct {
	share, data []byte
}

func (s cpaceMessage) bytes() []byte { return lvCat(s.share, s.data) }

// cpaceTranscript is transcript_ir: the initiator's message first.
func cpaceTranscript(initiator, responder cpaceMessage) []byte {
	return append(initiator.bytes(), responder.bytes()...)
}

// isk is the key that both sides get who used one password, ci and transcript.
func (c cpaceSide) isk(sid []byte, peer, initiator, responder cpaceMessage) ([]byte, error) {
	k, err := scalarMultVfy(c.scalar, peer.share)
	if err != nil {
		return nil, err
	}
	sum := sha512.Sum512(append(lvCat([]byte(cpaceDSI+"_ISK"), sid, k), cpaceTranscript(initiator, responder)...))
	return sum[:], nil
}

// sidOutput is the draft's public session id, unique to a run in which at
// least one side is honest.
func sidOutput(initiator, responder cpaceMessage) []byte {
	sum := sha512.Sum512(append([]byte("CPaceSidOutput"), cpaceTranscript(initiator, responder)...))
	return sum[:]
}

// confirmation is the tag by which the side that said s shows that it has the
// key: HMAC-SHA-512 over its own message, as the draft suggests.
func confirmation(sid, isk []byte, s cpaceMessage) []byte {
	key := sha512.Sum512(bytes.Join([][]byte{[]byte("CPaceMac"), sid, isk}, nil))
	mac := hmac.New(sha512.New, key[:])
	mac.Write(s.bytes())
	return mac.Sum(nil)
}
