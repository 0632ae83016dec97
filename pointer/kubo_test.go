package pointer

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// kuboVectors is the table of testdata/kubo/README.md.
var kuboVectors = []struct {
	name     string
	value    string
	sequence uint64
	ttl      time.Duration
	expires  string
	expired  bool
}{
	{"kubo-ed25519-v1v2", "/ipfs/bafkreifzjut3te7nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e", 1, 5 * time.Minute, "2126-10-29T", false},
	{"kubo-ed25519-v2only", "/ipfs/bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy", 2, time.Hour, "2126-10-29T", false},
	{"kubo-ed25519-to-ipns", "/ipns/k2k4r8ot4jk7f8u6lm10n1fmupnv22fu0imrvbhakcx9oftrlesijrya", 3, 5 * time.Minute, "2126-10-29T", false},
	{"kubo-rsa2048", "/ipfs/bafkreifzjut3te7nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e", 0, 5 * time.Minute, "2126-10-29T", false},
	{"kubo-ed25519-expired", "/ipfs/bafkqaaa", 0, 5 * time.Minute, "2026-11-22T06:02:06", true},
}

func TestKuboVectorsAreAllListed(t *testing.T) {
	files, err := os.ReadDir("testdata/kubo")
	require.NoError(t, err)
	var records int
	for _, f := range files {
		if strings.HasSuffix(f.Name(), ".record") {
			records++
		}
	}
	require.Equal(t, len(kuboVectors), records)
}

func TestKuboRecordsOpenAsTheirTableSays(t *testing.T) {
	for _, v := range kuboVectors {
		t.Run(v.name, func(t *testing.T) {
			p, b := kubo(t, v.name)
			r, err := Open(p, b, testNow)
			if v.expired {
				var expired *ExpiredError
				require.ErrorAs(t, err, &expired)
				require.NotErrorIs(t, err, ErrInvalid)
				require.Empty(t, r.Bytes(), "the record comes inside the error alone")
				r = expired.Record
				// A moment before its end it was valid, and at its end too.
				_, err = Open(p, b, r.Expires())
				require.NoError(t, err)
				_, err = Open(p, b, r.Expires().Add(1))
				require.ErrorAs(t, err, &expired)
			} else {
				require.NoError(t, err)
			}
			require.Equal(t, p, r.Pointer())
			require.Equal(t, v.value, r.Value())
			require.Equal(t, v.sequence, r.Sequence())
			require.Equal(t, v.ttl, r.TTL())
			require.Equal(t, time.UTC, r.Expires().Location())
			require.True(t, strings.HasPrefix(r.Expires().Format(time.RFC3339Nano), v.expires), r.Expires())
			require.Equal(t, b, r.Bytes())
			_, hasCard := r.Card()
			require.False(t, hasCard)
		})
	}
}

func TestKuboRecordsFailAgainstEveryOtherName(t *testing.T) {
	for _, v := range kuboVectors {
		own, b := kubo(t, v.name)
		others := 0
		for _, w := range kuboVectors {
			other, _ := kubo(t, w.name)
			if other == own {
				continue
			}
			others++
			_, err := Open(other, b, testNow)
			require.ErrorIs(t, err, ErrInvalid, "%s against %s", v.name, w.name)
		}
		require.Equal(t, map[bool]int{true: 2, false: 4}[strings.HasPrefix(v.name, "kubo-ed25519-") && !v.expired], others)
		_, err := Open(Pointer{}, b, testNow)
		require.ErrorIs(t, err, ErrInvalid)
	}
}

func TestKuboRecordsSupersedeOneAnotherInSequenceOrder(t *testing.T) {
	var last Record
	for _, name := range []string{"kubo-ed25519-v1v2", "kubo-ed25519-v2only", "kubo-ed25519-to-ipns"} {
		p, b := kubo(t, name)
		r, err := Open(p, b, testNow)
		require.NoError(t, err)
		require.Positive(t, r.Compare(last), name)
		require.Negative(t, last.Compare(r), name)
		last = r
	}
}

// authentic opens a record, expired or not.
func authentic(p Pointer, b []byte) (Record, bool) {
	r, err := Open(p, b, testNow)
	if expired := (*ExpiredError)(nil); errors.As(err, &expired) {
		return expired.Record, true
	}
	return r, err == nil
}

func TestTruncatedRecordsAreRefusedOrSayTheSame(t *testing.T) {
	for _, v := range kuboVectors {
		p, b := kubo(t, v.name)
		whole, ok := authentic(p, b)
		require.True(t, ok)
		refused := 0
		for n := range len(b) {
			r, ok := authentic(p, b[:n])
			if !ok {
				refused++
				continue
			}
			require.Equal(t, whole.ID(), r.ID(), "%s cut to %d bytes", v.name, n)
		}
		require.Equal(t, len(b), refused, "%s: Kubo writes the signed data last, so no cut leaves it", v.name)
	}
}

func TestRecordsWithAFlippedByteAreRefusedOrSayTheSame(t *testing.T) {
	for _, v := range kuboVectors {
		p, b := kubo(t, v.name)
		whole, ok := authentic(p, b)
		require.True(t, ok)
		refused := 0
		for at := range b {
			for _, mask := range []byte{0x01, 0x10, 0x80, 0xff} {
				changed := append([]byte(nil), b...)
				changed[at] ^= mask
				r, ok := authentic(p, changed)
				if !ok {
					refused++
					continue
				}
				require.Equal(t, whole.ID(), r.ID(), "%s, byte %d xor %#x", v.name, at, mask)
				require.Zero(t, whole.Compare(r))
			}
		}
		require.Greater(t, refused, len(b)*2, "the signed half is protected")
	}
}
