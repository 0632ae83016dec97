package dht_test

import (
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/ledger/durable"
	"github.com/petnames-go/petnames/ledger/durable/durabletest"
)

// fullDisk is a file system without room for content.
type fullDisk struct{ durable.OS }

type fullFile struct{ durable.File }

func (fullDisk) OpenFile(name string, flag int) (durable.File, error) {
	f, err := durable.OS{}.OpenFile(name, flag)
	return fullFile{f}, err
}

func (f fullFile) Write(b []byte) (int, error) {
	n, _ := f.File.Write(b[:len(b)/2])
	return n, syscall.ENOSPC
}

// opened returns a directory on a file system without syncs, so that the tests
// are quick.
func opened(t *testing.T, path string) *dht.Dir {
	t.Helper()
	d, err := dht.OpenDirOn(&durabletest.Disk{}, path)
	require.NoError(t, err)
	d.Now = newClock().now
	return d
}

// A power cut after any operation of a put leaves the whole old record or the
// whole new one, and nothing else in the directory. After a confirmed put it
// leaves the new one.
func TestAPowerCutLeavesTheOldRecordOrTheNew(t *testing.T) {
	k := newKey(t)
	old, newer := sign(t, k, 1), sign(t, k, 2)
	for disk := range durabletest.Crashes() {
		path := t.TempDir()
		d := opened(t, path)
		_, err := d.Put(t.Context(), k.Pointer(), old.Bytes())
		require.NoError(t, err)
		dht.SetFiles(d, disk)
		_, err = d.Put(t.Context(), k.Pointer(), newer.Bytes())
		disk.Crash()

		d = opened(t, path)
		b, rerr := load(t, d, k.Pointer())
		require.NoError(t, rerr, disk)
		if err == nil {
			require.Equal(t, newer.Bytes(), b, disk)
		} else {
			require.Contains(t, [][]byte{old.Bytes(), newer.Bytes()}, b, disk)
		}
		files, rerr := filepath.Glob(filepath.Join(path, "*")) // ".lock" as well
		require.NoError(t, rerr)
		require.ElementsMatch(t, []string{filepath.Join(path, ".lock"), dht.RecordFile(d, k.Pointer())}, files, disk)
	}
}

// After any power cut, a record without a confirmation does not count as a
// confirmed one. The file's time is as durable as its content.
func TestAPowerCutConfirmsNoRecord(t *testing.T) {
	rec := sign(t, newKey(t), 1)
	served := 0
	for disk := range durabletest.Crashes() {
		path := t.TempDir()
		d, err := dht.OpenDirOn(disk, path)
		if err == nil {
			d.Now = newClock().now
			// StoreUnconfirmed acts as a look-up that received one unconfirmed
			// answer.
			err = dht.StoreUnconfirmed(d, rec)
		}
		disk.Crash()
		d = opened(t, path)
		have, rerr := dht.Confirmed(d, rec.Pointer())
		require.NoError(t, rerr, disk)
		if !have.IsZero() {
			served++
			require.True(t, have.Equal(time.Unix(0, 0)), "%v: %v", disk, have)
		}
		require.False(t, err == nil && have.IsZero(), disk)
	}
	require.NotZero(t, served)
}

// A record that was put into a directory that OpenDir created survives a power
// cut, as do the directory and the directories above it.
func TestNewDirectoriesSurviveAPowerCut(t *testing.T) {
	rec := sign(t, newKey(t), 1)
	cut := map[string]bool{}
	for disk := range durabletest.Crashes() {
		path := filepath.Join(t.TempDir(), "a", "b")
		d, err := dht.OpenDirOn(disk, path)
		if err == nil {
			d.Now = newClock().now
			_, err = d.Put(t.Context(), rec.Pointer(), rec.Bytes())
		}
		cut[disk.Failed()] = true
		disk.Crash()
		d = opened(t, path)
		b, rerr := load(t, d, rec.Pointer())
		require.NoError(t, rerr, disk)
		if err == nil {
			require.Equal(t, rec.Bytes(), b, disk)
		}
	}
	require.Contains(t, cut, "mkdir", "the disk created the directories")
}

// A put reports each failed operation, and leaves the old record in place
// unless the new one is already there.
func TestAPutReportsEachFault(t *testing.T) {
	k := newKey(t)
	old, newer := sign(t, k, 1), sign(t, k, 2)
	for disk := range durabletest.Faults() {
		d := opened(t, t.TempDir())
		_, err := d.Put(t.Context(), k.Pointer(), old.Bytes())
		require.NoError(t, err)
		dht.SetFiles(d, disk)
		receipt, err := d.Put(t.Context(), k.Pointer(), newer.Bytes())
		b, rerr := load(t, d, k.Pointer())
		require.NoError(t, rerr)
		switch disk.Failed() {
		case "":
			require.NoError(t, err)
			require.Equal(t, newer.Bytes(), b)
			continue
		case "syncdir":
			require.Equal(t, newer.Bytes(), b)
		default:
			require.Equal(t, old.Bytes(), b, disk)
		}
		require.ErrorIs(t, err, syscall.ENOSPC, disk)
		require.Equal(t, dht.Receipt{Asked: 1, Unreachable: 1}, receipt)
		left, err := filepath.Glob(filepath.Join(filepath.Dir(dht.RecordFile(d, k.Pointer())), ".new-*"))
		require.NoError(t, err)
		require.Empty(t, left, disk)
	}
}
