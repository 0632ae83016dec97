package bytestring

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/pointer/canonical"
)

// Both readers accept the canonical encoding, and no other, and report where it ends.
func TestByteStringsHaveOneEncoding(t *testing.T) {
	const limit = 70000
	for _, n := range []int{0, 1, 23, 24, 255, 256, 65535, 65536, limit} {
		s := bytes.Repeat([]byte{7}, n)
		b := Append([]byte{}, s)
		require.Equal(t, canonical.MustMarshal(s), b)
		got, rest, err := Cut(append(bytes.Clone(b), 1, 2), limit)
		require.NoError(t, err)
		require.Equal(t, s, got)
		require.Equal(t, []byte{1, 2}, rest)
		r := bufio.NewReader(iotest.OneByteReader(bytes.NewReader(b)))
		got, err = Read(r, limit)
		require.NoError(t, err)
		require.Equal(t, s, got)
		_, err = Read(r, limit)
		require.Equal(t, io.EOF, err)
		for cut := 1; cut < len(b); cut += 1 + cut/10 {
			_, _, err := Cut(b[:cut], limit)
			require.Equal(t, io.ErrUnexpectedEOF, err)
			_, err = Read(bufio.NewReader(bytes.NewReader(b[:cut])), limit)
			require.Equal(t, io.ErrUnexpectedEOF, err)
		}
	}
	for name, b := range map[string][]byte{
		"a text":        {0x61, 'a'},
		"a number":      {0},
		"a short in 2":  {0x58, 23, 0},
		"a short in 3":  {0x59, 0, 255},
		"a short in 5":  {0x5a, 0, 0, 255, 255},
		"in 9":          {0x5b, 0, 0, 0, 1, 0, 0, 0, 0},
		"reserved":      {0x5c},
		"indefinite":    {0x5f, 0xff},
		"over the most": {0x5a, 0, 1, 0x11, 0x71},
		"the most ever": {0x5a, 0xff, 0xff, 0xff, 0xff},
	} {
		_, _, err := Cut(b, limit)
		require.ErrorIs(t, err, ErrMalformed, name)
		_, err = Read(bufio.NewReader(bytes.NewReader(b)), limit)
		require.ErrorIs(t, err, ErrMalformed, name)
	}
	broken := errors.New("broken")
	_, err := Read(bufio.NewReader(iotest.ErrReader(broken)), limit)
	require.Equal(t, broken, err)
	_, err = Read(bufio.NewReader(io.MultiReader(bytes.NewReader([]byte{0x42, 1}), iotest.ErrReader(broken))), limit)
	require.Equal(t, broken, err)
}
