package dhttest

import (
	"context"
	"fmt"
	"iter"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/pointer"
)

// fake is a Store that shares no code with the module, with optional faults.
type fake struct {
	mu      sync.Mutex
	records map[pointer.Pointer][]byte

	keepsSlice, servesSlice, takesOlder, takesAnything, refusesAgain, errsNotFound bool
	ignoresCancel, leaks, truncates, ignoresNewer, changesSlice, countsNothing     bool
	nameless, oneSlot, putsCancelled, silentCancel, overcounts                     bool
}

func (f *fake) Get(ctx context.Context, p pointer.Pointer) iter.Seq2[dht.Answer, error] {
	return func(yield func(dht.Answer, error) bool) {
		if err := ctx.Err(); err != nil && !f.ignoresCancel {
			if !f.silentCancel {
				yield(dht.Answer{Source: dht.SourceHome}, err)
			}
			return
		}
		if f.leaks {
			go f.wait()
		}
		f.mu.Lock()
		b := f.records[f.slot(p)]
		f.mu.Unlock()
		switch {
		case b == nil && f.errsNotFound:
			yield(dht.Answer{Source: dht.SourceHome}, dht.ErrNotFound)
			return
		case b != nil && f.truncates:
			b = b[:len(b)-1]
		case b != nil && !f.servesSlice:
			b = append([]byte(nil), b...)
		}
		if f.nameless {
			yield(dht.Answer{Record: b}, nil)
			return
		}
		yield(dht.Answer{Record: b, Source: dht.SourceHome}, nil)
	}
}

// slot returns the key of a record in the map: one for each pointer, or one for all.
func (f *fake) slot(p pointer.Pointer) pointer.Pointer {
	if f.oneSlot {
		return pointer.Pointer{}
	}
	return p
}

// wait never returns: it is the goroutine that a leaking store leaves.
func (f *fake) wait() { select {} }

func (f *fake) Put(ctx context.Context, p pointer.Pointer, b []byte) (dht.Receipt, error) {
	if err := ctx.Err(); err != nil && !f.ignoresCancel && !f.putsCancelled {
		return dht.Receipt{}, err
	}
	rec, err := pointer.Open(p, b, time.Now())
	if err != nil && !f.takesAnything {
		return dht.Receipt{Asked: 1, Refused: 1}, err
	}
	f.mu.Lock()
	have := f.records[f.slot(p)]
	defer f.mu.Unlock()
	if held, err := pointer.Open(p, have, time.Now()); err == nil && !f.takesOlder {
		if c := held.Compare(rec); c > 0 || c == 0 && f.refusesAgain {
			return dht.Receipt{Asked: 1, Refused: 1}, fmt.Errorf("fake: %w", dht.ErrOlder)
		} else if c < 0 && f.ignoresNewer {
			return dht.Receipt{Asked: 1, Stored: 1}, nil
		}
	}
	if f.records == nil {
		f.records = map[pointer.Pointer][]byte{}
	}
	given := b
	if !f.keepsSlice {
		b = append([]byte(nil), b...)
	}
	f.records[f.slot(p)] = b
	if f.changesSlice {
		given[0] ^= 1
	}
	switch {
	case f.countsNothing:
		return dht.Receipt{Asked: 1}, nil
	case f.overcounts:
		return dht.Receipt{Asked: 1, Stored: 1, Unreachable: 1}, nil
	}
	return dht.Receipt{Asked: 1, Stored: 1}, nil
}

func TestIndependentStorePasses(t *testing.T) {
	Run(t, func(*testing.T) dht.Store { return &fake{} })
}

// recorder is a testing.T that records whether a check failed.
type recorder struct {
	failed bool
}

func (w *recorder) Errorf(string, ...any) { w.failed = true }
func (w *recorder) FailNow()              { w.failed = true; runtime.Goexit() }
func (w *recorder) Helper()               {}

func TestBrokenStoresFail(t *testing.T) {
	for name, tc := range map[string]struct {
		broken *fake
		fails  string
	}{
		"keeps the slice":          {&fake{keepsSlice: true}, "a put does not retain or change the caller's slice"},
		"serves its own slice":     {&fake{servesSlice: true}, "a put does not retain or change the caller's slice"},
		"takes older records":      {&fake{takesOlder: true}, "an older record is refused"},
		"takes anything":           {&fake{takesAnything: true}, "bytes that don't verify are refused"},
		"refuses the same":         {&fake{refusesAgain: true}, "the same record may be put again"},
		"not found is an error":    {&fake{errsNotFound: true}, "a missing record is not an error"},
		"cancelled, but goes on":   {&fake{ignoresCancel: true}, "a cancelled context ends get and put at once"},
		"leaves a goroutine":       {&fake{leaks: true}, "a get that ends early leaves no goroutine"},
		"truncates":                {&fake{truncates: true}, "get returns the bytes that were put"},
		"ignores newer records":    {&fake{ignoresNewer: true}, "a newer record replaces an older one"},
		"changes the slice":        {&fake{changesSlice: true}, "a put does not retain or change the caller's slice"},
		"stores without a count":   {&fake{countsNothing: true}, "get returns the bytes that were put"},
		"counts more than asked":   {&fake{overcounts: true}, "get returns the bytes that were put"},
		"has no source":            {&fake{nameless: true}, "get returns the bytes that were put"},
		"takes no pointer":         {&fake{takesAnything: true}, "the zero pointer is refused"},
		"puts when cancelled":      {&fake{putsCancelled: true}, "a cancelled context ends get and put at once"},
		"cancelled without a word": {&fake{silentCancel: true}, "a cancelled context ends get and put at once"},
		"mixes up pointers":        {&fake{oneSlot: true}, "concurrent puts leave the newest record"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, c := range checks {
				if c.name != tc.fails {
					continue
				}
				check := c.check
				if tc.broken.leaks { // the goroutine never ends: do not wait for it
					check = func(t tb, s dht.Store) { checkEarlyWithin(t, s, 0) }
				}
				w := &recorder{}
				done := make(chan struct{})
				go func() {
					defer close(done)
					check(w, tc.broken)
				}()
				<-done
				require.True(t, w.failed)
				return
			}
			t.Fatal("no such check")
		})
	}
}
