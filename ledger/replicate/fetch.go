package replicate

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"iter"
	"sync"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/ledger/internal/bytestring"
	"github.com/petnames-go/petnames/ledger/internal/x25519"
)

// maxExchanged is the bound of an exchanged entry, in bytes. It is that of package ledger.
const maxExchanged = 32<<10 + ledger.MaxBody + 16

// Fetch is Dial for a device that was admitted to a book and has no ledger yet. It writes
// the peer's entries to w, for [Read]. If w is an *os.File that is open for reading and
// writing, or has its methods, Fetch continues after the entries that earlier calls wrote
// to it: it first cuts off an entry that is incomplete or damaged, with all that follows.
// To a w of another kind it writes all entries of the book. Nothing of them is verified, so
// that after an error of [ledger.Join] the file is to be deleted, and another device asked.
func Fetch(ctx context.Context, book ledger.BookID, device ed25519.PrivateKey, conn io.ReadWriteCloser, peer ledger.DeviceID, w io.Writer, o Options) (Result, error) {
	st := &fileStore{book: book, w: w, chains: chains{}}
	s := newSession(st, conn, o)
	return s.run(ctx, peer.String(), func() error {
		private, err := x25519.Private(device)
		switch {
		case err != nil:
			return err
		case peer == ledger.DeviceID(device.Public().(ed25519.PublicKey)):
			return ErrSelf
		}
		if err := st.resume(); err != nil {
			return err
		}
		if err := s.dial(book, private, peer); err != nil {
			return err
		}
		return s.helloFirst()
	})
}

// fileStore is the store of a Fetch.
type fileStore struct {
	book ledger.BookID
	w    io.Writer

	mu     sync.Mutex // a session sends and receives at the same time
	chains chains
}

// resumable are the methods of an *os.File by which a Fetch continues.
type resumable interface {
	io.ReadWriteSeeker
	Truncate(size int64) error
}

// resume reads what earlier calls wrote, and moves to its end.
func (f *fileStore) resume() error {
	file, ok := f.w.(resumable)
	if !ok {
		return nil
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return nil // a pipe
	}
	size := int64(0)
	for entry, err := range Read(file) {
		if err == nil {
			err = f.add(entry)
		}
		if errors.Is(err, bytestring.ErrMalformed) || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil {
			return err
		}
		size += int64(len(bytestring.Append(nil, entry)))
	}
	if err := file.Truncate(size); err != nil {
		return err
	}
	_, err := file.Seek(size, io.SeekStart)
	return err
}

// add adds an entry to the heads, if it has the form of one.
func (f *fileStore) add(entry []byte) error {
	h, prev, err := f.book.Identify(entry)
	if err != nil {
		return fmt.Errorf("%w: %w", bytestring.ErrMalformed, err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.chains.add(h, prev); len(f.chains) > maxHeads {
		return broken("entries of over %d logs", maxHeads)
	}
	return nil
}

func (f *fileStore) heads() []ledger.Head {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.chains.heads()
}

func (f *fileStore) missing([]ledger.Head) iter.Seq2[[]byte, error] {
	return func(func([]byte, error) bool) {}
}

func (f *fileStore) merge(entries [][]byte) (added, waiting int, reported, err error) {
	var b []byte
	for _, entry := range entries {
		err := f.add(entry)
		if errors.Is(err, bytestring.ErrMalformed) {
			reported = err
			continue
		}
		if err != nil {
			return 0, 0, reported, err
		}
		b = bytestring.Append(b, entry)
		added++
	}
	_, err = f.w.Write(b)
	return added, 0, reported, err
}

func (f *fileStore) digest() ([]byte, error) { return []byte{}, nil }

func (f *fileStore) admits() error { return nil }

// Read yields the entries that [Fetch] wrote, for [ledger.Join]. Nothing of them is
// verified. It yields an error, and ends, where they end too early or are damaged. An entry
// is valid until the next one.
func Read(r io.Reader) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for b := bufio.NewReaderSize(r, 64<<10); ; {
			entry, err := bytestring.Read(b, maxExchanged)
			if errors.Is(err, io.EOF) || !yield(entry, err) || err != nil {
				return
			}
		}
	}
}
