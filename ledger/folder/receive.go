package folder

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"time"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/ledger/durable"
)

const (
	batch      = 4 << 20            // bytes of entries that are merged at once
	maxWaiting = 1 << 20            // bytes of entries in memory that wait for others
	maxUseless = maxFile + 2*batch  // bytes of entries of a file that wait, are repeated, or are refused
	entryCost  = 16                 // bytes that an entry counts for beside its own
	nameTime   = "20060102-150405-" // how the names of files start
	maxOneWait = maxWaiting / 4     // of one file
)

var (
	errUseless = fmt.Errorf("over %d MiB of its entries wait for others, are repeated, or do not verify: the rest is not read", maxUseless>>20)
	errSealed  = errors.New("it was written for other devices, before this one was admitted or after it was removed; another device writes again what is missing here, at its next sync")
)

// source is a file that is read in this call.
type source struct {
	readFile
	slots   slots
	began   []byte // the stamp before it
	kept    int    // bytes of its entries in memory that wait
	dropped int    // entries that wait, and are not in memory
	refused int    // entries
	useless int    // bytes
}

// item is an entry that is not stored: it was read just now, or waits.
type item struct {
	bytes   []byte
	head    ledger.Head
	prev    ledger.Hash
	sources []*source
	waits   bool
}

// storedEntry is an entry of a file that is in the ledger.
type storedEntry struct {
	head    ledger.Head
	prev    ledger.Hash
	sources []*source
}

// readFiles reads the files that are new, those that have entries which wait and may do so no
// more, and at last those that could not be read to their end: so these do not keep a call
// from the others.
func (s *syncing) readFiles(names []readFile) error {
	tried := map[string]bool{}
	for {
		next, retry := s.unread(names, tried)
		for i, f := range append(next, retry...) {
			if f.Size > s.limit {
				tried[f.Name] = true
				s.problem(f.Name, fmt.Errorf("it is over %d MiB long", s.limit>>20))
				continue
			}
			if s.received > 0 && s.received+f.Size > s.limit {
				s.More = s.More || i < len(next)
				continue
			}
			tried[f.Name] = true
			if err := s.readFile(f); err != nil {
				return err
			}
		}
		if err := s.merge(); err != nil {
			return err
		}
		s.finishFiles()
		if s.outdated() {
			s.reset()
		} else if s.More || len(next) == 0 {
			return nil
		}
	}
}

// unread returns the files to read, and those to try again.
func (s *syncing) unread(names []readFile, tried map[string]bool) (next, retry []readFile) {
	rows := map[string]readFile{}
	for _, r := range s.state.Read {
		rows[r.Name] = r
	}
	stamp := s.stamp()
	var again []readFile
	for _, f := range names {
		switch r, found := rows[f.Name]; {
		case found && r.Failed:
			if !tried[f.Name] {
				retry = append(retry, f)
			}
		case !found && !tried[f.Name]:
			next = append(next, f)
		case found && len(r.Stamp) > 0 && !bytes.Equal(r.Stamp, stamp):
			again = append(again, f)
		}
	}
	return append(next, again...), retry
}

// readFile reads a file. Its entries are merged with those of other files. A file of which
// the start cannot be read, or is for other devices, is recorded as failed: later calls read
// the others before it.
func (s *syncing) readFile(f readFile) error {
	file, err := durable.Open(filepath.Join(s.dir, f.Name))
	if err != nil {
		s.problem(f.Name, err)
		return nil
	}
	defer file.Close()
	s.Files++
	s.received += f.Size
	src := &source{readFile: readFile{Name: f.Name, Size: f.Size}, began: s.stamp()}
	s.sources[f.Name] = src
	r := bufio.NewReaderSize(io.LimitReader(file, f.Size), 64<<10)
	recipients, err := readSlots(r)
	if err == nil && !recipients.names(s.l.Device()) {
		err = errNotForUs
		if slices.ContainsFunc(s.l.Devices(), func(d ledger.Device) bool { return recipients.names(d.ID) }) {
			src.Failed = true // without a problem: see reportSealed
			return nil
		}
	}
	if err != nil {
		src.Failed, src.Problem = true, err.Error()
		return nil
	}
	src.slots = recipients
	for entry, err := range recipients.read(r, s.l.Device(), s.private) {
		if err != nil {
			src.Failed, src.Problem = true, err.Error()
			break
		}
		if err := s.add(src, entry); err != nil {
			return err
		}
		if src.useless > maxUseless {
			src.Problem = errUseless.Error()
			break
		}
	}
	return nil
}

// add adds an entry of a file to those that are merged next.
func (s *syncing) add(src *source, entry []byte) error {
	h, prev, err := s.l.Identify(entry)
	if err != nil {
		s.Reported = cmp.Or(s.Reported, err)
		src.refuse(len(entry))
		return nil
	}
	key := sha256.Sum256(entry)
	if it, found := s.items[key]; found {
		if slices.Contains(it.sources, src) {
			src.useless += len(entry) + entryCost
		} else if it.sources = append(it.sources, src); it.waits {
			src.useless += len(entry) + entryCost
		}
		return nil
	}
	s.items[key] = &item{bytes: bytes.Clone(entry), head: h, prev: prev, sources: []*source{src}}
	s.order = append(s.order, key)
	if s.size += len(entry) + entryCost; s.size >= batch {
		return s.merge()
	}
	return nil
}

