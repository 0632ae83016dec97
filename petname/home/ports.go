package home

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/petnames-go/petnames/ledger/durable"
)

const (
	maxPorts       = 64       // in ports.json
	maxPortsFile   = 16 << 10 // bytes
	maxListen      = 128      // bytes of one address
	networkVersion = 1        // of ports.json and peers.json
)

// ListenPort is the port that was bound for an address with port 0. Peers know the node
// by it, so the next start uses it again.
type ListenPort struct {
	Listen string `json:"listen"` // the address with port 0, such as "/ip4/127.0.0.1/tcp/0"
	Port   uint16 `json:"port"`
}

type portsFileContent struct {
	Version int          `json:"v"`
	Ports   []ListenPort `json:"ports"`
}

// Ports returns the content of ports.json, in its order; nothing without the file. It
// fails with a [*FileError] if the file is damaged.
func (h Home) Ports() ([]ListenPort, error) {
	var c portsFileContent
	if err := h.readJSON(portsFile, maxPortsFile, &c); err != nil {
		return nil, err
	}
	if err := c.check(); err != nil {
		return nil, h.damagedJSON(portsFile, err)
	}
	return c.Ports, nil
}

func (c portsFileContent) check() error {
	if len(c.Ports) > maxPorts {
		return fmt.Errorf("%d ports, over %d", len(c.Ports), maxPorts)
	}
	for _, p := range c.Ports {
		if p.Port == 0 || p.Listen == "" || len(p.Listen) > maxListen {
			return fmt.Errorf("no port of an address: %.*q, %d", maxListen, p.Listen, p.Port)
		}
	}
	return nil
}

// KeepPorts adds the ports that were bound to ports.json. The first port of an address
// stays, even if another one was bound this time because it was in use. An address that
// occurs twice in bound has two ports. A damaged file is replaced.
func (h Home) KeepPorts(bound []ListenPort) error {
	kept, err := h.Ports()
	if err != nil && !errors.As(err, new(*FileError)) {
		return err
	}
	merged := slices.Clone(kept)
	occurrences := map[string]int{}
	for _, b := range bound {
		occurrences[b.Listen]++
		have := 0
		for _, p := range merged {
			if p.Listen == b.Listen {
				have++
			}
		}
		if have < occurrences[b.Listen] {
			merged = append(merged, b)
		}
	}
	merged = merged[max(0, len(merged)-maxPorts):]
	if err == nil && slices.Equal(merged, kept) {
		return nil
	}
	c := portsFileContent{networkVersion, merged}
	if err := c.check(); err != nil {
		return fmt.Errorf("ports: %w", err)
	}
	return h.writeJSON(portsFile, c)
}

// readJSON reads a file of JSON with a version; nothing if there is no file. It fails
// with a [*FileError] if the file is damaged. Fields of newer versions are ignored.
func (h Home) readJSON(file string, most int64, content any) error {
	b, err := durable.ReadFile(h.path(file), most)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.Is(err, fs.ErrPermission):
		return err
	case err != nil:
		return &FileError{Path: h.path(file), Err: err, step: stepNetworkFile}
	}
	var version struct {
		Version int `json:"v"`
	}
	if err := json.Unmarshal(b, &version); err != nil {
		return h.damagedJSON(file, errors.New("is not JSON"))
	}
	if version.Version != networkVersion {
		return h.damagedJSON(file, fmt.Errorf("has version %d, not %d", version.Version, networkVersion))
	}
	if err := json.Unmarshal(b, content); err != nil {
		return h.damagedJSON(file, errors.New("has fields of another kind"))
	}
	return nil
}

// stepNetworkFile is the next step for a file that a node makes again.
const stepNetworkFile = "remove it while no node runs, or leave it: the next node makes a new one"

func (h Home) damagedJSON(file string, err error) error {
	return &FileError{Path: h.path(file), Err: fmt.Errorf("%q %w", h.path(file), err), step: stepNetworkFile}
}

func (h Home) writeJSON(file string, content any) error {
	b, err := json.Marshal(content)
	if err != nil {
		return err
	}
	if err := h.replace(file, append(b, '\n')); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return nil
}
