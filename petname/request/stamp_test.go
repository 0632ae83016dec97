package request

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/pointer/canonical"
)

var testChallenge = Challenge{To: pointerOf("alice"), From: pointerOf("sam"), Statement: sha256.Sum256([]byte("hello"))}

// testDifficulty is low, so that tests are fast.
var testDifficulty = Difficulty{Solutions: 4, Bits: 3}

// sha256Hash replaces Argon2id in tests that depend on the input and the number of
// hashes alone.
func sha256Hash(salt [32]byte, index int, solution uint64) [argonSize]byte {
	b := binary.BigEndian.AppendUint32(salt[:], uint32(index))
	return sha256.Sum256(binary.BigEndian.AppendUint64(b, solution))
}

func quickStamp(t testing.TB, c Challenge, difficulty Difficulty, at time.Time) []byte {
	t.Helper()
	stamp, err := computeStamp(context.Background(), nil, c, difficulty, EpochAt(at), nil, sha256Hash)
	require.NoError(t, err)
	return stamp
}

func TestStampIsAcceptedOnce(t *testing.T) {
	calls := 0
	stamp, err := MakeStamp(context.Background(), testChallenge, testDifficulty, now, func(solved, of int) {
		calls++
		require.Equal(t, calls, solved)
		require.Equal(t, testDifficulty.Solutions, of)
	})
	require.NoError(t, err)
	require.Equal(t, testDifficulty.Solutions, calls)
	v := NewVerifier(func() time.Time { return now })
	require.NoError(t, v.Verify(stamp, testChallenge, testDifficulty))
	require.ErrorIs(t, v.Verify(stamp, testChallenge, testDifficulty), ErrStampUsed, "replayed")
	require.EqualValues(t, testDifficulty.Solutions, v.Hashes(), "what is replayed is not hashed")
}

// Other versions of this program read and compute the same stamp.
func TestStampFormatIsFixed(t *testing.T) {
	stamp, err := MakeStamp(context.Background(), testChallenge, testDifficulty, now, nil)
	require.NoError(t, err)
	require.Equal(t, "83011a0003c1928406090d01", hex.EncodeToString(stamp))
}

func TestMakeStampStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	_, err := MakeStamp(ctx, testChallenge, Difficulty{Solutions: 2, Bits: 1}, now, func(int, int) { cancel() })
	if err == nil {
		// The first number was a solution at index 1.
		_, err = MakeStamp(ctx, testChallenge, Difficulty{Solutions: MaxSolutions, Bits: 1}, now, nil)
	}
	require.ErrorIs(t, err, context.Canceled)
}

// Work that is interrupted any number of times is finished, and none is repeated.
func TestInterruptedWorkIsResumed(t *testing.T) {
	var stamp []byte
	hashes, rounds := 0, 0
	for done := false; !done; rounds++ {
		require.LessOrEqual(t, rounds, DefaultSolutions)
		ctx, cancel := context.WithCancel(context.Background())
		before := 0
		counted := func(salt [32]byte, index int, solution uint64) [argonSize]byte {
			before++
			return sha256Hash(salt, index, solution)
		}
		more, err := computeStamp(ctx, stamp, testChallenge, Difficulty{}, EpochAt(now), func(solved, _ int) { hashes, before = hashes+before, 0; cancel() }, counted)
		cancel()
		if stamp = more; err == nil {
			done = true
		} else {
			require.ErrorIs(t, err, context.Canceled)
		}
	}
	require.Greater(t, rounds, 1)
	whole := 0
	want, err := computeStamp(context.Background(), nil, testChallenge, Difficulty{}, EpochAt(now), nil, func(salt [32]byte, index int, solution uint64) [argonSize]byte {
		whole++
		return sha256Hash(salt, index, solution)
	})
	require.NoError(t, err)
	require.Equal(t, want, stamp)
	require.Equal(t, whole, hashes)
	// Work for another epoch, and garbage, is started again.
	for _, partial := range [][]byte{quickStamp(t, testChallenge, Difficulty{Solutions: 3}, now.Add(-EpochLength)), []byte("garbage")} {
		again, err := computeStamp(context.Background(), partial, testChallenge, Difficulty{}, EpochAt(now), nil, sha256Hash)
		require.NoError(t, err)
		require.Equal(t, want, again)
	}
}

