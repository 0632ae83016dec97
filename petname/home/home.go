// Package home stores one identity in a folder on disk. [Create] creates a home,
// [Recover] creates one from a recovery file, [Open] opens an existing one, and
// [Home.Book] opens its book. The files are:
//
//	identity.key    the current key, and the next key unless it is in a recovery file   0600
//	device.key      the key that signs the entries of the ledger                        0600
//	peer.key        the key of the libp2p host                                          0600
//	sealing.key     the keys that decrypt messages to this home                         0600
//	peer.key.damaged, sealing.key.damaged   what [Home.NewKey] replaced
//	ledger.db       the book; its device-local tables hold outgoing messages and the
//	                positions up to which messages of contacts were read
//	records/        the record of the owner and the newest known record of each
//	                pointer: older ones are refused
//	config.toml     the networks to join
//	dht.db          the records that the node stores for others, and its known peers
//	keep.json       the schedule of the republisher
//	ports.json      the ports that the node bound first: peers know them
//	peers.json      peers that answered in the last days
//	node.sock       the socket of the running node, which has the ledger open
//	rotation.journal of a rotation that is under way or was interrupted
//	.joining/       the provisional home of a device that joins a book
//	.rejoining/     the same beside a home that joins again as a new device; rejoin.journal
//	                while what is new takes its place
//	ledger.db.forked  the book from before that, until the owner removes it
//	.creating       while a home is being created, or after that was interrupted
//	post.db         a stub: older versions had messages in it (see [Home.MoveMessages])
//	post.db.damaged a copy of a post.db that could not be read completely
//
// One home is one identity. [Create] is atomic and never overwrites a home. Each
// other file is replaced by a temporary file that is synced and renamed;
// [Home.Book] removes temporary files that a crash left.
package home

import (
	"cmp"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/ledger/durable"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/pointer"
)

// Home is an existing home. Its methods read and write its files. Concurrent calls
// that write the same file must be serialized by the caller.
type Home struct {
	Dir string

	// SealingPublished states that the owner has published a card with sealing keys: a
	// missing sealing.key was lost then, and is not one that an older version never made.
	SealingPublished bool

	files durable.FS // nil: the file system of the operating system
}

var (
	// ErrNoHome is returned when a folder does not exist or contains no identity.
	ErrNoHome = errors.New("there is no home")

	// ErrExists is returned by [Create] when the folder contains a home.
	ErrExists = errors.New("there is a home already")

	// ErrNotEmpty is returned by [Create] when the folder has files that are not of a home.
	// It wraps [fs.ErrExist].
	ErrNotEmpty error = notEmptyError{}

	// ErrRecoveryInHome is returned when the recovery file would be inside the home.
	ErrRecoveryInHome = errors.New("lies inside the home, which it is to outlive")

	// ErrLocked is returned when a key is encrypted and no passphrase is available.
	ErrLocked = errors.New("the identity key is locked")

	// ErrPassphrase is returned when the passphrase is wrong.
	ErrPassphrase = errors.New("the passphrase is wrong")
)

// Default returns the folder of the user's home: $PETNAME_HOME, or else the folder
// petname in the place where the platform stores data of users.
func Default() (string, error) {
	if dir := os.Getenv("PETNAME_HOME"); dir != "" {
		return dir, nil
	}
	if runtime.GOOS == "linux" || runtime.GOOS == "freebsd" || runtime.GOOS == "openbsd" || runtime.GOOS == "netbsd" {
		// XDG Base Directory Specification: UserConfigDir is for settings, not for data.
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

// Open returns the home in dir. It fails with [ErrNoHome] when there is none, which is
// an [*IncompleteError] when the identity key alone is missing. It reads no key and
// acquires no lock.
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
	h := Home{Dir: dir}
	if _, err := os.Lstat(h.path(identityFile)); errors.Is(err, fs.ErrNotExist) {
		if e := h.incomplete(vital); e != nil {
			return Home{}, e
		}
		return Home{}, fmt.Errorf("%w at %q", ErrNoHome, dir)
	} else if err != nil {
		return Home{}, fmt.Errorf("home %q: %w", dir, err)
	}
	return h, nil
}

func (h Home) path(name string) string { return filepath.Join(h.Dir, name) }

// Book opens the book, and removes temporary files that a crash left. It fails with an
// [*IncompleteError] when a file is missing that it needs, and with [ledger.ErrInUse]
// when another process has the book open and does not close it
// within o.Wait.
//
// It finishes a joining as a new device that was interrupted after its commit: see
// [Home.CommitRejoin].
func (h Home) Book(o petname.Options) (*petname.Book, error) {
	for {
		if err := h.finishRejoin(); err != nil {
			return nil, err
		}
		key, _ := h.deviceKey()
		book, err := h.openBook(o)
		if err != nil {
			return nil, err
		}
		// Another process may have committed a joining meanwhile, and renamed the file.
		now, _ := h.deviceKey()
		if _, err := os.Lstat(h.path(rejoinJournal)); errors.Is(err, fs.ErrNotExist) && (key == nil || now == nil || key.Pointer() == now.Pointer()) {
			return book, nil
		}
		if err := book.Close(); err != nil {
			return nil, err
		}
	}
}

func (h Home) openBook(o petname.Options) (*petname.Book, error) {
	if e := h.incomplete(vital); e != nil && (e.Unfinished || !slices.Equal(e.Missing, []string{identityFile})) {
		return nil, e
	}
	device, err := h.deviceKey()
	if err != nil {
		return nil, err
	}
	if err := h.checkKind(ledgerFile, 0); err != nil {
		return nil, err
	}
	book, err := petname.Open(h.path(ledgerFile), device, o)
	if err != nil {
		return nil, err
	}
	if err := h.sweep(); err != nil {
		return nil, errors.Join(err, book.Close())
	}
	// A damaged identity key, or one of another book, is reported by the methods that
	// need it.
	id, err := h.Identity()
	if err != nil || !id.Created(book.Identity()) {
		return book, nil
	}
	// A book that cannot be written now opens as it was settled before.
	if err := book.SetOwnSuccession(id.Succession, id.Next); errors.As(err, new(*petname.SuccessionError)) {
		return nil, errors.Join(err, book.Close())
	}
	return book, nil
}

// Records opens the folder of records.
func (h Home) Records() (*dht.Dir, error) {
	if err := h.checkKind(recordsDir, fs.ModeDir); err != nil {
		return nil, err
	}
	return dht.OpenDir(h.path(recordsDir))
}

// NodeFile returns the path of the database of the DHT node.
func (h Home) NodeFile() string { return h.path(nodeFile) }

// RepublishFile returns the path of the schedule of the republisher.
func (h Home) RepublishFile() string { return h.path(republishFile) }

// PeerKey reads the key of the libp2p host of this device.
func (h Home) PeerKey() (ed25519.PrivateKey, error) {
	key, err := readPeerKey(h.path(peerFile))
	if errors.Is(err, fs.ErrNotExist) {
		err = cmp.Or(h.Missing(), err)
	}
	return key, h.damaged(peerFile, err)
}

// DeviceKey reads the key of this device, which signs the entries of the ledger.
func (h Home) DeviceKey() (ed25519.PrivateKey, error) {
	key, err := h.deviceKey()
	if err != nil {
		return nil, err
	}
	return key.Ed25519(), nil
}

func (h Home) deviceKey() (*pointer.Key, error) {
	key, err := readKey(h.path(deviceFile))
	return key, h.damaged(deviceFile, err)
}
