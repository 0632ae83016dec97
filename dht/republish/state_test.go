package republish

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/lawtest"
)

// Due times and results survive a restart: no query is made
// before it is due.
func TestDueTimesSurviveARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "keep.json")
		m := newModel(lawtest.Size(150, 500), 1)
		b, home, recs := newHome(t, 20, week)
		c := Config{Network: m, Contacts: b, Home: home, Path: path}
		k, stop := start(t, c)
		advance(30 * time.Hour)
		stop()
		before, churn, strangers := k.Entries(), k.churn, m.clientCount()
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.EqualValues(t, 0o600, info.Mode().Perm())
		read, err := ReadEntries(path)
		require.NoError(t, err)
		require.Len(t, read, len(recs))

		k, stop = start(t, c)
		advance(time.Second)
		require.InDelta(t, churn, k.churn, 1e-9)
		for p, e := range k.Entries() {
			require.True(t, e.Next.Equal(before[p].Next), "%s and %s", e.Next, before[p].Next)
			require.True(t, e.Looked.Equal(before[p].Looked))
			require.Equal(t, before[p].Holders, e.Holders)
		}
		require.Equal(t, strangers, m.clientCount())
		stop()
		left, err := filepath.Glob(filepath.Join(filepath.Dir(path), ".keep.json-*"))
		require.NoError(t, err)
		require.Empty(t, left)
	})
}

// A file of another version, or with a pointer in a non-canonical spelling, is
// refused as a whole, and the republisher starts without state. Figures outside
// their limits are replaced by figures within them.
func TestOnlyTheWrittenFormIsRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keep.json")
	text := testKey(0).Pointer().String()
	file := func(version, pointer, churn, depth string) {
		require.NoError(t, os.WriteFile(path, []byte(`{"v":`+version+`,"churn":`+churn+`,"depth":`+depth+`,"kept":{"`+pointer+`":{}}}`), 0o600))
	}
	file("1", text, "0.1", "7")
	read, err := ReadEntries(path)
	require.NoError(t, err)
	require.Len(t, read, 1)
	k := New(Config{Path: path})
	require.Len(t, k.Entries(), 1)
	require.Equal(t, 0.1, k.churn)
	require.Equal(t, 7, k.depth)
	for _, tc := range [][2]string{{"0", text}, {"2", text}, {"1", strings.ToUpper(text)}, {"1", "/ipns/" + text}, {"1", ""}} {
		file(tc[0], tc[1], "0.1", "7")
		_, err := ReadEntries(path)
		require.ErrorContains(t, err, path, "%q", tc)
		require.Empty(t, New(Config{Path: path}).Entries(), "%q", tc)
	}
	for _, tc := range []struct {
		churn, depth string
		wantChurn    float64
		wantDepth    int
	}{
		{"1e300", "1000", maxChurn, 64},
		{"1e-300", "-1", minChurn, 0},
		{"0", "0", startChurn, 0},
		{"-1", "64", startChurn, 64},
	} {
		file("1", text, tc.churn, tc.depth)
		k := New(Config{Path: path})
		require.Equal(t, tc.wantChurn, k.churn)
		require.Equal(t, tc.wantDepth, k.depth)
	}
	_, err = ReadEntries(filepath.Join(t.TempDir(), "none"))
	require.NoError(t, err, "no file is no entries")
}

// looked returns the number of entries that have been looked for.
func looked(entries map[pointer.Pointer]Entry) (n int) {
	for _, e := range entries {
		if !e.Looked.IsZero() {
			n++
		}
	}
	return n
}

// When the republisher ends, even in the middle of a region, the file contains the
// work done so far.
func TestStateIsSavedWhenRunEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "keep.json")
		b, home, _ := newHome(t, 2*maxParallel, week)
		k, stop := start(t, Config{Network: &slowNetwork{model: newModel(replication, 8), takes: saveEvery / 6}, Contacts: b, Home: home, Path: path})
		began := time.Now()
		for looked(k.Entries()) == 0 {
			advance(time.Second)
		}
		done := looked(k.Entries())
		require.Less(t, done, 2*maxParallel, "the others are under way")
		require.Less(t, time.Since(began), saveEvery, "else the end of the region saves it")
		stop()
		read, err := ReadEntries(path)
		require.NoError(t, err)
		require.Equal(t, done, looked(read))
	})
}

// While the republisher processes one region after the other, it saves its work
// every minute.
func TestStateIsSavedEveryMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "keep.json")
		m := newModel(1000, 8)
		b, home, recs := newHome(t, 60, week)
		var pointers []string
		for _, rec := range recs {
			pointers = append(pointers, rec.Pointer().String())
		}
		require.NoError(t, os.WriteFile(path, []byte(allAs(pointers, `{}`)), 0o600))
		k, _ := start(t, Config{Network: m, Contacts: b, Home: home, Path: path})
		var done []int // one element each half minute
		for i := range 16 {
			advance(30 * time.Second)
			done = append(done, looked(k.Entries()))
			if i < 4 {
				continue
			}
			read, err := ReadEntries(path)
			require.NoError(t, err)
			require.GreaterOrEqual(t, looked(read), done[i-4], "two minutes ago")
		}
		require.Less(t, done[4], done[10], "otherwise this tests nothing")
		require.Less(t, done[15], len(recs), "else the round was over")
	})
}

