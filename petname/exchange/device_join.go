package exchange

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/pair"
	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/canonical"
)

// wireInviter is the row of the identity that a device has paired with to join its book.
type wireInviter struct {
	_          struct{} `cbor:",toarray"`
	Text       []byte   // sha2-256 of the code or link
	Inviter    []byte   // pointer
	Sealing    []pointer.SealingKey
	Addresses  [][]byte
	Generation uint64
	Chunks     uint64 // of the generation, that are stored
	Bytes      int64  // in them
	Ended      bool   // the last one is
}

// The keys of tableJoining.
var (
	keyInviter = []byte("inviter")
	keyChunk   = []byte("chunk")
)

// chunkIndex returns the index in the key of a chunk.
func chunkIndex(key []byte) (uint64, error) {
	rest, ok := bytes.CutPrefix(key, keyChunk)
	if !ok || len(rest) != 8 {
		return 0, errKey
	}
	return binary.BigEndian.Uint64(rest), nil
}

// JoinProgress is how far a device has come that joins a book.
type JoinProgress struct {
	Inviter pointer.Pointer // zero: not paired yet
	Bytes   int64           // received
}

// JoinBook joins the book of the identity that made an invitation of InviteDevice: text is
// its code or its link. The book of this Exchange is a provisional one, of which the
// identity is the device's own key. An interrupted call is continued by the next one with
// the same text. It fails with [petname.ErrDeviceRemoved] if the device was removed before it had
// the book, and with [ErrHandoverTimeout]. JoinBook returns what the device makes its home of, and
// the entries of the book in exchanged form, which are in the provisional book.
func (e *Exchange) JoinBook(ctx context.Context, key crypto.Signer, text string, progress func(JoinProgress)) (pointer.Pointer, Handover, iter.Seq[[]byte], error) {
	fail := func(err error) (pointer.Pointer, Handover, iter.Seq[[]byte], error) {
		return pointer.Pointer{}, Handover{}, nil, err
	}
	w, err := e.inviterOf(ctx, key, text)
	if err != nil {
		return fail(err)
	}
	inviter, err := pointer.FromBytes(w.Inviter)
	if err != nil {
		return fail(err)
	}
	c, err := e.openDeviceChannel(key, inviter, w.Sealing, w.Addresses, deviceRows(w.Inviter))
	if err != nil {
		return fail(err)
	}
	tick := time.NewTicker(e.c.PollInterval)
	defer tick.Stop()
	silence := time.NewTimer(handoverTime)
	defer silence.Stop()
	asked := false // the other device was asked for the book over a stream
	for {
		before := w.Bytes
		w, err = e.receiveChunks(ctx, c, w)
		if progress != nil {
			progress(JoinProgress{inviter, w.Bytes})
		}
		if w.Ended && !c.Due(e.c.Now()) {
			break
		}
		if w.Chunks > 0 && !asked && e.c.FetchBook != nil {
			h, entries, ferr := e.fetchBook(ctx, c, &asked)
			if ferr == nil && asked {
				return inviter, h, entries, nil
			}
		}
		if errors.As(err, new(*ownError)) || errors.Is(err, ErrNewerHandover) || errors.Is(err, errHandover) || errors.Is(err, petname.ErrDeviceRemoved) {
			return fail(err)
		}
		if w.Bytes != before {
			silence.Reset(handoverTime)
		}
		select {
		case <-ctx.Done():
			return fail(errors.Join(ctx.Err(), err))
		case <-silence.C:
			return fail(errors.Join(ErrHandoverTimeout, err))
		case <-tick.C:
		}
	}
	first, entries, err := e.handed()
	if err != nil {
		return fail(err)
	}
	h, err := decodeHandover(first)
	return inviter, h, entries, err
}

// handoverTime is how long JoinBook waits for more of the book after the pairing.
const handoverTime = 5 * time.Minute

