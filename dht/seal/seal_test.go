package seal

import (
	"bytes"
	"crypto/ecdh"
	"crypto/hpke"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/pointer"
)

func keys(t testing.TB) (classic, hybrid hpke.PrivateKey) {
	classic, err := hpke.DHKEM(ecdh.X25519()).GenerateKey()
	require.NoError(t, err)
	hybrid, err = hpke.MLKEM768X25519().GenerateKey()
	require.NoError(t, err)
	return classic, hybrid
}

func public(k hpke.PrivateKey) pointer.SealingKey {
	return pointer.SealingKey{KEM: k.KEM().ID(), Key: k.PublicKey().Bytes()}
}

var sizes = []int{2048, 4096}

func TestPayloadOpensOnlyWithItsKeyAndContext(t *testing.T) {
	classic, hybrid := keys(t)
	other, otherHybrid := keys(t)
	for _, key := range []hpke.PrivateKey{classic, hybrid} {
		payload, err := Seal(key.PublicKey(), []byte("info"), []byte("extra"), sizes, []byte("hello"))
		require.NoError(t, err)
		require.Len(t, payload, sizes[0])
		b, err := Open([]hpke.PrivateKey{other, otherHybrid, classic, hybrid}, []byte("info"), []byte("extra"), payload)
		require.NoError(t, err)
		require.Equal(t, "hello", string(b))
		for name, err := range map[string]error{
			"another's keys": second(Open([]hpke.PrivateKey{other, otherHybrid}, []byte("info"), []byte("extra"), payload)),
			"another info":   second(Open([]hpke.PrivateKey{key}, []byte("infos"), []byte("extra"), payload)),
			"another extra":  second(Open([]hpke.PrivateKey{key}, []byte("info"), []byte("extras"), payload)),
			"no keys":        second(Open(nil, []byte("info"), []byte("extra"), payload)),
		} {
			require.Error(t, err, name)
		}
	}
}

func second(_ []byte, err error) error { return err }

func TestSmallestSizeIsUsed(t *testing.T) {
	classic, hybrid := keys(t)
	for _, key := range []hpke.PrivateKey{classic, hybrid} {
		for i, size := range sizes {
			full := bytes.Repeat([]byte("x"), Capacity(key.KEM().ID(), size))
			payload, err := Seal(key.PublicKey(), nil, nil, sizes, full)
			require.NoError(t, err)
			require.Len(t, payload, size)
			b, err := Open([]hpke.PrivateKey{key}, nil, nil, payload)
			require.NoError(t, err)
			require.Equal(t, full, b)
			payload, err = Seal(key.PublicKey(), nil, nil, sizes, append(full, 'x'))
			if i == len(sizes)-1 {
				require.Error(t, err)
				continue
			}
			require.NoError(t, err)
			require.Len(t, payload, sizes[i+1])
		}
	}
}

func TestHybridKeyIsPreferred(t *testing.T) {
	classic, hybrid := keys(t)
	for want, offered := range map[uint16][]pointer.SealingKey{
		Hybrid: {public(classic), public(hybrid)},
		X25519: {{KEM: 9999, Key: []byte("later")}, public(classic)},
	} {
		key, err := SelectKey(offered)
		require.NoError(t, err)
		require.Equal(t, want, key.KEM().ID())
	}
	for name, offered := range map[string][]pointer.SealingKey{
		"none":             nil,
		"none that I know": {{KEM: 9999, Key: []byte("later")}},
		"a broken hybrid":  {public(classic), {KEM: Hybrid, Key: []byte("broken")}},
	} {
		_, err := SelectKey(offered)
		require.Error(t, err, name)
	}
}

func TestPaddingIsZeroes(t *testing.T) {
	b, err := unpad([]byte{0, 2, 'h', 'i', 0, 0})
	require.NoError(t, err)
	require.Equal(t, "hi", string(b))
	for _, padded := range [][]byte{nil, {0}, {0, 3, 'h', 'i'}, {0, 2, 'h', 'i', 0, 1}, {0xff, 0xff, 0}} {
		_, err := unpad(padded)
		require.Error(t, err)
	}
}

func FuzzOpen(f *testing.F) {
	seed := bytes.Repeat([]byte{7}, 32)
	key, err := hpke.DHKEM(ecdh.X25519()).NewPrivateKey(seed)
	require.NoError(f, err)
	good, err := Seal(key.PublicKey(), nil, nil, sizes, []byte("hello"))
	require.NoError(f, err)
	f.Add(good)
	f.Add(good[:40])
	f.Add([]byte{1, 0x64, 0x7a})
	f.Fuzz(func(t *testing.T, payload []byte) {
		b, err := Open([]hpke.PrivateKey{key}, nil, nil, payload)
		if err != nil {
			return
		}
		require.LessOrEqual(t, len(b), Capacity(X25519, len(payload)))
	})
}
