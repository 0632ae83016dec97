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

// Config is config.toml.
type Config struct {
	// Network is which DHT to be in: "off" (none), "ipfs", "lan", or "peers" for
	// a private set of them.
	Network string `toml:"network"`
	// Bootstrap are the multiaddrs to enter the network by.
	Bootstrap []string `toml:"bootstrap"`
	// Routers are the URLs of HTTP routers to ask and store with beside the
	// network, which may be "off".
	Routers []string `toml:"routers"`
	// Strangers says whether to look for letters of people who are in nobody's
	// book here. Off until it is asked for: looking shows whose home this is.
	ContactRequests bool `toml:"strangers"`
	// StrangerPuzzles is how much work such a letter has to have cost; 0: as much
	// as usual.
	RequestSolutions int `toml:"stranger_puzzles"`
}

// Config reads config.toml; without the file nothing is joined. Keys that it
// doesn't know are an error: a typo must not join another network.
func (h Home) Config() (Config, error) {
	c := Config{Network: "off"}
	name := h.path(configFile)
	b, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return Config{}, err
	}
	meta, err := toml.Decode(string(b), &c)
	if err != nil {
		return Config{}, fmt.Errorf("config %q: %w", name, err)
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		return Config{}, fmt.Errorf("config %q: unknown key %q", name, unknown[0].String())
	}
	switch c.Network {
	case "off", "ipfs", "lan", "peers":
	default:
		return Config{}, fmt.Errorf("config %q: network %q is none of off, ipfs, lan, peers", name, c.Network)
	}
	if c.RequestSolutions < 0 || c.RequestSolutions > request.MaxSolutions {
		return Config{}, fmt.Errorf("config %q: stranger_puzzles %d is not from 0 to %d", name, c.RequestSolutions, request.MaxSolutions)
	}
	for i, r := range c.Routers {
		if c.Routers[i], err = delegated.ParseURL(r); err != nil {
			return Config{}, fmt.Errorf("config %q: %w", name, err)
		}
	}
	return c, nil
}

// SetConfig writes config.toml, whole or not at all.
func (h Home) SetConfig(c Config) error {
	var b bytes.Buffer
	if err := toml.NewEncoder(&b).Encode(c); err != nil {
		return err
	}
	if err := h.replace(configFile, b.Bytes()); err != nil {
		return fmt.Errorf("config %w", err)
	}
	return nil
}

// replace writes a file of the home (mode 0600), whole or not at all, durably.
func (h Home) replace(file string, b []byte) error {
	name := h.path(file)
	if info, err := os.Lstat(name); err == nil && info.IsDir() {
		return fmt.Errorf("%q: is a folder, and should be a file", name)
	}
	return durable.Replace(h.files, name, tempPrefix(file), time.Time{}, bytes.NewReader(b))
}

// tempPrefix begins the names of unfinished files of a name.
func tempPrefix(file string) string { return "." + file + "-" }

// sweep removes the unfinished files that a crash left of replace: some hold
// keys. The caller has the book open, so no other process is replacing a file.
func (h Home) sweep() error {
	err := durable.Sweep(h.files, h.Dir, tempPrefix(identityFile), tempPrefix(sealingFile), tempPrefix(configFile), tempPrefix(oldMessagesFile))
	if err != nil {
		return fmt.Errorf("home %q: %w", h.Dir, err)
	}
	return nil
}
