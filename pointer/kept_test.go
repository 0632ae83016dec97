package pointer

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRecordsKeepTheirWireFormat(t *testing.T) {
	key := testKey(1)
	for file, f := range map[string]Fields{
		"record-card.hex":    {Card: &Card{Nickname: "Ann"}},
		"record-payload.hex": {Payload: []byte("message")},
	} {
		golden := annotated(t, file)
		f.Sequence, f.Expires, f.TTL = 7, testEnd, time.Hour
		made, err := Sign(key, f)
		require.NoError(t, err)
		require.Equal(t, hex.EncodeToString(golden), hex.EncodeToString(made.Bytes()), file)
		opened, err := Open(key.Pointer(), golden, testNow)
		require.NoError(t, err)
		require.Equal(t, made, opened, file)
		card, has := opened.Card()
		require.Equal(t, f.Card != nil, has)
		if has {
			require.Equal(t, *f.Card, card)
		}
		require.Equal(t, f.Payload, opened.Payload())
		require.Equal(t, NoValue, opened.Value())
	}
}

// keptChain is the chain of testdata/succession.hex.
func keptChain(t testing.TB) []Succession {
	t.Helper()
	first, err := Succeed(testKey(1).Pointer(), testKey(2), testCommitment(testKey(3)), testKey(1))
	require.NoError(t, err)
	second, err := Succeed(testKey(2).Pointer(), testKey(3), Commitment{}, nil)
	require.NoError(t, err)
	return []Succession{first, second}
}

func TestSuccessionsKeepTheirWireFormat(t *testing.T) {
	golden := annotated(t, "succession.hex")
	encoded, err := EncodeSuccession(keptChain(t))
	require.NoError(t, err)
	require.Equal(t, hex.EncodeToString(golden), hex.EncodeToString(encoded))
	parsed, err := ParseSuccession(golden)
	require.NoError(t, err)
	require.Equal(t, keptChain(t), parsed)
	clear(golden)
	require.Equal(t, keptChain(t), parsed, "it shares nothing with the caller")
}

// Each of these chains differs in one thing from a valid chain of one step.
func TestMalformedSuccessionsAreRefused(t *testing.T) {
	p := hex.EncodeToString(testKey(1).Pointer().Bytes())
	k := hex.EncodeToString(testKey(2).Pointer().Bytes())[4:]
	c := hex.EncodeToString(testCommitment(testKey(3)).Bytes())
	sig := "5840" + strings.Repeat("01", 64)
	step := "85 5826" + p + "5824" + k + "5822" + c + sig + sig
	for why, text := range map[string]string{
		"nothing":                     "",
		"no list":                     "a0",
		"no steps":                    "80",
		"null":                        "f6",
		"a step that is null":         "81 f6",
		"a step of four":              "81 84 5826" + p + "5824" + k + "5822" + c + sig,
		"a step of six":               "81 86 5826" + p + "5824" + k + "5822" + c + sig + sig + "f6",
		"trailing byte":               "81" + step + "00",
		"cut short":                   "82" + step,
		"length in two bytes":         "9801" + step,
		"an indefinite list":          "9f" + step + "ff",
		"tagged":                      "d9d9f7 81" + step,
		"pointer null":                "81 85 f6 5824" + k + "5822" + c + sig + sig,
		"pointer cut":                 "81 85 5825" + p[:74] + "5824" + k + "5822" + c + sig + sig,
		"pointer's length in 3 bytes": "81 85 590026" + p + "5824" + k + "5822" + c + sig + sig,
		"pointer of low order":        "81 85 5826 0024 08011220" + lowOrder[4] + "5824" + k + "5822" + c + sig + sig,
		"key null":                    "81 85 5826" + p + "f6 5822" + c + sig + sig,
		"key of another type":         "81 85 5826" + p + "5824 0802" + k[4:] + "5822" + c + sig + sig,
		"key not canonical":           "81 85 5826" + p + "5824" + k[4:] + "0801 5822" + c + sig + sig,
		"key of low order":            "81 85 5826" + p + "5824 08011220" + lowOrder[4] + "5822" + c + sig + sig,
		"commitment empty":            "81 85 5826" + p + "5824" + k + "40" + sig + sig,
		"commitment that shows a key": "81 85 5826" + p + "5824" + k + "5826" + p + sig + sig,
		"no signature":                "81 85 5826" + p + "5824" + k + "5822" + c + "f6" + sig,
		"signature of 63 bytes":       "81 85 5826" + p + "5824" + k + "5822" + c + "583f" + strings.Repeat("01", 63) + sig,
		"signature of 65 bytes":       "81 85 5826" + p + "5824" + k + "5822" + c + "5841" + strings.Repeat("01", 65) + sig,
		"old signature empty":         "81 85 5826" + p + "5824" + k + "5822" + c + sig + "40",
		"old signature of 63 bytes":   "81 85 5826" + p + "5824" + k + "5822" + c + sig + "583f" + strings.Repeat("01", 63),
		"old signature of 65 bytes":   "81 85 5826" + p + "5824" + k + "5822" + c + sig + "5841" + strings.Repeat("01", 65),
		"129 steps":                   "9881" + strings.Repeat(step, MaxKept+1),
	} {
		chain, err := ParseSuccession(unhex(t, text))
		require.Error(t, err, why)
		require.Nil(t, chain, why)
		require.Less(t, len(err.Error()), 600, why)
	}
	for why, text := range map[string]string{
		"one step":               "81" + step,
		"no commitment":          "81 85 5826" + p + "5824" + k + "f6" + sig + sig,
		"no signature by old":    "81 85 5826" + p + "5824" + k + "5822" + c + sig + "f6",
		"128 steps":              "9880" + strings.Repeat(step, MaxKept),
		"an old key of any type": "81 85 5822 1220" + strings.Repeat("ab", 32) + "5824" + k + "5822" + c + sig + "f6",
	} {
		chain, err := ParseSuccession(unhex(t, text))
		require.NoError(t, err, why)
		again, err := EncodeSuccession(chain)
		require.NoError(t, err, why)
		require.Equal(t, unhex(t, text), again, why)
	}
}

