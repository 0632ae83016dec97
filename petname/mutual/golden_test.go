package mutual

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/require"
)

// item and list encode canonical CBOR without the package's code.
func item(major byte, n uint64) []byte {
	switch {
	case n < 24:
		return []byte{major<<5 | byte(n)}
	case n < 1<<8:
		return []byte{major<<5 | 24, byte(n)}
	case n < 1<<16:
		return binary.BigEndian.AppendUint16([]byte{major<<5 | 25}, uint16(n))
	case n < 1<<32:
		return binary.BigEndian.AppendUint32([]byte{major<<5 | 26}, uint32(n))
	}
	return binary.BigEndian.AppendUint64([]byte{major<<5 | 27}, n)
}

func number(n uint64) []byte   { return item(0, n) }
func octets(b []byte) []byte   { return append(item(2, uint64(len(b))), b...) }
func list(of ...[]byte) []byte { return append(item(4, uint64(len(of))), bytes.Join(of, nil)...) }

// The hash that both parties sign is the documented one, built here without the
// package's code. Changing any part changes the hash.
func TestTranscriptHashCoversTheSessionAndBothConsents(t *testing.T) {
	fixed := func() (message, [3]message) {
		request := message{wire: wire{Session: bytes.Repeat([]byte{1}, 32), Expires: 1_767_225_600_000, By: []byte("introducer")}}
		return request, [3]message{
			1: {wire: wire{By: []byte("first")}, raw: []byte("consent of the first")},
			2: {wire: wire{By: []byte("second")}, raw: []byte("consent of the second")},
		}
	}
	request, accepts := fixed()
	want := sha256.Sum256(append([]byte("petnames/mutual/transcript/v1\x00"), list(octets(bytes.Repeat([]byte{1}, 32)), number(1_767_225_600_000),
		octets([]byte("introducer")), octets([]byte("first")), octets([]byte("consent of the first")), octets([]byte("second")), octets([]byte("consent of the second")))...))
	require.Equal(t, want, transcriptOf(request, accepts))
	require.Equal(t, "e7985f4da27c1997d267010af2d514dd7b0abd7268f444cf8504de2a6bac2696", hex.EncodeToString(want[:]))
	for part, change := range map[string]func(*message, *[3]message){
		"session":        func(r *message, _ *[3]message) { r.Session = bytes.Repeat([]byte{2}, 32) },
		"end":            func(r *message, _ *[3]message) { r.Expires++ },
		"introducer":     func(r *message, _ *[3]message) { r.By = []byte("another") },
		"first":          func(_ *message, a *[3]message) { a[1].By = []byte("another") },
		"first consent":  func(_ *message, a *[3]message) { a[1].raw = []byte("another") },
		"second":         func(_ *message, a *[3]message) { a[2].By = []byte("another") },
		"second consent": func(_ *message, a *[3]message) { a[2].raw = []byte("another") },
		"sides":          func(_ *message, a *[3]message) { a[1], a[2] = a[2], a[1] },
	} {
		request, accepts := fixed()
		change(&request, &accepts)
		require.NotEqual(t, want, transcriptOf(request, accepts), part)
	}
}

// A session with fixed randomness and a fixed clock has the same message bytes
// in every version of this program.
func TestFormatIsFixed(t *testing.T) {
	p := newScenario(t, "golden")
	all := append([]delivery{{alice.Pointer(), Outgoing{bob.Pointer(), p.bob.v.request.raw}}, {alice.Pointer(), Outgoing{carol.Pointer(), p.carol.v.request.raw}}},
		p.run(p.acceptBoth(), nil)...)
	var kinds []Kind
	h := sha256.New()
	for _, m := range all {
		kinds = append(kinds, mustDecode(t, m.Bytes).Kind)
		h.Write(octets(m.Bytes))
	}
	require.Equal(t, []Kind{KindRequest, KindRequest, KindAccept, KindAccept, KindReveal, KindReveal, KindAuth, KindAuth, KindAuth, KindAuth, KindActivate,
		KindActivate, KindActivate, KindActivate}, kinds)
	require.Equal(t, "63b7b5954aee97653782b9ef8e2ce17f32c845c9255dd10fd8dc8b09fac9d877", hex.EncodeToString(h.Sum(nil)), "messages")
	transcript := sha256.Sum256(p.bob.v.Transcript())
	require.Equal(t, "60335a0b6d1d7da71dc84a74add06764e6cc8f4e891d6730845ffaf7f32d0dc8", hex.EncodeToString(transcript[:]), "evidence")
}

// The hidden pointer of a REQUEST, the payload hash of a consent, the proof and the MAC
// are as documented in the package comment.
func TestHashesAreAsDocumented(t *testing.T) {
	sum := func(domain string, of ...[]byte) [32]byte {
		return sha256.Sum256(append([]byte(domain), list(of...)...))
	}
	session, salt := Session(bytes.Repeat([]byte{3}, 32)), bytes.Repeat([]byte{4}, saltSize)
	require.Equal(t, sum("petnames/mutual/pointer/v1\x00", octets(session[:]), number(2), octets(salt), octets(carol.Pointer().Bytes())),
		hidePointer(session, 2, salt, carol.Pointer()))
	require.Equal(t, sum("petnames/mutual/payload/v1\x00", octets([]byte("payload"))), payloadHash([]byte("payload")))
	transcript := [hashSize]byte(bytes.Repeat([]byte{5}, hashSize))
	require.Equal(t, append([]byte("petnames/mutual/auth/v1\x00"), list(number(1), octets(transcript[:]))...), proofStatement(transcript, 1))
	a := sessionKeys{header: list(octets(session[:]), number(1_767_225_600_000)), transcript: transcript}
	require.Equal(t, list(octets(a.header), number(2), octets(transcript[:])), a.additionalData(2))
}
