package ledger

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/pointer/canonical"
)

var fuzzBook = BookID{1, 2, 3}

// corpus writes or checks the seeds: an empty corpus would make the fuzz tests
// pass by doing nothing.
func corpus(f *testing.F) {
	files, err := filepath.Glob(filepath.Join("testdata", "fuzz", f.Name(), "*"))
	if err != nil || len(files) == 0 {
		f.Fatalf("no corpus in testdata/fuzz/%s", f.Name())
	}
}

func seedEntries() (out [][]byte) {
	e := Entry{id: ID{Number: 1}, kind: KindGenesis, clock: 1}
	w, e1 := forge(fuzzBook, testKey("one"), e, []byte("body"))
	out = append(out, w)
	e.id.Number, e.kind, e.prev, e.clock = 2, KindApplication, e1.hash, 1<<40
	e.seen = []Head{{DeviceID{1}, 1, Hash{1}}, {DeviceID{2}, 300, Hash{2}}}
	w, _ = forge(fuzzBook, testKey("one"), e, nil)
	out = append(out, w)
	e.id.Number, e.seen = 1<<33, nil
	w, _ = forge(fuzzBook, testKey("two"), e, make([]byte, 70_000)[:65_536])
	raw, _, _, _ := parseWire(w)
	return append(out, encodeWire(raw, nil, false))
}

// What is accepted re-encodes to the same bytes, here and in fxamacker's core
// deterministic encoding.
func FuzzEntry(f *testing.F) {
	corpus(f)
	for _, w := range seedEntries() {
		raw, _, _, _ := parseWire(w)
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := parseEntry(fuzzBook, b)
		if err != nil {
			require.ErrorIs(t, err, errMalformed)
			return
		}
		unsigned := e.encode()
		require.Equal(t, e.hash, hashOf(fuzzBook, unsigned))
		require.Equal(t, b, seal(unsigned, e.sig[:]))
		var v any
		require.NoError(t, cbor.Unmarshal(b, &v))
		require.Equal(t, b, canonical.MustMarshal(v))
	})
}

// Nothing foreign panics or changes the ledger, unless it is signed.
func FuzzMerge(f *testing.F) {
	corpus(f)
	dir := f.TempDir()
	l, err := Create(filepath.Join(dir, "l.db"), Genesis{Identity: identity, Device: testKey("one"), DeviceName: "one"}, multi{}, testOptions())
	require.NoError(f, err)
	defer l.Close()
	_, err = l.Append([]byte("k=1"))
	require.NoError(f, err)
	for b, err := range l.Missing(nil) {
		require.NoError(f, err)
		f.Add(b)
	}
	for _, w := range seedEntries() {
		f.Add(w)
	}
	heads := l.Heads()
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := l.Merge(seq(b))
		if err != nil && !errors.Is(err, ErrRefused) {
			t.Fatalf("%v", err)
		}
		require.Zero(t, n)
		require.Equal(t, heads, l.Heads())
		if raw, body, with, err := parseWire(b); err == nil {
			require.Equal(t, b, encodeWire(raw, body, with))
		}
	})
}

// Statements too have one spelling.
func FuzzStatement(f *testing.F) {
	corpus(f)
	for _, seed := range codecSeeds(f) {
		f.Add(seed)
	}
	p := identityPointer(f)
	later, steps := succeeded(f)
	admits2, err := admit(fuzzBook, later, steps, nil, fuzzEntry, DeviceID{5}, "name")
	require.NoError(f, err)
	a, err := parseAdmission(admits2, fuzzBook, p, fuzzEntry)
	require.NoError(f, err)
	require.Equal(f, verifiedAdmission{device: DeviceID{5}, name: "name", steps: 2, chain: steps}, a)
	f.Fuzz(func(t *testing.T, b []byte) {
		if a, err := parseAdmission(b, fuzzBook, p, fuzzEntry); err == nil && a.steps == 0 && !isVersion2(b) {
			again, err := admitFirst(fuzzBook, identity, nil, a.device, a.name)
			require.NoError(t, err)
			require.Equal(t, again, b)
		}
		if r, err := parseRemoval(b, fuzzBook, p, fuzzEntry); err == nil && r.steps == 0 && isVersion2(b) {
			again, err := remove(fuzzBook, identity, nil, nil, fuzzEntry, Head{r.device, r.last, r.hash})
			require.NoError(t, err)
			require.Equal(t, again, b)
		}
	})
}

// A file of any bytes opens, or is named as damaged: no panic, no hang.
func FuzzFile(f *testing.F) {
	corpus(f)
	path := filepath.Join(f.TempDir(), "l.db")
	l, err := Create(path, Genesis{Identity: identity, Device: testKey("one"), DeviceName: "one"}, multi{}, testOptions())
	require.NoError(f, err)
	_, err = l.Append([]byte("k=1"), []byte("l=2"))
	require.NoError(f, err)
	require.NoError(f, l.Close())
	whole, err := os.ReadFile(path)
	require.NoError(f, err)
	f.Add([]byte{0, 1, 2}, uint32(8192))
	f.Add(bytes.Repeat([]byte{0xff}, 100), uint32(4096*4))
	f.Fuzz(func(t *testing.T, patch []byte, at uint32) {
		b := bytes.Clone(whole)
		copy(b[int(at)%len(b):], patch)
		path := filepath.Join(t.TempDir(), "l.db")
		require.NoError(t, os.WriteFile(path, b, 0o600))
		l, err := Open(path, testKey("one"), multi{}, testOptions())
		if err != nil {
			return
		}
		_ = l.Read(func(v *View) error {
			for range v.Scan("writes", nil) {
			}
			return nil
		})
		for range l.Entries() {
		}
		for range l.Verify(t.Context()) {
		}
		_ = l.Close()
	})
}
