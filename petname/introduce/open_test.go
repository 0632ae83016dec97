package introduce

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/pointer"
)

// chained is an introduction with a succession.
func chained(t testing.TB) Introduction {
	step, err := pointer.Succeed(dave.Pointer(), bob, pointer.Commitment{}, dave)
	require.NoError(t, err)
	i := introduction()
	i.Chain = []pointer.Succession{step}
	return i
}

// A Statement is immutable: a caller changes it neither by the bytes that it was
// opened from nor by what its methods returned.
func TestStatementIsImmutable(t *testing.T) {
	edges, err := Edges{To: carol.Pointer(), Version: 1, Edges: map[string]pointer.Edge{"bob": {Pointer: bob.Pointer()}}}.Sign(alice, now)
	require.NoError(t, err)
	question, err := Question{To: bob.Pointer(), Subject: subjectOf(t, signed(t, chained(t)))}.Sign(carol, now)
	require.NoError(t, err)
	for _, b := range [][]byte{signed(t, chained(t)), edges.Bytes(), question.Bytes()} {
		want, err := Open(bytes.Clone(b))
		require.NoError(t, err)
		s, err := Open(b)
		require.NoError(t, err)
		clear(b)
		clear(s.Bytes())
		changeChain := func(i Introduction) {
			for n := range i.Chain {
				clear(i.Chain[n].New)
				clear(i.Chain[n].NewSignature)
				clear(i.Chain[n].OldSignature)
			}
			clear(i.Chain)
		}
		i, _ := s.Introduction()
		changeChain(i)
		e, _ := s.Edges()
		clear(e.Edges)
		q, _ := s.Question()
		changeChain(q.Subject.Introduction())
		clear(q.Subject.Bytes())
		require.Equal(t, want, s)
	}
}

// The content of a statement is of its kind alone, and the zero Statement has none.
func TestStatementHasTheContentOfItsKind(t *testing.T) {
	statements := []Statement{{}}
	for kind, f := range honest(t) {
		s, err := Open(f.statement(t, signers[kind]))
		require.NoError(t, err)
		require.Equal(t, kind, s.Kind())
		statements = append(statements, s)
	}
	for _, s := range statements {
		_, introduction := s.Introduction()
		_, retraction := s.Retraction()
		_, edges := s.Edges()
		_, question := s.Question()
		_, denial := s.Denial()
		is := map[Kind]bool{KindIntroduction: introduction, KindRetraction: retraction, KindEdges: edges, KindQuestion: question, KindDenial: denial}
		for kind, is := range is {
			require.Equal(t, kind == s.Kind(), is, "%v as %v", s.Kind(), kind)
		}
	}
	require.Zero(t, statements[0].Kind())
	require.Empty(t, statements[0].Bytes())
	require.Empty(t, statements[0].Kind().String())
	require.Empty(t, Kind(200).String())
}

// Restore reads back what Open accepts, and verifies no signature: neither the
// statement's own nor those of its succession and its subject.
func TestRestoreReadsBackWithoutVerifying(t *testing.T) {
	all := honest(t)
	all[KindIntroduction] = all[KindIntroduction].with(14, func() []byte {
		b, err := pointer.EncodeSuccession(chained(t).Chain)
		require.NoError(t, err)
		return b
	}())
	for kind, f := range all {
		b := f.statement(t, signers[kind])
		want, err := Open(b)
		require.NoError(t, err)
		got, err := Restore(b, kind)
		require.NoError(t, err)
		require.Equal(t, want, got)
		_, err = Restore(b, kind%5+1)
		require.ErrorIs(t, err, ErrInvalid)
		_, err = Restore(append(b, 0))
		require.ErrorIs(t, err, ErrInvalid)
		_, err = Restore(f.with(4, -1).statement(t, signers[kind]))
		require.ErrorIs(t, err, ErrInvalid)
		b[len(b)-1] ^= 1
		_, err = Open(b)
		require.ErrorIs(t, err, ErrInvalid)
		_, err = Restore(b)
		require.NoError(t, err)
	}
	step := chained(t).Chain[0]
	step.NewSignature[0] ^= 1
	chain, err := pointer.EncodeSuccession([]pointer.Succession{step})
	require.NoError(t, err)
	subject := all[KindQuestion][13].([]byte)
	subject[len(subject)-1] ^= 1
	for _, b := range [][]byte{all[KindIntroduction].with(14, chain).statement(t, alice), all[KindQuestion].statement(t, carol)} {
		_, err = Open(b)
		require.ErrorIs(t, err, ErrInvalid)
		_, err = Restore(b)
		require.NoError(t, err)
	}
}
