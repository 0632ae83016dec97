package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"

	"github.com/petnames-go/petnames/ledger/durable"
	"github.com/petnames-go/petnames/petname/introduce"
	"github.com/petnames-go/petnames/pointer/paste"
)

// writeNew writes to a new file, or, for "-", to standard output. With --json it
// writes nothing to standard output: the content is in the JSON object.
func (a *app) writeNew(file string, b []byte) error {
	if file == "-" {
		if a.json {
			return nil
		}
		_, err := a.stdout.Write(b)
		return err
	}
	return createFile(file, b)
}

// createFile writes a new file durably. It replaces none.
func createFile(name string, b []byte) error {
	if err := checkNewFile(name); err != nil {
		return err
	}
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() {
		return classified(onPath("write", name, writeStream(name, b)))
	}
	return classified(onPath("write", name, durable.Create(nil, name, b)))
}

// classified is classify with nil as the error nil.
func classified(err error) error {
	if err == nil {
		return nil
	}
	return classify(err)
}

// writeStatement writes an armored statement to a new file or to standard output. For
// a file, it sets *at to its path and *armored to nil. done reports that the statement
// is on standard output and nothing else is to be printed: also when the file could not
// be written, since the statement is made and may not be made twice.
func (a *app) writeStatement(file string, armored *[]byte, at *string) (done bool, err error) {
	if err := a.writeNew(file, *armored); err != nil {
		c := *classify(err)
		c.Message = "it is made, but not written to a file; it stands on standard output instead: " + c.Message
		c.Next = ""
		if !a.json {
			_, err = a.stdout.Write(*armored)
			return true, errors.Join(&c, err)
		}
		return false, &c
	}
	if file == "-" {
		return !a.json, nil
	}
	*at, *armored = file, nil
	return false, nil
}

// checkNewFile returns an error if the file exists.
func checkNewFile(file string) error {
	if file == "" || file == "-" {
		return nil
	}
	if info, err := os.Lstat(file); err == nil && info.Mode().IsRegular() || err == nil && info.IsDir() {
		return usage("-o %q: there is a file of that name already", file).With("choose the name of another file")
	}
	return nil
}

// writeFile creates or replaces a file atomically and durably.
func writeFile(name string, b []byte) error { return writeFileOn(nil, name, b) }

// writeFileOn is writeFile on a file system; nil is that of the operating system. It
// writes to a device or a pipe directly.
func writeFileOn(files durable.FS, name string, b []byte) error {
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() {
		return onPath("write", name, writeStream(name, b))
	}
	return onPath("write", name, durable.Replace(files, name, ".record-", time.Time{}, bytes.NewReader(b)))
}

// writeStream writes to a device or a pipe, such as /dev/stdout. It fails at once with
// [syscall.ENXIO] for a pipe that no process reads.
func writeStream(name string, b []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Close())
}

// onPath returns an error about a path that was given, quoted, instead of one about the
// path in err: a temporary file beside it, or the same path without quotes.
func onPath(op, name string, err error) error {
	var path *fs.PathError
	var link *os.LinkError
	switch {
	case errors.As(err, &path):
		return fmt.Errorf("%s %q: %w", op, name, path.Err)
	case errors.As(err, &link):
		return fmt.Errorf("%s %q: %w", op, name, link.Err)
	}
	return err
}

// readUpTo reads a file, a descriptor (see [durable.OpenInput]), or standard input for
// "-", up to most bytes. What else a path leads to, such as a pipe or a folder, is refused.
func (a *app) readUpTo(name string, most int) ([]byte, error) {
	var f io.Reader = a.stdin
	if name != "-" {
		file, err := durable.OpenInput(name)
		if err != nil {
			if f := pastedFor(name, "file"); f != nil {
				return nil, f
			}
			return nil, usage("%v", onPath("open", name, err))
		}
		defer file.Close()
		f = file
	}
	b, err := io.ReadAll(io.LimitReader(f, int64(most)))
	if err != nil {
		return nil, usage("%v", onPath("read", name, err))
	}
	return b, nil
}

// readStdinText reads a text of at most maxStdin bytes from standard input, in the encodings of
// [paste.Decode]. what names what it is to be, for the error of a longer one.
func (a *app) readStdinText(what string) (string, error) {
	b, err := a.readUpTo("-", 2*maxStdin+4) // in UTF-16, with its mark
	if err != nil {
		return "", err
	}
	text := paste.Decode(b)
	if len(text) > maxStdin {
		return "", usage("standard input: over %d bytes, which is too long for %s", maxStdin, what)
	}
	return text, nil
}

// statementsOf returns the statements in a JSON object that introduce, retract or why printed
// with --json, and any other text as it is.
func statementsOf(text []byte) []byte {
	var printed struct {
		Armored []byte `json:"armored,omitempty"`
	}
	if json.Unmarshal(text, &printed) == nil && len(printed.Armored) > 0 {
		return printed.Armored
	}
	return text
}

// readStatements reads a file, or standard input for "-", that has to have a statement.
func (a *app) readStatements(name string) ([]byte, error) {
	b, err := a.readUpTo(name, 2*maxStdin+4) // in UTF-16, with its mark
	if err != nil {
		return nil, err
	}
	text := statementsOf([]byte(paste.Decode(b)))
	if _, err := introduce.Dearmor(text); err != nil {
		if name == "-" {
			return nil, classify(fmt.Errorf("standard input: %w", err))
		}
		return nil, classify(fmt.Errorf("%q: %w", name, err))
	}
	return text, nil
}
