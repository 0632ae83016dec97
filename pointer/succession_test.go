package pointer

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// honestChain is the chain through keys first, first+1, …, of n steps; old
// says whether each old key still signs.
func honestChain(t testing.TB, first byte, n int, old func(i int) bool) []Succession {
	var chain []Succession
	for i := range n {
		from, to := testKey(first+byte(i)), testKey(first+byte(i)+1)
		var oldKey crypto.Signer
		if old(i) {
			oldKey = from
		}
		s, err := Succeed(from.Pointer(), to, testCommitment(testKey(first+byte(i)+2)), oldKey)
		require.NoError(t, err)
		chain = append(chain, s)
	}
	return chain
}

func always(int) bool { return true }

func TestHonestChainsAreFollowedFromAnyPoint(t *testing.T) {
	// These are steps with and without the signature of the old key, from which
	// the law draws.
	both := honestChain(t, 1, maxSuccession, always)
	alone := honestChain(t, 1, maxSuccession, func(int) bool { return false })
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, maxSuccession).Draw(rt, "steps")
		signed := rapid.SliceOfN(rapid.Bool(), n, n).Draw(rt, "old keys")
		chain := slices.Clone(alone[:n])
		for i := range chain {
			if signed[i] {
				chain[i] = both[i]
			}
		}
		at := rapid.IntRange(0, n-1).Draw(rt, "pinned")
		end, pinned, err := Follow(testKey(1+byte(at)).Pointer(), testCommitment(testKey(2+byte(at))), chain)
		// A step that the old key didn't sign is the last that can be followed.
		if slices.Contains(signed[at:n-1], false) {
			require.ErrorContains(t, err, "no commitment")
			return
		}
		require.NoError(t, err)
		require.Equal(t, testKey(1+byte(n)).Pointer(), end)
		if signed[n-1] {
			require.Equal(t, testCommitment(testKey(2+byte(n))), pinned)
		} else {
			require.True(t, pinned.IsZero())
		}
	})
}

func TestChainSurvivesItsCard(t *testing.T) {
	chain := honestChain(t, 1, 5, func(i int) bool { return i < 4 })
	b, err := Card{Succession: chain}.Encode()
	require.NoError(t, err)
	card, err := ParseCard(b)
	require.NoError(t, err)
	require.Equal(t, chain, card.Succession)
	end, _, err := Follow(testKey(1).Pointer(), testCommitment(testKey(2)), card.Succession)
	require.NoError(t, err)
	require.Equal(t, testKey(6).Pointer(), end)
}

// forge is a step with any signatures, without Succeed's checks.
func forge(t testing.TB, old Pointer, next *Key, commitment Commitment, bySigners ...*Key) Succession {
	s := Succession{Old: old, New: next.Public().(ed25519.PublicKey), Next: commitment}
	statement, err := s.statement()
	require.NoError(t, err)
	s.NewSignature, err = bySigners[0].Sign(nil, statement, crypto.Hash(0))
	require.NoError(t, err)
	if len(bySigners) > 1 {
		s.OldSignature, err = bySigners[1].Sign(nil, statement, crypto.Hash(0))
		require.NoError(t, err)
	}
	return s
}

