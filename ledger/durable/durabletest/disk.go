// Package durabletest has a file system that loses unsynced data, for tests of
// code that writes with package durable.
//
//	for disk := range durabletest.Crashes() { // after each operation in turn
//		dir := t.TempDir()
//		err := write(disk, dir)
//		disk.Crash() // dir has now what a power cut may leave
//		…            // open it, and require the old content or, if err is nil, the new
//	}
package durabletest

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/petnames-go/petnames/ledger/durable"
)

// ErrCrashed is returned by every operation after the power cut.
var ErrCrashed = errors.New("the power is cut")

const (
	draws   = 5    // simulated results of a power cut for each operation
	maximum = 1000 // operations of one run
)

// Disk is a durable.FS on real files that tracks which part of them is durable.
// Files that it has not changed are durable. The zero value never fails.
type Disk struct {
	fail func(n int, op string) error // called before the nth operation, from 1
	rng  *rand.Rand
	draw uint64 // 0: all unsynced data is lost; 1: nothing is lost; 2: content is kept, names are lost; above: random

	mu      sync.Mutex
	ops     []string
	names   map[string]*inode // current state, as processes see it; nil: no file
	durable map[string]*inode // state on the disk
	pending []change          // changes of names that are not durable
}

type inode struct {
	dir             bool
	content, synced []byte
	modified, kept  time.Time // zero: the modification time of the real file
}

// change is one operation on the names of a folder. A rename changes several
// names at once.
type change struct {
	dir   string
	names map[string]*inode
}

// Crashes yields disks that lose power after no operation, the first, the
// second and so on, several times each with different losses. It ends when a
// run needs fewer operations. The caller ends each run with a call of Crash.
func Crashes() iter.Seq[*Disk] {
	return each(draws, func(after int) func(int, string) error {
		return func(n int, _ string) error {
			if n > after {
				return ErrCrashed
			}
			return nil
		}
	})
}

// Faults yields disks that fail with ENOSPC at the first, second and so on
// operation. It ends when a run needs fewer operations.
func Faults() iter.Seq[*Disk] {
	return each(1, func(after int) func(int, string) error {
		return func(n int, op string) error {
			if n == after+1 {
				return fmt.Errorf("%s: %w", op, syscall.ENOSPC)
			}
			return nil
		}
	})
}

func each(times uint64, fail func(after int) func(int, string) error) iter.Seq[*Disk] {
	return func(yield func(*Disk) bool) {
		for after := range maximum {
			failed := false
			for draw := range times {
				d := &Disk{fail: fail(after), draw: draw, rng: rand.New(rand.NewPCG(uint64(after), draw))}
				if !yield(d) {
					return
				}
				failed = failed || len(d.ops) > after
			}
			if !failed && after == 0 {
				panic("durabletest: nothing was done on the disk: what is tested goes around it")
			}
			if !failed {
				return
			}
		}
		panic("durabletest: the run has no end")
	}
}

// Failed returns the operation that failed first ("sync", "rename", …) or "".
func (d *Disk) Failed() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, op := range d.ops {
		if d.fail != nil && d.fail(i+1, op) != nil {
			return op
		}
	}
	return ""
}

// Wrote reports whether the file or folder got its name through the disk. Files
// written by other means count as durable.
func (d *Disk) Wrote(name string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.names[name] != nil
}

// String describes the operations, for the message of a test.
func (d *Disk) String() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return fmt.Sprintf("draw %d, %q", d.draw, d.ops)
}

// begin counts an operation. It returns with the lock held.
func (d *Disk) begin(op string) error {
	d.mu.Lock()
	if d.names == nil {
		d.names, d.durable = map[string]*inode{}, map[string]*inode{}
	}
	d.ops = append(d.ops, op)
	if d.fail == nil {
		return nil
	}
	return d.fail(len(d.ops), op)
}

// look returns the inode of a name. It is durable if it was never changed.
func (d *Disk) look(name string) *inode {
	if node, ok := d.names[name]; ok {
		return node
	}
	var node *inode
	if info, err := os.Lstat(name); err == nil {
		node = &inode{dir: info.IsDir(), modified: info.ModTime(), kept: info.ModTime()}
		if info.Mode().IsRegular() {
			if node.content, err = os.ReadFile(name); err != nil {
				panic(err)
			}
			node.synced = node.content
		}
	}
	d.names[name], d.durable[name] = node, node
	return node
}

func (d *Disk) change(names map[string]*inode) {
	c := change{names: names}
	for name, node := range names {
		c.dir = filepath.Dir(name)
		d.names[name] = node
	}
	d.pending = append(d.pending, c)
}

// OpenFile implements durable.FS.
func (d *Disk) OpenFile(name string, flag int) (durable.File, error) {
	err := d.begin("open")
	defer d.mu.Unlock()
	if err != nil {
		return nil, err
	}
	node := d.look(name)
	f, err := os.OpenFile(name, flag, 0o600)
	if err != nil {
		return nil, err
	}
	if node == nil {
		node = &inode{}
		d.change(map[string]*inode{name: node})
	}
	return &file{d, f, node}, nil
}

// Mkdir implements durable.FS.
func (d *Disk) Mkdir(name string) error {
	err := d.begin("mkdir")
	defer d.mu.Unlock()
	if err != nil {
		return err
	}
	d.look(name)
	if err := os.Mkdir(name, 0o700); err != nil {
		return err
	}
	d.change(map[string]*inode{name: {dir: true}})
	return nil
}

