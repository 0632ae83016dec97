package pointer

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"github.com/stretchr/testify/require"

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
			DupMapKey:        cbor.DupMapKeyEnforcedAPF,
			IndefLength:      cbor.IndefLengthForbidden,
			TagsMd:           cbor.TagsForbidden,
			MaxNestedLevels:  16,
			MaxArrayElements: maxList,
			MaxMapPairs:      maxList,
			// A NaN is a map key that equals no other: two of them are no
			// duplicates to Go, and have no order.
			NaN: cbor.NaNDecodeForbidden,
			Inf: cbor.InfDecodeForbidden,
		}.DecMode()
		if err != nil {
			panic(err) // constant options
		}
		return mode
	}()
)

func referenceParseCard(b []byte) (Card, error) {
	// 1. Canonical as CBOR, down to the values of unknown keys.
	var whole any
	if err := referenceDecoder.Unmarshal(b, &whole); err != nil {
		return Card{}, errors.New("is not the CBOR of a card") // err repeats hostile text
	}
	if again, err := referenceEncoder.Marshal(whole); err != nil || !bytes.Equal(again, b) {
		return Card{}, canonical.ErrNotCanonical
	}
	// 2. The known fields.
	var m map[int64]cbor.RawMessage
	if err := referenceDecoder.Unmarshal(b, &m); err != nil {
		return Card{}, errors.New("is not a map with integer keys")
	}
	var version uint64
	if err := referenceTake(m, keyVersion, &version); err != nil {
		return Card{}, err
	}
	if version != cardVersion {
		return Card{}, fmt.Errorf("has version %d, and this program knows %d", version, cardVersion)
	}
	var c Card
	var next, successor []byte
	var edges map[string]wireEdge
	var succession []wireSuccession
	for _, field := range []struct {
		key  int64
		into any
	}{
		{keyNickname, &c.Nickname}, {keyNext, &next}, {keySealing, &c.Sealing}, {keyNodes, &c.Nodes},
		{keyEdges, &edges}, {keyLinks, &c.Links}, {keySuccession, &succession}, {keySuccessor, &successor},
		{keyDevices, &c.Devices}, {keyEpoch, &c.Epoch}, // later fields
	} {
		if err := referenceTake(m, field.key, field.into); err != nil {
			return Card{}, err
		}
	}
	var err error
	if next != nil {
		if c.Next, err = CommitmentFromBytes(next); err != nil {
			return Card{}, err
		}
	}
	if successor != nil {
		if c.Successor, err = FromBytes(successor); err != nil {
			return Card{}, fmt.Errorf("successor %w", err)
		}
	}
	if len(edges) > 0 {
		c.Edges = make(map[string]Edge, len(edges))
	}
	for label, w := range edges {
		var e Edge
		if e.Pointer, err = FromBytes(w.Pointer); err != nil {
			return Card{}, fmt.Errorf("edge %s: pointer %w", quote(label), err)
		}
		if w.Next != nil {
			if e.Next, err = CommitmentFromBytes(w.Next); err != nil {
				return Card{}, fmt.Errorf("edge %s: %w", quote(label), err)
			}
		}
		c.Edges[label] = e
	}
	if c.Succession, err = openSuccession(succession, maxSuccession); err != nil {
		return Card{}, err
	}
	if len(m) > 0 {
		c.unknown = m
	}
	// 3. Bounds, and one encoding: a field that is present but empty is not it.
	again, err := c.Encode()
	if err != nil {
		return Card{}, errors.Unwrap(err)
	}
	if !bytes.Equal(again, b) {
		return Card{}, canonical.ErrNotCanonical
	}
	return c, nil
}

func referenceTake(m map[int64]cbor.RawMessage, key int64, into any) error {
	raw, ok := m[key]
	if !ok {
		return nil
	}
	delete(m, key)
	if err := referenceDecoder.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("field %d is not what it should be", key)
	}
	return nil
}

func referenceParseSuccession(b []byte) ([]Succession, error) {
	var wire []wireSuccession
	if err := referenceDecoder.Unmarshal(b, &wire); err != nil || len(wire) == 0 {
		return nil, errors.New("succession: is not the CBOR of a chain") // err repeats hostile text
	}
	chain, err := openSuccession(wire, MaxKept)
	if err != nil {
		return nil, err
	}
	if again, err := EncodeSuccession(chain); err != nil {
		return nil, err
	} else if !bytes.Equal(again, b) {
		return nil, fmt.Errorf("succession: %w", canonical.ErrNotCanonical)
	}
	return chain, nil
}

func codecsAgree(t require.TestingT, b []byte) bool {
	accepted := canonicaltest.Agree(t, b, parseCard, referenceParseCard)
	if accepted {
		c, err := ParseCard(b)
		require.NoError(t, err)
		now, err := c.Encode()
		require.NoError(t, err)
		var whole any
		require.NoError(t, referenceDecoder.Unmarshal(b, &whole))
		before, err := referenceEncoder.Marshal(whole)
		require.NoError(t, err)
		require.Equal(t, before, now)
	}
	if canonicaltest.Agree(t, b, ParseSuccession, referenceParseSuccession) {
		chain, err := ParseSuccession(b)
		require.NoError(t, err)
		now, err := EncodeSuccession(chain)
		require.NoError(t, err)
		wire, err := wireChain(chain)
		require.NoError(t, err)
		before, err := referenceEncoder.Marshal(wire)
		require.NoError(t, err)
		require.Equal(t, before, now)
		return true
	}
	return accepted
}

func codecSeeds(t testing.TB) [][]byte {
	card, err := fullCard().Encode()
	require.NoError(t, err)
	chain, err := EncodeSuccession(fullCard().Succession)
	require.NoError(t, err)
	return [][]byte{
		card, chain, {0xa1, 1, 1}, unhex(t, cardWithDevicesHex),
		// Unknown keys, with each type that is kept.
		unhex(t, "a8 01 01 0a 4401020304 0b f93e00 0e 83 20 f4 f6 0f a2 01 61 61 61 62 80 10 3bffffffffffffffff 11 fb3ff199999999999a 20 f820"),
	}
}

// The corpus of cards is judged as before, too.
func TestCardCorpusAgreesWithReference(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "fuzz", "FuzzParseCard", "*"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		_, literal, ok := strings.Cut(strings.TrimSpace(string(text)), "\n[]byte(")
		require.True(t, ok, file)
		b, err := strconv.Unquote(strings.TrimSuffix(literal, ")"))
		require.NoError(t, err, file)
		for v := range canonicaltest.Variants([]byte(b)) {
			codecsAgree(t, v)
		}
	}
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

// Lists and maps under unknown keys are bounded as they were, to the element.
func TestUnknownItemsAreBoundedAsBefore(t *testing.T) {
	for _, n := range []int{maxList, maxList + 1} {
		pairs := make(map[int]int)
		for i := range n {
			pairs[i] = 0
		}
		for _, v := range []any{make([]int, n), pairs} {
			b, err := referenceEncoder.Marshal(map[int]any{keyVersion: cardVersion, 100: v})
			require.NoError(t, err)
			require.Equal(t, n == maxList, codecsAgree(t, b))
		}
	}
}
