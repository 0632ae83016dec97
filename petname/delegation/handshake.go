package delegation

import (
	"bytes"
	"crypto/hmac"
	"crypto/hpke"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/petnames-go/petnames/dht/seal"
	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/canonical"
)

const (
	// MaxProtocol bounds the name of a protocol, in bytes of UTF-8.
	MaxProtocol = 128

	// MaxHello and MaxAnswer bound the two messages, in bytes.
	MaxHello  = 14336
	MaxAnswer = 1024

	secretSize    = 32
	helloContext  = "petnames/stream/hello/v1\x00"
	answerContext = "petnames/stream/answer/v1\x00"
)

// helloSizes are the sizes of a hello: sealed to an X25519 key, to a hybrid one, and with
// a record.
func helloSizes() []int { return []int{1024, 2048, MaxHello} }

// State is what a callee answers.
type State uint8

const (
	Accepted  State = iota // the stream is open
	NotServed              // no program of the callee serves the protocol now
	Busy                   // too many streams are open
)

// ErrWrongParty is returned for an answer of another party than the one that was called.
var ErrWrongParty = errors.New("the peer does not speak for the pointer that was called")

// Call is what a caller states in its hello.
type Call struct {
	Own      Delegation           // of the caller, to the peer key of its end of the connection
	Record   []byte               // the caller's newest record, if its key was rotated; else empty
	To       pointer.Pointer      // the callee
	Sealing  []pointer.SealingKey // of the callee's card
	Peer     pointer.Pointer      // the peer key of the callee's end
	Protocol string               // what is spoken on the stream, such as "example.org/chat/1"
}

type wireHello struct {
	_          struct{} `cbor:",toarray"`
	Version    uint
	Delegation []byte
	To         []byte
	Protocol   string
	Secret     []byte
	Record     []byte
}

type wireAnswer struct {
	_          struct{} `cbor:",toarray"`
	Version    uint
	State      uint8
	Delegation []byte
	Proof      []byte
}

// Awaited is the state of a caller that waits for the answer to its hello.
type Awaited struct {
	to, peer pointer.Pointer
	secret   []byte
	hello    [sha256.Size]byte
}

// CheckProtocol returns an error for text that cannot be the name of a protocol.
func CheckProtocol(s string) error {
	if s == "" || len(s) > MaxProtocol || !utf8.ValidString(s) {
		return fmt.Errorf("protocol %q: a name has 1 to %d bytes of UTF-8", s, MaxProtocol)
	}
	return nil
}

// Hello returns the caller's message, and what opens the answer to it.
func (c Call) Hello() ([]byte, Awaited, error) {
	if err := CheckProtocol(c.Protocol); err != nil {
		return nil, Awaited{}, err
	}
	key, err := seal.SelectKey(c.Sealing)
	if err != nil {
		return nil, Awaited{}, err
	}
	w := Awaited{to: c.To, peer: c.Peer, secret: make([]byte, secretSize)}
	rand.Read(w.secret)
	plain, err := canonical.Marshal(wireHello{Version: 1, Delegation: c.Own.raw, To: c.To.Bytes(), Protocol: c.Protocol, Secret: w.secret, Record: append([]byte{}, c.Record...)})
	if err != nil {
		return nil, Awaited{}, fmt.Errorf("hello: %w", err)
	}
	hello, err := seal.Seal(key, helloInfo(c.Own.peer, c.Peer), nil, helloSizes(), plain)
	if err != nil {
		return nil, Awaited{}, fmt.Errorf("hello: %w", err)
	}
	w.hello = sha256.Sum256(hello)
	return hello, w, nil
}

// helloInfo binds a hello to the two peers of a connection.
func helloInfo(caller, callee pointer.Pointer) []byte {
	return bytes.Join([][]byte{[]byte(helloContext), caller.Bytes(), callee.Bytes()}, nil)
}

// Hello is what a callee has opened.
type Hello struct {
	By       Delegation // of the caller, to the peer key of its end of the connection
	Record   []byte     // of the caller, not verified; empty: it sent none
	To       pointer.Pointer
	Protocol string

	secret []byte
	hash   [sha256.Size]byte
}

// OpenHello opens the hello that the peer with the key remote sent to the one with the
// key local, by the private sealing keys of the callee. It refuses the delegation of
// another peer key than remote. Its errors wrap [ErrInvalid]. It reads no clock: see
// [Delegation.Check].
func OpenHello(keys []hpke.PrivateKey, local, remote pointer.Pointer, hello []byte) (Hello, error) {
	invalid := func(err error) (Hello, error) { return Hello{}, fmt.Errorf("hello %w: %w", ErrInvalid, err) }
	if len(hello) > MaxHello {
		return invalid(fmt.Errorf("%d bytes, over %d", len(hello), MaxHello))
	}
	plain, err := seal.Open(keys, helloInfo(remote, local), nil, hello)
	if err != nil {
		return invalid(err)
	}
	var w wireHello
	if err := canonical.Unmarshal(plain, &w, canonical.Bounds{Size: MaxHello}); err != nil {
		return invalid(err)
	}
	if w.Version != 1 || len(w.Secret) != secretSize {
		return invalid(errors.New("another version"))
	}
	if err := CheckProtocol(w.Protocol); err != nil {
		return invalid(err)
	}
	h := Hello{Record: w.Record, Protocol: w.Protocol, secret: w.Secret, hash: sha256.Sum256(hello)}
	if h.To, err = pointer.FromBytes(w.To); err != nil {
		return invalid(err)
	}
	if h.By, err = Open(w.Delegation); err != nil {
		return invalid(err)
	}
	if h.By.peer != remote {
		return invalid(errors.New("the delegation is to another peer key"))
	}
	return h, nil
}

// Answer returns the callee's message. own is its delegation to the peer key of its end.
func (h Hello) Answer(own Delegation, s State) ([]byte, error) {
	return canonical.Marshal(wireAnswer{Version: 1, State: uint8(s), Delegation: own.raw, Proof: proof(h.secret, s, h.hash)})
}

// proof proves that a hello was opened.
func proof(secret []byte, s State, hello [sha256.Size]byte) []byte {
	m := hmac.New(sha256.New, secret)
	m.Write([]byte(answerContext))
	m.Write([]byte{byte(s)})
	m.Write(hello[:])
	return m.Sum(nil)
}

// Open opens the answer to a hello, and returns the delegation of the callee. It fails
// with [ErrWrongParty] for that of another pointer or of another peer key than were
// called, or else with an error that wraps [ErrInvalid]. It reads no clock: see
// [Delegation.Check].
func (w Awaited) Open(answer []byte) (State, Delegation, error) {
	invalid := func(err error) (State, Delegation, error) {
		return 0, Delegation{}, fmt.Errorf("answer %w: %w", ErrInvalid, err)
	}
	var a wireAnswer
	if err := canonical.Unmarshal(answer, &a, canonical.Bounds{Size: MaxAnswer}); err != nil {
		return invalid(err)
	}
	if a.Version != 1 {
		return invalid(fmt.Errorf("version %d", a.Version))
	}
	if !hmac.Equal(a.Proof, proof(w.secret, State(a.State), w.hello)) {
		return invalid(errors.New("it is not of the holder of the sealing key"))
	}
	d, err := Open(a.Delegation)
	if err != nil {
		return invalid(err)
	}
	if d.by != w.to || d.peer != w.peer {
		return 0, Delegation{}, ErrWrongParty
	}
	return State(a.State), d, nil
}
