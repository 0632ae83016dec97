package home

import (
	"bytes"
	"encoding/pem"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/pointer"
)

// secretWords returns the words that no error may contain.
func secretWords(b []byte) []string {
	var words []string
	for _, line := range strings.Split(string(b), "\n") {
		if rest, ok := strings.CutPrefix(line, "PETNAME-SECRET-KEY-1"); ok && len(rest) >= 32 {
			words = append(words, rest, rest[:16], rest[len(rest)-16:])
		}
	}
	for _, line := range strings.Split(string(b), "\n") {
		if rest, ok := strings.CutPrefix(line, sealingPrefix); ok && len(rest) >= 37 {
			words = append(words, rest[5:21], rest[len(rest)-16:])
		}
	}
	if block, _ := pem.Decode(b); block != nil && block.Type == pemType {
		words = append(words, strings.Split(string(b), "\n")[1])
	}
	// What stands in the open as well is no secret.
	return slices.DeleteFunc(words, func(w string) bool { return strings.Count(string(b), w) != 1 })
}

func quiet(t *testing.T, err error, words []string) {
	for _, w := range words {
		require.NotContains(t, err.Error(), w, "a secret in an error")
	}
}

// Key files truncated at every byte, and with every bit flipped: a clear error or the
// same key, never a panic, never the secret in the error, never another identity,
// device or sealing key.
func TestDamagedKeys(t *testing.T) {
	h := create(t, CreateOptions{})
	id, err := h.Identity()
	require.NoError(t, err)
	device, err := readKey(h.path(deviceFile))
	require.NoError(t, err)
	sealing, err := h.Sealing()
	require.NoError(t, err)
	for name, load := range map[string]func(b []byte) error{
		identityFile: func(b []byte) error {
			got, err := parseIdentity(b)
			if err != nil {
				return err
			}
			key, err := got.Key("")
			if err != nil {
				return err
			}
			if got.Pointer != id.Pointer || key.Pointer() != id.Pointer {
				t.Errorf("another identity came out")
			}
			return nil
		},
		deviceFile: func([]byte) error {
			key, err := readKey(h.path(deviceFile))
			if err == nil && key.Pointer() != device.Pointer() {
				t.Errorf("another device came out")
			}
			return err
		},
		peerFile: func([]byte) error {
			_, err := h.PeerKey() // another key may result: PKCS #8 has no checksum, and nothing signs with it
			return err
		},
		sealingFile: func(b []byte) error {
			got, err := parseSealing(string(b))
			if err == nil && !slices.EqualFunc(got.PublicKeys(), sealing.PublicKeys(), equalKeys) {
				t.Errorf("another sealing key came out")
			}
			return err
		},
	} {
		whole := read(t, h.path(name))
		words := secretWords(whole)
		require.NotEmpty(t, words)
		try := func(b []byte) error {
			if name == deviceFile || name == peerFile { // these files are read in place
				// A new file each time: truncating and rewriting a file flushes it.
				require.NoError(t, os.Remove(h.path(name)))
				require.NoError(t, os.WriteFile(h.path(name), b, 0o600))
			}
			err := load(b)
			if err != nil {
				quiet(t, err, words)
			}
			return err
		}
		require.NoError(t, try(whole))
		cut, second := 0, bytes.LastIndex(whole[:len(whole)-1], []byte("\n"))
		for n := range len(whole) - 1 {
			if try(whole[:n]) != nil {
				cut++
			} else {
				require.True(t, name == identityFile && n >= second, "%s cut at %d of %d is whole", name, n, len(whole))
			}
		}
		require.NotZero(t, cut)
		for i := range whole {
			for bit := range 8 {
				b := bytes.Clone(whole)
				b[i] ^= 1 << bit
				_ = try(b)
			}
		}
	}
}

func FuzzIdentity(f *testing.F) {
	current, err := pointer.NewKey(nil)
	require.NoError(f, err)
	next, err := pointer.NewKey(nil)
	require.NoError(f, err)
	step, err := pointer.Succeed(testPointer(f), current, pointer.Commitment{}, nil)
	require.NoError(f, err)
	chains := map[string][]pointer.Succession{"horse": {step}}
	for _, passphrase := range []string{"", "horse"} {
		b, err := secrets{current: current, next: next, nextElsewhere: passphrase != "", passphrase: passphrase, workFactor: fast, succession: chains[passphrase]}.format()
		require.NoError(f, err)
		f.Add(b)
		f.Add(b[:len(b)/2])
	}
	f.Add([]byte(identityMagic))
	f.Fuzz(func(t *testing.T, b []byte) {
		id, err := parseIdentity(b)
		if err != nil {
			quiet(t, err, secretWords(b))
			return
		}
		require.False(t, id.Pointer.IsZero())
		require.False(t, id.Next.IsZero())
		if id.Locked {
			return // age's own fuzzing has the rest, and scrypt's cost is the file's choice
		}
		if key, err := id.Key(""); err == nil {
			require.Equal(t, id.Pointer, key.Pointer())
		} else {
			quiet(t, err, secretWords(b))
		}
	})
}

func testPointer(t testing.TB) pointer.Pointer {
	key, err := pointer.NewKey(nil)
	require.NoError(t, err)
	return key.Pointer()
}
