// Package dhttest is a conformance suite for implementations of [dht.Store]. Call
// [Run] in a test:
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

// callTimeout bounds each call of a store, so that a store that hangs fails the
// check. The stores of this module need less than a hundredth of it.
const callTimeout = time.Minute

// Run runs the suite, each check on a new store that newStore returns. If the
// store is a view of a network, several answers may have the same record.
func Run(t *testing.T, newStore func(t *testing.T) dht.Store) {
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) { c.check(t, newStore(t)) })
	}
}

var checks = []struct {
	name  string
	check func(tb, dht.Store)
}{
	{"get returns the bytes that were put", checkExact},
	{"a missing record is not an error", checkNotFound},
	{"a newer record replaces an older one", checkNewer},
	{"an older record is refused", checkOlder},
	{"the same record may be put again", checkAgain},
	{"bytes that don't verify are refused", checkGarbage},
	{"the zero pointer is refused", checkZero},
	{"a put does not retain or change the caller's slice", checkSlices},
	{"a cancelled context ends get and put at once", checkCancelled},
	{"a get that ends early leaves no goroutine", checkEarly},
	{"concurrent puts leave the newest record", checkConcurrent},
}

// tb is the part of testing.T that a check needs, so that the suite's own tests
// can detect its failure.
type tb interface {
	require.TestingT
	Helper()
}

// sign returns a record that expires in an hour by the system clock.
func sign(t tb, k *pointer.Key, sequence uint64) pointer.Record {
	t.Helper()
	rec, err := pointer.Sign(k, pointer.Fields{
		Value: "/ipfs/bafkqaaa", Sequence: sequence, Expires: time.Now().Add(time.Hour), TTL: time.Minute,
	})
	require.NoError(t, err)
	return rec
}

// newKey returns a random key.
func newKey(t tb) *pointer.Key {
	t.Helper()
	k, err := pointer.NewKey(rand.Reader)
	require.NoError(t, err)
	return k
}

// put puts a record within callTimeout.
func put(s dht.Store, p pointer.Pointer, b []byte) (dht.Receipt, error) {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	return s.Put(ctx, p, b)
}

// mustPut puts a record, and fails the test if the store does not report it as stored.
func mustPut(t tb, s dht.Store, rec pointer.Record) {
	t.Helper()
	receipt, err := put(s, rec.Pointer(), rec.Bytes())
	require.NoError(t, err)
	require.Positive(t, receipt.Stored, "a put without an error was stored")
	require.GreaterOrEqual(t, receipt.Asked, receipt.Stored+receipt.Refused+receipt.Unreachable)
}

// get returns the different records that a store yields, and the number of
// answers.
func get(t tb, s dht.Store, p pointer.Pointer) (records [][]byte, answers int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	for a, err := range s.Get(ctx, p) {
		if err != nil {
			require.NotEmpty(t, a.Peer, "the store failed: %v", err)
			continue
		}
		require.NotEmpty(t, a.Source, "an answer has a source")
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
	require.Positive(t, answers, "an answer without a record is yielded")
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
	// The valid record can still be put.
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
	record := rec.Bytes()
	_, err := put(s, rec.Pointer(), record)
	require.NoError(t, err)
	require.Equal(t, rec.Bytes(), record, "changed by Put")
	clear(record)
	for range 2 {
		got, _ := get(t, s, rec.Pointer())
		require.Equal(t, [][]byte{rec.Bytes()}, got)
		clear(got[0]) // the next answer is a different slice
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

// checkEarlyWithin waits up to limit for the goroutines of a get to end.
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

// goroutines returns the stacks of the goroutines that run code of this module,
// by name: "goroutine 12".
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

// checkConcurrent puts records of one key at the same time, beside gets and puts
// of another key: the newest record stays, gets return only records that were put,
// and puts of one key do not disturb the other.
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
					errs <- errors.New("a concurrent get returned a record that was not put")
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

// overtaken reports whether a put failed because some peers already had a newer
// record.
func overtaken(err error) bool {
	_, short := errors.AsType[*dht.ShortError](err)
	return short || errors.Is(err, dht.ErrOlder)
}
