package republish

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"github.com/petnames-go/petnames/ledger/durable"
	"github.com/petnames-go/petnames/pointer"
)

// stateVersion is the version of the file. It is JSON so that people can read
// why a record was lost. Its contents are not trusted: they only decide when a
// query is due, within fixed limits.
const stateVersion = 1

// maxState is the longest file that is read, in bytes: a million records.
const maxState = 256 << 20

// state is the content of the file.
type state struct {
	Version int              `json:"v"`
	Churn   float64          `json:"churn"` // rate at which peers leave, per peer and hour
	Depth   int              `json:"depth"` // bits shared by the peers of the last region
	Own     ownState         `json:"own"`
	Kept    map[string]Entry `json:"kept"` // by pointer
}

// readState reads a file. It returns an empty state if there is no file.
func readState(path string) (state, error) {
	f, err := durable.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return state{}, nil
	}
	if err != nil {
		return state{}, fmt.Errorf("republish: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxState+1))
	if err != nil {
		return state{}, fmt.Errorf("republish: %w", err)
	}
	s, err := decodeState(b)
	if err != nil {
		return state{}, fmt.Errorf("republish: %q: %w", path, err)
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

// ReadEntries returns the entries in the file of a Republisher, which need not
// be running. There are none if there is no file.
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

// restore sets the state, with its figures and due times within the limits.
func (r *Republisher) restore(s state, now time.Time) {
	if s.Version != stateVersion {
		return
	}
	if s.Churn > 0 {
		r.churn = min(max(s.Churn, minChurn), maxChurn)
	}
	r.depth = min(max(s.Depth, 0), 64)
	r.own = s.Own
	for text, e := range s.Kept {
		p, err := pointer.Parse(text)
		if err != nil {
			continue
		}
		r.items = append(r.items, &item{pointer: p, key: keyOf(p), Entry: e})
	}
	slices.SortFunc(r.items, byKey)
	r.repairDueTimes(now)
}

// save replaces the file atomically if the state has changed. If the state is
// lost, records are queried earlier than necessary.
func (r *Republisher) save() {
	r.mu.Lock()
	if !r.dirty || r.config.Path == "" {
		r.mu.Unlock()
		return
	}
	s := state{Version: stateVersion, Churn: r.churn, Depth: r.depth, Own: r.own, Kept: map[string]Entry{}}
	for _, it := range r.items {
		s.Kept[it.pointer.String()] = it.Entry
	}
	r.dirty, r.saved = false, time.Now()
	r.mu.Unlock()
	if err := s.write(r.config.files, r.config.Path); err != nil {
		r.log.Error("due times not saved", "error", err)
		r.mu.Lock()
		r.dirty = true // to be tried again
		r.mu.Unlock()
	}
}

// tempPrefix returns the prefix of the names of temporary files.
func tempPrefix(path string) string { return "." + filepath.Base(path) + "-" }

func (s state) write(files durable.FS, path string) error {
	b, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return durable.Replace(files, path, tempPrefix(path), time.Time{}, bytes.NewReader(b))
}
