package home

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"filippo.io/age"
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
	Pointer    pointer.Pointer
	Next       pointer.Commitment
	Elsewhere  bool                 // the next key is not in this home
	Locked     bool                 // the keys need a passphrase
	Succession []pointer.Succession // from the first key to this; empty: this is the first
	Last       []byte               // the last record of the key before this; nil: none. Not verified

	body []byte
}

const (
	identityMagic = "# petname identity 1"
	maxKeyFile    = 64 << 10 // bytes
)

// Recovery says where the next key is, for people.
func (id Identity) Recovery() string {
	if id.Elsewhere {
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
		id.Elsewhere = true
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
	elsewhere     bool // the next key is to be kept out of it
	succession    []pointer.Succession
	last          []byte // record; nil: none
	passphrase    string // empty: not locked
	work          int    // scrypt's work factor, log2; 0: age's own
}

func (s secrets) format() ([]byte, error) {
	commitment, err := pointer.Commit(s.next.Public())
	if err != nil {
		return nil, err
	}
	recovery, secret := "home", s.current.Secret()+"\n"+s.next.Secret()+"\n"
	if s.elsewhere {
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
	passphrase, work := s.passphrase, s.work
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

// formatRecovery is the file that init --recovery writes: the next key alone,
// always under a passphrase.
func formatRecovery(current pointer.Pointer, next *pointer.Key, passphrase string, work int) ([]byte, error) {
	locked, err := encrypt([]byte(next.Secret()+"\n"), passphrase, work)
	if err != nil {
		return nil, err
	}
	header := fmt.Sprintf(recoveryMagic+"# the next key after %s: keep it away from this computer\n", current)
	return append([]byte(header), locked...), nil
}

// readRecovery reads the key out of a recovery file.
func readRecovery(name, passphrase string) (*pointer.Key, error) {
	b, err := readSmall(name)
	if err != nil {
		return nil, fmt.Errorf("recovery file: %w", err)
	}
	at := bytes.Index(b, []byte(armor.Header))
	if !bytes.HasPrefix(b, []byte(recoveryMagic)) || at < 0 {
		return nil, fmt.Errorf("recovery file %q: is not one of this version, or damaged", name)
	}
	if passphrase == "" {
		return nil, ErrLocked
	}
	plain, err := decrypt(b[at:], passphrase)
	if err != nil {
		return nil, fmt.Errorf("recovery file %q: %w", name, err)
	}
	key, err := pointer.ParseKey(string(plain))
	if err != nil {
		return nil, fmt.Errorf("recovery file %q: %w", name, err)
	}
	return key, nil
}

const recoveryMagic = "# petname recovery 1\n"

// encrypt seals under a passphrase; work is scrypt's work factor, 0 for age's own.
func encrypt(plain []byte, passphrase string, work int) ([]byte, error) {
	recipient, err := age.NewScryptRecipient(passphrase)
	if err != nil {
		return nil, err
	}
	if work != 0 {
		recipient.SetWorkFactor(work)
	}
	var out bytes.Buffer
	a := armor.NewWriter(&out)
	w, err := age.Encrypt(a, recipient)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(plain); err != nil {
		return nil, err
	}
	if err := errors.Join(w.Close(), a.Close()); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func decrypt(locked []byte, passphrase string) ([]byte, error) {
	identity, err := age.NewScryptIdentity(passphrase)
	if err != nil {
		return nil, err
	}
	r, err := age.Decrypt(armor.NewReader(bytes.NewReader(locked)), identity)
	var wrong *age.NoIdentityMatchError
	if errors.As(err, &wrong) {
		return nil, ErrPassphrase
	}
	if err != nil {
		return nil, fmt.Errorf("identity key: %w", err)
	}
	return io.ReadAll(io.LimitReader(r, maxKeyFile))
}

// ReadPassphrase reads the first line of a file, without its end.
func ReadPassphrase(name string) (string, error) {
	b, err := readSmall(name)
	if err != nil {
		return "", err
	}
	line, _, _ := strings.Cut(string(b), "\n")
	line = strings.TrimSuffix(line, "\r")
	if line == "" {
		return "", fmt.Errorf("passphrase file %q: its first line is empty", name)
	}
	return line, nil
}

func readKey(name string) (*pointer.Key, error) {
	b, err := readSmall(name)
	if err != nil {
		return nil, err
	}
	key, err := pointer.ParseKey(string(b))
	if err != nil {
		return nil, fmt.Errorf("key file %q: %w", name, err)
	}
	return key, nil
}

// readPeerKey reads a peer key: PKCS #8 in PEM, since libp2p wants the key
// itself where a signer would do elsewhere.
func readPeerKey(name string) (ed25519.PrivateKey, error) {
	b, err := readSmall(name)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(b)
	if block == nil || block.Type != pemType {
		return nil, fmt.Errorf("peer key %q: is not PEM of a private key: damaged", name)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("peer key %q: is not PKCS #8: damaged", name)
	}
	private, ok := key.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("peer key %q: is not an Ed25519 key", name)
	}
	return private, nil
}

const pemType = "PRIVATE KEY"

func newPeerKey() ([]byte, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der}), nil
}

// readSmall reads a file that has no business being large.
func readSmall(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() && info.IsDir() {
		return nil, fmt.Errorf("%q is a folder, and should be a file", name)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxKeyFile {
		return nil, fmt.Errorf("%q is over %d bytes long", filepath.Base(name), maxKeyFile)
	}
	return b, nil
}