func TestSuccessionsOverTheirBoundsAreRefused(t *testing.T) {
	step := keptChain(t)[0]
	edit := func(change func(*Succession)) []Succession {
		s := step
		change(&s)
		return []Succession{s}
	}
	for why, chain := range map[string][]Succession{
		"129 steps":              make129(step),
		"from no pointer":        edit(func(s *Succession) { s.Old = Pointer{} }),
		"to no key":              edit(func(s *Succession) { s.New = nil }),
		"to a key of low order":  edit(func(s *Succession) { s.New = make([]byte, 32) }),
		"unsigned":               edit(func(s *Succession) { s.NewSignature = nil }),
		"signed in 65 bytes":     edit(func(s *Succession) { s.NewSignature = append(bytes.Clone(s.NewSignature), 0) }),
		"old signature empty":    edit(func(s *Succession) { s.OldSignature = []byte{} }),
		"old signature too long": edit(func(s *Succession) { s.OldSignature = append(bytes.Clone(s.OldSignature), 0) }),
	} {
		_, err := EncodeSuccession(chain)
		require.ErrorContains(t, err, "succession: ", why)
	}
	_, err := EncodeSuccession(make129(step)[:MaxKept])
	require.NoError(t, err)
}

func make129(step Succession) []Succession {
	chain := make([]Succession, MaxKept+1)
	for i := range chain {
		chain[i] = step
	}
	return chain
}

// Verify checks both signatures of a step. If one of them is wrong, or covers
// another step, the error names the key.
func TestAStepIsVerifiedByBothSignatures(t *testing.T) {
	step := keptChain(t)[0]
	to, err := step.Verify()
	require.NoError(t, err)
	require.Equal(t, testKey(2).Pointer(), to)
	for why, change := range map[string]func(*Succession){
		"new key's signature is wrong":  func(s *Succession) { s.NewSignature = bytes.Clone(s.NewSignature); s.NewSignature[9] ^= 1 },
		"new key's signature is absent": func(s *Succession) { s.NewSignature = nil },
		"old key's signature is wrong":  func(s *Succession) { s.OldSignature = bytes.Clone(s.OldSignature); s.OldSignature[9] ^= 1 },
		"old key's signature is empty":  func(s *Succession) { s.OldSignature = []byte{} },
		"another commitment":            func(s *Succession) { s.Next = testCommitment(testKey(9)) },
		"no commitment":                 func(s *Succession) { s.Next = Commitment{} },
		"another old pointer":           func(s *Succession) { s.Old = testKey(9).Pointer() },
		"another old pointer, unsigned": func(s *Succession) { s.Old, s.OldSignature = testKey(9).Pointer(), nil },
		"another new key":               func(s *Succession) { s.New = keptKey(9) },
	} {
		s := step
		change(&s)
		to, err := s.Verify()
		require.Error(t, err, why)
		require.True(t, to.IsZero(), why)
	}
	step.OldSignature = nil
	_, err = step.Verify()
	require.NoError(t, err, "the old key may be lost")
}

func keptKey(b byte) []byte { return testKey(b).Pointer().Bytes()[6:] }
