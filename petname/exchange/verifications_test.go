package exchange

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	ic "github.com/libp2p/go-libp2p/core/crypto"
	icpb "github.com/libp2p/go-libp2p/core/crypto/pb"
	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht/drop"
	"github.com/petnames-go/petnames/petname/introduce"
	"github.com/petnames-go/petnames/pointer"
)

// Where a receive verifies a statement.
const (
	atEntry = "exchange.(*Exchange).handleStatement" // the message is foreign bytes
	inFold  = "petname.fold.Apply"                   // an entry may come from another device, which the fold cannot distinguish
)

// verification is one verification of an Ed25519 signature by a key that stands
// in a pointer.
type verification struct {
	message, signature []byte
	in                 string // atEntry, inFold, or the whole stack
}

// countingKey is a public key that records its verifications.
type countingKey struct {
	ic.PubKey
	seen *[]verification
}

func (k countingKey) Verify(message, signature []byte) (bool, error) {
	*k.seen = append(*k.seen, verification{bytes.Clone(message), bytes.Clone(signature), caller()})
	return k.PubKey.Verify(message, signature)
}

// caller returns the innermost of atEntry and inFold on the stack, or the stack.
func caller() string {
	var pcs [64]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(1, pcs[:])])
	var stack []string
	for {
		frame, more := frames.Next()
		for _, in := range []string{atEntry, inFold} {
			if strings.HasSuffix(frame.Function, in) {
				return in
			}
		}
		if stack = append(stack, frame.Function); !more {
			return strings.Join(stack, " < ")
		}
	}
}

// countVerifications records every verification against a pointer from now on,
// until the test ends.
func countVerifications(t testing.TB) *[]verification {
	t.Helper()
	seen := new([]verification)
	unmarshal := ic.PubKeyUnmarshallers[icpb.KeyType_Ed25519]
	ic.PubKeyUnmarshallers[icpb.KeyType_Ed25519] = func(b []byte) (ic.PubKey, error) {
		k, err := unmarshal(b)
		return countingKey{k, seen}, err
	}
	t.Cleanup(func() { ic.PubKeyUnmarshallers[icpb.KeyType_Ed25519] = unmarshal })
	return seen
}

// plaintext is a message with a statement, as the channel hands it over.
func plaintext(t testing.TB, s introduce.Statement) drop.Message {
	t.Helper()
	b, err := message{Kind: kindStatement, Body: s.Bytes()}.encode()
	require.NoError(t, err)
	return drop.Message{Bytes: b}
}

// One receive of a statement, from the plaintext of a message to the commit of the book,
// verifies each signature in it twice: once where its bytes enter, and once in the fold. It
// verifies no other statement again, neither those in the inbox nor those that were stored
// before.
func TestAReceiveVerifiesEachSignatureTwice(t *testing.T) {
	alice, bob, carol := three(t)
	now := alice.clock.now
	signed := func(s introduce.Statement, err error) introduce.Statement {
		require.NoError(t, err)
		return s
	}
	subject := func(s introduce.Statement) introduce.Subject {
		opened, err := introduce.OpenSubject(s.Bytes())
		require.NoError(t, err)
		return opened
	}
	edges := func(version uint64) introduce.Statement {
		return signed(introduce.Edges{To: pointerOf("carol"), Version: version, Edges: map[string]pointer.Edge{"bob": {Pointer: pointerOf("bob")}}}.Sign(alice.key, now))
	}
	idOf := func(s introduce.Statement) introduce.ID {
		i, is := s.Introduction()
		require.True(t, is)
		return i.ID
	}
	aboutCarol := bob.introduces(t, carol, alice)
	waits := alice.introduces(t, bob, carol)
	// What waits already, with a retraction and edges on record.
	ctx := context.Background()
	for _, before := range []introduce.Statement{waits, alice.introduces(t, bob, carol), alice.introduces(t, bob, carol), edges(1),
		signed(introduce.Retraction{To: pointerOf("carol"), ID: introduce.ID{1}}.Sign(alice.key, now))} {
		_, err := carol.handle(ctx, pointerOf("alice"), plaintext(t, before), new(Report))
		require.NoError(t, err)
	}
	seen := countVerifications(t)
	for _, c := range []struct {
		statement introduce.Statement
		with      []introduce.Statement // others in it
		fresh     int                   // suggestions
	}{
		{alice.introduces(t, bob, carol), nil, 1},
		{edges(2), nil, 0},
		{signed(introduce.Question{To: pointerOf("carol"), Subject: subject(aboutCarol)}.Sign(alice.key, now)), []introduce.Statement{aboutCarol}, 1},
		{signed(introduce.Deny(subject(aboutCarol), alice.key, now)), nil, 0},
		{signed(introduce.Retraction{To: pointerOf("carol"), ID: idOf(waits)}.Sign(alice.key, now)), nil, 0},
	} {
		kind := c.statement.Kind().String()
		m := plaintext(t, c.statement)
		n := len(carol.inbox(t))
		if c.statement.Kind() == introduce.KindRetraction {
			n--
		}
		entries := carol.book.Ledger().Heads()[0].Number
		*seen = nil
		var report Report
		stop, err := carol.handle(ctx, pointerOf("alice"), m, &report)
		require.NoError(t, err, kind)
		require.False(t, stop, kind)
		require.Len(t, report.Fresh, c.fresh, kind)
		require.Greater(t, carol.book.Ledger().Heads()[0].Number, entries, kind)
		require.Len(t, carol.inbox(t), n+c.fresh, kind)
		all := append([]introduce.Statement{c.statement}, c.with...)
		require.Len(t, *seen, 2*len(all), kind)
		for _, s := range all {
			var in []string
			for _, v := range *seen {
				if bytes.HasSuffix(s.Bytes(), v.signature) { // the signature is a statement's last field
					in = append(in, v.in)
				}
			}
			require.Equal(t, []string{atEntry, inFold}, in, kind)
		}
		*seen = nil
		_, err = carol.handle(ctx, pointerOf("alice"), m, new(Report))
		require.NoError(t, err, kind)
		require.Len(t, *seen, len(all), "%s: another time, which changes nothing", kind)
		*seen = nil
		carol.inbox(t)
		_, err = carol.book.Evidence(pointerOf("carol"))
		require.NoError(t, err)
		_, err = carol.book.EdgesFrom(pointerOf("alice"))
		require.NoError(t, err)
		require.Empty(t, *seen, "%s: what is stored was verified", kind)
	}
}

