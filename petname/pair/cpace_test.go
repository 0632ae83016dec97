package pair

import (
	"bytes"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/gtank/ristretto255"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// cpaceVectors returns the vectors of the suite CPACE-RISTR255-SHA512 from the appendix
// "Test vectors" of the draft: cfrg/draft-irtf-cfrg-cpace, draft-irtf-cfrg-cpace.md
// at commit 8fb4056e1b9201927d9f651b9970d9d5660c7892.
func cpaceVectors(t *testing.T) map[string][]byte {
	t.Helper()
	raw, err := os.ReadFile("testdata/cpace-ristr255-sha512.json")
	require.NoError(t, err)
	var text map[string]string
	require.NoError(t, json.Unmarshal(raw, &text))
	vectors := map[string][]byte{}
	for name, s := range text {
		if name == "source" {
			continue
		}
		vectors[name], err = hex.DecodeString(s)
		require.NoError(t, err, name)
	}
	require.Len(t, vectors, 25)
	return vectors
}

func scalarOf(t *testing.T, b []byte) *ristretto255.Scalar {
	t.Helper()
	s := ristretto255.NewScalar()
	require.NoError(t, s.Decode(b))
	return s
}

func TestCPaceFollowsTheDraftsVectors(t *testing.T) {
	v := cpaceVectors(t)
	// 1. The generator.
	require.Equal(t, v["DSI"], []byte(cpaceDSI))
	str := generatorString(v["PRS"], v["CI"], v["sid"])
	require.Equal(t, v["generator_string"], str)
	sum := sha512.Sum512(str)
	require.Equal(t, v["hash result"], sum[:])
	g := calculateGenerator(v["PRS"], v["CI"], v["sid"])
	require.Equal(t, v["g"], g.Encode(nil))

	// 2. The shares and the secret point.
	ya, yb := scalarOf(t, v["ya"]), scalarOf(t, v["yb"])
	require.Equal(t, v["Ya"], ristretto255.NewElement().ScalarMult(ya, g).Encode(nil))
	require.Equal(t, v["Yb"], ristretto255.NewElement().ScalarMult(yb, g).Encode(nil))
	k, err := scalarMultVfy(ya, v["Yb"])
	require.NoError(t, err)
	require.Equal(t, v["K"], k)
	k, err = scalarMultVfy(yb, v["Ya"])
	require.NoError(t, err)
	require.Equal(t, v["K"], k)

	// 3. The keys of the initiator-responder setting, and the session ID.
	a, b := cpaceMessage{v["Ya"], v["ADa"]}, cpaceMessage{v["Yb"], v["ADb"]}
	require.Equal(t, v["transcript_ir"], cpaceTranscript(a, b))
	isk, err := cpaceSide{scalar: ya}.isk(v["sid"], b, a, b)
	require.NoError(t, err)
	require.Equal(t, v["ISK_IR"], isk)
	isk, err = cpaceSide{scalar: yb}.isk(v["sid"], a, a, b)
	require.NoError(t, err)
	require.Equal(t, v["ISK_IR"], isk)
	require.Equal(t, v["sid_output_ir"], sidOutput(a, b))

	// 4. The vector of the multiplication.
	k, err = scalarMultVfy(scalarOf(t, v["s"]), v["X"])
	require.NoError(t, err)
	require.Equal(t, v["scalar_mult_vfy(s,X)"], k)
}

func TestCPaceAbortsOnTheDraftsInvalidPoints(t *testing.T) {
	v := cpaceVectors(t)
	for _, name := range []string{"Invalid Y1", "Invalid Y2"} {
		_, err := scalarMultVfy(scalarOf(t, v["s"]), v[name])
		require.ErrorIs(t, err, errIdentity, name)
		// In a run, on either side, too.
		own, peer := cpaceMessage{v["Ya"], v["ADa"]}, cpaceMessage{v[name], v["ADb"]}
		_, err = cpaceSide{scalar: scalarOf(t, v["ya"])}.isk(v["sid"], peer, own, peer)
		require.ErrorIs(t, err, errIdentity, name)
		_, err = cpaceSide{scalar: scalarOf(t, v["yb"])}.isk(v["sid"], peer, peer, own)
		require.ErrorIs(t, err, errIdentity, name)
	}
	for why, share := range map[string][]byte{
		"none": nil, "short": v["Ya"][:31], "long": append(bytes.Clone(v["Ya"]), 0), "all ones": bytes.Repeat([]byte{255}, 32),
	} {
		_, err := scalarMultVfy(scalarOf(t, v["s"]), share)
		require.ErrorIs(t, err, errIdentity, why)
	}
}

// runCPace does a whole run with the passwords of the two sides, and returns whether each
// accepts the confirmation of the other.
func runCPace(t require.TestingT, seed byte, prsA, prsB, ciA, ciB string) (aOK, bOK bool) {
	a, err := newCPace([]byte(prsA), []byte(ciA), newRandom(seed))
	require.NoError(t, err)
	b, err := newCPace([]byte(prsB), []byte(ciB), newRandom(seed+1))
	require.NoError(t, err)
	sa, sb := cpaceMessage{a.share, []byte("A")}, cpaceMessage{b.share, []byte("B")}
	ka, err := a.isk(nil, sb, sa, sb)
	require.NoError(t, err)
	kb, err := b.isk(nil, sa, sa, sb)
	require.NoError(t, err)
	sid := sidOutput(sa, sb)
	require.NotEqual(t, confirmation(sid, ka, sa), confirmation(sid, ka, sb), "a tag can't be played back")
	aOK = bytes.Equal(confirmation(sid, kb, sb), confirmation(sid, ka, sb))
	bOK = bytes.Equal(confirmation(sid, ka, sa), confirmation(sid, kb, sa))
	return aOK, bOK
}

func TestCPaceAgreesExactlyOnOnePasswordAndContext(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		texts := rapid.SampledFrom([]string{"", "orbit candy", "orbit canal", strings.Repeat("long ", 60)})
		prsA, prsB := texts.Draw(t, "prsA"), texts.Draw(t, "prsB")
		ciA, ciB := texts.Draw(t, "ciA"), texts.Draw(t, "ciB")
		aOK, bOK := runCPace(t, rapid.Byte().Draw(t, "seed"), prsA, prsB, ciA, ciB)
		same := prsA == prsB && ciA == ciB
		require.Equal(t, same, aOK)
		require.Equal(t, same, bOK)
	})
}

func TestCPaceNeedsItsRandomness(t *testing.T) {
	_, err := newCPace([]byte("x"), nil, strings.NewReader("short"))
	require.Error(t, err)
}
