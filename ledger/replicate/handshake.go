package replicate

import (
	"bytes"
	"crypto/ecdh"
	"errors"
	"fmt"
	"io"

	"github.com/flynn/noise"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/ledger/internal/x25519"
)

const (
	prologue = "petnames/sync/1\x00"

	firstSize  = 32 + 32 + tagSize + tagSize // e, s, payload of Noise_IK message 1
	secondSize = 32 + tagSize
)

// errNoHandshake is the error of Accept for what it does not answer.
var errNoHandshake = errors.New("no handshake of a device of this book")

func handshakeConfig(book ledger.BookID, private *ecdh.PrivateKey) noise.Config {
	return noise.Config{
		CipherSuite:   noise.NewCipherSuite(noise.DH25519, noise.CipherChaChaPoly, noise.HashSHA256),
		Pattern:       noise.HandshakeIK,
		Prologue:      append([]byte(prologue), book[:]...),
		StaticKeypair: noise.DHKey{Private: private.Bytes(), Public: private.PublicKey().Bytes()},
	}
}

// dial makes the handshake with a peer of a known key.
func (s *session) dial(book ledger.BookID, private *ecdh.PrivateKey, peer ledger.DeviceID) error {
	public, err := x25519.Public(peer)
	if err != nil {
		return err
	}
	config := handshakeConfig(book, private)
	config.Initiator, config.PeerStatic = true, public.Bytes()
	state, err := noise.NewHandshakeState(config)
	if err != nil {
		return err
	}
	first, _, _, err := state.WriteMessage(nil, nil)
	if err != nil {
		return err
	}
	n, err := writeRecord(s.conn, first)
	s.out.n += int64(n)
	if err != nil {
		return err
	}
	second, err := readRecord(s.conn, make([]byte, secondSize))
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return ErrNoAnswer
	} else if err != nil {
		return err
	}
	s.in.n += int64(2 + len(second))
	_, send, receive, err := state.ReadMessage(nil, second)
	if err != nil || receive == nil {
		return broken("a handshake that does not decrypt")
	}
	s.out.cipher, s.in.cipher = send, receive
	s.Peer = peer
	return nil
}

// accept answers the handshake of a device that the book admits, and of no other.
func (s *session) accept(l *ledger.Ledger, private *ecdh.PrivateKey) error {
	state, err := noise.NewHandshakeState(handshakeConfig(l.Book(), private))
	if err != nil {
		return err
	}
	first, err := readRecord(s.conn, make([]byte, firstSize))
	if err != nil {
		return err
	}
	s.in.n += int64(2 + len(first))
	if payload, _, _, err := state.ReadMessage(nil, first); err != nil || len(payload) > 0 {
		return errNoHandshake
	}
	if s.Peer, err = deviceOf(l, state.PeerStatic()); err != nil {
		return err
	}
	second, receive, send, err := state.WriteMessage(nil, nil)
	if err != nil {
		return err
	}
	s.in.cipher, s.out.cipher = receive, send
	n, err := writeRecord(s.conn, second)
	s.out.n += int64(n)
	return err
}

// deviceOf returns the device with a static key. If two devices have it, because their keys
// differ in the sign, both must be admitted.
func deviceOf(l *ledger.Ledger, static []byte) (found ledger.DeviceID, err error) {
	err = fmt.Errorf("a device that is not of this book: %w", ErrNotAdmitted)
	for _, d := range l.Devices() {
		public, perr := x25519.Public(d.ID)
		if perr != nil || !bytes.Equal(public.Bytes(), static) {
			continue
		}
		switch {
		case d.ID == l.Device():
			return ledger.DeviceID{}, ErrSelf
		case d.Removed:
			return ledger.DeviceID{}, fmt.Errorf("device %q: %w", d.Name, ErrNotAdmitted)
		}
		found, err = d.ID, nil
	}
	return found, err
}
