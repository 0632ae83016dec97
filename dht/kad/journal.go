package kad

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/petnames-go/petnames/dht/frames"
	disk "github.com/petnames-go/petnames/ledger/durable"
)

// The journal is the file with a server's stored records and known peers, from
// which a restarted server continues. It is a sequence of entries, each a frame
// (package frames) of
//
//	kind                  1 byte
//	fields                each its length (uvarint) and its bytes
//
// New entries are appended until the file would be twice as long as its current
// content, or longer than maxJournal. Then it is rewritten under a temporary name,
// synced and renamed. A full store has little room to append: a file that would be
// longer than maxJournal is rewritten once in rewriteEvery, and misses the changes
// in between until then.
// Appending does not sync, because other peers of the DHT have copies of the
// records: a killed process loses the changes since the last flush
// (flushEvery), a power cut those that the system had not yet written. Closing
// syncs the file. The content comes from untrusted peers; an unreadable file
// is moved aside.

const (
	entryHead    = 'n' // network, protocol: the first entry
	entryPut     = 'p' // source, key, value
	entryDelete  = 'd' // key
	entryPeers   = 'a' // tag, addresses…: the complete list, each time
	journalSlack = 1 << 20
	maxJournal   = 32 << 20    // bytes of the file; the records of a full store take less
	rewriteEvery = time.Minute // at most, because of maxJournal

	maxEntry = frames.Most // bytes, without length and checksum
)

// errDamaged is returned for a journal with an incomplete or invalid entry.
var errDamaged = frames.ErrDamaged

// entry is one entry of the journal.
type entry struct {
	kind   byte
	fields [][]byte
}

// newEntry returns an entry with these fields.
func newEntry(kind byte, fields ...string) entry {
	e := entry{kind: kind}
	for _, f := range fields {
		e.fields = append(e.fields, []byte(f))
	}
	return e
}

// append appends the encoded entry.
func (e entry) append(b []byte) []byte {
	start := len(b)
	b = append(append(b, make([]byte, frames.Head)...), e.kind)
	for _, f := range e.fields {
		b = append(binary.AppendUvarint(b, uint64(len(f))), f...)
	}
	frames.Seal(b[start:])
	return b
}

// size returns the length of the encoded entry.
func (e entry) size() int64 {
	n := 9
	for _, f := range e.fields {
		n += len(binary.AppendUvarint(nil, uint64(len(f)))) + len(f)
	}
	return int64(n)
}

// readEntry reads one entry. It returns io.EOF at the end and errDamaged for an
// incomplete or invalid entry.
func readEntry(r io.Reader) (entry, error) {
	payload, err := frames.Read(r, maxEntry)
	if err != nil {
		return entry{}, err
	}
	e := entry{kind: payload[0]}
	for rest := payload[1:]; len(rest) > 0; {
		n, size := binary.Uvarint(rest)
		if size <= 0 || n > uint64(len(rest)-size) {
			return entry{}, fmt.Errorf("%w: a field's length", errDamaged)
		}
		e.fields = append(e.fields, rest[size:size+int(n)])
		rest = rest[size+int(n):]
	}
	return e, nil
}

// journal is an open journal. It is not safe for concurrent use.
type journal struct {
	path   string
	files  disk.FS
	file   disk.File // nil: the next flush rewrites the journal
	length int64

	behind    bool      // changes are missing in the file
	rewritten time.Time // when the file was last rewritten
}

// openJournal reads the journal and passes each entry to handle, which returns
// an error for an unknown entry. A journal that is damaged, or of another
// network (by the head's fields), is moved aside; the entries before the damage
// have been handled. The error names the new file. The returned journal is
// usable even with an error, and the next flush then rewrites it.
func openJournal(path string, head entry, handle func(entry) error) (*journal, error) {
	return openJournalOn(disk.OS{}, path, head, handle)
}

// openJournalOn is openJournal on a file system.
func openJournalOn(files disk.FS, path string, head entry, handle func(entry) error) (*journal, error) {
	j := &journal{path: path, files: files}
	sweepErr := disk.Sweep(files, filepath.Dir(path), j.tempPrefix())
	f, err := disk.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return j, sweepErr
	}
	if err == nil {
		err = readJournal(bufio.NewReader(f), head, handle)
		info, serr := f.Stat()
		if serr == nil {
			j.length = info.Size()
		}
		err = errors.Join(err, serr, f.Close())
	}
	if err != nil {
		aside := path + ".damaged"
		if errors.Is(err, errOtherNetwork) {
			aside = path + ".other"
		}
		return j, fmt.Errorf("%q: %w; set aside as %q", path, errors.Join(err, j.moveAside(aside)), filepath.Base(aside))
	}
	return j, errors.Join(sweepErr, j.reopen())
}

