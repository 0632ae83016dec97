package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"
	"pgregory.net/rapid"

	"github.com/petnames-go/petnames/pointer/lawtest"
)

// raw is a fold whose bodies are the operations themselves: "p" table key value
// or "d" table key, cut at spaces.
type raw struct{}

func (raw) Version() string { return "raw" }
func (raw) Apply(v *View, _ Entry, body []byte) error {
	f := strings.SplitN(string(body), " ", 4)
	if f[0] == "p" {
		return v.Put(f[1], []byte(f[2]), []byte(f[3]))
	}
	return v.Delete(f[1], []byte(f[2]))
}

// The view does what a map does, through reopening, rebuilding and failed
// updates.
func TestTheViewDoesWhatAMapDoes(t *testing.T) {
	empty, _ := newBook(t)
	fresh := copies(t, empty)
	lawtest.Check(t, 40, func(rt *rapid.T) {
		path := fresh(rt)[0]
		l, err := Open(path, testKey("one"), raw{}, testOptions())
		require.NoError(rt, err)
		unsynced(l)
		model := map[string]map[string]string{"a": {}, "bb": {}}
		tables := rapid.SampledFrom([]string{"a", "bb"})
		keys := rapid.Custom(func(t *rapid.T) string {
			return strings.Repeat(rapid.StringMatching(`[a-c\xff]{0,3}`).Draw(t, "key"), rapid.SampledFrom([]int{1, 1, 60}).Draw(t, "times"))
		})
		check := func(v *View) {
			for table, rows := range model {
				n, err := v.Count(table)
				require.NoError(rt, err)
				require.Equal(rt, len(rows), n)
				prefix := keys.Draw(rt, "prefix")
				var want, got []string
				for k := range rows {
					if strings.HasPrefix(k, prefix) {
						want = append(want, k+"="+rows[k])
					}
				}
				sort.Slice(want, func(i, j int) bool {
					return want[i][:strings.IndexByte(want[i], '=')] < want[j][:strings.IndexByte(want[j], '=')]
				})
				for kv, err := range v.Scan(table, []byte(prefix)) {
					require.NoError(rt, err)
					got = append(got, string(kv.Key)+"="+string(kv.Value))
				}
				require.Equal(rt, want, got)
				last, ok, err := v.Last(table, []byte(prefix))
				require.NoError(rt, err)
				require.Equal(rt, len(want) > 0, ok)
				if ok {
					require.Equal(rt, want[len(want)-1], string(last.Key)+"="+string(last.Value))
				}
				key := keys.Draw(rt, "absent or not")
				b, err := v.Get(table, []byte(key))
				require.NoError(rt, err)
				value, there := rows[key]
				require.Equal(rt, there, b != nil)
				require.Equal(rt, value, string(b))
			}
		}
		rt.Repeat(map[string]func(*rapid.T){
			"update": func(rt *rapid.T) {
				ok := rapid.Bool().Draw(rt, "ok") || rapid.Bool().Draw(rt, "really")
				undo := map[string]map[string]string{"a": {}, "bb": {}}
				for t, rows := range model {
					for k, v := range rows {
						undo[t][k] = v
					}
				}
				_, err := l.Update(func(tx *Tx) error {
					for range rapid.SampledFrom([]int{1, 3, 20}).Draw(rt, "n") {
						table, key := tables.Draw(rt, "table"), keys.Draw(rt, "key")
						if rapid.IntRange(0, 2).Draw(rt, "op") > 0 {
							value := strings.Repeat("v", rapid.SampledFrom([]int{0, 1, 100, 700}).Draw(rt, "size"))
							_, err := tx.Append(fmt.Appendf(nil, "p %s %s %s", table, key, value))
							require.NoError(rt, err)
							model[table][key] = value
						} else {
							_, err := tx.Append(fmt.Appendf(nil, "d %s %s", table, key))
							require.NoError(rt, err)
							delete(model[table], key)
						}
					}
					check(tx.View())
					if !ok {
						return errNothing
					}
					return nil
				})
				if ok {
					require.NoError(rt, err)
				} else {
					require.ErrorIs(rt, err, errNothing)
					model = undo
				}
			},
			"empty": func(rt *rapid.T) {
				_, err := l.Update(func(tx *Tx) error {
					for table, rows := range model {
						for k := range rows {
							_, err := tx.Append(fmt.Appendf(nil, "d %s %s", table, k))
							require.NoError(rt, err)
							delete(rows, k)
						}
					}
					return nil
				})
				require.NoError(rt, err)
			},
			"reopen": func(rt *rapid.T) {
				require.NoError(rt, l.Close())
				l, err = Open(path, testKey("one"), raw{}, testOptions())
				require.NoError(rt, err)
				unsynced(l)
			},
			"rebuild": func(rt *rapid.T) {
				before := dumpAny(rt, l)
				require.NoError(rt, l.Rebuild())
				require.Equal(rt, before, dumpAny(rt, l))
			},
			"": func(rt *rapid.T) {
				require.NoError(rt, l.Read(func(v *View) error { check(v); return nil }))
			},
		})
		for err := range l.Verify(t.Context()) {
			require.NoError(rt, err)
		}
		require.NoError(rt, l.Close())
	})
}