// Attack: a file that is damaged, of a later version, huge in its numbers, or
// hostile in its times is replaced, or its times are brought within their
// limits: no burst, and no record is late for it.
func TestHostileFileKeepsTheLimits(t *testing.T) {
	year := func(y int) string { return time.Date(y, 1, 1, 0, 0, 0, 0, time.UTC).Format(time.RFC3339) }
	entry := func(next, looked string) string {
		return `{"next":"` + next + `","looked":"` + looked + `","put":"` + looked + `","seen":"` + looked + `","asked":-5,"holders":99999999}`
	}
	files := map[string]func(pointers []string) string{
		"torn":          func([]string) string { return `{"v":1,"kept":{"k51` },
		"empty":         func([]string) string { return "" },
		"not JSON":      func([]string) string { return "\x00\xff" },
		"of a later":    func([]string) string { return `{"v":2,"kept":{}}` },
		"no pointer":    func([]string) string { return `{"v":1,"kept":{"x":{}}}` },
		"all now":       func(ps []string) string { return allAs(ps, entry(year(1970), year(1970))) },
		"all far off":   func(ps []string) string { return allAs(ps, entry(year(9999), year(1970))) },
		"done in 9999":  func(ps []string) string { return allAs(ps, entry(year(2000), year(9999))) },
		"zero":          func(ps []string) string { return allAs(ps, `{}`) },
		"absurd figure": func([]string) string { return `{"v":1,"churn":1e300,"depth":-7,"kept":{}}` },
	}
	for name, file := range files {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "keep.json")
				m := newModel(lawtest.Size(60, 300), 1)
				b, home, recs := newHome(t, lawtest.Size(25, 60), week)
				var pointers []string
				for _, rec := range recs {
					pointers = append(pointers, rec.Pointer().String())
				}
				require.NoError(t, os.WriteFile(path, []byte(file(pointers)), 0o600))
				k, stop := start(t, Config{Network: m, Contacts: b, Home: home, Path: path})
				requireRates(t, m, 30)
				for _, e := range k.Entries() {
					require.LessOrEqual(t, time.Until(e.Next), maxInterval*5/4)
				}
				advance(maxInterval)
				for _, rec := range recs {
					require.Equal(t, replication, m.holders(rec))
				}
				stop()
				_, err := ReadEntries(path)
				require.NoError(t, err, "what was damaged is replaced")
			})
		})
	}
}

func allAs(pointers []string, entry string) string {
	var rows []string
	for _, p := range pointers {
		rows = append(rows, `"`+p+`":`+entry)
	}
	return `{"v":1,"churn":0.1,"depth":200,"kept":{` + strings.Join(rows, ",") + `}}`
}

// Whatever the file contains, the state read from it is written again unchanged, and
// a republisher that starts with it has due times within their limits.
func FuzzState(f *testing.F) {
	p := testKey(0).Pointer().String()
	f.Add([]byte(`{"v":1,"churn":0.1,"depth":7,"own":{"next":"2026-01-02T03:04:05Z","record":"00ff","since":"2026-01-02T03:04:05Z"},"kept":{"` + p + `":{"next":"2026-01-02T03:04:05Z","asked":20,"holders":19}}}`))
	f.Add([]byte(`{"v":1,"kept":{"` + p + `":{"next":"9999-12-31T23:59:59Z","seen":"0001-01-01T00:00:00Z"}}}`))
	f.Add([]byte(`{"v":1,"churn":-1e308,"depth":-9223372036854775808}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := decodeState(b)
		if err != nil {
			return
		}
		again, err := json.Marshal(s)
		require.NoError(t, err)
		same, err := decodeState(again)
		require.NoError(t, err)
		require.Len(t, same.Kept, len(s.Kept))
		now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
		k := New(Config{Contacts: &book{}, Home: &dht.Memory{}, Now: func() time.Time { return now }, Rand: rand.NewPCG(1, 1)})
		k.restore(s, now)
		require.GreaterOrEqual(t, k.interval(), minInterval)
		require.LessOrEqual(t, k.interval(), maxInterval)
		for _, it := range k.items {
			require.False(t, it.Next.Before(now))
			require.LessOrEqual(t, it.Next.Sub(now), maxInterval*5/4)
			require.False(t, it.Looked.After(now.Add(maxDrift)) || it.Seen.After(now.Add(maxDrift)) || it.Put.After(now.Add(maxDrift)))
		}
	})
}
