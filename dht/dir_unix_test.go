//go:build unix && !solaris && !aix

package dht_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/petnames-go/petnames/dht"
)

// Dir does not open a named pipe, since that would block until the other end is
// opened. It neither consumes nor serves data that a writer has ready. A put
// replaces the pipe.
func TestAPipeAsARecordFileIsNotOpened(t *testing.T) {
	d := newClock().home(t)
	rec := sign(t, newKey(t), 1)
	file := dht.RecordFile(d, rec.Pointer())
	require.NoError(t, unix.Mkfifo(file, 0o600))
	piped := make(chan error, 1)
	go func() {
		w, err := os.OpenFile(file, os.O_WRONLY, 0) // blocks until a reader opens the pipe
		if err == nil {
			_, err = w.Write(rec.Bytes())
			w.Close()
		}
		piped <- err
	}()
	b, err := load(t, d, rec.Pointer())
	require.Nil(t, b)
	require.ErrorContains(t, err, "no plain file")
	ps, err := d.Pointers()
	require.NoError(t, err)
	require.Len(t, ps, 1)

	// The pipe stays under another name, so that the writer can be released.
	aside := file + ".aside"
	require.NoError(t, os.Link(file, aside))
	_, err = d.Put(t.Context(), rec.Pointer(), rec.Bytes())
	require.NoError(t, err)
	b, err = load(t, d, rec.Pointer())
	require.NoError(t, err)
	require.Equal(t, rec.Bytes(), b)
	select {
	case err := <-piped:
		t.Fatal("the pipe was opened: ", err)
	default:
	}
	r, err := os.OpenFile(aside, os.O_RDONLY|unix.O_NONBLOCK, 0)
	require.NoError(t, err)
	require.NoError(t, <-piped)
	require.NoError(t, r.Close())
}