func TestDifficultyIsBounded(t *testing.T) {
	for _, p := range []Difficulty{{-1, 1}, {1, -1}, {MaxSolutions + 1, 1}, {1, MaxBits + 1}} {
		_, err := MakeStamp(context.Background(), testChallenge, p, now, nil)
		require.Error(t, err, p)
		require.Error(t, NewVerifier(nil).Verify(nil, testChallenge, p), p)
	}
}

// A stamp has one encoding: another encoding would be a second stamp for the
// same work.
func TestStampHasOneEncoding(t *testing.T) {
	v, _ := quickVerifier()
	good := quickStamp(t, testChallenge, testDifficulty, now)
	require.Equal(t, []byte{0x83, stampVersion, 0x1a}, good[:3])
	solutions := good[7:]
	require.Equal(t, byte(0x80+testDifficulty.Solutions), solutions[0])
	for why, bad := range map[string][]byte{
		"a head in two bytes":    append([]byte{0x98, 3}, good[1:]...),
		"a version in two bytes": append([]byte{0x83, 0x18}, good[1:]...),
		"an epoch in nine bytes": append(append([]byte{0x83, 1, 0x1b, 0, 0, 0, 0}, good[3:7]...), solutions...),
		"solutions' head longer": append(append(bytes.Clone(good[:7]), 0x98, byte(testDifficulty.Solutions)), solutions[1:]...),
		"an open end":            append(append([]byte{0x9f}, good[1:]...), 0xff),
		"one more":               append(append([]byte{0x84}, good[1:]...), 0),
		"a tag":                  append([]byte{0xc6}, good...),
		"more behind it":         append(bytes.Clone(good), 0),
		"another version":        append([]byte{0x83, 2}, good[2:]...),
		"no solutions":           append(bytes.Clone(good[:7]), 0x80),
	} {
		require.ErrorIs(t, v.Verify(bad, testChallenge, testDifficulty), ErrInvalidStamp, why)
	}
	require.Zero(t, v.Hashes())
	w, err := decodeStamp(good)
	require.NoError(t, err)
	for n, fits := range map[int]bool{MaxSolutions: true, MaxSolutions + 1: false} {
		w.Solutions = make([]uint64, n)
		b, err := canonical.Marshal(w)
		require.NoError(t, err)
		_, err = decodeStamp(b)
		require.Equal(t, fits, err == nil, n)
	}
	require.NoError(t, v.Verify(good, testChallenge, testDifficulty))
}

func FuzzStamp(f *testing.F) {
	good := quickStamp(f, testChallenge, testDifficulty, now)
	f.Add(good)
	f.Add([]byte{})
	f.Add([]byte{0x83, 1, 0x18, 1, 0x81, 0})
	f.Add(append(bytes.Clone(good), 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		w, err := decodeStamp(b)
		if err != nil {
			require.ErrorIs(t, err, ErrInvalidStamp)
			return
		}
		again, err := canonical.Marshal(w)
		require.NoError(t, err)
		require.Equal(t, b, again)
		require.LessOrEqual(t, len(w.Solutions), MaxSolutions)
		v, _ := quickVerifier()
		if v.Verify(b, testChallenge, testDifficulty) == nil {
			require.Equal(t, EpochAt(now), w.Epoch)
		}
	})
}

// Both sides of the work in one run: the cost to make a stamp, and to verify it.
func BenchmarkStamp(b *testing.B) {
	salt := testChallenge.salt(EpochAt(now))
	b.Run("hash", func(b *testing.B) {
		b.ReportAllocs()
		n := uint64(0)
		for b.Loop() {
			argon2id(salt, 0, n)
			n++
		}
	})
	b.Run("stamp", func(b *testing.B) {
		var made, checked time.Duration
		n := 0
		for b.Loop() {
			c := testChallenge
			binary.BigEndian.PutUint64(c.Statement[:], uint64(n))
			n++
			began := time.Now()
			stamp, err := MakeStamp(context.Background(), c, Difficulty{}, now, nil)
			require.NoError(b, err)
			made += time.Since(began)
			began = time.Now()
			require.NoError(b, NewVerifier(func() time.Time { return now }).Verify(stamp, c, Difficulty{}))
			checked += time.Since(began)
		}
		b.ReportMetric(made.Seconds()/float64(n), "s/make")
		b.ReportMetric(checked.Seconds()*1000/float64(n), "ms/check")
		b.ReportMetric(made.Seconds()/checked.Seconds(), "ratio")
	})
}