func TestForgedChainsAreRefused(t *testing.T) {
	ann, next, after, thief, thief2 := testKey(1), testKey(2), testKey(3), testKey(100), testKey(101)
	a, pinned := ann.Pointer(), testCommitment(next)
	good := forge(t, a, next, testCommitment(after), next, ann)
	second := forge(t, next.Pointer(), after, testCommitment(testKey(4)), after)
	_, _, err := Follow(a, pinned, []Succession{good, second})
	require.NoError(t, err, "the maker of forged chains can make an honest one")

	edit := func(change func(*Succession)) []Succession {
		s := good
		s.NewSignature, s.OldSignature = bytes.Clone(s.NewSignature), bytes.Clone(s.OldSignature)
		change(&s)
		return []Succession{s}
	}
	for why, c := range map[string]struct {
		from   Pointer
		pinned Commitment
		chain  []Succession
	}{
		// Today's thief has the old key, and commits to keys of its own.
		"old key and a new key not committed to": {a, pinned, []Succession{forge(t, a, thief, testCommitment(thief2), thief, ann)}},
		"the old key's signature alone":          {a, pinned, []Succession{forge(t, a, next, testCommitment(thief), ann, ann)}},
		"thief signs for the right new key":      {a, pinned, []Succession{forge(t, a, next, testCommitment(thief), thief, ann)}},
		"thief swaps the next commitment":        {a, pinned, edit(func(s *Succession) { s.Next = testCommitment(thief) })},
		"thief drops the next commitment":        {a, pinned, edit(func(s *Succession) { s.Next = Commitment{} })},
		"thief goes on after an honest step":     {a, pinned, []Succession{good, forge(t, next.Pointer(), thief, testCommitment(thief2), thief, next)}},
		"wrong signature of the new key":         {a, pinned, edit(func(s *Succession) { s.NewSignature[0] ^= 1 })},
		"no signature of the new key":            {a, pinned, edit(func(s *Succession) { s.NewSignature = nil })},
		"wrong signature of the old key":         {a, pinned, edit(func(s *Succession) { s.OldSignature[0] ^= 1 })},
		"empty signature of the old key":         {a, pinned, edit(func(s *Succession) { s.OldSignature = []byte{} })},
		"old key's signature by another":         {a, pinned, []Succession{forge(t, a, next, testCommitment(after), next, thief)}},
		"signatures swapped":                     {a, pinned, edit(func(s *Succession) { s.NewSignature, s.OldSignature = s.OldSignature, s.NewSignature })},
		"replayed onto another pointer":          {thief.Pointer(), pinned, edit(func(s *Succession) { s.Old = thief.Pointer() })},
		"replayed, without the old signature":    {thief.Pointer(), pinned, edit(func(s *Succession) { s.Old, s.OldSignature = thief.Pointer(), nil })},
		"new key of low order":                   {a, pinned, edit(func(s *Succession) { s.New = make([]byte, 32) })},
		"no new key":                             {a, pinned, edit(func(s *Succession) { s.New = nil })},
		"no commitment pinned":                   {a, Commitment{}, []Succession{good}},
		"another commitment pinned":              {a, testCommitment(thief), []Succession{good}},
		"a step after the last commitment":       {a, pinned, []Succession{forge(t, a, next, Commitment{}, next), second}},
		"no chain":                               {a, pinned, nil},
		"a chain of somebody else":               {thief.Pointer(), pinned, []Succession{good}},
		"the end of the chain itself":            {next.Pointer(), testCommitment(after), []Succession{good}},
		"the zero pointer":                       {Pointer{}, pinned, []Succession{good}},
		"a step from the zero pointer":           {Pointer{}, pinned, edit(func(s *Succession) { s.Old = Pointer{} })},
		"reordered":                              {a, pinned, []Succession{second, good}},
		"a step twice":                           {a, pinned, []Succession{good, good}},
		"junk before":                            {a, pinned, []Succession{forge(t, thief.Pointer(), thief2, pinned, thief2), good}},
		"junk behind":                            {a, pinned, []Succession{good, forge(t, thief.Pointer(), thief2, pinned, thief2)}},
		"to itself":                              {a, testCommitment(ann), []Succession{forge(t, a, ann, testCommitment(ann), ann, ann)}},
		"a loop": {a, pinned, []Succession{forge(t, a, next, testCommitment(ann), next, ann),
			forge(t, next.Pointer(), ann, pinned, ann, next)}},
		"a loop, passed over": {a, pinned, []Succession{forge(t, a, next, testCommitment(ann), next),
			forge(t, next.Pointer(), ann, pinned, ann), good}},
	} {
		end, commitment, err := Follow(c.from, c.pinned, c.chain)
		require.ErrorContains(t, err, "succession: ", why)
		require.True(t, end.IsZero(), why)
		require.True(t, commitment.IsZero(), why)
	}
}

func TestFollowReportsThatNothingWasPinned(t *testing.T) {
	_, _, err := Follow(testKey(1).Pointer(), Commitment{}, honestChain(t, 1, 1, always))
	require.ErrorContains(t, err, "no commitment to the key after "+testKey(1).Pointer().String())
}

func TestBrokenHonestChainsAreRefused(t *testing.T) {
	honest := honestChain(t, 1, 10, always)
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(3, 10).Draw(rt, "steps")
		chain := slices.Clone(honest[:n])
		switch rapid.IntRange(0, 2).Draw(rt, "kind") {
		case 0: // a step missing in the middle
			at := rapid.IntRange(1, n-2).Draw(rt, "at")
			chain = slices.Delete(chain, at, at+1)
		case 1: // two steps swapped
			at := rapid.IntRange(0, n-2).Draw(rt, "at")
			chain[at], chain[at+1] = chain[at+1], chain[at]
		case 2: // one commitment replaced
			at := rapid.IntRange(0, n-1).Draw(rt, "at")
			chain[at].Next = testCommitment(testKey(200))
		}
		_, _, err := Follow(testKey(1).Pointer(), testCommitment(testKey(2)), chain)
		require.Error(t, err)
	})
}

