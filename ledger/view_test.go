package ledger

import (
	"bytes"
	"context"
	"crypto"
	"fmt"
	"io"
	"iter"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"
)

// scripted is a fold that calls a function.
type scripted struct{ apply func(v *View) error }

func (scripted) Version() string                          { return multi{}.Version() }
func (s scripted) Apply(v *View, _ Entry, _ []byte) error { return s.apply(v) }

// folded runs f as the fold of one entry, in a new book.
func folded(t *testing.T, f func(v *View) error) error {
	t.Helper()
	l, _ := newBook(t)
	l.fold = scripted{f}
	_, err := l.Append(nil)
	return err
}

func TestKeysAndValuesAreBounded(t *testing.T) {
	long := func(n int) string { return strings.Repeat("x", n) }
	for _, c := range []struct {
		table, key string
		value      int
		ok         bool
	}{
		{"t", "", 0, true},
		{long(64), long(4 << 10), 1 << 20, true},
		{"", "k", 0, false},
		{long(65), "k", 0, false},
		{"t", long(4<<10 + 1), 0, false},
		{"t", "k", 1<<20 + 1, false},
	} {
		err := folded(t, func(v *View) error { return v.Put(c.table, []byte(c.key), make([]byte, c.value)) })
		require.Equal(t, c.ok, err == nil, "%v", err)
	}
}

// A scan yields rows that are inserted after its position, does not yield
// deleted rows, and yields no row twice.
func TestATableMayBeWrittenToDuringAScan(t *testing.T) {
	var got []string
	require.NoError(t, folded(t, func(v *View) error {
		for _, k := range []string{"b", "d", "f", "h"} {
			if err := v.Put("t", []byte(k), nil); err != nil {
				return err
			}
		}
		for kv, err := range v.Scan("t", nil) {
			if err != nil {
				return err
			}
			k := string(kv.Key)
			got = append(got, k)
			switch k {
			case "b":
				err = v.Put("t", []byte("a"), nil) // before the position of the scan
			case "d":
				err = v.Put("t", []byte("e"), nil) // after the position of the scan
			case "e":
				err = v.Delete("t", []byte("f"))
			case "h":
				err = v.Delete("t", []byte("h")) // the current row
			}
			if err != nil {
				return err
			}
		}
		n, err := v.Count("t")
		require.Equal(t, 4, n)
		return err
	}))
	require.Equal(t, []string{"b", "d", "e", "h"}, got)
}

func TestAScanStartsAtTheGivenKey(t *testing.T) {
	require.NoError(t, folded(t, func(v *View) error {
		for _, k := range []string{"a", "b1", "b2", "b3", "c"} {
			if err := v.Put("t", []byte(k), nil); err != nil {
				return err
			}
		}
		for from, want := range map[string]string{"": "[b1 b2 b3]", "a": "[b1 b2 b3]", "b": "[b1 b2 b3]", "b2": "[b2 b3]", "b2x": "[b3]", "c": "[]"} {
			got := []string{}
			for kv, err := range v.ScanFrom("t", []byte("b"), []byte(from)) {
				if err != nil {
					return err
				}
				got = append(got, string(kv.Key))
			}
			require.Equal(t, want, fmt.Sprint(got), from)
		}
		return nil
	}))
}

// reused yields entries in one buffer, as a decoder does.
func reused(entries [][]byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		var b []byte
		for _, e := range entries {
			b = append(b[:0], e...)
			if !yield(b) {
				return
			}
			for i := range b {
				b[i] = 0xff
			}
		}
	}
}

func TestMergeKeepsNoSliceOfItsCallers(t *testing.T) {
	a, _ := newBook(t)
	b := join(t, a, "two")
	pull(t, a, b)
	for i := range 5 {
		_, err := b.Append(fmt.Appendf(nil, "k%d=%d", i, i))
		require.NoError(t, err)
	}
	all := missing(t, b, a.Heads())
	slices.Reverse(all) // all but one are deferred
	n, err := a.Merge(reused(all))
	require.NoError(t, err)
	require.Equal(t, 5, n)
	require.Equal(t, dump(t, b), dump(t, a))
	verified(t, a)
}

// A late entry that the removed device did not sign causes the refusal of the
// whole batch, as any other forgery does.
func TestALateEntryIsSkippedOnlyIfItsDeviceSignedIt(t *testing.T) {
	a := scene(t)
	s := removes(t, a, "two", 1)
	d := drafted(t, a, "three", s.body())
	d.kind = 3
	_, err := a.Merge(seq(d.wire()))
	require.NoError(t, err)
	late, good := drafted(t, a, "two", []byte("k=late")), drafted(t, a, "four", []byte("k=good"))
	forged := *late
	forged.key = testKey("three")
	keeps(t, a, ErrRefused, good.wire(), forged.wire())
	n, err := a.Merge(seq(late.wire(), good.wire()))
	require.ErrorIs(t, err, ErrRefused)
	require.Equal(t, 1, n)
}

