// Package home is the folder on disk that holds one identity:
//
//	identity.key    the current key, and the next one unless it is kept elsewhere   0600
//	device.key      signs the ledger's entries                                      0600
//	peer.key        the libp2p host's                                               0600
//	sealing.key     what others seal messages to this home with                     0600
//	ledger.db       the book, and in its device-local tables messages on their way to
//	                others and how far theirs have come
//	records/        my record, and the newest seen of everybody: the floor
//	config.toml     the networks joined
//	dht.db          what the node stores for others, and the peers that it knows
//	keep.json       when the records that a node keeps alive are looked for next
//	node.sock       while a node runs, which then holds the ledger
//	post.db         a stub: an older version had the messages here (see [Home.TakeOver])
//	post.db.damaged what of those could not be read
//
// One home is one identity. [Create] makes a home, whole or not at all, and
// never overwrites one. A file that is replaced is written aside, synced and
// renamed; [Home.Book] removes what a crash left of that.
package home

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/ledger/durable"
	"github.com/petnames-go/petnames/petname"
)

// The files of a home.
const (
	identityFile        = "identity.key"
	deviceFile          = "device.key"
	peerFile            = "peer.key"
	sealingFile         = "sealing.key"
	ledgerFile          = "ledger.db"
	recordsDir          = "records"
	configFile          = "config.toml"
	nodeFile            = "dht.db"
	republishFile       = "keep.json"
	oldMessagesFile     = "post.db"
	damagedMessagesFile = "post.db.damaged"
)

// Home is a home that exists. What it holds is opened by its methods.
type Home struct {
	Dir string

	files durable.FS // what writes; nil: the operating system's
}

var (
	// ErrNoHome: there is no home in that folder.
	ErrNoHome = errors.New("there is no home")

	// ErrExists: there is one already.
	ErrExists = errors.New("there is a home already")

	// ErrInside: the recovery file is not to lie in the home.
	ErrRecoveryInHome = errors.New("lies inside the home, which it is to outlive")

	// ErrLocked: the identity key is locked by a passphrase.
	ErrLocked = errors.New("the identity key is locked")

	// ErrPassphrase: the passphrase is wrong.
	ErrPassphrase = errors.New("the passphrase is wrong")
)

// Default is the platform's own place for a user's data.
func Default() (string, error) {
	if dir := os.Getenv("PETNAME_HOME"); dir != "" {
		return dir, nil
	}
	if runtime.GOOS == "linux" || runtime.GOOS == "freebsd" || runtime.GOOS == "openbsd" || runtime.GOOS == "netbsd" {
		// XDG Base Directory Specification: user data, which UserConfigDir isn't.
		if dir := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) {
			return filepath.Join(dir, "petname"), nil
		}
		user, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("no home folder to be found (give one with --home): %w", err)
		}
		return filepath.Join(user, ".local", "share", "petname"), nil
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("no home folder to be found (give one with --home): %w", err)
	}
	return filepath.Join(dir, "petname"), nil
}

// Open finds the home in dir. It reads no key and takes no lock.
func Open(dir string) (Home, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return Home{}, err
	}
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Home{}, fmt.Errorf("%w at %q", ErrNoHome, dir)
	case err != nil:
		return Home{}, fmt.Errorf("home %q: %w", dir, err)
	case !info.IsDir():
		return Home{}, fmt.Errorf("home %q: is a file, not a folder", dir)
	}
	if _, err := os.Lstat(filepath.Join(dir, identityFile)); errors.Is(err, fs.ErrNotExist) {
		return Home{}, fmt.Errorf("%w at %q", ErrNoHome, dir)
	} else if err != nil {
		return Home{}, fmt.Errorf("home %q: %w", dir, err)
	}
	return Home{Dir: dir}, nil
}

func (h Home) path(name string) string { return filepath.Join(h.Dir, name) }

// Book opens the book. It fails with [ledger.ErrInUse] when another process has it
// and does not close it within o.Wait.
func (h Home) Book(o petname.Options) (*petname.Book, error) {
	device, err := readKey(h.path(deviceFile))
	if err != nil {
		return nil, err
	}
	book, err := petname.Open(h.path(ledgerFile), device, o)
	if err != nil {
		return nil, err
	}
	if err := h.sweep(); err != nil {
		return nil, errors.Join(err, book.Close())
	}
	// A key that is damaged, or another book's, is for the verbs that need it to tell.
	id, err := h.Identity()
	if err != nil || len(id.Succession) == 0 || book.Identity() != id.First() {
		return book, nil
	}
	if err := book.SetOwnSuccession(id.Succession); err != nil {
		return nil, errors.Join(err, book.Close())
	}
	return book, nil
}

// Records opens the folder of records.
func (h Home) Records() (*dht.Dir, error) { return dht.OpenDir(h.path(recordsDir)) }

// NodeFile is where the node keeps what it stores for others.
func (h Home) NodeFile() string { return h.path(nodeFile) }

// KeepFile is where a node notes when it looks for which record next.
func (h Home) RepublishFile() string { return h.path(republishFile) }

// PeerKey is the key of this device's libp2p host.
func (h Home) PeerKey() (ed25519.PrivateKey, error) { return readPeerKey(h.path(peerFile)) }

// Ready reports whether the folder's files are all there and secret ones are
// readable by their owner alone, for the doctor: an error a problem.
func (h Home) CheckFiles() []error {
	var problems []error
	if info, err := os.Stat(h.Dir); err == nil && runtime.GOOS != "windows" && info.Mode().Perm()&0o022 != 0 {
		problems = append(problems, fmt.Errorf("%q can be written to by others (mode %#o): chmod 700 it", h.Dir, info.Mode().Perm()))
	}
	for _, name := range []string{identityFile, deviceFile, peerFile, sealingFile, ledgerFile} {
		info, err := os.Lstat(h.path(name))
		if name == sealingFile && errors.Is(err, fs.ErrNotExist) {
			continue // of an older home: made when it is needed
		}
		if err != nil {
			problems = append(problems, err)
			continue
		}
		if !info.Mode().IsRegular() {
			problems = append(problems, fmt.Errorf("%q is not a file", h.path(name)))
		} else if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
			problems = append(problems, fmt.Errorf("%q can be read by others (mode %#o): chmod 600 it", h.path(name), info.Mode().Perm()))
		}
	}
	return problems
}