// One receive of an introduction, committed to memory, against the verification of
// its signature by crypto/ed25519: both sides in one run. The last two figures
// are verifications for each receive, and its median time in units of the median
// time of one.
// With others that wait, a retraction is on record, so that each of them is looked
// at as well.
func BenchmarkReceive(b *testing.B) {
	for _, waiting := range []int{0, 40} {
		b.Run(fmt.Sprint("waiting=", waiting), func(b *testing.B) { benchmarkReceive(b, waiting) })
	}
}

func benchmarkReceive(b *testing.B, waiting int) {
	alice, bob, carol := three(b)
	ctx := context.Background()
	for range waiting {
		_, err := carol.handle(ctx, pointerOf("alice"), plaintext(b, alice.introduces(b, bob, carol)), new(Report))
		require.NoError(b, err)
	}
	if waiting > 0 {
		r, err := introduce.Retraction{To: pointerOf("carol"), ID: introduce.ID{1}}.Sign(alice.key, alice.clock.now)
		require.NoError(b, err)
		_, err = carol.handle(ctx, pointerOf("alice"), plaintext(b, r), new(Report))
		require.NoError(b, err)
	}
	seen := countVerifications(b)
	var receiving, verifying []time.Duration
	counted, n := 0, 0
	for b.Loop() {
		b.StopTimer()
		if n++; n%50 == 0 { // fewer a day than are accepted
			alice.clock.now = alice.clock.now.Add(24 * time.Hour)
		}
		m := plaintext(b, alice.introduces(b, bob, carol))
		*seen = nil
		var report Report
		b.StartTimer()
		start := time.Now()
		_, err := carol.handle(ctx, pointerOf("alice"), m, &report)
		receiving = append(receiving, time.Since(start))
		b.StopTimer()
		if err != nil || len(report.Fresh) != 1 {
			b.Fatal(err, report)
		}
		counted += len(*seen)
		start = time.Now()
		ok := ed25519.Verify(alice.key.Public().(ed25519.PublicKey), (*seen)[0].message, (*seen)[0].signature)
		verifying = append(verifying, time.Since(start))
		require.True(b, ok)
		_, err = carol.book.Decline(report.Fresh[0].ID, false)
		require.NoError(b, err)
		b.StartTimer()
	}
	b.ReportMetric(float64(counted)/float64(n), "verifications/op")
	slices.Sort(receiving)
	slices.Sort(verifying)
	b.ReportMetric(float64(receiving[n/2])/float64(verifying[n/2]), "×verify")
}