func TestAdmittingADeviceAgainRenamesIt(t *testing.T) {
	a, _ := newBook(t)
	for _, name := range []string{"phone", "old phone"} {
		require.NoError(t, a.AdmitDevice(identity, publicKey("two"), name))
		require.Len(t, a.Devices(), 2)
		require.Equal(t, name, a.Devices()[1].Name)
		a = reopen(t, a, "one")
		require.Equal(t, name, a.Devices()[1].Name)
	}
	require.Error(t, a.AdmitDevice(identity, publicKey("three")[:31], "three"))
	require.Error(t, a.AdmitDevice(identity, publicKey("three"), strings.Repeat("n", 65)))
	require.Len(t, a.Devices(), 2)
}

// short is a device key whose signatures are one byte too short.
type short struct{ crypto.Signer }

func (s short) Sign(rand io.Reader, message []byte, opts crypto.SignerOpts) ([]byte, error) {
	sig, err := s.Signer.Sign(rand, message, opts)
	return sig[:len(sig)-1], err
}

func TestASignatureOfAnotherLengthIsNotWritten(t *testing.T) {
	l, _ := newBook(t)
	heads := l.Heads()
	l.signer = short{l.signer}
	_, err := l.Append([]byte("a=1"))
	require.Error(t, err)
	require.Equal(t, heads, l.Heads())
	verified(t, l)
}

func TestAFileOfAnotherFormatIsNotOpened(t *testing.T) {
	l, _ := newBook(t)
	edit(t, l, func(tx *bbolt.Tx) error {
		c, err := newChain(tx, bucketIndex, "")
		if err != nil {
			return err
		}
		b, err := c.get([]byte("book"))
		if err != nil {
			return err
		}
		b = bytes.Clone(b)
		require.Equal(t, []byte{0x86, 1}, b[:2], "an array of six, the first of which is the format")
		b[1] = fileFormat + 1
		_, err = c.put([]byte("book"), b)
		return err
	})
	_, err := openAs(l, "one")
	require.Error(t, err)
	require.False(t, named(err), "it is not damaged: %v", err)
}

// The index contains data that is rarely read, such as where the statements are.
func TestVerifyFindsDamageInTheIndex(t *testing.T) {
	a := scene(t)
	edit(t, a, func(tx *bbolt.Tx) error {
		b := tx.Bucket([]byte("index"))
		k, v := b.Cursor().Seek([]byte("statement"))
		v = bytes.Clone(v)
		v[0] ^= 1
		return b.Put(bytes.Clone(k), v)
	})
	a, err := openAs(a, "one")
	require.NoError(t, err)
	defer a.Close()
	require.Equal(t, 2, verifies(t, a))
	require.True(t, named(a.AdmitDevice(identity, publicKey("five"), "five")))
}

// A reader waits between a commit and the update of the state in memory.
func TestAReaderNeverSeesANewFileWithTheOldState(t *testing.T) {
	l, _ := newBook(t)
	before := l.st.Load()
	_, err := l.Append([]byte("a=1"))
	require.NoError(t, err)
	after := l.st.Load()
	l.st.Store(before)
	got := make(chan uint64)
	go func() {
		var order uint64
		_ = l.readLog(func(_ *logBucket, st *state) error { order = st.order; return nil })
		got <- order
	}()
	for range 1000 {
		runtime.Gosched()
	}
	l.st.Store(after)
	require.Equal(t, after.order, <-got)
}

func TestOnlyTheFoldWritesToAView(t *testing.T) {
	l, _ := newBook(t)
	_, err := l.Append([]byte("a=1"))
	require.NoError(t, err)
	view := dump(t, l)
	var key []byte
	tries := func(v *View) error {
		for kv, err := range v.Scan("writes", nil) {
			require.NoError(t, err)
			key = bytes.Clone(kv.Key)
		}
		require.ErrorIs(t, v.Put("writes", key, []byte("2")), errReadOnly)
		require.ErrorIs(t, v.Delete("writes", key), errReadOnly)
		return nil
	}
	require.NoError(t, l.Read(tries))
	_, err = l.Update(func(tx *Tx) error { return tries(tx.View()) })
	require.NoError(t, err)
	require.Equal(t, view, dump(t, l))
	verified(t, l)
}

func TestVerifyEndsWithItsContext(t *testing.T) {
	l, _ := newBook(t)
	_, err := l.Append([]byte("a=1"))
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	found := 0
	for err := range l.Verify(ctx) {
		require.ErrorIs(t, err, context.Canceled)
		found++
	}
	require.NotZero(t, found)
	_, err = l.Append([]byte("a=2"))
	require.NoError(t, err, "that is no damage")
}
