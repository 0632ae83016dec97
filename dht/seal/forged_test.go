package seal

import (
	"bytes"
	"crypto/ecdh"
	"crypto/hpke"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/pointer"
)

// fixed returns keys of both kinds, derived from a seed.
func fixed(t testing.TB, seed byte) (classic, hybrid hpke.PrivateKey) {
	t.Helper()
	classic, err := hpke.DHKEM(ecdh.X25519()).NewPrivateKey(bytes.Repeat([]byte{seed}, 32))
	require.NoError(t, err)
	hybrid, err = hpke.MLKEM768X25519().NewPrivateKey(bytes.Repeat([]byte{seed}, 32))
	require.NoError(t, err)
	return classic, hybrid
}

// golden reads hexadecimal with comments.
func golden(t testing.TB, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", file))
	require.NoError(t, err)
	var digits strings.Builder
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "#")
		digits.WriteString(strings.Join(strings.Fields(line), ""))
	}
	b, err := hex.DecodeString(digits.String())
	require.NoError(t, err)
	return b
}

// Stored payloads are opened in every later version. Another program made one
// of them.
func TestPayloadsKeepTheirFormat(t *testing.T) {
	classic, hybrid := fixed(t, 7)
	for file, key := range map[string]hpke.PrivateKey{"x25519.hex": classic, "hybrid.hex": hybrid} {
		payload := golden(t, file)
		b, err := Open([]hpke.PrivateKey{key}, []byte("info"), []byte("extra"), payload)
		require.NoError(t, err, file)
		require.Equal(t, "hello", string(b), file)
		again, err := Seal(key.PublicKey(), []byte("info"), []byte("extra"), []int{len(payload)}, []byte("hello"))
		require.NoError(t, err, file)
		require.Len(t, again, len(payload))
		require.Equal(t, payload[:HeaderSize], again[:HeaderSize])
	}
}

// Each of these payloads differs in one thing from a valid one, or is opened
// with one argument that differs from the one it was sealed with.
func TestAlteredPayloadsAreRefused(t *testing.T) {
	classic, hybrid := fixed(t, 7)
	otherClassic, otherHybrid := fixed(t, 9)
	keys := []hpke.PrivateKey{otherClassic, classic, otherHybrid, hybrid}
	for _, key := range []hpke.PrivateKey{classic, hybrid} {
		good, err := Seal(key.PublicKey(), []byte("info"), []byte("extra"), []int{1300}, []byte("hello"))
		require.NoError(t, err)
		enc := HeaderSize + encapsulatedSize(key.KEM().ID())
		at := func(i int, with byte) []byte {
			b := bytes.Clone(good)
			b[i] = with
			return b
		}
		for name, payload := range map[string][]byte{
			"nothing":                      nil,
			"half a head":                  good[:2],
			"the head alone":               good[:HeaderSize],
			"half the encapsulated key":    good[:enc/2],
			"the encapsulated key cut":     good[:enc-1],
			"no ciphertext":                good[:enc],
			"half a tag":                   good[:enc+tagSize/2],
			"a tag alone":                  good[:enc+tagSize],
			"cut by a byte":                good[:len(good)-1],
			"with a byte more":             append(bytes.Clone(good), 0),
			"of version 0":                 at(0, 0),
			"of version 2":                 at(0, 2),
			"for a KEM that isn't known":   at(1, 0x10),
			"for the KEM P-256":            at(2, 0x10),
			"for the other KEM":            append(newHeader(X25519+Hybrid-key.KEM().ID()), good[HeaderSize:]...),
			"another encapsulated key":     at(HeaderSize, good[HeaderSize]^1),
			"another encapsulated key end": at(enc-1, good[enc-1]^1),
			"another ciphertext":           at(enc, good[enc]^1),
			"another tag":                  at(len(good)-1, good[len(good)-1]^1),
		} {
			_, err := Open(keys, []byte("info"), []byte("extra"), payload)
			require.Error(t, err, "KEM %04x: %s", key.KEM().ID(), name)
		}
		for name, place := range map[string][2]string{
			"no info": {"", "extra"}, "no extra": {"info", ""}, "info longer": {"infoe", "xtra"}, "extra longer": {"inf", "oextra"},
			"the two swapped": {"extra", "info"}, "a zero more": {"info", "extra\x00"},
		} {
			_, err := Open(keys, []byte(place[0]), []byte(place[1]), good)
			require.Error(t, err, "KEM %04x: %s", key.KEM().ID(), name)
		}
		for _, version := range []byte{0, 2, 255} {
			forged := sealRaw(t, version, key.PublicKey(), []byte{0, 2, 'h', 'i', 0, 0})
			_, err := Open(keys, []byte("info"), []byte("extra"), forged)
			require.ErrorContains(t, err, "version", "truly sealed as of version %d", version)
		}
		_, err = Open([]hpke.PrivateKey{otherClassic, otherHybrid}, []byte("info"), []byte("extra"), good)
		require.ErrorContains(t, err, "none of the keys")
		b, err := Open(keys, []byte("info"), []byte("extra"), good)
		require.NoError(t, err)
		require.Equal(t, "hello", string(b))
	}
}

