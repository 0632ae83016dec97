package home

import (
	"bytes"
	"cmp"
	"crypto"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"filippo.io/age/armor"

	"github.com/petnames-go/petnames/pointer"
)

// Identity is the content of identity.key. The header is followed by the secret
// keys, one on each line, or by an armored age file that contains these lines,
// encrypted with a passphrase (age-encryption.org/v1, scrypt):
//
//	# petname identity 1
//	# pointer: k51…
//	# next: k…             the commitment to the next key
//	# recovery: home       or "elsewhere": the next key is not in this file
//	# succession: …        base64, the succession chain from the first key; not for the first key
//	# last: …              base64, the last record of the previous key; absent for the first key
//	PETNAME-SECRET-KEY-1…
//	PETNAME-SECRET-KEY-1…  with "elsewhere" instead: # next: k…, as above
//
// A device without the identity key has the same header, of version 2 and with
// "elsewhere", and one line in the place of the keys:
//
//	# key: elsewhere …     base64, the signature of the identity key over all lines before
//
// The header can be read without the passphrase. [Identity.Key], and [Home.Identity] of
// an identity that is not locked, check each line of it against the keys, and fail with
// a [*HeaderError] when one does not match.
type Identity struct {
	Pointer       pointer.Pointer
	Next          pointer.Commitment
	NextElsewhere bool                 // the next key is not in this home
	Locked        bool                 // the keys need a passphrase
	KeyElsewhere  bool                 // the current key is on other devices alone
	Succession    []pointer.Succession // from the first key to the current one; empty: it is the first
	Last          []byte               // the last record of the previous key; nil: none. Not verified

	body      []byte       // what follows the header: the secret keys, encrypted if Locked
	badHeader *HeaderError // the first malformed line; nil: none
	lastLine  int          // number of the line of Last
	bodyLine  int          // number of the first line of body
	file      string       // path, for errors; empty: none
}

const (
	identityMagic = "# petname identity 1"
	keylessMagic  = "# petname identity 2" // of a device without the key
	keylessField  = "# key: elsewhere "
	keylessDomain = "petnames/home/identity/v2\x00"
	maxKeyFile    = 64 << 10 // bytes
)

// Recovery returns the place of the next key as text for people.
func (id Identity) Recovery() string {
	if id.NextElsewhere {
		return "elsewhere"
	}
	return "in this home"
}

// Identity reads the header of the identity key. It fails with an [*IncompleteError]
// when the file is missing.
func (h Home) Identity() (Identity, error) {
	name := h.path(identityFile)
	text, err := readText(name)
	if errors.Is(err, fs.ErrNotExist) {
		err = cmp.Or(h.Missing(), err)
	}
	if err != nil {
		return Identity{}, h.damaged(identityFile, err)
	}
	id, err := parseIdentity([]byte(text))
	if err != nil && id.badHeader == nil {
		return Identity{}, h.damaged(identityFile, fmt.Errorf("identity key %q: %w", name, err))
	}
	id.file = name
	if !id.Locked && !id.KeyElsewhere {
		if _, _, err := id.keys(""); errors.As(err, new(*HeaderError)) {
			return Identity{}, err
		} // a damaged secret key is reported by Key
	}
	if id.badHeader != nil {
		id.badHeader.File = name
		return Identity{}, id.badHeader
	}
	return id, nil
}