// moveAside links the file to another name. The old name remains until the
// journal is rewritten, so that a crash before that loses nothing.
func (j *journal) moveAside(aside string) error {
	_ = j.files.Remove(aside) // an earlier one
	err := j.files.Link(j.path, aside)
	if err != nil { // a file system without links
		err = j.files.Rename(j.path, aside)
	}
	return errors.Join(err, j.files.SyncDir(filepath.Dir(j.path)))
}

// reopen opens the file for appending.
func (j *journal) reopen() error {
	file, err := j.files.OpenFile(j.path, os.O_WRONLY|os.O_APPEND)
	if err == nil {
		j.file = file
	}
	return err
}

// tempPrefix returns the prefix of the names of temporary files.
func (j *journal) tempPrefix() string { return "." + filepath.Base(j.path) + "-" }

// errOtherNetwork is returned for a journal or a peer of another network.
var errOtherNetwork = errors.New("of another network")

// readJournal reads entries up to the end and passes each to handle, except the
// head, which must have the given fields.
func readJournal(r io.Reader, head entry, handle func(entry) error) error {
	for first := true; ; first = false {
		e, err := readEntry(r)
		switch {
		case errors.Is(err, io.EOF) && !first:
			return nil
		case errors.Is(err, io.EOF):
			return fmt.Errorf("%w: empty", errDamaged)
		case err != nil:
			return err
		case first && e.kind != entryHead:
			return fmt.Errorf("%w: no head", errDamaged)
		case first && !slices.EqualFunc(e.fields, head.fields, slices.Equal):
			return errOtherNetwork
		case first:
			continue
		}
		if err := handle(e); err != nil {
			return err
		}
	}
}

// flush appends changes. It rewrites the whole journal instead, from the
// entries that all returns, after a failure and when the file is too long for the
// bytes held. If it would be longer than maxJournal, the journal is rewritten by
// one of the next calls.
func (j *journal) flush(changes []entry, held int, all func() []entry) error {
	length := j.length
	for _, e := range changes {
		length += e.size()
	}
	j.behind = j.behind || length > maxJournal
	switch {
	case j.file == nil || j.length > 2*int64(held)+journalSlack || j.length > maxJournal:
	case j.behind && time.Now().Round(0).Sub(j.rewritten).Abs() < rewriteEvery:
		return nil
	case !j.behind:
		n, err := writeEntries(j.file, changes)
		if err == nil {
			j.length += n
			return nil
		}
		// The file may end in an incomplete entry, which other readers would call damage. If
		// it cannot be removed, it stays until the rewrite.
		if j.file.Truncate(j.length) != nil {
			j.length += n
		}
		err = errors.Join(err, j.file.Close())
		j.file = nil
		return err
	}
	return j.rewrite(all())
}

// rewrite replaces the file by one with these entries, durably.
func (j *journal) rewrite(all []entry) error {
	if j.file != nil { // Windows cannot replace an open file
		err := j.file.Close()
		if j.file = nil; err != nil {
			return err
		}
	}
	content := journalContent{entries: all}
	if err := disk.Replace(j.files, j.path, j.tempPrefix(), time.Time{}, &content); err != nil {
		return err
	}
	j.length, j.behind, j.rewritten = content.length, false, time.Now().Round(0)
	return j.reopen()
}

// journalContent writes a whole journal.
type journalContent struct {
	entries []entry
	length  int64 // bytes written
}

// WriteTo implements io.WriterTo.
func (c *journalContent) WriteTo(w io.Writer) (n int64, err error) {
	c.length, err = writeEntries(w, c.entries)
	return c.length, err
}

// writeEntries writes entries in groups of about maxEntry bytes and returns the
// number of bytes written.
func writeEntries(w io.Writer, entries []entry) (length int64, err error) {
	var b []byte
	for i, e := range entries {
		if b = e.append(b); len(b) < maxEntry && i < len(entries)-1 {
			continue
		}
		n, err := w.Write(b)
		length += int64(n)
		if err != nil {
			return length, err
		}
		b = b[:0]
	}
	return length, nil
}

// complete makes the next flush write all changes.
func (j *journal) complete() { j.rewritten = time.Time{} }

// close syncs and closes the file.
func (j *journal) close() error {
	if j.file == nil {
		return nil
	}
	return errors.Join(j.file.Sync(), j.file.Close())
}
