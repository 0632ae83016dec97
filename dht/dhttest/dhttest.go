// Package dhttest has the suite that every dht.Store passes.
//
//	func TestMyStore(t *testing.T) {
//		dhttest.Run(t, func(t *testing.T) dht.Store { return newMyStore(t) })
//	}
package dhttest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/pointer"
)

// patience bounds each call into a store, so that one that hangs fails the check.
// No store of ours needs a hundredth of it, however busy the machine is.
const callTimeout = time.Minute

// Run runs the suite, each check on a store of its own that newStore makes. It
// may be a view of a network: then several answers may bring one record.
func Run(t *testing.T, newStore func(t *testing.T) dht.Store) {
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) { c.check(t, newStore(t)) })
	}
}

var checks = []struct {
	name  string
	check func(tb, dht.Store)
}{
	{"what was put is got, byte for byte", checkExact},
	{"what was not put is not found, and no error", checkNotFound},
	{"a newer record takes the place", checkNewer},
	{"an older record is refused", checkOlder},
	{"the same record may be put again", checkAgain},
	{"bytes that don't verify are refused", checkGarbage},
	{"the zero pointer is refused", checkZero},
	{"a put doesn't keep or change the caller's slice", checkSlices},
	{"a cancelled context ends both at once", checkCancelled},
	{"closing a get early leaves nothing running", checkEarly},
	{"concurrent puts end with the newest", checkConcurrent},
}

// tb is what a check needs of testing.T, so that the suite's own tests can
// watch it fail.
type tb interface {
	require.TestingT
	Helper()
}

// sign makes a record that lives for an hour from the machine's clock.
func sign(t tb, k *pointer.Key, sequence uint64) pointer.Record {
	t.Helper()
	rec, err := pointer.Sign(k, pointer.Fields{
		Value: "/ipfs/bafkqaaa", Sequence: sequence, Expires: time.Now().Add(time.Hour), TTL: time.Minute,
	})
	require.NoError(t, err)
	return rec
}

func newKey(t tb) *pointer.Key {
	t.Helper()
	k, err := pointer.NewKey(rand.Reader)
	require.NoError(t, err)
	return k
}

func put(s dht.Store, p pointer.Pointer, b []byte) (dht.Receipt, error) {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	return s.Put(ctx, p, b)
}

func mustPut(t tb, s dht.Store, rec pointer.Record) {
	t.Helper()
	receipt, err := put(s, rec.Pointer(), rec.Bytes())
	require.NoError(t, err)
	require.Positive(t, receipt.Stored, "a put without an error was stored by somebody")
	require.GreaterOrEqual(t, receipt.Asked, receipt.Stored+receipt.Refused+receipt.Unreachable)
}

// get gives the distinct records that a store yields, and how many answered.
func get(t tb, s dht.Store, p pointer.Pointer) (records [][]byte, answers int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	for a, err := range s.Get(ctx, p) {
		if err != nil {
			require.NotEmpty(t, a.Peer, "the store failed: %v", err)
			continue
		}
		require.NotEmpty(t, a.Source, "an answer says where it comes from")
		answers++
		if a.Record != nil && !slices.ContainsFunc(records, func(b []byte) bool { return bytes.Equal(a.Record, b) }) {
			records = append(records, a.Record)
		}
	}
	return records, answers
}

func checkExact(t tb, s dht.Store) {
	var recs []pointer.Record
	for range 3 {
		recs = append(recs, sign(t, newKey(t), 7))
		mustPut(t, s, recs[len(recs)-1])
	}
	for _, rec := range recs {
		got, _ := get(t, s, rec.Pointer())
		require.Equal(t, [][]byte{rec.Bytes()}, got)
	}
}

func checkNotFound(t tb, s dht.Store) {
	mustPut(t, s, sign(t, newKey(t), 1))
	got, answers := get(t, s, newKey(t).Pointer())
	require.Empty(t, got)
	require.Positive(t, answers, "to have none is an answer")
}

func checkNewer(t tb, s dht.Store) {
	k := newKey(t)
	mustPut(t, s, sign(t, k, 1))
	newer := sign(t, k, 2)
	mustPut(t, s, newer)
	got, _ := get(t, s, k.Pointer())
	require.Contains(t, got, newer.Bytes())
}

func checkOlder(t tb, s dht.Store) {
	k := newKey(t)
	newer := sign(t, k, 2)
	mustPut(t, s, newer)
	old := sign(t, k, 1)
	_, err := put(s, k.Pointer(), old.Bytes())
	require.ErrorIs(t, err, dht.ErrOlder)
	got, _ := get(t, s, k.Pointer())
	require.Equal(t, [][]byte{newer.Bytes()}, got)
}

func checkAgain(t tb, s dht.Store) {
	rec := sign(t, newKey(t), 1)
	mustPut(t, s, rec)
	mustPut(t, s, rec)
	got, _ := get(t, s, rec.Pointer())
	require.Equal(t, [][]byte{rec.Bytes()}, got)
}

