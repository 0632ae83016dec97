package replicate

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/flynn/noise"

	"github.com/petnames-go/petnames/ledger/internal/bytestring"
	"github.com/petnames-go/petnames/pointer/canonical"
)

const (
	tagSize  = 16
	maxPlain = noise.MaxMsgLen - tagSize // bytes of a record's plain text
)

// writeRecord writes a Noise message with its length, in one call of Write.
func writeRecord(w io.Writer, message []byte) (n int, err error) {
	b := binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(message)), uint16(len(message)))
	return w.Write(append(b, message...))
}

// readRecord reads a Noise message into b, and returns the part of b that it fills.
func readRecord(r io.Reader, b []byte) ([]byte, error) {
	if _, err := io.ReadFull(r, b[:2]); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint16(b))
	if n < tagSize || n > len(b) {
		return nil, broken("a record of %d bytes", n)
	}
	if _, err := io.ReadFull(r, b[:n]); errors.Is(err, io.EOF) {
		return nil, io.ErrUnexpectedEOF
	} else if err != nil {
		return nil, err
	}
	return b[:n], nil
}

// recordReader is the stream of the records of one direction. A stream has no end of its
// own: a connection that ends is cut off.
type recordReader struct {
	r      io.Reader
	cipher *noise.CipherState
	buf    []byte
	plain  []byte // the rest of the last record, in buf
	n      int64  // bytes of records
	limit  int64
}

func (r *recordReader) Read(p []byte) (int, error) {
	for len(r.plain) == 0 {
		message, err := readRecord(r.r, r.buf)
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return 0, err
		}
		if r.n += int64(2 + len(message)); r.n > r.limit {
			return 0, broken("it sent over %d bytes", r.limit)
		}
		if r.plain, err = r.cipher.Decrypt(r.buf[:0], nil, message); err != nil {
			return 0, broken("a record does not decrypt")
		}
	}
	n := copy(p, r.plain)
	r.plain = r.plain[n:]
	return n, nil
}

// recordWriter writes the items of one direction in records.
type recordWriter struct {
	w      io.Writer
	cipher *noise.CipherState
	plain  []byte
	n      int64 // bytes of records
}

// writeItem adds an item. The last part of it is not written before flush.
func (w *recordWriter) writeItem(item any) error {
	b, err := canonical.Marshal(item)
	if err != nil {
		return err
	}
	if len(b) > maxItem {
		return fmt.Errorf("an item of %d bytes, at most %d", len(b), maxItem)
	}
	for b = bytestring.Append(nil, b); len(w.plain)+len(b) >= maxPlain; {
		n := maxPlain - len(w.plain)
		w.plain, b = append(w.plain, b[:n]...), b[n:]
		if err := w.flush(); err != nil {
			return err
		}
	}
	w.plain = append(w.plain, b...)
	return nil
}

func (w *recordWriter) flush() error {
	if len(w.plain) == 0 {
		return nil
	}
	message, err := w.cipher.Encrypt(nil, nil, w.plain)
	if err != nil {
		return err
	}
	w.plain = w.plain[:0]
	n, err := writeRecord(w.w, message)
	w.n += int64(n)
	return err
}
