package dht

import (
	"context"
	"errors"
	"iter"
	"sync"

	"github.com/petnames-go/petnames/pointer"
)

// MultiStore is several stores as one. It queries all of them at once, and puts
// to all. A put succeeds if one store returns no error. Otherwise it returns the
// errors of all stores, or ErrUnreachable if there are none.
type MultiStore []Store

// Get yields the answers of all stores in the order of arrival.
func (s MultiStore) Get(ctx context.Context, p pointer.Pointer) iter.Seq2[Answer, error] {
	return func(yield func(Answer, error) bool) {
		queryCtx, cancel := context.WithCancel(ctx)
		type item struct {
			answer Answer
			err    error
		}
		answers := make(chan item)
		var wg sync.WaitGroup
		for _, store := range s {
			wg.Go(func() {
				for a, err := range store.Get(queryCtx, p) {
					select {
					case answers <- item{a, err}:
					case <-queryCtx.Done():
						return
					}
				}
			})
		}
		go func() {
			wg.Wait()
			close(answers)
		}()
		defer func() {
			cancel()
			for range answers { // until all goroutines have ended
			}
		}()
		for received := range answers {
			if !yield(received.answer, received.err) {
				return
			}
		}
		if err := ctx.Err(); err != nil { // the stores' own errors may have been cut off
			yield(Answer{}, err)
		}
	}
}

// Put puts a record to all stores. The receipt is the sum of their receipts.
func (s MultiStore) Put(ctx context.Context, p pointer.Pointer, record []byte) (Receipt, error) {
	receipts, errs := make([]Receipt, len(s)), make([]error, len(s))
	var wg sync.WaitGroup
	for i, store := range s {
		wg.Go(func() { receipts[i], errs[i] = store.Put(ctx, p, record) })
	}
	wg.Wait()
	var all Receipt
	stored := false
	for i, r := range receipts {
		all = all.add(r)
		stored = stored || errs[i] == nil
	}
	if stored {
		return all, nil
	}
	if len(s) == 0 {
		return all, ErrUnreachable
	}
	return all, errors.Join(errs...)
}