func TestChainsOver32StepsAreRefused(t *testing.T) {
	chain := honestChain(t, 1, maxSuccession+1, always)
	_, _, err := Follow(testKey(1).Pointer(), testCommitment(testKey(2)), chain)
	require.ErrorContains(t, err, "33 steps")
	_, _, err = Follow(testKey(1).Pointer(), testCommitment(testKey(2)), chain[:maxSuccession])
	require.NoError(t, err)
}

func TestSucceedReturnsOnlyStepsThatVerify(t *testing.T) {
	ann, next, thief := testKey(1), testKey(2), testKey(100)
	wrong := signFunc{next.Public(), func(m []byte) ([]byte, error) { return thief.Sign(nil, m, crypto.Hash(0)) }}
	for why, make := range map[string]func() (Succession, error){
		"wrong old key":       func() (Succession, error) { return Succeed(ann.Pointer(), next, Commitment{}, thief) },
		"lying new key":       func() (Succession, error) { return Succeed(ann.Pointer(), wrong, Commitment{}, ann) },
		"from no pointer":     func() (Succession, error) { return Succeed(Pointer{}, next, Commitment{}, nil) },
		"to no key":           func() (Succession, error) { return Succeed(ann.Pointer(), nil, Commitment{}, ann) },
		"to itself":           func() (Succession, error) { return Succeed(ann.Pointer(), ann, Commitment{}, ann) },
		"to the zero key":     func() (Succession, error) { return Succeed(ann.Pointer(), new(Key), Commitment{}, ann) },
		"by the zero old key": func() (Succession, error) { return Succeed(ann.Pointer(), next, Commitment{}, new(Key)) },
	} {
		s, err := make()
		require.ErrorContains(t, err, "succession: ", why)
		require.Zero(t, s, why)
	}
	foreign, err := Succeed(ann.Pointer(), *next.private.key, Commitment{}, *ann.private.key)
	require.NoError(t, err)
	own, err := Succeed(ann.Pointer(), next, Commitment{}, ann)
	require.NoError(t, err)
	require.Equal(t, own, foreign)
}

func TestCommitmentIsOpenedByItsKeyAlone(t *testing.T) {
	c := testCommitment(testKey(1))
	require.True(t, c.Opens(testKey(1).Public()))
	require.False(t, c.Opens(testKey(2).Public()))
	require.False(t, c.Opens(nil))
	require.False(t, Commitment{}.Opens(testKey(1).Public()))
	require.False(t, Commitment{}.Opens(nil))
	require.NotContains(t, string(c.Bytes()), string(testKey(1).Pointer().Bytes()[6:]), "it doesn't show the key")
}

func TestCommitmentHasOneSpelling(t *testing.T) {
	c := testCommitment(testKey(1))
	again, err := ParseCommitment(c.String())
	require.NoError(t, err)
	require.Equal(t, c, again)
	again, err = CommitmentFromBytes(c.Bytes())
	require.NoError(t, err)
	require.Equal(t, c, again)
	b := c.Bytes()
	clear(b)
	require.Equal(t, testCommitment(testKey(1)), c)
	require.Empty(t, Commitment{}.String())
	require.Nil(t, Commitment{}.Bytes())
	s := c.String()
	for n := range len(s) {
		_, err := ParseCommitment(s[:n])
		require.Error(t, err, n)
	}
	for _, bad := range []string{"K" + s[1:], s[:5] + "K" + s[6:], " " + s, s + "\n", "k0" + s[1:], mustEncode(t, 'b', c.Bytes()), inBase36(t, testKey(1).Pointer().Bytes()), string(bytes.Repeat([]byte("k"), 1<<20))} {
		_, err := ParseCommitment(bad)
		require.ErrorContains(t, err, "commitment", bad)
		require.Less(t, len(err.Error()), 600)
	}
}

func FuzzParseCommitment(f *testing.F) {
	f.Add(testCommitment(testKey(1)).String())
	f.Fuzz(func(t *testing.T, s string) {
		c, err := ParseCommitment(s)
		if err != nil {
			require.True(t, c.IsZero())
			return
		}
		require.Equal(t, s, c.String())
	})
}
