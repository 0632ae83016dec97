package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/exchange"
	"github.com/petnames-go/petnames/petname/home"
)

// then runs a test at the time when the homes of testdata/home-v0 were made.
func then(t *testing.T, test func(t *testing.T)) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2026, 11, 29, 15, 50, 0, 0, time.UTC))) // no time outside of the bubble
		test(t)
	})
}

// olderHome is a copy of a home that an older version left.
func olderHome(t *testing.T, name string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	copyHome(t, filepath.Join("testdata", "home-v0", name), dir)
	return dir
}

func copyHome(t *testing.T, from, to string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o700)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), b, 0o600)
	}))
}

// contents are the files of a home.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		all[path] = string(b)
		return err
	}))
	return all
}

// holdsAll requires that a home prints what the older version printed of it.
func holdsAll(t *testing.T, dir, name string) {
	t.Helper()
	for _, verbName := range []string{"list", "log", "inbox"} {
		want, err := os.ReadFile(filepath.Join("testdata", "home-v0", name+"."+verbName+".json"))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		require.NoError(t, err)
		got := verb(dir, verbName, "--json")
		require.Zero(t, got.exit, got.stderr)
		if verbName == "inbox" { // there was a network then
			var was, is inbox
			require.NoError(t, json.Unmarshal(want, &was))
			require.NoError(t, json.Unmarshal([]byte(got.stdout), &is))
			require.NotEmpty(t, is.Suggestions)
			require.Equal(t, was.Suggestions, is.Suggestions)
			continue
		}
		var was, is any
		require.NoError(t, json.Unmarshal(want, &was))
		require.NoError(t, json.Unmarshal([]byte(got.stdout), &is))
		requireExtends(t, was, is, verbName+" of "+name)
		if verbName == "list" { // by the cards in the records that the home holds
			require.Contains(t, got.stdout, `"pin":"confirmed"`)
		}
	}
	doctor := verb(dir, "doctor")
	require.Zero(t, doctor.exit, doctor.stdout+doctor.stderr)
}

// requireExtends requires that JSON has all that other JSON had, with the same
// values: objects may have more fields, and lists more elements at the end.
func requireExtends(t *testing.T, was, is any, at string) {
	t.Helper()
	switch was := was.(type) {
	case map[string]any:
		now, ok := is.(map[string]any)
		require.True(t, ok, at)
		for key, value := range was {
			require.Contains(t, now, key, at)
			requireExtends(t, value, now[key], at+"."+key)
		}
	case []any:
		now, ok := is.([]any)
		require.True(t, ok, at)
		require.GreaterOrEqual(t, len(now), len(was), at)
		if strings.HasSuffix(at, ".contacts") {
			require.Len(t, now, len(was), at)
		}
		for i, value := range was {
			requireExtends(t, value, now[i], fmt.Sprint(at, ".", i))
		}
	default:
		require.Equal(t, was, is, at)
	}
}

// bolted returns the rows of an older post.db, by bucket and key.
func bolted(t *testing.T, file string) map[string]map[string]string {
	t.Helper()
	db, err := bbolt.Open(file, 0o600, nil)
	require.NoError(t, err)
	defer db.Close()
	all := map[string]map[string]string{}
	require.NoError(t, db.View(func(tx *bbolt.Tx) error {
		return tx.ForEach(func(name []byte, b *bbolt.Bucket) error {
			all[string(name)] = map[string]string{}
			return b.ForEach(func(k, v []byte) error {
				all[string(name)][string(k)] = string(v)
				return nil
			})
		})
	}))
	return all
}

// taken requires that every row of the older file is in the tables; channels are
// for the tests of sending.
func taken(t *testing.T, dir string, older map[string]map[string]string) {
	t.Helper()
	h, err := home.Open(dir)
	require.NoError(t, err)
	book, err := h.Book(petname.Options{})
	require.NoError(t, err)
	defer book.Close()
	require.Empty(t, exchange.Check(book))
	require.NoError(t, book.Ledger().ReadLocal(func(local *ledger.View) error {
		for table, rows := range older {
			n, err := local.Count(table)
			require.NoError(t, err)
			require.Len(t, rows, n, table)
			for key, want := range rows {
				got, err := local.Get(table, []byte(key))
				require.NoError(t, err)
				require.NotNil(t, got, table)
				if table != "channels" && table != "former" {
					require.Equal(t, want, string(got), table)
				}
			}
		}
		return nil
	}))
}

// stubbed requires that an older version neither opens nor replaces post.db.
func stubbed(t *testing.T, dir string) {
	t.Helper()
	file := filepath.Join(dir, "post.db")
	before, err := os.ReadFile(file)
	require.NoError(t, err)
	_, err = bbolt.Open(file, 0o600, &bbolt.Options{Timeout: time.Millisecond})
	require.Error(t, err)
	after, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, before, after)
}

