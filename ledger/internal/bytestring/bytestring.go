// Package bytestring reads and writes CBOR byte strings (RFC 8949, §3.1) in their shortest
// encoding, one after the other. They frame what the devices of a book exchange.
package bytestring

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"math"
)

// ErrMalformed is returned for what is no byte string, not in its shortest encoding, or
// longer than the caller accepts.
var ErrMalformed = errors.New("no byte string")

const maxHead = 5 // bytes before the content

// Append appends a byte string of less than 4 GiB.
func Append(b, s []byte) []byte {
	switch n := len(s); {
	case n < 24:
		b = append(b, 0x40|byte(n))
	case n <= math.MaxUint8:
		b = append(b, 0x58, byte(n))
	case n <= math.MaxUint16:
		b = binary.BigEndian.AppendUint16(append(b, 0x59), uint16(n))
	default:
		b = binary.BigEndian.AppendUint32(append(b, 0x5a), uint32(n))
	}
	return append(b, s...)
}

// Cut returns the content of the byte string of at most limit bytes at the start of b, in
// place, and what follows it. The error is io.ErrUnexpectedEOF if b is too short for it.
func Cut(b []byte, limit int) (s, rest []byte, err error) {
	head, n, err := parseHead(b, limit)
	switch {
	case err != nil:
		return nil, nil, err
	case n > len(b)-head:
		return nil, nil, io.ErrUnexpectedEOF
	}
	return b[head : head+n : head+n], b[head+n:], nil
}

// Read reads a byte string of at most limit bytes. The error is io.EOF if r is at its end,
// and io.ErrUnexpectedEOF if it ends too early.
func Read(r *bufio.Reader, limit int) ([]byte, error) {
	b, err := r.Peek(1)
	if err != nil {
		return nil, err
	}
	head, n, err := parseHead(b, limit)
	for size := 2; errors.Is(err, io.ErrUnexpectedEOF) && size <= maxHead; size++ {
		b, eof := r.Peek(size)
		if eof != nil {
			return nil, unexpected(eof)
		}
		head, n, err = parseHead(b, limit)
	}
	if err != nil {
		return nil, err
	}
	if _, err := r.Discard(head); err != nil {
		return nil, unexpected(err)
	}
	s := make([]byte, n)
	if _, err := io.ReadFull(r, s); err != nil {
		return nil, unexpected(err)
	}
	return s, nil
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// parseHead returns the sizes of the head at the start of b and of the content.
func parseHead(b []byte, limit int) (head, n int, err error) {
	switch {
	case len(b) == 0:
		return 0, 0, io.ErrUnexpectedEOF
	case b[0]>>5 != 2 || b[0]&0x1f > 26:
		return 0, 0, ErrMalformed
	}
	length := uint64(b[0] & 0x1f)
	head = 1
	if length >= 24 {
		size := 1 << (length - 24)
		if len(b) < 1+size {
			return 0, 0, io.ErrUnexpectedEOF
		}
		length, head = 0, 1+size
		for _, c := range b[1:head] {
			length = length<<8 | uint64(c)
		}
		if length < 24 || size > 1 && length>>(4*size) == 0 {
			return 0, 0, ErrMalformed
		}
	}
	if length > uint64(limit) {
		return 0, 0, ErrMalformed
	}
	return head, int(length), nil
}
