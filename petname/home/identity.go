package home

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"filippo.io/age/armor"

	"github.com/petnames-go/petnames/pointer"
)

// Identity is what identity.key holds. What follows the header is either the
// secret keys, a line each, or the same lines as an armored age file under a
// passphrase (age-encryption.org/v1, scrypt):
//
//	# petname identity 1
//	# pointer: k51…
//	# next: k…             the commitment to the next key
//	# recovery: home       or "elsewhere": the next key is not in this file
//	# succession: …        base64, how the key came to be the current one; no line for the first
//	# last: …              base64, the last record of the key before; no line for the first
//	PETNAME-SECRET-KEY-1…
//	PETNAME-SECRET-KEY-1…  unless elsewhere
//
// The header can be read without unlocking; it is checked against the keys
// when they are.
type Identity struct {
	Pointer       pointer.Pointer
	Next          pointer.Commitment
	NextElsewhere bool                 // the next key is not in this home
	Locked        bool                 // the keys need a passphrase
	Succession    []pointer.Succession // from the first key to this; empty: this is the first
	Last          []byte               // the last record of the key before this; nil: none. Not verified

	body []byte
}

const (
	identityMagic = "# petname identity 1"
	maxKeyFile    = 64 << 10 // bytes
)

// Recovery says where the next key is, for people.
func (id Identity) Recovery() string {
	if id.NextElsewhere {
		return "elsewhere"
	}
	return "in this home"
}

// Identity reads the header of the identity key.
func (h Home) Identity() (Identity, error) {
	name := h.path(identityFile)
	b, err := readSmall(name)
	if err != nil {
		return Identity{}, err
	}
	id, err := parseIdentity(b)
	if err != nil {
		return Identity{}, fmt.Errorf("identity key %q: %w", name, err)
	}
	return id, nil
}

func parseIdentity(b []byte) (Identity, error) {
	lines := strings.SplitN(string(b), "\n", 5)
	if len(lines) < 5 || lines[0] != identityMagic {
		return Identity{}, errors.New("is not an identity key of this version, or damaged")
	}
	field := func(i int, name string) (string, error) {
		value, ok := strings.CutPrefix(lines[i], "# "+name+": ")
		if !ok {
			return "", fmt.Errorf("line %d should say %q: damaged", i+1, name)
		}
		return value, nil
	}
	var id Identity
	text, err := field(1, "pointer")
	if err == nil {
		id.Pointer, err = pointer.Parse(text)
	}
	if err != nil {
		return Identity{}, err
	}
	if text, err = field(2, "next"); err == nil {
		id.Next, err = pointer.ParseCommitment(text)
	}
	if err != nil {
		return Identity{}, err
	}
	if text, err = field(3, "recovery"); err != nil {
		return Identity{}, err
	}
	switch text {
	case "home":
	case "elsewhere":
		id.NextElsewhere = true
	default:
		return Identity{}, errors.New("line 4: recovery is neither home nor elsewhere: damaged") // unquoted: it may have run into a secret
	}
	body := lines[4]
	if encoded, rest, found := strings.Cut(body, "\n"); found && strings.HasPrefix(encoded, successionField) {
		if id.Succession, err = parseSuccession(encoded, id.Pointer); err != nil {
			return Identity{}, err
		}
		body = rest
	}
	if encoded, rest, found := strings.Cut(body, "\n"); found && strings.HasPrefix(encoded, lastField) {
		if id.Last, err = base64.StdEncoding.Strict().DecodeString(encoded[len(lastField):]); err != nil {
			return Identity{}, errors.New("the last record is not base64: damaged")
		}
		body = rest
	}
	id.body = []byte(body)
	id.Locked = strings.HasPrefix(strings.TrimSpace(body), armor.Header)
	return id, nil
}

const (
	successionField = "# succession: "
	lastField       = "# last: "
)

// parseSuccession reads the steps that led to a pointer, each signed.
func parseSuccession(line string, to pointer.Pointer) ([]pointer.Succession, error) {
	b, err := base64.StdEncoding.Strict().DecodeString(line[len(successionField):])
	if err != nil {
		return nil, errors.New("line 5: is not base64: damaged")
	}
	chain, err := pointer.ParseSuccession(b)
	if err != nil {
		return nil, fmt.Errorf("line 5: %w: damaged", err)
	}
	var led pointer.Pointer
	for _, s := range chain {
		if led, err = s.Verify(); err != nil {
			return nil, fmt.Errorf("line 5: %w: damaged", err)
		}
	}
	if led != to {
		return nil, fmt.Errorf("line 5: the succession leads to %s: damaged", led)
	}
	return chain, nil
}

// First is the pointer of the identity's first key, which the book began with.
func (id Identity) First() pointer.Pointer {
	if len(id.Succession) > 0 {
		return id.Succession[0].Old
	}
	return id.Pointer
}

// Key unlocks the current key. passphrase is not looked at when it isn't
// locked; [ErrLocked] when it is and none is given, [ErrPassphrase] when it is
// wrong.
func (id Identity) Key(passphrase string) (*pointer.Key, error) {
	current, _, err := id.keys(passphrase)
	return current, err
}

// keys unlocks the current key and, unless it is elsewhere, the next.
func (id Identity) keys(passphrase string) (current, next *pointer.Key, err error) {
	body := id.body
	if id.Locked {
		if passphrase == "" {
			return nil, nil, ErrLocked
		}
		if body, err = decrypt(body, passphrase); err != nil {
			return nil, nil, err
		}
	}
	first, second, _ := strings.Cut(strings.TrimSpace(string(body)), "\n")
	if current, err = pointer.ParseKey(first); err != nil {
		return nil, nil, fmt.Errorf("identity key: %w", err)
	}
	if current.Pointer() != id.Pointer {
		return nil, nil, fmt.Errorf("identity key: the file says that it is of %s, and the key is of %s", id.Pointer, current.Pointer())
	}
	if second == "" {
		return current, nil, nil
	}
	if next, err = pointer.ParseKey(second); err != nil {
		return current, nil, nil // what is damaged is missed when it is needed
	}
	return current, next, nil
}

// secrets is what an identity key is made of.
type secrets struct {
	current, next *pointer.Key
	nextElsewhere bool // the next key is to be kept out of it
	succession    []pointer.Succession
	last          []byte // record; nil: none
	passphrase    string // empty: not locked
	workFactor    int    // scrypt's work factor, log2; 0: age's own
}

func (s secrets) format() ([]byte, error) {
	commitment, err := pointer.Commit(s.next.Public())
	if err != nil {
		return nil, err
	}
	recovery, secret := "home", s.current.Secret()+"\n"+s.next.Secret()+"\n"
	if s.nextElsewhere {
		recovery, secret = "elsewhere", s.current.Secret()+"\n"
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s\n# pointer: %s\n# next: %s\n# recovery: %s\n", identityMagic, s.current.Pointer(), commitment, recovery)
	if len(s.succession) > 0 {
		chain, err := pointer.EncodeSuccession(s.succession)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "%s%s\n", successionField, base64.StdEncoding.EncodeToString(chain))
	}
	if s.last != nil {
		fmt.Fprintf(&b, "%s%s\n", lastField, base64.StdEncoding.EncodeToString(s.last))
	}
	passphrase, work := s.passphrase, s.workFactor
	if passphrase == "" {
		b.WriteString(secret)
		return b.Bytes(), nil
	}
	locked, err := encrypt([]byte(secret), passphrase, work)
	if err != nil {
		return nil, err
	}
	b.Write(locked)
	return b.Bytes(), nil
}
