package petname

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/petname/introduce"
	"github.com/petnames-go/petnames/pointer/canonical"
	"github.com/petnames-go/petnames/pointer/canonical/canonicaltest"
)

// The set-up of this package's codec before package canonical, and its checks of
// the encoding, word for word: what was accepted then decides what is accepted
// now. The tests below hold package canonical to it.
var (
	referenceEncoder = func() cbor.EncMode {
		mode, err := cbor.CoreDetEncOptions().EncMode()
		if err != nil {
			panic(err) // constant options
		}
		return mode
	}()
	referenceDecoder = func() cbor.DecMode {
		mode, err := cbor.DecOptions{
			DupMapKey:         cbor.DupMapKeyEnforcedAPF,
			IndefLength:       cbor.IndefLengthForbidden,
			TagsMd:            cbor.TagsForbidden,
			ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
			MaxNestedLevels:   8,
		}.DecMode()
		if err != nil {
			panic(err) // constant options
		}
		return mode
	}()
)

func referenceDecodeAct(body []byte) (act, error) {
	var a act
	if err := referenceDecoder.Unmarshal(body, &a); err != nil {
		return act{}, fmt.Errorf("act: %w", err)
	}
	if again, err := referenceEncoder.Marshal(a); err != nil || !bytes.Equal(again, body) {
		return act{}, errors.New("act: is not in canonical encoding")
	}
	err := a.check()
	if err == nil && a.Suggestion != nil {
		err = a.Suggestion.verify(introduce.Open)
	}
	if err == nil && a.Statement != nil {
		_, err = introduce.Open(a.Statement, introduce.KindRetraction, introduce.KindEdges, introduce.KindDenial)
	}
	if err != nil {
		return act{}, fmt.Errorf("act: %s: %w", a.Op, err)
	}
	return a, nil
}

func codecsAgree(t require.TestingT, b []byte) (accepted bool) {
	if accepted = canonicaltest.Agree(t, b, decodeAct, referenceDecodeAct); accepted {
		a, err := decodeAct(b)
		require.NoError(t, err)
		again, err := a.encode()
		require.NoError(t, err)
		before, err := referenceEncoder.Marshal(a)
		require.NoError(t, err)
		require.Equal(t, before, again)
	}
	for _, agree := range []func(require.TestingT, []byte) bool{
		rowsAgree[contactState], rowsAgree[factState], rowsAgree[edgeState], rowsAgree[profileState], rowsAgree[publishedState],
		rowsAgree[suggestionState], rowsAgree[statementState],
	} {
		accepted = agree(t, b) || accepted
	}
	return accepted
}

func rowsAgree[T any](t require.TestingT, b []byte) bool {
	read := func(b []byte, v any) error {
		row, err := decodeState[T]("table", b)
		*v.(*T) = row
		return err
	}
	return canonicaltest.AgreeOn[T](t, b, canonicaltest.Codec{Marshal: canonical.Marshal, Unmarshal: read},
		canonicaltest.Codec{Marshal: referenceEncoder.Marshal, Unmarshal: referenceDecoder.Unmarshal})
}

func codecSeeds(t testing.TB) (seeds [][]byte) {
	p, device := pointerOf("a").Bytes(), bytes.Repeat([]byte{7}, 32)
	said := claim{Device: device, Number: 3, Name: "alice", Text: "alice", Key: "alice"}
	rows := []any{
		contactState{Claims: []claim{said, {Device: device, Number: 300, Removed: true, At: 1 << 40}}, Chain: [][]byte{p}, HasSuccession: true, Keeps: []keepClaim{{}}},
		factState{At: 1 << 40, Fact: wireFact{Kind: "link", By: "me", Channel: "stdin", Nickname: "Al", Next: commitment("x").Bytes()}, Of: p},
		edgeState{Claims: []edgeClaim{{}}}, profileState{Claims: []claim{said}}, publishedState{Value: "/ipfs/a", Sequence: 5},
		suggestionState{At: 1 << 40, Content: &wireSuggestion{Kind: "introduced", By: p, About: p, Suggested: "bob", Evidence: []byte("evidence")}, Accepted: [][]byte{p}, Verdicts: []verdict{verdictDecline}},
		suggestionState{Verdicts: []verdict{verdictNever}}, statementState{At: 5, Channel: "drop", Statement: []byte("statement")},
	}
	for _, a := range goodActs() {
		rows = append(rows, a)
	}
	for _, row := range rows {
		b, err := referenceEncoder.Marshal(row)
		require.NoError(t, err)
		if len(b) < 1<<10 { // each byte of a seed makes variants
			seeds = append(seeds, b)
		}
	}
	return seeds
}

// What is accepted, and what is written, is what it was before.
func TestCodecAgreesWithReference(t *testing.T) {
	canonicaltest.CheckVariants(t, codecSeeds(t), codecsAgree)
}

func FuzzCodecAgainstReference(f *testing.F) {
	canonicaltest.RequireCorpus(f, f.Name())
	for _, b := range codecSeeds(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) { codecsAgree(t, b) })
}

// The bodies that a hostile device may send are judged as they were, the long
// ones included.
func TestHostileBodiesAreJudgedAsBefore(t *testing.T) {
	for name, body := range hostileBodies() {
		require.False(t, canonicaltest.Agree(t, body, decodeAct, referenceDecodeAct), name)
		codecsAgree(t, body)
	}
	for name, a := range goodActs() {
		require.True(t, canonicaltest.Agree(t, marshal(a), decodeAct, referenceDecodeAct), name)
	}
}