// parseIdentity parses identity.key. It verifies the succession chain, and decrypts
// nothing. With a [*HeaderError] it returns the other lines too: the keys may show how
// the malformed line should be.
func parseIdentity(b []byte) (Identity, error) {
	lines := strings.SplitN(string(b), "\n", 5)
	if len(lines) < 5 || lines[0] != identityMagic && lines[0] != keylessMagic {
		return Identity{}, errors.New("is not an identity key of this version, or damaged")
	}
	var id Identity
	fail := func(line int, format string, args ...any) {
		if id.badHeader == nil {
			id.badHeader = &HeaderError{Line: line, Reason: fmt.Sprintf(format, args...)}
		}
	}
	field := func(line int, name string) string {
		value, ok := strings.CutPrefix(lines[line-1], "# "+name+": ")
		if !ok {
			fail(line, "should say %q", name)
		}
		return value
	}
	var err error
	if id.Pointer, err = pointer.Parse(field(2, "pointer")); err != nil {
		fail(2, "%v", err)
	}
	if id.Next, err = pointer.ParseCommitment(field(3, "next")); err != nil {
		fail(3, "%v", err)
	}
	switch field(4, "recovery") {
	case "home":
	case "elsewhere":
		id.NextElsewhere = true
	default:
		fail(4, "recovery is neither home nor elsewhere") // unquoted: it may be a secret
	}
	body := lines[4]
	line := 5
	if encoded, rest, found := strings.Cut(body, "\n"); found && strings.HasPrefix(encoded, successionField) {
		if id.Succession, err = parseSuccession(encoded, id.Pointer); err != nil {
			fail(line, "%v", err)
		}
		body = rest
		line++
	}
	if encoded, rest, found := strings.Cut(body, "\n"); found && strings.HasPrefix(encoded, lastField) {
		if id.Last, err = base64.StdEncoding.Strict().DecodeString(encoded[len(lastField):]); err != nil {
			fail(line, "the last record is not base64")
			id.badHeader.Spare = id.badHeader.Line == line
		}
		body = rest
		id.lastLine = line
		line++
	}
	id.bodyLine = line
	if lines[0] == keylessMagic {
		return id, id.parseKeyless(string(b), body)
	}
	if strings.HasPrefix(body, "# ") {
		fail(line, "is no line of a header")
	}
	id.body = []byte(body)
	id.Locked = strings.HasPrefix(strings.TrimSpace(body), armor.Header)
	if id.badHeader != nil {
		return id, id.badHeader
	}
	return id, nil
}

// parseKeyless verifies the line in the place of the keys of a whole file.
func (id *Identity) parseKeyless(file, line string) error {
	id.KeyElsewhere = true
	if id.badHeader != nil {
		return id.badHeader
	}
	encoded, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), keylessField)
	signature, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if !ok || err != nil || !id.NextElsewhere {
		return errors.New("is damaged: its last line is no signature of the identity key")
	}
	signed := strings.TrimSuffix(file, line)
	if err := id.Pointer.Verify([]byte(keylessDomain+signed), signature); err != nil {
		return errors.New("is damaged: the identity key has not signed these lines")
	}
	return nil
}

const (
	successionField = "# succession: "
	lastField       = "# last: "
)

// parseSuccession parses the line of the succession chain. It verifies each step,
// and that the chain ends at the pointer to.
func parseSuccession(line string, to pointer.Pointer) ([]pointer.Succession, error) {
	b, err := base64.StdEncoding.Strict().DecodeString(line[len(successionField):])
	if err != nil {
		return nil, errors.New("is not base64")
	}
	chain, err := pointer.ParseSuccession(b)
	if err != nil {
		return nil, err
	}
	var last pointer.Pointer
	for _, s := range chain {
		if last, err = s.Verify(); err != nil {
			return nil, err
		}
	}
	if last != to {
		return nil, fmt.Errorf("the succession leads to %s", last)
	}
	return chain, nil
}

// Created reports whether a book that the pointer p created belongs to the identity:
// p is its current pointer or an earlier one. The book of a home that was recovered is
// younger than the identity.
func (id Identity) Created(p pointer.Pointer) bool {
	return p == id.Pointer || slices.ContainsFunc(id.Succession, func(s pointer.Succession) bool { return s.Old == p })
}

// First returns the pointer of the first key of the identity.
func (id Identity) First() pointer.Pointer {
	if len(id.Succession) > 0 {
		return id.Succession[0].Old
	}
	return id.Pointer
}