// sealRaw seals data that is already padded, in a payload of any version, as no
// honest sender does.
func sealRaw(t testing.TB, version byte, to hpke.PublicKey, padded []byte) []byte {
	t.Helper()
	enc, sender, err := hpke.NewSender(to, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), []byte("info"))
	require.NoError(t, err)
	start := []byte{version, byte(to.KEM().ID() >> 8), byte(to.KEM().ID())}
	sealed, err := sender.Seal(append(bytes.Clone(start), "extra"...), padded)
	require.NoError(t, err)
	return append(append(start, enc...), sealed...)
}

// Nonzero padding would allow a second payload for one message, and hidden data
// that no recipient reads.
func TestSealedPaddingIsChecked(t *testing.T) {
	classic, hybrid := fixed(t, 7)
	for _, key := range []hpke.PrivateKey{classic, hybrid} {
		open := func(padded []byte) ([]byte, error) {
			return Open([]hpke.PrivateKey{key}, []byte("info"), []byte("extra"), sealRaw(t, 1, key.PublicKey(), padded))
		}
		b, err := open([]byte{0, 2, 'h', 'i', 0, 0})
		require.NoError(t, err)
		require.Equal(t, "hi", string(b))
		b, err = open([]byte{0, 0})
		require.NoError(t, err)
		require.Empty(t, b)
		for name, padded := range map[string][]byte{
			"no length":           {},
			"half a length":       {0},
			"a length past it":    {0, 3, 'h', 'i'},
			"the longest length":  {0xff, 0xff, 'h', 'i'},
			"a bit behind it":     {0, 2, 'h', 'i', 0, 1},
			"a bit just there":    {0, 2, 'h', 'i', 1, 0},
			"a bit, of an empty ": {0, 0, 1},
		} {
			_, err := open(padded)
			require.Error(t, err, name)
		}
	}
}

// With many keys the oldest still opens payloads sealed to it, whatever keys
// stand before it and in whatever order the kinds are.
func TestOldestKeyOpens(t *testing.T) {
	var keys []hpke.PrivateKey
	for seed := byte(1); seed <= 10; seed++ {
		classic, hybrid := fixed(t, seed)
		keys = append(keys, classic, hybrid)
	}
	for _, key := range []hpke.PrivateKey{keys[0], keys[1], keys[len(keys)-2], keys[len(keys)-1]} {
		payload, err := Seal(key.PublicKey(), []byte("info"), []byte("extra"), []int{1300}, []byte("hello"))
		require.NoError(t, err)
		b, err := Open(keys, []byte("info"), []byte("extra"), payload)
		require.NoError(t, err)
		require.Equal(t, "hello", string(b))
	}
}

// The keys of a card are in order, the current key first.
func TestFirstKeyOfAKindIsSelected(t *testing.T) {
	classic, hybrid := fixed(t, 1)
	otherClassic, otherHybrid := fixed(t, 2)
	broken := func(k hpke.PrivateKey) pointer.SealingKey {
		p := public(k)
		p.Key = p.Key[1:]
		return p
	}
	for name, c := range map[string]struct {
		offered []pointer.SealingKey
		want    hpke.PrivateKey
	}{
		"the first hybrid one":                   {[]pointer.SealingKey{public(classic), public(hybrid), public(otherHybrid)}, hybrid},
		"the first hybrid one, the other way":    {[]pointer.SealingKey{public(otherHybrid), public(hybrid)}, otherHybrid},
		"the first of X25519":                    {[]pointer.SealingKey{public(classic), public(otherClassic)}, classic},
		"the hybrid one beside a broken classic": {[]pointer.SealingKey{broken(classic), public(hybrid)}, hybrid},
		"none: the first hybrid is broken":       {[]pointer.SealingKey{broken(hybrid), public(otherHybrid), public(classic)}, nil},
		"none: the first X25519 is broken":       {[]pointer.SealingKey{broken(classic), public(otherClassic)}, nil},
	} {
		key, err := SelectKey(c.offered)
		if c.want == nil {
			require.ErrorContains(t, err, "malformed", name)
			require.Nil(t, key, name)
			continue
		}
		require.NoError(t, err, name)
		require.Equal(t, c.want.PublicKey().Bytes(), key.Bytes(), name)
	}
}

// Sizes without room for a message, and messages whose length cannot be
// encoded, are errors.
func TestTooLongMessageIsNotSealed(t *testing.T) {
	classic, hybrid := fixed(t, 7)
	for _, key := range []hpke.PrivateKey{classic, hybrid} {
		overhead := -Capacity(key.KEM().ID(), 0)
		for name, c := range map[string]struct {
			sizes []int
			n     int
			want  int // 0: an error
		}{
			"no sizes":                    {nil, 0, 0},
			"a size of nothing":           {[]int{0}, 0, 0},
			"a size a byte too short":     {[]int{overhead - 1}, 0, 0},
			"no byte in no room":          {[]int{overhead}, 0, overhead},
			"a byte in no room":           {[]int{overhead}, 1, 0},
			"as much as a length can say": {[]int{overhead + 80_000}, 65535, overhead + 80_000},
			"a byte more than that":       {[]int{overhead + 80_000}, 65536, 0},
		} {
			b := bytes.Repeat([]byte{1}, c.n)
			payload, err := Seal(key.PublicKey(), nil, nil, c.sizes, b)
			if c.want == 0 {
				require.ErrorContains(t, err, "fit", name)
				continue
			}
			require.NoError(t, err, name)
			require.Len(t, payload, c.want, name)
			opened, err := Open([]hpke.PrivateKey{key}, nil, nil, payload)
			require.NoError(t, err, name)
			require.True(t, bytes.Equal(b, opened), name)
		}
	}
}
