package folder

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/ledger/internal/bytestring"
	"github.com/petnames-go/petnames/ledger/internal/x25519"
)

func fileOf(t testing.TB, entries ...[]byte) (file []byte, key ed25519.PrivateKey, id ledger.DeviceID) {
	seed := sha256.Sum256([]byte("device"))
	key = ed25519.NewKeyFromSeed(seed[:])
	id = ledger.DeviceID(key.Public().(ed25519.PublicKey))
	var b bytes.Buffer
	n, err := content{[]ledger.DeviceID{id}, entries}.WriteTo(&b)
	require.NoError(t, err)
	require.EqualValues(t, b.Len(), n)
	return b.Bytes(), key, id
}

func readAll(t require.TestingT, file []byte, key ed25519.PrivateKey, id ledger.DeviceID) (entries [][]byte, err error) {
	private, err := x25519.Private(key)
	require.NoError(t, err)
	r := bytes.NewReader(file)
	slots, err := readSlots(r)
	if err != nil {
		return nil, err
	}
	for e, err := range slots.read(r, id, private) {
		if err != nil {
			return entries, err
		}
		entries = append(entries, bytes.Clone(e))
	}
	return entries, nil
}

// Of a file that is cut anywhere the entries before are read, and that it is cut is
// reported; no byte of it can be changed.
func TestAFileIsReadAsFarAsItGoes(t *testing.T) {
	entries := [][]byte{bytes.Repeat([]byte{1}, frameFill), {}, bytes.Repeat([]byte{2}, 30), bytes.Repeat([]byte{3}, 70000), {4}}
	file, key, id := fileOf(t, entries...)
	got, err := readAll(t, file, key, id)
	require.NoError(t, err)
	require.Equal(t, entries, got)
	for n := 0; n < len(file); n += 1 + n/50 {
		got, err := readAll(t, file[:n], key, id)
		require.ErrorIs(t, err, errIncomplete, n)
		require.Subset(t, entries, got)
	}
	for n := 0; n < len(file); n += 1 + n/40 {
		changed := bytes.Clone(file)
		changed[n] ^= 1
		got, err := readAll(t, changed, key, id)
		require.Error(t, err, n)
		require.Subset(t, entries, got)
	}
}

func FuzzRead(f *testing.F) {
	entries, err := os.ReadDir(filepath.Join("testdata", "fuzz", f.Name()))
	require.NoError(f, err)
	require.NotEmpty(f, entries, "the corpus is missing")
	file, key, id := fileOf(f, []byte("entry"), bytes.Repeat([]byte{7}, 300))
	f.Add(file)
	f.Add(file[:60])
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, err := readAll(t, b, key, id)
		if err == nil {
			require.True(t, bytes.HasPrefix(b, file[:len(magic)]))
		}
		for rest := b; len(rest) > 0; {
			s, after, err := bytestring.Cut(rest, maxFrame)
			if err != nil {
				break
			}
			require.Equal(t, rest[:len(rest)-len(after)], bytestring.Append(nil, s))
			rest = after
		}
	})
}
