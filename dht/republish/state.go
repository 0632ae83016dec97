package republish

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/petnames-go/petnames/ledger/durable"
	"github.com/petnames-go/petnames/pointer"
)

// stateVersion is the form of the file. It is JSON so that a person can read
// why a name was lost; nothing in it is worth believing further than that a
// look comes sooner or later, within the limits that hold anyway.
const stateVersion = 1

// maxState bounds what is read of a file, in bytes: a million records.
const maxState = 256 << 20

// state is what a keeper knows when it starts again.
type state struct {
	Version int              `json:"v"`
	Churn   float64          `json:"churn"` // peers that go, of one, per hour
	Depth   int              `json:"depth"` // bits of the last region
	Own     ownState         `json:"own"`
	Kept    map[string]Entry `json:"kept"` // by pointer
}

// readState reads a file; none is an empty state.
func readState(path string) (state, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return state{}, nil
	}
	if err != nil {
		return state{}, fmt.Errorf("keep: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxState+1))
	if err != nil {
		return state{}, fmt.Errorf("keep: %w", err)
	}
	s, err := decodeState(b)
	if err != nil {
		return state{}, fmt.Errorf("keep: %q: %w", path, err)
	}
	return s, nil
}

func decodeState(b []byte) (state, error) {
	var s state
	if len(b) > maxState {
		return state{}, fmt.Errorf("over %d bytes", maxState)
	}
	if err := json.Unmarshal(b, &s); err != nil {
		return state{}, err
	}
	if s.Version != stateVersion {
		return state{}, fmt.Errorf("version %d, not %d", s.Version, stateVersion)
	}
	for text := range s.Kept {
		if p, err := pointer.Parse(text); err != nil || p.String() != text {
			return state{}, fmt.Errorf("%q is no pointer", text)
		}
	}
	return s, nil
}

// ReadEntries reads the entries of a keeper's file, which none need be running
// for.
func ReadEntries(path string) (map[pointer.Pointer]Entry, error) {
	s, err := readState(path)
	if err != nil {
		return nil, err
	}
	entries := make(map[pointer.Pointer]Entry, len(s.Kept))
	for text, e := range s.Kept {
		p, err := pointer.Parse(text)
		if err != nil {
			return nil, err
		}
		entries[p] = e
	}
	return entries, nil
}

// restore takes a state over, and makes its due times sound.
func (k *Keeper) restore(s state, now time.Time) {
	if s.Version != stateVersion {
		return
	}
	if s.Churn > 0 {
		k.churn = min(max(s.Churn, minChurn), maxChurn)
	}
	k.depth = min(max(s.Depth, 0), 64)
	k.own = s.Own
	for text, e := range s.Kept {
		p, err := pointer.Parse(text)
		if err != nil {
			continue
		}
		k.items = append(k.items, &item{pointer: p, place: placeOf(p), Entry: e})
	}
	slices.SortFunc(k.items, byPlace)
	k.settle(now)
}

// save writes the state, if it changed, aside and then over the old one. The
// worst of losing it is a look too many.
func (k *Keeper) save() {
	k.mu.Lock()
	if !k.dirty || k.c.Path == "" {
		k.mu.Unlock()
		return
	}
	s := state{Version: stateVersion, Churn: k.churn, Depth: k.depth, Own: k.own, Kept: map[string]Entry{}}
	for _, it := range k.items {
		s.Kept[it.pointer.String()] = it.Entry
	}
	k.dirty, k.saved = false, time.Now()
	k.mu.Unlock()
	if err := s.write(k.c.files, k.c.Path); err != nil {
		k.log.Error("due times not saved", "error", err)
		k.mu.Lock()
		k.dirty = true // to be tried again
		k.mu.Unlock()
	}
}

// tempPrefix begins the names of unfinished files.
func tempPrefix(path string) string { return "." + filepath.Base(path) + "-" }

func (s state) write(files durable.FS, path string) error {
	b, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return durable.Replace(files, path, tempPrefix(path), time.Time{}, bytes.NewReader(b))
}