func dumpAny(t require.TestingT, l *Ledger) string {
	var out bytes.Buffer
	require.NoError(t, l.read(func(tx *bbolt.Tx) error {
		return tx.Bucket(viewName).ForEach(func(k, v []byte) error {
			fmt.Fprintf(&out, "%q %x\n", k, v)
			return nil
		})
	}))
	return out.String()
}

// copies closes ledgers. It returns a function that copies their files and
// returns the paths of the copies. Creating a ledger would need many syncs.
func copies(t *testing.T, ls ...*Ledger) func(require.TestingT) []string {
	var files [][]byte
	for _, l := range ls {
		require.NoError(t, l.Close())
		b, err := os.ReadFile(l.path)
		require.NoError(t, err)
		files = append(files, b)
	}
	root, made := lawtest.FastDir(t), 0
	return func(t require.TestingT) (paths []string) {
		for _, b := range files {
			made++
			path := filepath.Join(root, fmt.Sprint(made), "ledger.db") // Open reads the whole folder
			require.NoError(t, os.Mkdir(filepath.Dir(path), 0o700))
			require.NoError(t, os.WriteFile(path, b, 0o600))
			paths = append(paths, path)
		}
		return paths
	}
}

// Several devices write entries with wrong clocks and exchange them in any
// order. Devices that hold the same entries have the same view, and Rebuild
// does not change it. A ledger accepts no entries of a dishonest device or
// carrier: it refuses the batch, or records evidence of a fork. Honest entries
// are accepted nevertheless.
func TestViewsDoNotDependOnTheOrderOfMerging(t *testing.T) {
	names := []string{"one", "two", "three", "four"}
	first, _ := newBook(t)
	made := []*Ledger{first}
	for _, n := range names[1:] {
		made = append(made, join(t, first, n))
	}
	for range 2 {
		for _, l := range made {
			for _, from := range made {
				pull(t, l, from)
			}
			_, err := l.Append([]byte("a=0"))
			require.NoError(t, err)
		}
	}
	for _, l := range made {
		for _, from := range made {
			pull(t, l, from)
		}
	}
	fresh := copies(t, made...)
	refusals, forks, lost := 0, 0, 0
	lawtest.Check(t, 40, func(rt *rapid.T) {
		var ls []*Ledger
		defer func() {
			for _, l := range ls {
				require.NoError(rt, l.Close())
			}
		}()
		for i, path := range fresh(rt) {
			l, err := Open(path, testKey(names[i]), multi{}, testOptions())
			require.NoError(rt, err)
			ls = append(ls, unsynced(l))
		}
		give := func(from, to *Ledger, shuffle bool) {
			all := collect(rt, from, to.Heads())
			if shuffle {
				all = rapid.Permutation(all).Draw(rt, "order")
			}
			if _, err := to.Merge(slices.Values(all)); err != nil {
				require.ErrorIs(rt, err, ErrFork)
			}
		}
		pick := rapid.IntRange(0, len(ls)-1)
		for range rapid.IntRange(1, 30).Draw(rt, "steps") {
			i, j := pick.Draw(rt, "i"), pick.Draw(rt, "j")
			if i != j && rapid.IntRange(0, 3).Draw(rt, "forge") == 0 {
				l := ls[j]
				d := drafted(rt, l, rapid.SampledFrom(names).Draw(rt, "forger"), []byte("a=forged"))
				k := rapid.IntRange(-1, len(entryForgeries)-1).Draw(rt, "forgery")
				if k < 0 && l.st.Load().forked(DeviceID(d.device)) {
					continue
				}
				if k < 0 { // signed by the device itself
					d.number--
					d.prev = hashAt(rt, l, DeviceID(d.device), d.number-1)
					d.seen = nil
					d.setBody([]byte("a=forked"))
				} else if forked(l) && strings.HasPrefix(entryForgeries[k].name, "saw") {
					continue // of a forked device, a list of what was seen need not be complete
				} else if !entryForgeries[k].forge(rt, l, d) {
					continue
				}
				all := collect(rt, ls[i], l.Heads())
				all = slices.Insert(all, rapid.IntRange(0, len(all)).Draw(rt, "place"), d.wire())
				heads := l.Heads()
				n, err := l.Merge(slices.Values(all))
				if k < 0 && err == nil {
					continue // it continues the branch that counts, as a copy of the device's home does
				}
				if errors.Is(err, ErrFork) {
					forks++
					require.LessOrEqual(rt, n, len(all))
					continue
				}
				refusals++
				require.ErrorIs(rt, err, ErrRefused)
				require.Zero(rt, n)
				require.Equal(rt, heads, l.Heads())
				continue
			}
			if i != j && rapid.Bool().Draw(rt, "sync") {
				give(ls[i], ls[j], rapid.Bool().Draw(rt, "shuffle"))
				continue
			}
			body := rapid.SampledFrom([]string{"a=1", "a=2", "a", "b=1", "b=2", "b", "c=1"}).Draw(rt, "body")
			now := time.UnixMilli(rapid.Int64Range(0, 1<<42).Draw(rt, "now"))
			ls[i].now = func() time.Time { return now }
			if _, err := ls[i].Append([]byte(body)); err != nil {
				require.ErrorIs(rt, err, ErrFork)
				lost++
			}
		}
		for range 3 { // all to all
			for i := range ls {
				for j := range ls {
					if i != j {
						give(ls[i], ls[j], true)
					}
				}
			}
		}
		want := dumpAny(rt, ls[0])
		for _, l := range ls {
			require.ElementsMatch(rt, ls[0].Heads(), l.Heads())
			require.Equal(rt, want, dumpAny(rt, l))
			require.NoError(rt, l.Rebuild())
			require.Equal(rt, want, dumpAny(rt, l))
		}
		for e, err := range ls[0].Entries() {
			require.NoError(rt, err)
			require.NotContains(rt, string(e.Body), "forged")
		}
	})
	require.NotZero(t, refusals)
	require.NotZero(t, forks)
	require.NotZero(t, lost, "a device whose branch does not count")
}

