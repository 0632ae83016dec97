package introduce

import (
	"bytes"
	"crypto/sha256"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/canonical"
	_ "github.com/petnames-go/petnames/pointer/lawtest" // a fixed seed
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func testKey(name string) *pointer.Key {
	seed := sha256.Sum256([]byte("introduce test " + name))
	k, err := pointer.NewKey(bytes.NewReader(seed[:]))
	if err != nil {
		panic(err)
	}
	return k
}

var alice, bob, carol, dave = testKey("alice"), testKey("bob"), testKey("carol"), testKey("dave")

func commitment(k *pointer.Key) pointer.Commitment {
	c, err := pointer.Commit(k.Public())
	if err != nil {
		panic(err)
	}
	return c
}

// introduction is Bob, introduced by Alice to Carol.
func introduction() Introduction {
	return Introduction{To: carol.Pointer(), About: bob.Pointer(), Next: commitment(dave), Suggested: "Bob W", Note: "from the choir", Expires: now.Add(24 * time.Hour)}
}

func signed(t testing.TB, i Introduction) []byte {
	s, err := i.Sign(alice, nil, now)
	require.NoError(t, err)
	return s.Bytes()
}

// openIntroduction opens an introduction and, with a time, checks that.
func openIntroduction(b []byte, at time.Time) (Introduction, error) {
	s, err := Open(b, KindIntroduction)
	i, is := s.Introduction()
	if err == nil && !is {
		panic("an introduction without content")
	}
	if err == nil && !at.IsZero() {
		err = i.CheckTime(at)
	}
	return i, err
}

func openRetraction(b []byte) (Retraction, error) {
	s, err := Open(b, KindRetraction)
	r, _ := s.Retraction()
	return r, err
}

func openEdges(b []byte) (Edges, error) {
	s, err := Open(b, KindEdges)
	e, _ := s.Edges()
	return e, err
}

func openQuestion(b []byte) (Question, Introduction, error) {
	s, err := Open(b, KindQuestion)
	q, _ := s.Question()
	return q, q.Subject.Introduction(), err
}

func openDenial(b []byte) (Denial, error) {
	s, err := Open(b, KindDenial)
	d, _ := s.Denial()
	return d, err
}

func kindOf(b []byte) (Kind, error) {
	s, err := Open(b)
	return s.Kind(), err
}

func subjectOf(t testing.TB, introduction []byte) Subject {
	s, err := OpenSubject(introduction)
	require.NoError(t, err)
	return s
}

// bytesOf returns the bytes of a statement that was just signed.
func bytesOf(s Statement, err error) ([]byte, error) { return s.Bytes(), err }

func TestIntroductionOpensAsSigned(t *testing.T) {
	want := introduction()
	b := signed(t, want)
	got, err := openIntroduction(b, now)
	require.NoError(t, err)
	want.By, want.Made, want.ID = alice.Pointer(), now, got.ID
	require.Equal(t, want, got)
	require.NotZero(t, got.ID)
}

// A statement in which one bit was changed does not verify.
func TestNoBitOfAStatementCanBeChanged(t *testing.T) {
	b := signed(t, introduction())
	for i := range b {
		for bit := range 8 {
			c := bytes.Clone(b)
			c[i] ^= 1 << bit
			_, err := openIntroduction(c, now)
			require.ErrorIs(t, err, ErrInvalid, "byte %d bit %d", i, bit)
		}
		_, err := openIntroduction(b[:i], now)
		require.ErrorIs(t, err, ErrInvalid, "cut at %d", i)
	}
	_, err := openIntroduction(append(bytes.Clone(b), 0), now)
	require.ErrorIs(t, err, ErrInvalid)
}

func TestExpiredIntroductionIsATypedError(t *testing.T) {
	i := introduction()
	b := signed(t, i)
	_, err := openIntroduction(b, i.Expires)
	var expired *ExpiredError
	require.ErrorAs(t, err, &expired)
	require.Equal(t, bob.Pointer(), expired.Introduction.About)
	_, err = openIntroduction(b, i.Expires.Add(-time.Millisecond))
	require.NoError(t, err)
}

func TestInvalidIntroductionIsNotSigned(t *testing.T) {
	for name, change := range map[string]func(*Introduction){
		"nobody":               func(i *Introduction) { i.About = pointer.Pointer{} },
		"to nobody":            func(i *Introduction) { i.To = pointer.Pointer{} },
		"to itself":            func(i *Introduction) { i.To = i.About },
		"by who it is sent to": func(i *Introduction) { i.To = alice.Pointer() },
		"ended":                func(i *Introduction) { i.Expires = now },
		"for ever":             func(i *Introduction) { i.Expires = now.Add(MaxLife + time.Second) },
		"a long name":          func(i *Introduction) { i.Suggested = strings.Repeat("x", MaxText+1) },
		"a long note":          func(i *Introduction) { i.Note = strings.Repeat("x", MaxNote+1) },
		"no UTF-8":             func(i *Introduction) { i.Note = "\xff" },
	} {
		i := introduction()
		change(&i)
		_, err := i.Sign(alice, nil, now)
		require.Error(t, err, name)
	}
}

// A statement of one kind does not open as another kind.
func TestKindsAreDistinguished(t *testing.T) {
	intro := signed(t, introduction())
	edges, err := bytesOf(Edges{To: carol.Pointer(), Version: 1}.Sign(alice, now))
	require.NoError(t, err)
	retraction, err := bytesOf(Retraction{To: carol.Pointer(), ID: ID{1}}.Sign(alice, now))
	require.NoError(t, err)
	question, err := bytesOf(Question{To: bob.Pointer(), Subject: subjectOf(t, intro)}.Sign(carol, now))
	require.NoError(t, err)
	denial, err := bytesOf(Deny(subjectOf(t, intro), dave, now))
	require.NoError(t, err)
	openers := map[Kind]func([]byte) error{
		KindIntroduction: func(b []byte) error { _, err := openIntroduction(b, now); return err },
		KindRetraction:   func(b []byte) error { _, err := openRetraction(b); return err },
		KindEdges:        func(b []byte) error { _, err := openEdges(b); return err },
		KindQuestion:     func(b []byte) error { _, _, err := openQuestion(b); return err },
		KindDenial:       func(b []byte) error { _, err := openDenial(b); return err },
	}
	for kind, b := range map[Kind][]byte{KindIntroduction: intro, KindRetraction: retraction, KindEdges: edges, KindQuestion: question, KindDenial: denial} {
		got, err := kindOf(b)
		require.NoError(t, err)
		require.Equal(t, kind, got)
		for as, open := range openers {
			if as == kind {
				require.NoError(t, open(b), "kind %d", kind)
			} else {
				require.ErrorIs(t, open(b), ErrInvalid, "kind %d as %d", kind, as)
			}
		}
	}
}

func TestEdgesOpenAsSigned(t *testing.T) {
	want := Edges{To: carol.Pointer(), Version: 7, Edges: map[string]pointer.Edge{
		"bob": {Pointer: bob.Pointer(), Next: commitment(dave)}, "dave": {Pointer: dave.Pointer()}}}
	b, err := bytesOf(want.Sign(alice, now))
	require.NoError(t, err)
	got, err := openEdges(b)
	require.NoError(t, err)
	want.By, want.Made = alice.Pointer(), now
	require.Equal(t, want, got)

	_, err = Edges{To: carol.Pointer(), Edges: want.Edges}.Sign(alice, now)
	require.ErrorIs(t, err, ErrInvalid, "version 0")
	want.Edges[strings.Repeat("x", pointer.MaxLabel+1)] = pointer.Edge{Pointer: bob.Pointer()}
	_, err = want.Sign(alice, now)
	require.ErrorIs(t, err, ErrInvalid, "a long label")
}

// An introducer signed a wrong key. The owner of the true key denies it, and anyone can
// verify both statements together.
func TestContradictionIsVerifiable(t *testing.T) {
	i := introduction()
	i.About = testKey("not bob's").Pointer()
	lie := signed(t, i)
	denial, err := bytesOf(Deny(subjectOf(t, lie), bob, now))
	require.NoError(t, err)
	c, err := OpenContradiction(lie, denial)
	require.NoError(t, err)
	require.Equal(t, alice.Pointer(), c.Introduction().By)
	require.Equal(t, bob.Pointer(), c.Denial().By)

	other := signed(t, i) // another id
	_, err = OpenContradiction(other, denial)
	require.ErrorIs(t, err, ErrInvalid, "a denial of one introduction used against another")
	own, err := bytesOf(Deny(subjectOf(t, lie), alice, now))
	require.NoError(t, err)
	_, err = OpenContradiction(lie, own)
	require.ErrorIs(t, err, ErrInvalid, "the introducer denies for somebody else")
	_, err = Deny(subjectOf(t, lie), testKey("not bob's"), now)
	require.ErrorIs(t, err, ErrInvalid, "a key denies itself")
}

// A question about an introduction that was made to another recipient is refused: it
// would collect denials.
func TestOnlyTheRecipientOfAnIntroductionCanQuestionIt(t *testing.T) {
	_, err := Question{To: bob.Pointer(), Subject: subjectOf(t, signed(t, introduction()))}.Sign(dave, now)
	require.ErrorIs(t, err, ErrInvalid)
}

func TestSuccessionMustEndAtTheIntroducedPointer(t *testing.T) {
	step, err := pointer.Succeed(dave.Pointer(), bob, pointer.Commitment{}, dave)
	require.NoError(t, err)
	i := introduction()
	i.Chain = []pointer.Succession{step}
	got, err := openIntroduction(signed(t, i), now)
	require.NoError(t, err)
	require.Equal(t, i.Chain, got.Chain)
	i.About = testKey("other").Pointer()
	_, err = i.Sign(alice, nil, now)
	require.ErrorIs(t, err, ErrInvalid)
}

func TestArmorIsReadFromAMail(t *testing.T) {
	a, b := signed(t, introduction()), signed(t, introduction())
	text := "Hello Carol,\r\n\r\n" + strings.ReplaceAll(string(Armor(a, b)), "\n", "\r\n") + "\r\n-- \r\nAlice"
	got, err := Dearmor([]byte(text))
	require.NoError(t, err)
	require.Equal(t, [][]byte{a, b}, got)
	_, err = Dearmor([]byte("Hello"))
	require.ErrorIs(t, err, ErrInvalid)
	_, err = Dearmor(bytes.Repeat([]byte("x"), maxArmored+1))
	require.ErrorIs(t, err, ErrInvalid)
	_, err = Dearmor(Armor(make([][]byte, maxArmoredBlocks+1)...))
	require.ErrorIs(t, err, ErrInvalid)
}

func TestDrawnIntroductionsOpenAsSigned(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := introduction()
		want.Suggested = rapid.StringN(-1, -1, MaxText).Draw(t, "suggested")
		want.Note = rapid.StringN(-1, -1, MaxNote).Draw(t, "note")
		want.Expires = now.Add(time.Duration(rapid.Int64Range(1, int64(MaxLife/time.Millisecond)).Draw(t, "life")) * time.Millisecond)
		b, err := bytesOf(want.Sign(alice, nil, now))
		require.NoError(t, err)
		got, err := openIntroduction(b, now)
		require.NoError(t, err)
		want.By, want.Made, want.ID = alice.Pointer(), now, got.ID
		require.Equal(t, want, got)
	})
}

