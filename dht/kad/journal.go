package kad

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	disk "github.com/petnames-go/petnames/ledger/durable"
)

// The journal is what a node keeps on disk: the records that it holds for
// others and the peers that it knows, so that it comes back as it was. It is a
// file of entries, each
//
//	length of the rest    4 bytes, big-endian
//	CRC-32C of the rest   4 bytes
//	kind                  1 byte
//	fields                each its length (uvarint) and its bytes
//
// and is only appended to, until it is twice as long as what it holds; then it
// is written anew beside itself and renamed, durably. Appending waits for no
// disk: a process that is killed loses what it took in since the last flush
// (flushEvery), a power cut what the system had yet to write. Closing makes all
// of it durable. Others hold copies: that is what a DHT is. The bytes are
// strangers'; what can't be read is set aside.

const (
	entryHead    = 'n' // network, protocol: the first entry
	entryPut     = 'p' // source, key, value
	entryDelete  = 'd' // key
	entryPeers   = 'a' // tag, addresses…: all that are known, each time
	journalSlack = 1 << 20

	maxEntry = 64 << 10 // bytes
)

// castagnoli returns the table of the checksums, which package hash/crc32 makes
// at the first call.
func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// errTorn is a journal that ends, or breaks, in the middle.
var errDamaged = errors.New("damaged")

// entry is one line of the journal.
type entry struct {
	kind   byte
	fields [][]byte
}

func newEntry(kind byte, fields ...string) entry {
	e := entry{kind: kind}
	for _, f := range fields {
		e.fields = append(e.fields, []byte(f))
	}
	return e
}

func (e entry) append(b []byte) []byte {
	start := len(b)
	b = append(b, 0, 0, 0, 0, 0, 0, 0, 0, e.kind)
	for _, f := range e.fields {
		b = append(binary.AppendUvarint(b, uint64(len(f))), f...)
	}
	payload := b[start+8:]
	binary.BigEndian.PutUint32(b[start:], uint32(len(payload)))
	binary.BigEndian.PutUint32(b[start+4:], crc32.Checksum(payload, castagnoli()))
	return b
}

// readEntry reads one entry; io.EOF at the end, errTorn for anything else that
// isn't whole.
func readEntry(r io.Reader) (entry, error) {
	var head [8]byte
	if n, err := io.ReadFull(r, head[:]); n == 0 && errors.Is(err, io.EOF) {
		return entry{}, io.EOF
	} else if err != nil {
		return entry{}, fmt.Errorf("%w: %v", errDamaged, err) // an EOF here is no end
	}
	length := binary.BigEndian.Uint32(head[:])
	if length == 0 || length > maxEntry {
		return entry{}, fmt.Errorf("%w: an entry of %d bytes", errDamaged, length)
	}
	payload := make([]byte, length)
	if _, err := io.ReadFull(r, payload); err != nil {
		return entry{}, fmt.Errorf("%w: %v", errDamaged, err)
	}
	if crc32.Checksum(payload, castagnoli()) != binary.BigEndian.Uint32(head[4:]) {
		return entry{}, fmt.Errorf("%w: checksum", errDamaged)
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

// journal is an open journal. It is used by one goroutine at a time.
type journal struct {
	path   string
	files  disk.FS
	file   disk.File // nil: to be written anew
	length int64
}

// openJournal reads the journal and hands each entry to take, which returns an
// error for one that it doesn't understand. What is damaged, or of another
// network (the head's fields), is set aside under a name of its own, and what
// came before the damage stays. The error says what was set aside; the journal
// is usable all the same, and is written anew at the next flush.
func openJournal(path string, head entry, take func(entry) error) (*journal, error) {
	return openJournalOn(disk.OS{}, path, head, take)
}

func openJournalOn(files disk.FS, path string, head entry, take func(entry) error) (*journal, error) {
	j := &journal{path: path, files: files}
	unswept := disk.Sweep(files, filepath.Dir(path), j.tempPrefix())
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return j, unswept
	}
	if err == nil {
		err = readJournal(bufio.NewReader(f), head, take)
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
	return j, errors.Join(unswept, j.reopen())
}

// setAside links the file to another name. The old name stays until the journal
// is written anew: a crash before that loses nothing.
func (j *journal) moveAside(aside string) error {
	_ = j.files.Remove(aside) // an earlier one
	err := j.files.Link(j.path, aside)
	if err != nil { // a file system without links
		err = j.files.Rename(j.path, aside)
	}
	return errors.Join(err, j.files.SyncDir(filepath.Dir(j.path)))
}

func (j *journal) reopen() error {
	file, err := j.files.OpenFile(j.path, os.O_WRONLY|os.O_APPEND)
	if err == nil {
		j.file = file
	}
	return err
}

func (j *journal) tempPrefix() string { return "." + filepath.Base(j.path) + "-" }

var errOtherNetwork = errors.New("of another network")

func readJournal(r io.Reader, head entry, take func(entry) error) error {
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
		if err := take(e); err != nil {
			return err
		}
	}
}

// flush appends changes, or writes all that there is anew: after a failure, and
// when the file has grown too long for it.
func (j *journal) flush(changes []entry, held int, all func() []entry) error {
	if j.file != nil && j.length <= 2*int64(held)+journalSlack {
		n, err := writeEntries(j.file, changes)
		j.length += n
		if err == nil {
			return nil
		}
		// Half an entry may stand at its end: nothing can follow it.
		err = errors.Join(err, j.file.Close())
		j.file = nil
		return err
	}
	return j.rewrite(all())
}

func (j *journal) rewrite(all []entry) error {
	if j.file != nil { // Windows replaces no file that is open
		err := j.file.Close()
		if j.file = nil; err != nil {
			return err
		}
	}
	content := journalContent{entries: all}
	if err := disk.Replace(j.files, j.path, j.tempPrefix(), time.Time{}, &content); err != nil {
		return err
	}
	j.length = content.length
	return j.reopen()
}

// journalContent is a whole journal to be written.
type journalContent struct {
	entries []entry
	length  int64 // of what was written
}

// WriteTo is io.WriterTo's.
func (c *journalContent) WriteTo(w io.Writer) (n int64, err error) {
	c.length, err = writeEntries(w, c.entries)
	return c.length, err
}

// writeEntries writes entries, some at a time, and says how many bytes they are.
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

// close makes what was written durable.
func (j *journal) close() error {
	if j.file == nil {
		return nil
	}
	return errors.Join(j.file.Sync(), j.file.Close())
}