func checkGarbage(t tb, s dht.Store) {
	k := newKey(t)
	rec := sign(t, k, 1)
	expired, err := pointer.Sign(k, pointer.Fields{Value: "/ipfs/bafkqaaa", Sequence: 9, Expires: time.Now().Add(-time.Hour)})
	require.NoError(t, err)
	tampered := rec.Bytes()
	tampered[len(tampered)/2] ^= 1
	for name, b := range map[string][]byte{
		"nothing":           {},
		"text":              []byte("not a record"),
		"zeroes":            make([]byte, 300),
		"half a record":     rec.Bytes()[:len(rec.Bytes())/2],
		"tampered":          tampered,
		"over 10 KiB":       append(rec.Bytes(), make([]byte, pointer.MaxRecord)...),
		"another pointer's": sign(t, newKey(t), 1).Bytes(),
		"expired":           expired.Bytes(),
	} {
		receipt, err := put(s, k.Pointer(), b)
		require.Error(t, err, name)
		require.Zero(t, receipt.Stored, name)
	}
	got, _ := get(t, s, k.Pointer())
	require.Empty(t, got)
	// And none of it stands in the way of the real one.
	mustPut(t, s, rec)
	got, _ = get(t, s, k.Pointer())
	require.Equal(t, [][]byte{rec.Bytes()}, got)
}

func checkZero(t tb, s dht.Store) {
	_, err := put(s, pointer.Pointer{}, sign(t, newKey(t), 1).Bytes())
	require.Error(t, err)
	for a := range s.Get(context.Background(), pointer.Pointer{}) {
		require.Nil(t, a.Record)
	}
}

func checkSlices(t tb, s dht.Store) {
	rec := sign(t, newKey(t), 1)
	mine := rec.Bytes()
	_, err := put(s, rec.Pointer(), mine)
	require.NoError(t, err)
	require.Equal(t, rec.Bytes(), mine, "changed by Put")
	clear(mine)
	for range 2 {
		got, _ := get(t, s, rec.Pointer())
		require.Equal(t, [][]byte{rec.Bytes()}, got)
		clear(got[0]) // an answer is ours: the next is another
	}
}

func checkCancelled(t tb, s dht.Store) {
	rec := sign(t, newKey(t), 1)
	mustPut(t, s, rec)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	began := time.Now()
	var failed error
	for a, err := range s.Get(ctx, rec.Pointer()) {
		require.Nil(t, a.Record)
		if err != nil && a.Peer == "" {
			failed = err
		}
	}
	require.ErrorIs(t, failed, context.Canceled)
	_, err := s.Put(ctx, rec.Pointer(), rec.Bytes())
	require.ErrorIs(t, err, context.Canceled)
	require.Less(t, time.Since(began), callTimeout)
}

func checkEarly(t tb, s dht.Store) { checkEarlyWithin(t, s, callTimeout) }

// checkEarlyWithin waits for a while until what a get left running has ended.
func checkEarlyWithin(t tb, s dht.Store, limit time.Duration) {
	rec := sign(t, newKey(t), 1)
	mustPut(t, s, rec)
	before := goroutines()
	for range 10 {
		for range s.Get(context.Background(), rec.Pointer()) {
			break
		}
	}
	var left []string
	for deadline := time.Now().Add(limit); ; runtime.Gosched() {
		left = nil
		for id, stack := range goroutines() {
			if _, old := before[id]; !old {
				left = append(left, stack)
			}
		}
		if len(left) == 0 || time.Now().After(deadline) {
			break
		}
	}
	require.Empty(t, left)
}

// goroutines gives the stacks of those that run code of this module, by the
// line that names them: "goroutine 12".
func goroutines() map[string]string {
	buf := make([]byte, 8<<20)
	found := map[string]string{}
	for stack := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if id, _, ok := strings.Cut(stack, " ["); ok && strings.Contains(stack, "petnames-go/petnames") {
			found[id] = stack
		}
	}
	return found
}

func checkConcurrent(t tb, s dht.Store) {
	const writers = 8
	k := newKey(t)
	var recs []pointer.Record
	for i := range writers {
		recs = append(recs, sign(t, k, uint64(i+1)))
	}
	other := sign(t, newKey(t), 1)
	errs := make(chan error, 3*writers)
	var wg sync.WaitGroup
	for _, rec := range recs {
		wg.Go(func() {
			if _, err := put(s, rec.Pointer(), rec.Bytes()); err != nil && (rec.Sequence() == writers || !overtaken(err)) {
				errs <- fmt.Errorf("put of %d: %w", rec.Sequence(), err)
			}
		})
		wg.Go(func() {
			if _, err := put(s, other.Pointer(), other.Bytes()); err != nil {
				errs <- err
			}
		})
		wg.Go(func() {
			for a, err := range s.Get(context.Background(), k.Pointer()) {
				if err == nil && a.Record != nil && !slices.ContainsFunc(recs, func(r pointer.Record) bool { return bytes.Equal(r.Bytes(), a.Record) }) {
					errs <- errors.New("a get in between saw a record that nobody put")
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		require.NoError(t, err)
	}
	got, _ := get(t, s, k.Pointer())
	require.Contains(t, got, recs[writers-1].Bytes())
	got, _ = get(t, s, other.Pointer())
	require.Equal(t, [][]byte{other.Bytes()}, got)
}

// lost says whether a put only came too late: some of its peers had a newer
// record already.
func overtaken(err error) bool {
	_, short := errors.AsType[*dht.ShortError](err)
	return short || errors.Is(err, dht.ErrOlder)
}