func FuzzStatement(f *testing.F) {
	intro := signed(f, introduction())
	f.Add(intro)
	edges, err := bytesOf(Edges{To: carol.Pointer(), Version: 1, Edges: map[string]pointer.Edge{"bob": {Pointer: bob.Pointer()}}}.Sign(alice, now))
	require.NoError(f, err)
	f.Add(edges)
	question, err := bytesOf(Question{To: bob.Pointer(), Subject: subjectOf(f, intro)}.Sign(carol, now))
	require.NoError(f, err)
	f.Add(question)
	denial, err := bytesOf(Deny(subjectOf(f, intro), dave, now))
	require.NoError(f, err)
	f.Add(denial)
	retraction, err := bytesOf(Retraction{To: carol.Pointer(), ID: ID{1}}.Sign(alice, now))
	require.NoError(f, err)
	f.Add(retraction)
	f.Fuzz(func(t *testing.T, b []byte) {
		// Accepted bytes re-encode to the same bytes.
		if p, err := parse(b, false, nil); err == nil {
			again, err := canonical.Marshal(p.wire)
			require.NoError(t, err)
			require.Equal(t, b, again)
		}
		s, err := Open(b)
		restored, rerr := Restore(b)
		if err == nil {
			require.NoError(t, rerr)
			require.Equal(t, s, restored)
			require.Equal(t, b, s.Bytes())
		}
		for kind := KindIntroduction; kind <= KindDenial; kind++ {
			_, as := Open(b, kind)
			require.Equal(t, err == nil && s.Kind() == kind, as == nil)
		}
		_, _ = OpenContradiction(intro, b)
	})
}

func FuzzDearmor(f *testing.F) {
	f.Add(Armor(signed(f, introduction())))
	f.Add([]byte("-----BEGIN PETNAMES STATEMENT-----\n\n-----END PETNAMES STATEMENT-----\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		found, err := Dearmor(text)
		if err != nil {
			require.ErrorIs(t, err, ErrInvalid)
			return
		}
		again, err := Dearmor(Armor(found...))
		require.NoError(t, err)
		require.Equal(t, found, again)
	})
}