// forked reports whether a device of l's book has several branches.
func forked(l *Ledger) bool {
	st := l.st.Load()
	return len(st.branches) > len(st.devices)
}

func collect(t require.TestingT, l *Ledger, heads []Head) (out [][]byte) {
	for b, err := range l.Missing(heads) {
		require.NoError(t, err)
		out = append(out, b)
	}
	return out
}

// Saw is the causal past, kept here by brute force: each device's set of all
// that it holds when it writes.
func TestSawIsTheCausalPast(t *testing.T) {
	a, _ := newBook(t)
	b := join(t, a, "two")
	c := join(t, a, "three")
	pull(t, b, a)
	ls := []*Ledger{a, b, c}
	past := map[ID]map[ID]bool{}
	held := func(l *Ledger) map[ID]bool {
		m := map[ID]bool{}
		for _, h := range l.Heads() {
			for n := uint64(1); n <= h.Number; n++ {
				m[ID{h.Device, n}] = true
			}
		}
		return m
	}
	for i := range 60 {
		l := ls[i*7%3]
		m := held(l)
		es, err := l.Append(fmt.Appendf(nil, "k%d=%d", i%4, i))
		require.NoError(t, err)
		past[es[0].ID()] = m
		if i%3 == 0 {
			pull(t, ls[i%3], ls[(i/3+1)%3])
		}
		if i%5 == 0 {
			pull(t, ls[(i/5)%3], ls[(i/5+2)%3])
		}
	}
	for range 2 {
		for i := range ls {
			for j := range ls {
				pull(t, ls[i], ls[j])
			}
		}
	}
	for _, l := range ls {
		for e, err := range l.Entries() {
			require.NoError(t, err)
			m, ok := past[e.ID()]
			if !ok {
				continue
			}
			for id := range held(l) {
				require.Equalf(t, m[id], e.Saw(id), "%v saw %v", e.ID(), id)
			}
		}
	}
}