// ErrHandoverTimeout is returned when the other device has paired, and has sent nothing of the
// book for five minutes. The same call continues.
var ErrHandoverTimeout = errors.New("the other device has paired, and has sent nothing more of the book for five minutes")

var errHandover = errors.New("the other device sent what is no book")

// fetchBook fetches the entries over a stream, once the handover is there: asked is set then.
// If that succeeds, it tells the other device, which then sends no more.
func (e *Exchange) fetchBook(ctx context.Context, c *channel, asked *bool) (h Handover, entries iter.Seq[[]byte], err error) {
	first, _, err := e.handed()
	if err != nil {
		return h, nil, nil // it has not arrived completely
	}
	*asked = true
	if h, err = decodeHandover(first); err != nil {
		return h, nil, err
	}
	if entries, err = e.c.FetchBook(ctx, h); err != nil {
		return h, nil, err
	}
	err = e.updateChannel(c, func(tx) error { return c.Send([]byte("received")) })
	if err == nil {
		_, err = e.putRecord(ctx, c)
	}
	return h, entries, err
}

// JoinsByOther reports whether the device has paired by another invitation than the one with
// this text.
func (e *Exchange) JoinsByOther(text string) (bool, error) {
	w, found, err := e.storedInviter()
	hash := sha256.Sum256([]byte(text))
	return found && !bytes.Equal(w.Text, hash[:]), err
}

// storedInviter returns the identity that the device has paired with, if there is one.
func (e *Exchange) storedInviter() (w wireInviter, found bool, err error) {
	row, err := e.getRow(tableJoining, keyInviter)
	if err != nil || row == nil {
		return w, false, err
	}
	if err := canonical.Unmarshal(row, &w, canonical.Bounds{}); err != nil {
		return wireInviter{}, false, fmt.Errorf("joining: %w", err)
	}
	return w, true, nil
}

// HasInviter reports whether the device has paired with an identity to join its book.
func (e *Exchange) HasInviter() (bool, error) {
	row, err := e.getRow(tableJoining, keyInviter)
	return row != nil, err
}

// inviterOf pairs with the identity that made the invitation, unless that is done.
func (e *Exchange) inviterOf(ctx context.Context, key crypto.Signer, text string) (w wireInviter, err error) {
	hash := sha256.Sum256([]byte(text))
	w, found, err := e.storedInviter()
	if err != nil || found && bytes.Equal(w.Text, hash[:]) {
		return w, err
	}
	paired, err := e.pairAsDevice(ctx, key, text)
	if err != nil {
		return wireInviter{}, err
	}
	w = wireInviter{Text: hash[:], Inviter: paired.Peer.Pointer.Bytes(), Sealing: paired.Peer.Sealing, Addresses: paired.Peer.Addresses}
	err = e.update(func(tx tx) error {
		for row, err := range tx.local.Scan(tableJoining, nil) { // of another invitation
			if err != nil {
				return err
			}
			if err := tx.local.Delete(tableJoining, row.Key); err != nil {
				return err
			}
		}
		return w.store(tx.local)
	})
	return w, err
}

func (w wireInviter) store(local *ledger.View) error {
	b, err := canonical.Marshal(w)
	if err != nil {
		return err
	}
	return local.Put(tableJoining, keyInviter, b)
}

// pairAsDevice pairs as a device, by a code or a link.
func (e *Exchange) pairAsDevice(ctx context.Context, key crypto.Signer, text string) (pair.Paired, error) {
	self, err := e.self(ctx, key)
	if err != nil {
		return pair.Paired{}, err
	}
	self.Device = true
	stepper, addresses, entered, err := e.stepperOf(self, text)
	if err != nil {
		return pair.Paired{}, err
	}
	event, err := pair.Run(ctx, stepper, e.storeFor(addresses), e.c.Now, e.c.PollInterval)
	if err == nil || pair.Final(err) && !errors.Is(err, pair.ErrTimeout) {
		err = errors.Join(err, e.deleteRow(tableAcceptedCodes, []byte(entered)))
	}
	if err != nil {
		return pair.Paired{}, err
	}
	return *event.Paired, nil
}

