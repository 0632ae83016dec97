// Package frames is the framing of an append-only file of untrusted content. A file is a
// sequence of frames, each
//
//	length of the payload   4 bytes, big-endian
//	CRC-32C of the payload  4 bytes
//	payload                 1 byte or more
//
// The checksum finds damage by accident; it is no protection against a process that can write the
// file. [Read] allocates no more than its bound.
package frames

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// Head is the length of a frame before its payload, in bytes.
const Head = 8

// Most is the length of the longest payload in the file of a DHT node, in bytes.
const Most = 64 << 10

// ErrDamaged is wrapped by the errors about an incomplete or invalid frame.
var ErrDamaged = errors.New("damaged")

// castagnoli returns the checksums' table, which package hash/crc32 builds at
// the first call.
func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// Seal sets the first [Head] bytes of a frame, whose payload follows them.
func Seal(frame []byte) {
	payload := frame[Head:]
	binary.BigEndian.PutUint32(frame, uint32(len(payload)))
	binary.BigEndian.PutUint32(frame[4:], crc32.Checksum(payload, castagnoli()))
}

// Read reads one frame and returns its payload, of at most a number of bytes. It returns
// io.EOF at the end, and an error that wraps [ErrDamaged] for an incomplete or invalid frame.
func Read(r io.Reader, most uint32) (payload []byte, err error) {
	var head [Head]byte
	if n, err := io.ReadFull(r, head[:]); n == 0 && errors.Is(err, io.EOF) {
		return nil, io.EOF
	} else if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrDamaged, err) // also for an EOF within the frame
	}
	length := binary.BigEndian.Uint32(head[:])
	if length == 0 || length > most {
		return nil, fmt.Errorf("%w: an entry of %d bytes", ErrDamaged, length)
	}
	payload = make([]byte, length)
	if _, err := io.ReadFull(r, payload); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrDamaged, err)
	}
	if crc32.Checksum(payload, castagnoli()) != binary.BigEndian.Uint32(head[4:]) {
		return nil, fmt.Errorf("%w: checksum", ErrDamaged)
	}
	return payload, nil
}