func (f *source) refuse(size int) {
	f.refused++
	f.useless += size + entryCost
}

// merge merges the entries that were read, with those that waited for them.
func (s *syncing) merge() error {
	if s.size == 0 {
		return nil
	}
	var entries [][]byte
	var heads []ledger.Head
	for _, key := range s.order {
		entries = append(entries, s.items[key].bytes)
		heads = append(heads, s.items[key].head)
	}
	n, left, err := s.l.MergePart(slices.Values(entries))
	s.Received += n
	switch {
	case err == nil:
	case errors.Is(err, ledger.ErrFork), errors.Is(err, ledger.ErrRefused):
		s.Reported = cmp.Or(s.Reported, err)
	default:
		return err
	}
	lacks, err := s.l.Lacks(heads)
	if err != nil {
		return err
	}
	lacking, waiting, ends := map[ledger.Head]bool{}, map[[32]byte]bool{}, map[ledger.DeviceID]uint64{}
	for _, h := range lacks {
		lacking[h] = true
	}
	for _, b := range left {
		waiting[sha256.Sum256(b)] = true
	}
	for _, d := range s.l.Devices() {
		if d.Removed {
			ends[d.ID] = d.Last
		}
	}
	order := s.order
	s.order, s.size, s.kept = nil, 0, 0
	for _, src := range s.sources {
		src.kept = 0
	}
	for _, key := range order {
		it := s.items[key]
		delete(s.items, key)
		if !lacking[it.head] {
			s.stored = append(s.stored, storedEntry{it.head, it.prev, it.sources})
			continue
		}
		end, removed := ends[it.head.Device]
		refused := !waiting[key] || removed && it.head.Number > end
		if !refused && !it.waits {
			if err := s.l.Book().VerifyAlone(it.bytes); err != nil {
				s.Reported, refused = cmp.Or(s.Reported, err), true
			}
		}
		s.putAside(key, it, refused)
	}
	return nil
}

// putAside counts an entry that is not stored, and keeps it in memory if it waits and there
// is space.
func (s *syncing) putAside(key [32]byte, it *item, refused bool) {
	size := len(it.bytes) + entryCost
	keep := !refused && s.kept+size <= maxWaiting && it.sources[0].kept+size <= maxOneWait
	for _, src := range it.sources {
		switch {
		case refused:
			src.refuse(len(it.bytes))
			continue
		case !keep:
			src.dropped++
		default:
			src.kept += size
		}
		if !it.waits {
			src.useless += size
		}
	}
	if it.waits = true; keep {
		s.items[key], s.order = it, append(s.order, key)
		s.kept += size
	}
}

// finishFiles records what was read of each file.
func (s *syncing) finishFiles() {
	waiting := map[*source]uint64{}
	for _, it := range s.items {
		for _, src := range it.sources {
			waiting[src]++
		}
	}
	stamp := s.stamp()
	s.state.Read = slices.DeleteFunc(s.state.Read, func(r readFile) bool { return s.sources[r.Name] != nil })
	for _, src := range s.sources {
		src.Waiting, src.Stamp = waiting[src]+uint64(src.dropped), nil
		switch {
		case src.dropped > 0:
			src.Stamp = src.began
		case src.Waiting > 0:
			src.Stamp = stamp
		}
		s.state.Read = append(s.state.Read, src.readFile)
	}
}

// reportFiles reports what files of the folder have that is not merged.
func (s *syncing) reportFiles() error {
	for _, r := range s.state.Read {
		if r.Problem != "" {
			s.problem(r.Name, errors.New(r.Problem))
		} else if r.Waiting > 0 {
			s.problem(r.Name, fmt.Errorf("%d of its entries build on others that have not arrived", r.Waiting))
		}
		s.Waiting += int(r.Waiting)
	}
	for _, src := range s.sources {
		if src.refused > 0 && src.Problem == "" {
			s.problem(src.Name, fmt.Errorf("%d of its entries do not verify, or are of a removed device", src.refused))
		}
	}
	return s.reportSealed()
}

// reportSealed reports files of the book that this device cannot read. Of those before its
// admission it has all, as soon as another device has written again what was in them. The
// clocks of the devices decide what is reported, and nothing else.
func (s *syncing) reportSealed() error {
	var sealed []string
	for _, r := range s.state.Read {
		if r.Failed && r.Problem == "" {
			sealed = append(sealed, r.Name)
		}
	}
	if len(sealed) == 0 {
		return nil
	}
	statements, err := s.l.Statements()
	if err != nil {
		return err
	}
	var admitted time.Time
	for _, st := range statements {
		if st.Kind != ledger.KindRemove && st.Device == s.l.Device() && st.Time.After(admitted) {
			admitted = st.Time
		}
	}
	answered := slices.ContainsFunc(s.state.Read, func(r readFile) bool { return !r.Failed && !slices.Contains(s.state.Own, r.Name) })
	for _, name := range sealed {
		written, err := time.Parse(nameTime, name[:min(len(name), len(nameTime))])
		if !answered || err != nil || written.After(admitted) {
			s.problem(name, errSealed)
		}
	}
	return nil
}