// ownError is an error of this device, such as a full disk, which waiting for the other one does
// not end.
type ownError struct{ error }

func (e *ownError) Unwrap() error { return e.error }

// receiveChunks does one step of the channel. What it fails to store is an [*ownError].
func (e *Exchange) receiveChunks(ctx context.Context, c *channel, w wireInviter) (wireInviter, error) {
	result, pollErr := c.Poll(ctx, c.store, e.c.Now())
	after := w
	if len(result.Messages) > 0 {
		err := e.updateChannel(c, func(tx tx) error {
			for _, m := range result.Messages {
				chunk, err := decodeChunk(m.Bytes)
				if err == nil {
					err = after.add(tx.local, chunk)
				}
				if err == nil {
					err = c.Done(m)
				}
				if err != nil {
					return err
				}
			}
			return after.store(tx.local)
		})
		if err != nil {
			return w, &ownError{err}
		}
	}
	if c.Due(e.c.Now()) {
		_, err := e.putRecord(ctx, c)
		return after, errors.Join(err, pollErr)
	}
	return after, pollErr
}

// add stores a chunk. One of an earlier generation is of before a restart of the sender.
func (w *wireInviter) add(local *ledger.View, chunk wireChunk) error {
	if chunk.Generation < w.Generation {
		return nil
	}
	if chunk.refuses() {
		return fmt.Errorf("this device %w", petname.ErrDeviceRemoved)
	}
	if chunk.Generation > w.Generation {
		if err := deleteChunks(local); err != nil {
			return err
		}
		w.Generation, w.Chunks, w.Bytes, w.Ended = chunk.Generation, 0, 0, false
	}
	if chunk.Index != w.Chunks || w.Ended {
		return fmt.Errorf("%w: part %d after %d parts", errHandover, chunk.Index, w.Chunks)
	}
	if w.Bytes += int64(len(chunk.Bytes)); w.Bytes > maxHanded {
		return fmt.Errorf("%w: over %d bytes", errHandover, int64(maxHanded))
	}
	w.Chunks, w.Ended = w.Chunks+1, chunk.Last
	return local.Put(tableJoining, numbered(keyChunk, chunk.Index), chunk.Bytes)
}

func deleteChunks(local *ledger.View) error {
	for row, err := range local.Scan(tableJoining, keyChunk) {
		if err != nil {
			return err
		}
		if err := local.Delete(tableJoining, row.Key); err != nil {
			return err
		}
	}
	return nil
}

// handed returns the handover, and the entries after it, that the chunks contain. An entry
// that cannot be read ends the entries: the ledger refuses what lacks one.
func (e *Exchange) handed() (first []byte, entries iter.Seq[[]byte], err error) {
	next := func(r *cbor.Decoder) (b []byte, err error) {
		err = r.Decode(&b)
		return b, err
	}
	if first, err = next(cbor.NewDecoder(&chunkReader{exchange: e})); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", errHandover, err)
	}
	return first, func(yield func([]byte) bool) {
		r := cbor.NewDecoder(&chunkReader{exchange: e})
		for i := 0; ; i++ {
			b, err := next(r)
			if err != nil || i > 0 && !yield(b) {
				return
			}
		}
	}, nil
}

// chunkReader reads the chunks that are stored.
type chunkReader struct {
	exchange *Exchange
	index    uint64
	rest     []byte
}

func (r *chunkReader) Read(b []byte) (int, error) {
	for len(r.rest) == 0 {
		row, err := r.exchange.getRow(tableJoining, numbered(keyChunk, r.index))
		if err != nil {
			return 0, err
		}
		if row == nil {
			return 0, io.EOF
		}
		r.rest, r.index = row, r.index+1
	}
	n := copy(b, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}
