package pair

import (
	"context"
	"errors"
	"iter"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/pointer"
)

// scriptedStore is a store with fixed answers and put results. If it floods, it repeats
// its answers.
type scriptedStore struct {
	answers []dht.Answer
	errs    []error // errors of the answers; may be shorter
	flood   bool
	given   atomic.Int32

	receipt dht.Receipt
	err     error
}

func (s *scriptedStore) Get(context.Context, pointer.Pointer) iter.Seq2[dht.Answer, error] {
	return func(yield func(dht.Answer, error) bool) {
		for again := true; again; again = s.flood {
			for i, a := range s.answers {
				var err error
				if i < len(s.errs) {
					err = s.errs[i]
				}
				s.given.Add(1)
				if !yield(a, err) {
					return
				}
			}
		}
	}
}

func (s *scriptedStore) Put(context.Context, pointer.Pointer, []byte) (dht.Receipt, error) {
	return s.receipt, s.err
}

func TestMailboxReturnsTheNewestMessageThatFits(t *testing.T) {
	b, other := newMailbox([]byte("secret"), nil, "box"), newMailbox([]byte("secret"), nil, "other")
	record := func(of mailbox, message string, sequence uint64, expires time.Time) dht.Answer {
		r, err := pointer.Sign(of.key, pointer.Fields{Sequence: sequence, Expires: expires, Payload: []byte(message)})
		require.NoError(t, err)
		return dht.Answer{Record: r.Bytes()}
	}
	end := start.Add(time.Hour)
	long := make([]byte, maxMessage)
	older, newer := record(b, "older", 1, end), record(b, "newer", 2, end)
	rest := []dht.Answer{record(other, "of another box", 9, end), record(b, "expired", 9, start.Add(-time.Second)), record(b, string(long)+"x", 9, end),
		{Record: []byte("garbage")}, {}}
	for name, answers := range map[string][]dht.Answer{"older first": {older, newer}, "newer first": {newer, older}} {
		f, ok, err := b.fetch(context.Background(), &scriptedStore{answers: append(answers, rest...)}, start)
		require.NoError(t, err)
		require.True(t, ok, name)
		require.Equal(t, storedMessage{[]byte("newer"), 2, true}, f, name)
	}
	_, ok, err := b.fetch(context.Background(), &scriptedStore{answers: rest}, start)
	require.NoError(t, err)
	require.False(t, ok)
	f, ok, err := b.fetch(context.Background(), &scriptedStore{answers: []dht.Answer{record(b, string(long), 1, end)}}, start)
	require.NoError(t, err)
	require.True(t, ok)
	require.Len(t, f.message, maxMessage, "the longest")
}

func TestAnswersOfAMailboxAreBounded(t *testing.T) {
	b, store := newMailbox([]byte("secret"), nil, "box"), &scriptedStore{answers: []dht.Answer{{Record: []byte("garbage")}}, flood: true}
	_, ok, err := b.fetch(context.Background(), store, start)
	require.NoError(t, err)
	require.False(t, ok)
	require.EqualValues(t, maxAnswers+1, store.given.Load())
}

// An unreachable network is an error only if no message was found. The failure
// of one peer is not an error.
func TestUnreachableMailboxIsAnError(t *testing.T) {
	b, away := newMailbox([]byte("secret"), nil, "box"), errors.New("away")
	r, err := pointer.Sign(b.key, pointer.Fields{Sequence: 1, Expires: start.Add(time.Hour), Payload: []byte("m")})
	require.NoError(t, err)
	_, _, err = b.fetch(context.Background(), &scriptedStore{answers: []dht.Answer{{}}, errs: []error{away}}, start)
	require.ErrorIs(t, err, away)
	_, ok, err := b.fetch(context.Background(), &scriptedStore{answers: []dht.Answer{{}, {Record: r.Bytes()}}, errs: []error{away}}, start)
	require.NoError(t, err)
	require.True(t, ok)
	_, ok, err = b.fetch(context.Background(), &scriptedStore{answers: []dht.Answer{{Peer: "one"}}, errs: []error{away}}, start)
	require.NoError(t, err)
	require.False(t, ok)
	_, err = fetchAll(context.Background(), &scriptedStore{answers: []dht.Answer{{}}, errs: []error{away}}, start, []mailbox{b, b})
	require.ErrorIs(t, err, away)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, _, err = b.fetch(ctx, &scriptedStore{}, start)
	require.ErrorIs(t, err, context.Canceled)
}

// A put succeeds if at least one peer has the message.
func TestPutSucceedsIfOnePeerHasTheMessage(t *testing.T) {
	b := newMailbox([]byte("secret"), nil, "box")
	short := func(stored int) error { return &dht.ShortError{Receipt: dht.Receipt{Stored: stored}, Want: 8} }
	for name, c := range map[string]struct {
		store *scriptedStore
		left  bool
	}{
		"all":                  {&scriptedStore{receipt: dht.Receipt{Stored: 8}}, true},
		"one, by the error":    {&scriptedStore{err: short(1)}, true},
		"one, by the receipt":  {&scriptedStore{receipt: dht.Receipt{Stored: 1}, err: short(0)}, true},
		"none":                 {&scriptedStore{err: short(0)}, false},
		"the network is away":  {&scriptedStore{err: dht.ErrUnreachable}, false},
		"something newer":      {&scriptedStore{err: dht.ErrOlder}, false},
		"away, and a receipt":  {&scriptedStore{receipt: dht.Receipt{Stored: 1}, err: dht.ErrUnreachable}, false},
		"older, and a receipt": {&scriptedStore{receipt: dht.Receipt{Stored: 1}, err: dht.ErrOlder}, false},
	} {
		err := b.put(context.Background(), c.store, []byte("m"), 1, start.Add(time.Hour))
		if c.left {
			require.NoError(t, err, name)
		} else {
			require.Error(t, err, name)
			require.False(t, Final(err), name)
		}
	}
}
