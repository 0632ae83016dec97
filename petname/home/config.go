package home

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/BurntSushi/toml"

	"github.com/petnames-go/petnames/dht/delegated"
	"github.com/petnames-go/petnames/ledger/durable"
	"github.com/petnames-go/petnames/petname/request"
)

// Config is the content of config.toml.
type Config struct {
	// Network is the DHT to join: "off" (none), "ipfs", "lan", or "peers" for a
	// private set of peers.
	Network string `toml:"network"`
	// Bootstrap are the multiaddrs of the peers through which to join the network.
	Bootstrap []string `toml:"bootstrap"`
	// Routers are the URLs of HTTP routers to query and to store at, in addition to
	// the network, which may be "off".
	Routers []string `toml:"routers"`
	// ContactRequests enables reading the request mailbox, in which unknown senders
	// leave contact requests. It is off by default: the peers that receive the
	// queries learn the pointer of the home.
	ContactRequests bool `toml:"strangers"`
	// RequestSolutions is the number of proof-of-work solutions that a contact
	// request needs; 0: the default number.
	RequestSolutions int `toml:"stranger_puzzles"`
}

// ErrConfig is returned for a config.toml that is not valid.
var ErrConfig = errors.New("config")

// Config reads config.toml. Without the file, the network is "off". An unknown key
// is an error, [ErrConfig]: a typo must not join another network.
func (h Home) Config() (Config, error) {
	c := Config{Network: "off"}
	name := h.path(configFile)
	text, err := readText(name)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return Config{}, err
	}
	if err := checkTOML(text); err != nil {
		return Config{}, fmt.Errorf("%w %q: %w", ErrConfig, name, err)
	}
	meta, err := toml.Decode(text, &c)
	if err != nil {
		return Config{}, fmt.Errorf("%w %q: %w", ErrConfig, name, err)
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		return Config{}, fmt.Errorf("%w %q: unknown key %.80q", ErrConfig, name, unknown[0].String())
	}
	switch c.Network {
	case "off", "ipfs", "lan", "peers":
	default:
		return Config{}, fmt.Errorf("%w %q: network %q is none of off, ipfs, lan, peers", ErrConfig, name, c.Network)
	}
	if c.RequestSolutions < 0 || c.RequestSolutions > request.MaxSolutions {
		return Config{}, fmt.Errorf("%w %q: stranger_puzzles %d is not from 0 to %d", ErrConfig, name, c.RequestSolutions, request.MaxSolutions)
	}
	for i, r := range c.Routers {
		if c.Routers[i], err = delegated.ParseURL(r); err != nil {
			return Config{}, fmt.Errorf("%w %q: %w", ErrConfig, name, err)
		}
	}
	return c, nil
}

// SetConfig replaces config.toml atomically.
func (h Home) SetConfig(c Config) error {
	var b bytes.Buffer
	if err := toml.NewEncoder(&b).Encode(c); err != nil {
		return err
	}
	if err := h.replace(configFile, b.Bytes()); err != nil {
		return fmt.Errorf("config: %w", err)
	}
	return nil
}

// replaceable fails with a [*FileError] if a file that is to be replaced is not a
// regular one. A symbolic link would leave the former content at its target: a secret key,
// which the owner takes for erased.
func (h Home) replaceable(file string) error {
	info, err := os.Lstat(h.path(file))
	if err == nil && !info.Mode().IsRegular() {
		e := &FileError{Path: h.path(file), Err: &durable.KindError{Path: h.path(file), Mode: info.Mode().Type()}}
		if target, err := os.Stat(h.path(file)); err == nil && target.Mode().IsRegular() {
			e.step = stepLink
		}
		return e
	}
	return nil
}

// replace writes a file of the home (mode 0600) atomically and durably. It fails with the
// error of replaceable.
func (h Home) replace(file string, b []byte) error {
	if err := h.replaceable(file); err != nil {
		return err
	}
	return h.overwrite(file, b)
}

// overwrite is replace, and also replaces a symbolic link.
func (h Home) overwrite(file string, b []byte) error {
	return durable.Replace(h.files, h.path(file), tempPrefix(file), time.Time{}, bytes.NewReader(b))
}