// Link implements durable.FS.
func (d *Disk) Link(oldname, newname string) error {
	err := d.begin("link")
	defer d.mu.Unlock()
	if err != nil {
		return err
	}
	node := d.look(oldname)
	d.look(newname)
	if err := os.Link(oldname, newname); err != nil {
		return err
	}
	d.change(map[string]*inode{newname: node})
	return nil
}

// Rename implements durable.FS.
func (d *Disk) Rename(oldname, newname string) error {
	err := d.begin("rename")
	defer d.mu.Unlock()
	if err != nil {
		return err
	}
	node := d.look(oldname)
	d.look(newname)
	if err := os.Rename(oldname, newname); err != nil {
		return err
	}
	d.change(map[string]*inode{oldname: nil, newname: node})
	return nil
}

// Remove implements durable.FS.
func (d *Disk) Remove(name string) error {
	err := d.begin("remove")
	defer d.mu.Unlock()
	if err != nil {
		return err
	}
	d.look(name)
	if err := os.Remove(name); err != nil {
		return err
	}
	d.change(map[string]*inode{name: nil})
	return nil
}

// Chtimes implements durable.FS.
func (d *Disk) Chtimes(name string, modified time.Time) error {
	err := d.begin("chtimes")
	defer d.mu.Unlock()
	if err != nil {
		return err
	}
	if node := d.look(name); node != nil {
		node.modified = modified
	}
	return os.Chtimes(name, modified, modified)
}

// SyncDir implements durable.FS.
func (d *Disk) SyncDir(name string) error {
	err := d.begin("syncdir")
	defer d.mu.Unlock()
	if err != nil {
		return err
	}
	d.pending = slices.DeleteFunc(d.pending, func(c change) bool {
		if c.dir == name {
			maps.Copy(d.durable, c.names)
		}
		return c.dir == name
	})
	return nil
}

type file struct {
	disk *Disk
	f    *os.File
	node *inode
}

// Write writes half of the data if it fails, as on a full disk, and nothing after the power cut.
func (f *file) Write(b []byte) (int, error) {
	err := f.disk.begin("write") // returns with the lock held
	defer f.disk.mu.Unlock()
	if errors.Is(err, ErrCrashed) {
		return 0, err
	}
	if err != nil {
		b = b[:len(b)/2]
	}
	n, werr := f.f.Write(b)
	// content is a copy, since synced may share the array
	f.node.content = append(bytes.Clone(f.node.content), b[:n]...)
	f.node.modified = time.Time{}
	return n, errors.Join(err, werr)
}

func (f *file) Truncate(size int64) error {
	err := f.disk.begin("truncate")
	defer f.disk.mu.Unlock()
	if err != nil {
		return err
	}
	if err := f.f.Truncate(size); err != nil {
		return err
	}
	f.node.content = bytes.Clone(f.node.content[:size])
	f.node.modified = time.Time{}
	return nil
}

func (f *file) Sync() error {
	err := f.disk.begin("sync")
	defer f.disk.mu.Unlock()
	if err == nil {
		f.node.synced, f.node.kept = f.node.content, f.node.modified
	}
	return err
}

// Close closes the file even if it fails.
func (f *file) Close() error {
	err := f.disk.begin("close")
	defer f.disk.mu.Unlock()
	return errors.Join(err, f.f.Close())
}

// Crash cuts the power: it changes the real files to the state on the disk. An
// unsynced change of a folder's names may be lost. Unsynced content of a file
// may be present, torn, filled with zeros, or lost.
func (d *Disk) Crash() {
	_ = d.begin("crash")
	defer d.mu.Unlock()
	d.ops = d.ops[:len(d.ops)-1]
	before, done := d.fail, len(d.ops)
	d.fail = func(n int, op string) error { // operations still in progress fail
		if n <= done && before != nil {
			return before(n, op)
		}
		return ErrCrashed
	}
	for _, c := range d.pending {
		if d.draw == 2 || d.choose(2) == 1 {
			maps.Copy(d.durable, c.names)
		}
	}
	drawn := map[*inode][]byte{}
	for _, name := range slices.Sorted(maps.Keys(d.durable)) { // parents first
		node := d.durable[name]
		if node != nil && node.dir {
			continue
		}
		must(os.RemoveAll(name))
		if node == nil {
			continue
		}
		if _, err := os.Lstat(filepath.Dir(name)); errors.Is(err, fs.ErrNotExist) {
			continue // its folder is missing
		}
		content, ok := drawn[node]
		if !ok {
			content = d.tear(node)
			drawn[node] = content
		}
		must(os.WriteFile(name, content, 0o600))
		if !node.kept.IsZero() {
			must(os.Chtimes(name, node.kept, node.kept))
		}
	}
}

// tear returns a random remainder of a file's content.
func (d *Disk) tear(node *inode) []byte {
	b, durable := node.content, len(node.synced)
	if len(b) == durable {
		return b
	}
	b = bytes.Clone(b[:durable+d.choose(len(b)-durable+1)])
	if d.draw > 2 && d.choose(2) == 1 {
		clear(b[durable+d.choose(len(b)-durable+1):])
	}
	return b
}

// choose returns a random number below n. Draw 0 returns the choice that loses
// most.
func (d *Disk) choose(n int) int {
	switch {
	case d.draw == 1:
		return n - 1
	case d.draw == 0, d.draw == 2:
		return 0
	}
	return d.rng.IntN(n)
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
