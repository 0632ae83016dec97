package main

import (
	"bytes"
	"io"
	"os"
	"time"

	"github.com/petnames-go/petnames/ledger/durable"
)

// writeNew writes what a verb made to a file that isn't there yet, or to
// standard output. JSON has it in the object.
func (a *app) writeNew(file string, b []byte) error {
	if file == "-" {
		if a.json {
			return nil
		}
		_, err := a.stdout.Write(b)
		return err
	}
	if err := writeFile(file, b); err != nil {
		return classify(err)
	}
	return nil
}

// carried writes a statement that is to be carried as a file, and notes in the
// result where. done: it is on standard output, and nothing is left to show.
func (a *app) writeStatement(file string, armored *[]byte, at *string) (done bool, err error) {
	if err := a.writeNew(file, *armored); err != nil {
		return false, err
	}
	if file == "-" {
		return !a.json, nil
	}
	*at, *armored = file, nil
	return false, nil
}

// freeFile refuses the name of a file that is there already.
func checkNewFile(file string) error {
	if file == "" || file == "-" {
		return nil
	}
	if info, err := os.Lstat(file); err == nil && info.Mode().IsRegular() || err == nil && info.IsDir() {
		return usage("-o %q: there is a file of that name already", file)
	}
	return nil
}

// writeFile writes a whole file, durably, or leaves what was there.
func writeFile(name string, b []byte) error { return writeFileOn(nil, name, b) }

func writeFileOn(files durable.FS, name string, b []byte) error {
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() {
		return os.WriteFile(name, b, 0o600) // a device or a pipe: /dev/stdout
	}
	return durable.Replace(files, name, ".record-", time.Time{}, bytes.NewReader(b))
}

// readUpTo reads a file, or with - standard input, as far as so many bytes.
func (a *app) readUpTo(name string, most int) ([]byte, error) {
	var f io.Reader = a.stdin
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return nil, usage("%v", err)
		}
		defer file.Close()
		f = file
	}
	b, err := io.ReadAll(io.LimitReader(f, int64(most)))
	if err != nil {
		return nil, usage("%v", err)
	}
	return b, nil
}
