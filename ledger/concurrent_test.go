package ledger

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Readers see whole transactions while a writer commits and free pages are
// defaced behind it.
func TestReadersSeeWholeTransactions(t *testing.T) {
	l, _ := newBook(t)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	var reads [3]atomic.Int64
	for i := range reads {
		wg.Go(func() {
			for ; ; reads[i].Add(1) {
				select {
				case <-stop:
					return
				default:
				}
				err := l.Read(func(v *View) error {
					n, err := v.Count("writes")
					if err == nil && n%2 != 0 {
						err = fmt.Errorf("half a transaction: %d", n)
					}
					rows := 0
					for _, serr := range v.Scan("writes", nil) {
						err = errors.Join(err, serr)
						rows++
					}
					if rows != n {
						err = errors.Join(err, fmt.Errorf("%d rows, %d counted", rows, n))
					}
					return err
				})
				if err != nil {
					t.Error(err)
					return
				}
				for _, err := range l.Entries() {
					if err != nil {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	few := func() bool { // until every reader has read often, under any load
		return min(reads[0].Load(), reads[1].Load(), reads[2].Load()) < 4
	}
	for i := 0; i < 30 || few() && !t.Failed(); i++ {
		_, err := l.Append(fmt.Appendf(nil, "a%d=1", i%40), fmt.Appendf(nil, "b%d=%0200d", i%40, i))
		if !assert.NoError(t, err) {
			break
		}
	}
	close(stop)
	wg.Wait()
	l = reopen(t, l, "one")
	verified(t, l)
}

// Damage that a transaction meets ends that transaction, not the process: other
// rows are read, and writing says why it is refused.
func TestTheProcessContinuesAfterDamage(t *testing.T) {
	m := makeImage(t, 40, 40)
	l, err := Open(m.path, testKey("one"), multi{}, testOptions())
	require.NoError(t, err)
	// While the file is open, so that nothing has checked it: every page of the
	// view and the log, but the first bytes of the file.
	f, err := os.OpenFile(m.path, os.O_RDWR, 0)
	require.NoError(t, err)
	junk := make([]byte, len(m.bytes)-2*os.Getpagesize())
	for i := range junk {
		junk[i] = byte(i * 31)
	}
	_, err = f.WriteAt(junk, int64(2*os.Getpagesize()))
	require.NoError(t, err)
	require.NoError(t, f.Close())
	for range 3 {
		err = l.Read(func(v *View) error { _, err := v.Get("writes", []byte("x")); return err })
		require.Truef(t, named(err), "%v", err)
		_, err = l.Append([]byte("x=1"))
		require.Truef(t, named(err), "%v", err)
		met := 0
		for _, err := range l.Entries() {
			require.Truef(t, named(err), "%v", err)
			met++
		}
		require.NotZero(t, met)
	}
	require.NoError(t, l.Close())
	require.NoError(t, l.Close())
	require.Error(t, l.Read(func(*View) error { return nil }))
	_, err = l.Append(nil)
	require.Error(t, err)
	m.restore(m.bytes)
	l, err = Open(m.path, testKey("one"), multi{}, testOptions())
	require.NoError(t, err, "the file was let go of")
	require.NoError(t, l.Close())
}

// Cut short while it is mapped, a file faults instead of failing to read.
func TestAFaultIsAnError(t *testing.T) {
	m := makeImage(t, 40, 40)
	l, err := Open(m.path, testKey("one"), multi{}, testOptions())
	require.NoError(t, err)
	_ = m.check(l, 0)
	require.NoError(t, os.Truncate(m.path, int64(2*os.Getpagesize())))
	require.True(t, named(m.check(l, 0)))
	_, err = l.Append([]byte("x=1"))
	require.Truef(t, named(err), "%v", err)
	_ = l.Close()
	m.restore(m.bytes)
	l, err = Open(m.path, testKey("one"), multi{}, testOptions())
	require.NoError(t, err, "the file was let go of")
	require.NoError(t, l.Close())
}
