package main

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/petname/introduce"
	"github.com/petnames-go/petnames/pointer"
)

// A proof is found beside other statements, in any order, and each once; what is no proof is
// counted, and proves nothing alone.
func TestAProofIsFoundBesideOtherStatements(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	ana, dave, ben := newKey(t), newKey(t), newKey(t)
	introduced := func(by *pointer.Key) []byte {
		s, err := introduce.Introduction{To: ben.Pointer(), About: newKey(t).Pointer(), Suggested: "dave", Expires: now.Add(time.Hour)}.Sign(by, nil, now)
		require.NoError(t, err)
		return s.Bytes()
	}
	denied := func(introduction []byte, by *pointer.Key) []byte {
		s, err := introduce.OpenSubject(introduction)
		require.NoError(t, err)
		d, err := introduce.Deny(s, by, now)
		require.NoError(t, err)
		return d.Bytes()
	}
	one, two, own := introduced(ana), introduced(ana), introduced(ana)
	denial, second, ownDenial := denied(one, dave), denied(two, dave), denied(own, ana)
	for what, c := range map[string]struct {
		statements      [][]byte
		proofs, without int
	}{
		"alone": {[][]byte{one, denial}, 1, 0}, "one more introduction": {[][]byte{one, denial, two}, 1, 1}, "before it": {[][]byte{two, one, denial}, 1, 1},
		"between": {[][]byte{one, two, denial}, 1, 1}, "the denial first": {[][]byte{denial, one}, 1, 0}, "two proofs": {[][]byte{one, denial, two, second}, 2, 0},
		"apart": {[][]byte{one, two, denial, second}, 2, 0}, "twice": {[][]byte{one, denial, one, denial}, 1, 0}, "one more denial": {[][]byte{one, denial, second}, 1, 1},
		"damaged beside it": {[][]byte{one, denial, slices.Concat(two[:len(two)-1], []byte{two[len(two)-1] ^ 1})}, 1, 1},
		"an introduction":   {[][]byte{one}, 0, 0}, "a denial": {[][]byte{denial}, 0, 0}, "of another": {[][]byte{one, second}, 0, 0}, "three without": {[][]byte{one, two, own}, 0, 0},
		"the introducer's own denial": {[][]byte{own, ownDenial}, 0, 0},
	} {
		out, others, err := checkProof(introduce.Armor(c.statements...))
		if c.proofs == 0 {
			require.Error(t, err, what)
			require.Nil(t, out, what)
			require.Equal(t, exitUnverified, classify(err).Exit, what)
			continue
		}
		require.NoError(t, err, what)
		require.Equal(t, []int{c.proofs, c.without}, []int{len(out.Contradictions), others}, what)
	}
}