// Key is [Identity.Unlock] without proven.
func (id Identity) Key(passphrase string) (*pointer.Key, error) {
	current, _, err := id.Unlock(passphrase)
	return current, err
}

// Unlock returns the current key. proven reports that what is stored beside the key
// proves the commitment to the next key in the header; in a file of an older version, whose
// next key is elsewhere, nothing does. The passphrase is ignored when the key is not
// locked. Unlock fails with [ErrKeyElsewhere] when this device does not have the key, with
// [ErrLocked] when it is locked and passphrase is empty, and with [ErrPassphrase] when passphrase
// is wrong.
func (id Identity) Unlock(passphrase string) (current *pointer.Key, proven bool, err error) {
	s, err := id.secretLines(passphrase)
	if err != nil {
		return nil, false, err
	}
	next, err := id.nextCommitment(s)
	return s.current, err == nil && !next.IsZero(), nil
}

// keys returns the current key and the next key; next is nil if it is not in the file.
func (id Identity) keys(passphrase string) (current, next *pointer.Key, err error) {
	s, err := id.secretLines(passphrase)
	return s.current, s.next, err
}

// secretLines decrypts the lines below the header, and checks the header by them.
func (id Identity) secretLines(passphrase string) (secretLines, error) {
	body := id.body
	if id.KeyElsewhere {
		return secretLines{}, ErrKeyElsewhere
	}
	if id.Locked {
		var err error
		if passphrase == "" {
			if _, err = io.Copy(io.Discard, armor.NewReader(bytes.NewReader(body))); err != nil {
				return secretLines{}, id.damaged(err) // it was cut off
			}
			return secretLines{}, ErrLocked
		}
		if body, err = decryptUpTo(body, passphrase, maxKeyFile); errors.Is(err, ErrPassphrase) {
			return secretLines{}, err
		} else if err != nil {
			return secretLines{}, id.damaged(err)
		}
	}
	s, err := parseSecrets(string(body))
	if err != nil {
		return secretLines{}, id.damaged(err)
	}
	if err := id.checkHeader(s); err != nil {
		return secretLines{}, err
	}
	return s, nil
}

// damaged returns an error about the secret keys as one about the file.
func (id Identity) damaged(err error) error {
	if id.file == "" {
		return fmt.Errorf("identity key: %w", err)
	}
	return &FileError{Path: id.file, Err: fmt.Errorf("identity key %q: %w", id.file, err)}
}

// secrets are the contents of a new identity.key.
type secrets struct {
	current, next *pointer.Key       // next: nil if committed is set
	committed     pointer.Commitment // to the next key
	nextElsewhere bool               // the next key is to be kept out of it
	succession    []pointer.Succession
	last          []byte // record; nil: none
	passphrase    string // empty: not locked
	workFactor    int    // scrypt's work factor, log2; 0: age's own
	keyless       bool   // the file of a device without the key; nextElsewhere is set
}

// format returns the content of identity.key.
func (s secrets) format() ([]byte, error) {
	commitment := s.committed
	if s.next != nil {
		var err error
		if commitment, err = pointer.Commit(s.next.Public()); err != nil {
			return nil, err
		}
	}
	recovery, secret := "home", s.current.Secret()+"\n"+s.next.Secret()+"\n"
	if s.nextElsewhere {
		recovery, secret = "elsewhere", s.current.Secret()+"\n"+bodyNext+commitment.String()+"\n"
	}
	magic := identityMagic
	if s.keyless {
		magic = keylessMagic
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s\n# pointer: %s\n# next: %s\n# recovery: %s\n", magic, s.current.Pointer(), commitment, recovery)
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
	if s.keyless {
		signature, err := s.current.Sign(nil, append([]byte(keylessDomain), b.Bytes()...), crypto.Hash(0))
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "%s%s\n", keylessField, base64.StdEncoding.EncodeToString(signature))
		return b.Bytes(), nil
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
