package seal

import (
	"bytes"
	"crypto/hpke"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/pointer"
)

// sealed returns a file that is sealed to several cards.
func sealed(t testing.TB, content []byte, cards ...[]pointer.SealingKey) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := NewWriter(&out, cards...)
	require.NoError(t, err)
	_, err = w.Write(content)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return out.Bytes()
}

func unsealed(file []byte, keys ...hpke.PrivateKey) ([]byte, error) {
	r, err := NewReader(bytes.NewReader(file), keys)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

// A file opens for each of its recipients, by the hybrid key of a card that has one, and for
// no other.
func TestAFileOpensForItsRecipients(t *testing.T) {
	classic, hybrid := keys(t)
	other, otherHybrid := keys(t)
	third, thirdHybrid := keys(t)
	for _, size := range []int{0, 1, 1 << 16, 1<<16 + 1, 300_000} {
		content := bytes.Repeat([]byte("x"), size)
		file := sealed(t, content, []pointer.SealingKey{public(classic), public(hybrid)}, []pointer.SealingKey{public(other)})
		for name, private := range map[string][]hpke.PrivateKey{"hybrid": {classic, hybrid}, "X25519": {otherHybrid, other}} {
			got, err := unsealed(file, private...)
			require.NoError(t, err, name)
			require.Equal(t, string(content), string(got), name)
		}
		_, err := unsealed(file, third, thirdHybrid)
		require.ErrorIs(t, err, ErrNotForKeys)
		_, err = unsealed(file, classic)
		require.ErrorIs(t, err, ErrNotForKeys, "the weaker key of a card with a hybrid one opens nothing")
		_, err = unsealed(file)
		require.ErrorIs(t, err, ErrNotForKeys)
	}
	_, err := NewWriter(io.Discard)
	require.Error(t, err)
	_, err = NewWriter(io.Discard, nil)
	require.Error(t, err, "a card without a key")
	_, err = NewWriter(io.Discard, make([][]pointer.SealingKey, MaxRecipients+1)...)
	require.Error(t, err)
}

// A file that was changed at any byte, or cut off at any length, yields no content but a
// verified part of it, and an error. Not one byte of another content is read.
func TestAChangedFileIsRefused(t *testing.T) {
	classic, hybrid := keys(t)
	content := bytes.Repeat([]byte("0123456789"), 7000) // two chunks
	file := sealed(t, content, []pointer.SealingKey{public(hybrid)}, []pointer.SealingKey{public(classic)})
	random := rand.New(rand.NewPCG(1, 2))
	check := func(bad []byte, what string) {
		got, err := unsealed(bad, classic, hybrid)
		require.Error(t, err, what)
		require.True(t, bytes.HasPrefix(content, got), what)
	}
	for range 300 {
		at := random.IntN(len(file))
		bad := bytes.Clone(file)
		bad[at] ^= byte(1 + random.IntN(255))
		check(bad, fmt.Sprint("byte ", at))
		check(file[:at], fmt.Sprint("cut at ", at))
	}
	check(append(bytes.Clone(file), 0), "continued")
	check(nil, "empty")
	check([]byte("age-encryption.org/v1\n"), "a version alone")
}

// A file whose header has no end is refused, in bounded memory.
func TestAHeaderWithoutEndIsRefused(t *testing.T) {
	classic, _ := keys(t)
	endless := io.MultiReader(strings.NewReader("age-encryption.org/v1\n-> petnames-hpke 0020 "), endlessReader('a'))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := NewReader(endless, []hpke.PrivateKey{classic})
	runtime.ReadMemStats(&after)
	require.Error(t, err)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(32<<20))

	stanzas := io.MultiReader(strings.NewReader("age-encryption.org/v1\n"), &repeated{text: []byte("-> petnames-hpke 0020 YWFh\nYWFh\n")})
	_, err = NewReader(stanzas, []hpke.PrivateKey{classic})
	require.Error(t, err)
}

type endlessReader byte

func (e endlessReader) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte(e)
	}
	return len(b), nil
}

type repeated struct {
	text []byte
	at   int
}

func (r *repeated) Read(b []byte) (int, error) {
	n := copy(b, r.text[r.at:])
	r.at = (r.at + n) % len(r.text)
	return n, nil
}

// A file of 64 MiB is sealed and opened without being held in memory.
func TestAFileIsSealedInConstantMemory(t *testing.T) {
	_, hybrid := keys(t)
	const size = 64 << 20
	from, to := io.Pipe()
	failed := make(chan error, 1)
	before := heap()
	go func() {
		w, err := NewWriter(to, []pointer.SealingKey{public(hybrid)})
		if err == nil {
			_, err = io.CopyN(w, endlessReader(7), size)
		}
		if err == nil {
			err = w.Close()
		}
		failed <- errors.Join(err, to.CloseWithError(err))
	}()
	r, err := NewReader(from, []hpke.PrivateKey{hybrid})
	require.NoError(t, err)
	for range 4 {
		_, err := io.CopyN(io.Discard, r, size/4)
		require.NoError(t, err)
		require.Less(t, heap(), before+4<<20)
	}
	_, err = r.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
	require.NoError(t, <-failed)
}

// heap returns the bytes that are in use.
func heap() uint64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}