// The homes of an older version open with everything in them, the doctor finds
// nothing, and opening again changes nothing.
func TestAnOlderHomeOpensWithEverythingInIt(t *testing.T) {
	for _, name := range []string{"alice", "bob"} {
		then(t, func(t *testing.T) {
			dir := olderHome(t, name)
			copied := filepath.Join(t.TempDir(), "post.db")
			b, err := os.ReadFile(filepath.Join(dir, "post.db"))
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(copied, b, 0o600))
			older := bolted(t, copied)
			require.NotEmpty(t, older)
			r := verb(dir, "join", "off")
			require.Zero(t, r.exit, r.stderr)
			taken(t, dir, older)
			holdsAll(t, dir, name)
			stubbed(t, dir)
			before := contents(t, dir)
			holdsAll(t, dir, name)
			require.Zero(t, verb(dir, "log", "--verify").exit)
			require.Equal(t, before, contents(t, dir))
		})
	}
}

// An older home whose process is killed at any moment of the move of its messages opens
// with the same content.
func TestAnOlderHomeSurvivesAKillDuringTheMove(t *testing.T) {
	for _, name := range []string{"alice", "bob"} {
		then(t, func(t *testing.T) {
			dir := olderHome(t, name)
			require.NoError(t, os.WriteFile(filepath.Join(dir, "config.toml"), []byte("network = \"off\"\n"), 0o600))
			original, err := os.ReadFile(filepath.Join(dir, "post.db"))
			require.NoError(t, err)
			copied := filepath.Join(t.TempDir(), "post.db")
			require.NoError(t, os.WriteFile(copied, original, 0o600))
			older := bolted(t, copied)
			var killed []string
			kill := func() string {
				k := filepath.Join(t.TempDir(), "home")
				copyHome(t, dir, k)
				killed = append(killed, k)
				return k
			}
			kill()
			h, err := home.Open(dir)
			require.NoError(t, err)
			book, err := h.Book(petname.Options{})
			require.NoError(t, err)
			_, err = h.MoveMessages(book, func(local *ledger.View, row ledger.BoltRow) error {
				kill()
				return exchange.MigrateRow(local, row)
			})
			require.NoError(t, err)
			kill()
			// Between the commit and the stub, which is renamed into its place.
			k := kill()
			require.NoError(t, os.WriteFile(filepath.Join(k, "post.db"), original, 0o600))
			require.NoError(t, os.WriteFile(filepath.Join(k, ".post.db-ABCDEFGHIJKLMNOPQRSTUVWXYZ"), []byte("petn"), 0o600))
			require.NoError(t, book.Close())
			kill()
			for _, k := range killed {
				require.Zero(t, verb(k, "id").exit)
				taken(t, k, older)
				holdsAll(t, k, name)
				stubbed(t, k)
				require.NoFileExists(t, filepath.Join(k, ".post.db-ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
				require.NoFileExists(t, filepath.Join(k, "post.db.damaged"))
			}
		})
	}
}

// The same holds if the process is killed at a random moment of its first verb.
func TestAnOlderHomeSurvivesAKilledProcess(t *testing.T) {
	t.Parallel()
	killer := newKiller(5)
	whole, cut := 0, 0
	for range times(16) {
		dir := olderHome(t, "alice")
		require.NoError(t, os.WriteFile(filepath.Join(dir, "config.toml"), []byte("network = \"off\"\n"), 0o600))
		copied := filepath.Join(t.TempDir(), "post.db")
		b, err := os.ReadFile(filepath.Join(dir, "post.db"))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(copied, b, 0o600))
		older := bolted(t, copied)
		if killer.killed(t, dir, "list").exit == 0 {
			whole++
		} else {
			cut++
		}
		holdsAll(t, dir, "alice")
		taken(t, dir, older)
		stubbed(t, dir)
	}
	require.NotZero(t, whole, "every verb was killed in time: nothing was tested")
	require.NotZero(t, cut, "none was killed in time: nothing was tested")
}

// The readable messages of a damaged post.db are moved. The file is kept, the command
// warns once, and doctor reports the file until it is removed.
func TestADamagedOlderHomeKeepsWhatCanBeRead(t *testing.T) {
	then(t, func(t *testing.T) {
		for name, damage := range map[string]func(b []byte) []byte{
			"a cut":     func(b []byte) []byte { return b[:3*4096] },
			"a meta":    func(b []byte) []byte { b[4096+40] ^= 1; return b },
			"a message": func(b []byte) []byte { return bytes.Replace(b, []byte("Dave"), []byte("D\xffve"), -1) },
			"garbage":   func(b []byte) []byte { return bytes.Repeat([]byte{0xed}, len(b)) },
		} {
			dir := olderHome(t, "alice")
			require.NoError(t, os.WriteFile(filepath.Join(dir, "config.toml"), []byte("network = \"off\"\n"), 0o600))
			file := filepath.Join(dir, "post.db")
			b, err := os.ReadFile(file)
			require.NoError(t, err)
			b = damage(b)
			require.NoError(t, os.WriteFile(file, b, 0o600))
			r := verb(dir, "list")
			require.Zero(t, r.exit, name)
			require.Contains(t, r.stderr, "post.db.damaged", name)
			require.Empty(t, verb(dir, "list").stderr, name)
			stubbed(t, dir)
			kept, err := os.ReadFile(file + ".damaged")
			require.NoError(t, err)
			require.True(t, bytes.Equal(b, kept), name)
			r = verb(dir, "doctor")
			require.Equal(t, 1, r.exit, name)
			require.Contains(t, r.stdout, "post.db.damaged", name)
			require.NoError(t, os.Remove(file+".damaged"))
			holdsAll(t, dir, "alice")
		}
	})
}
