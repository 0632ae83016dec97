package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/home"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
)

// filled is a home with so many names in its book.
func filled(b *testing.B, names int) string {
	dir := filepath.Join(b.TempDir(), "home")
	h, err := home.Create(dir, home.CreateOptions{})
	require.NoError(b, err)
	book, err := h.Book(petname.Options{})
	require.NoError(b, err)
	for from := 0; from < names; from += 10_000 {
		require.NoError(b, book.Update(func(book *petname.Book, _ *ledger.View) error {
			for i := from; i < min(from+10_000, names); i++ {
				key, err := pointer.NewKey(nil)
				require.NoError(b, err)
				name, err := name.Parse(fmt.Sprintf("name %d", i))
				require.NoError(b, err)
				if _, err := book.Add(name, pointer.Link{Pointer: key.Pointer()}, petname.Source{}); err != nil {
					return err
				}
			}
			return nil
		}))
	}
	require.NoError(b, book.Close())
	return dir
}

// BenchmarkShow compares petname show NAME, as a whole process, on a book of
// 100,000 names and on one of 10, by turns. The goal is a ratio of at most 1.5.
func BenchmarkShow(b *testing.B) {
	sizes := []int{10, 100_000}
	var homes []string
	for _, n := range sizes {
		homes = append(homes, filled(b, n))
	}
	took := make([][]float64, len(sizes))
	b.ResetTimer()
	for b.Loop() {
		for i, dir := range homes {
			start := time.Now()
			_, end := began(b, dir, "show", "name 7")
			r := end()
			took[i] = append(took[i], float64(time.Since(start).Microseconds())/1000)
			require.Zero(b, r.exit, r.stderr)
		}
	}
	for i := range took {
		slices.Sort(took[i])
		b.ReportMetric(took[i][len(took[i])/2], fmt.Sprintf("ms/book-of-%d", sizes[i]))
	}
	b.ReportMetric(took[1][len(took[1])/2]/took[0][len(took[0])/2], "ratio")
}

// BenchmarkIdleNode reports the memory of a node that has just started to
// serve: all that is resident, and what of it is not the program's own file.
func BenchmarkIdleNode(b *testing.B) {
	if runtime.GOOS != "linux" {
		b.Skip("reads /proc")
	}
	dir := filled(b, 10)
	var resident, anonymous []float64
	for b.Loop() {
		n := serving(b, dir)
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", n.cmd.Process.Pid))
		require.NoError(b, err)
		resident = append(resident, megabytes(b, status, "VmRSS:"))
		anonymous = append(anonymous, megabytes(b, status, "RssAnon:"))
		require.Zero(b, verb(dir, "node", "stop").exit)
		<-n.done
	}
	b.ReportMetric(slices.Max(resident), "MB-resident")
	b.ReportMetric(slices.Max(anonymous), "MB-anonymous")
}

func megabytes(b *testing.B, status []byte, field string) float64 {
	_, rest, ok := bytes.Cut(status, []byte(field))
	require.True(b, ok)
	kB, err := strconv.Atoi(string(bytes.Fields(rest)[0]))
	require.NoError(b, err)
	return float64(kB) / 1024
}
