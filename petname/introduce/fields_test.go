package introduce

import (
	"bytes"
	"encoding/hex"
	"maps"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/pointer"
)

// fields are a statement by the numbers of its keys, as documented in the
// package's comment. These tests build statements without the package's code.
type fields map[int]any

// statement signs the fields with a key, whatever they contain.
func (f fields) statement(t testing.TB, key *pointer.Key) []byte {
	t.Helper()
	f = maps.Clone(f)
	delete(f, 15)
	f[15] = sign(t, key, append([]byte("petnames/statement/v1\x00"), encodeCanonical(t, f)...))
	return encodeCanonical(t, f)
}

// honest returns a statement of each kind.
func honest(t testing.TB) map[Kind]fields {
	a, b, c, d := alice.Pointer().Bytes(), bob.Pointer().Bytes(), carol.Pointer().Bytes(), dave.Pointer().Bytes()
	made := now.UnixMilli()
	id := bytes.Repeat([]byte{7}, 16)
	intro := fields{1: 1, 2: a, 3: c, 4: made, 5: id, 6: b, 7: commitment(dave).Bytes(), 8: "Bob W", 9: "from the choir", 10: made + 24*3600*1000}
	hash := Hash(intro.statement(t, alice))
	return map[Kind]fields{
		KindIntroduction: intro,
		KindRetraction:   {1: 2, 2: a, 3: c, 4: made, 5: id},
		KindEdges:        {1: 3, 2: a, 3: c, 4: made, 11: map[string]any{"bob": []any{b, commitment(dave).Bytes()}, "dave": []any{d, nil}}, 12: 7},
		KindQuestion:     {1: 4, 2: c, 3: b, 4: made, 13: intro.statement(t, alice)},
		KindDenial:       {1: 5, 2: d, 4: made, 6: b, 13: hash[:]},
	}
}

// signers are the signers of the honest statements.
var signers = map[Kind]*pointer.Key{KindIntroduction: alice, KindRetraction: alice, KindEdges: alice, KindQuestion: carol, KindDenial: dave}

// The bytes of each kind do not change. The golden bytes, of fixed keys and a
// fixed id, equal the encoding of the fields above and of the package.
func TestWireFormatIsFixed(t *testing.T) {
	text, err := os.ReadFile("testdata/statements.hex")
	require.NoError(t, err)
	golden := map[string][]byte{}
	for line := range strings.Lines(string(text)) {
		if name, digits, found := strings.Cut(strings.TrimSpace(line), " "); found && name != "#" {
			golden[name], err = hex.DecodeString(digits)
			require.NoError(t, err)
		}
	}
	names := map[Kind]string{KindIntroduction: "introduction", KindRetraction: "retraction", KindEdges: "edges", KindQuestion: "question", KindDenial: "denial"}
	require.Len(t, golden, len(names))
	for kind, f := range honest(t) {
		require.Equal(t, hex.EncodeToString(golden[names[kind]]), hex.EncodeToString(f.statement(t, signers[kind])), names[kind])
		require.NoError(t, openAs(kind, golden[names[kind]], now), names[kind])
	}
	id := ID(bytes.Repeat([]byte{7}, 16))
	intro := golden["introduction"]
	for name, signed := range map[string]func() ([]byte, error){
		"introduction": func() ([]byte, error) { return bytesOf(introduction().Sign(alice, bytes.NewReader(id[:]), now)) },
		"retraction":   func() ([]byte, error) { return bytesOf(Retraction{To: carol.Pointer(), ID: id}.Sign(alice, now)) },
		"edges": func() ([]byte, error) {
			return bytesOf(Edges{To: carol.Pointer(), Version: 7, Edges: map[string]pointer.Edge{
				"bob": {Pointer: bob.Pointer(), Next: commitment(dave)}, "dave": {Pointer: dave.Pointer()}}}.Sign(alice, now))
		},
		"question": func() ([]byte, error) {
			return bytesOf(Question{To: bob.Pointer(), Subject: subjectOf(t, intro)}.Sign(carol, now))
		},
		"denial": func() ([]byte, error) { return bytesOf(Deny(subjectOf(t, intro), dave, now)) },
	} {
		b, err := signed()
		require.NoError(t, err)
		require.Equal(t, hex.EncodeToString(golden[name]), hex.EncodeToString(b), name)
	}
}

// with returns f with changes: nil removes a field.
func (f fields) with(pairs ...any) fields {
	f = maps.Clone(f)
	for i := 0; i < len(pairs); i += 2 {
		if f[pairs[i].(int)] = pairs[i+1]; pairs[i+1] == nil {
			delete(f, pairs[i].(int))
		}
	}
	return f
}

// Field 9 of a question is reserved: a note is accepted, and is not in the content.
func TestTheNoteOfAQuestionIsNotRead(t *testing.T) {
	f := honest(t)[KindQuestion]
	plain, err := Open(f.statement(t, carol), KindQuestion)
	require.NoError(t, err)
	noted, err := Open(f.with(9, "a note").statement(t, carol), KindQuestion)
	require.NoError(t, err)
	want, _ := plain.Question()
	got, ok := noted.Question()
	require.True(t, ok)
	require.Equal(t, want, got)
}
