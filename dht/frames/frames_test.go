package frames

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
)

func sealed(payload string) []byte {
	b := append(make([]byte, Head), payload...)
	Seal(b)
	return b
}

// What Seal writes, Read reads; every flipped bit and every cut is damage, and no length
// makes Read allocate more than its bound.
func TestReadFindsDamage(t *testing.T) {
	whole := append(sealed("first"), sealed("second")...)
	r := bytes.NewReader(whole)
	for _, want := range []string{"first", "second"} {
		got, err := Read(r, 6)
		require.NoError(t, err)
		require.Equal(t, want, string(got))
	}
	_, err := Read(r, 6)
	require.Equal(t, io.EOF, err)
	one := sealed("first")
	for i := range one {
		for bit := range 8 {
			b := bytes.Clone(one)
			b[i] ^= 1 << bit
			_, err := Read(bytes.NewReader(b), 5)
			require.ErrorIs(t, err, ErrDamaged, "%d %d", i, bit)
		}
		if i > 0 {
			_, err := Read(bytes.NewReader(one[:i]), 5)
			require.ErrorIs(t, err, ErrDamaged, i)
		}
	}
	for _, bad := range [][]byte{sealed("longer"), sealed(""), bytes.Repeat([]byte{0xff}, 20)} {
		_, err := Read(bytes.NewReader(bad), 5)
		require.ErrorIs(t, err, ErrDamaged)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte{})
	f.Add(sealed("first"))
	f.Fuzz(func(t *testing.T, b []byte) {
		payload, err := Read(bytes.NewReader(b), 1<<10)
		if err != nil {
			require.True(t, errors.Is(err, io.EOF) == (len(b) == 0) && (len(b) == 0 || errors.Is(err, ErrDamaged)))
			return
		}
		require.Equal(t, b[:Head+len(payload)], sealed(string(payload)), "one form")
	})
}
