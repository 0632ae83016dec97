package request

import (
	"bytes"
	"encoding/binary"
	"math"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/petnames-go/petnames/pointer/canonical"
)

// clock is the clock of a verifier.
type clock struct{ now time.Time }

func quickVerifier() (*Verifier, *clock) {
	c := &clock{now}
	v := NewVerifier(func() time.Time { return c.now })
	v.hash = sha256Hash
	return v, c
}

// A stamp is bound to all parts of its challenge, and to its epoch.
func TestStampIsBoundToItsChallengeAndEpoch(t *testing.T) {
	v, c := quickVerifier()
	stamp := quickStamp(t, testChallenge, Difficulty{}, now)
	for name, change := range map[string]func(*Challenge){
		"another recipient": func(l *Challenge) { l.To = pointerOf("bob") },
		"another sender":    func(l *Challenge) { l.From = pointerOf("sue") },
		"another message":   func(l *Challenge) { l.Statement[31] ^= 1 },
		"turned round":      func(l *Challenge) { l.To, l.From = l.From, l.To },
	} {
		c := testChallenge
		change(&c)
		require.ErrorIs(t, v.Verify(stamp, c, Difficulty{}), ErrInvalidStamp, name)
	}
	// The same solutions with another epoch.
	w, err := decodeStamp(stamp)
	require.NoError(t, err)
	w.Epoch++
	later, err := canonical.Marshal(w)
	require.NoError(t, err)
	c.now = now.Add(EpochLength)
	require.ErrorIs(t, v.Verify(later, testChallenge, Difficulty{}), ErrInvalidStamp)
	c.now = now
	require.NoError(t, v.Verify(stamp, testChallenge, Difficulty{}))
}

// A stamp of a later epoch is not valid before that epoch, and an old one not after
// the next; neither costs a hash.
func TestStampIsValidInItsEpochAndTheNext(t *testing.T) {
	v, c := quickVerifier()
	for hours, want := range map[int]error{-48: ErrWrongEpoch, -4: ErrWrongEpoch, 2: ErrWrongEpoch, 720: ErrWrongEpoch} {
		stamp := quickStamp(t, testChallenge, testDifficulty, now.Add(time.Duration(hours)*time.Hour))
		require.ErrorIs(t, v.Verify(stamp, testChallenge, testDifficulty), want, hours)
	}
	require.Zero(t, v.Hashes())
	ahead := quickStamp(t, testChallenge, testDifficulty, now.Add(EpochLength))
	require.ErrorIs(t, v.Verify(ahead, testChallenge, testDifficulty), ErrWrongEpoch)
	c.now = now.Add(EpochLength)
	require.NoError(t, v.Verify(ahead, testChallenge, testDifficulty), "it was not held against the sender that its clock was ahead")
	require.NoError(t, v.Verify(quickStamp(t, testChallenge, testDifficulty, now), testChallenge, testDifficulty), "the one before")
	c.now = now.Add(3 * EpochLength)
	require.ErrorIs(t, v.Verify(ahead, testChallenge, testDifficulty), ErrWrongEpoch)
}

// A stamp is valid in its epoch and the next one, and only once in that time. The
// verifier forgets it after that time, and not when the epoch changes.
func TestStampIsNotValidAgainAfterTheEpochChanged(t *testing.T) {
	v, c := quickVerifier()
	stamp := quickStamp(t, testChallenge, testDifficulty, now)
	require.NoError(t, v.Verify(stamp, testChallenge, testDifficulty))
	hashes := v.Hashes()
	c.now = now.Add(EpochLength)
	require.Equal(t, EpochAt(now)+1, EpochAt(c.now))
	fresh := testChallenge // a stamp for another message makes the verifier search its caches
	fresh.Statement[0] ^= 1
	require.NoError(t, v.Verify(quickStamp(t, fresh, testDifficulty, c.now), fresh, testDifficulty))
	require.ErrorIs(t, v.Verify(stamp, testChallenge, testDifficulty), ErrStampUsed)
	require.EqualValues(t, hashes+uint64(testDifficulty.Solutions), v.Hashes())
	c.now = now.Add(2 * EpochLength)
	require.ErrorIs(t, v.Verify(stamp, testChallenge, testDifficulty), ErrWrongEpoch)

	// A stamp for the same message in the next epoch is new work.
	require.NoError(t, v.Verify(quickStamp(t, testChallenge, testDifficulty, c.now), testChallenge, testDifficulty))
}

// One stamp cannot be split into two, and a solution is valid at its index alone.
func TestStampCannotBeSplit(t *testing.T) {
	v, _ := quickVerifier()
	w, err := decodeStamp(quickStamp(t, testChallenge, Difficulty{}, now))
	require.NoError(t, err)
	half := Difficulty{Solutions: DefaultSolutions / 2}
	for name, solutions := range map[string][]uint64{
		"the first half":  w.Solutions[:half.Solutions],
		"the second half": w.Solutions[half.Solutions:],
	} {
		stamp, err := canonical.Marshal(wireStamp{Version: stampVersion, Epoch: w.Epoch, Solutions: solutions})
		require.NoError(t, err)
		require.ErrorIs(t, v.Verify(stamp, testChallenge, Difficulty{}), ErrInvalidStamp, name)
	}
	require.Zero(t, v.Hashes(), "too few solutions are refused unhashed")
	// Even where half is enough, the second half has other indices.
	stamp, err := canonical.Marshal(wireStamp{Version: stampVersion, Epoch: w.Epoch, Solutions: w.Solutions[half.Solutions:]})
	require.NoError(t, err)
	require.ErrorIs(t, v.Verify(stamp, testChallenge, half), ErrInvalidStamp)
	// One solution, repeated.
	for i := range w.Solutions {
		w.Solutions[i] = w.Solutions[0]
	}
	stamp, err = canonical.Marshal(w)
	require.NoError(t, err)
	require.ErrorIs(t, v.Verify(stamp, testChallenge, Difficulty{}), ErrInvalidStamp)
}

// Solutions beyond those required do not make an accepted stamp a new one.
func TestMoreSolutionsMakeNoNewStamp(t *testing.T) {
	v, _ := quickVerifier()
	w, err := decodeStamp(quickStamp(t, testChallenge, Difficulty{Solutions: 6, Bits: 3}, now))
	require.NoError(t, err)
	long, err := canonical.Marshal(w)
	require.NoError(t, err)
	require.NoError(t, v.Verify(long, testChallenge, testDifficulty))
	hashes := v.Hashes()
	require.EqualValues(t, testDifficulty.Solutions, hashes, "only the required solutions are hashed")
	w.Solutions[5]++
	long, err = canonical.Marshal(w)
	require.NoError(t, err)
	require.ErrorIs(t, v.Verify(long, testChallenge, testDifficulty), ErrStampUsed)
	require.ErrorIs(t, v.Verify(quickStamp(t, testChallenge, testDifficulty, now), testChallenge, testDifficulty), ErrStampUsed)
	require.Equal(t, hashes, v.Hashes())
}

func TestInvalidStampsAreHashedAtTheRateOnly(t *testing.T) {
	v, c := quickVerifier()
	w, err := decodeStamp(quickStamp(t, testChallenge, Difficulty{}, now))
	require.NoError(t, err)
	garbage := func(n int) []byte { // well-formed, of this epoch, and all different
		for i := range w.Solutions {
			w.Solutions[i] = math.MaxUint32 + uint64(n)
		}
		b, err := canonical.Marshal(w)
		require.NoError(t, err)
		return b
	}
	for n := range 10_000 {
		require.Error(t, v.Verify(garbage(n), testChallenge, Difficulty{}))
	}
	// All at one moment: VerifyRate stamps, with one hash each, except those whose
	// invented solution is valid by chance.
	require.LessOrEqual(t, v.Hashes(), uint64(VerifyRate*2))
	require.GreaterOrEqual(t, v.Hashes(), uint64(VerifyRate))
	first := v.Hashes()
	for range 100 { // ten seconds
		c.now = c.now.Add(100 * time.Millisecond)
		for n := range 100 {
			require.Error(t, v.Verify(garbage(20_000+n+int(c.now.UnixMilli()%1e9)), testChallenge, Difficulty{}))
		}
	}
	require.LessOrEqual(t, v.Hashes()-first, uint64(10*VerifyRate*2))
	// The valid stamp is accepted as soon as a token is available.
	c.now = c.now.Add(time.Second)
	require.NoError(t, v.Verify(quickStamp(t, testChallenge, Difficulty{}, now), testChallenge, Difficulty{}))
}

// A stamp that was rejected is not hashed again, and a malformed one never.
func TestMalformedStampIsRefusedBeforeHashing(t *testing.T) {
	v, c := quickVerifier()
	good := quickStamp(t, testChallenge, testDifficulty, now)
	w, err := decodeStamp(good)
	require.NoError(t, err)
	w.Solutions[0] = math.MaxUint64
	bad, err := canonical.Marshal(w)
	require.NoError(t, err)
	require.ErrorIs(t, v.Verify(bad, testChallenge, testDifficulty), ErrInvalidStamp)
	require.EqualValues(t, 1, v.Hashes())
	for n := range 1000 {
		c.now = c.now.Add(time.Second)
		require.ErrorIs(t, v.Verify(bad, testChallenge, testDifficulty), ErrInvalidStamp)
		require.ErrorIs(t, v.Verify(good[:n%len(good)], testChallenge, testDifficulty), ErrInvalidStamp)
		require.ErrorIs(t, v.Verify(bytes.Repeat([]byte{byte(n)}, n), testChallenge, testDifficulty), ErrInvalidStamp)
	}
	require.EqualValues(t, 1, v.Hashes())
	const rounds = 100
	long := make([]byte, MaxStamp+1)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range rounds {
		_ = v.Verify(bad, testChallenge, testDifficulty)
		_ = v.Verify(long, testChallenge, testDifficulty)
	}
	runtime.ReadMemStats(&after)
	require.Less(t, (after.TotalAlloc-before.TotalAlloc)/rounds, uint64(16<<10), "far from a MiB")
}

// A stamp is remembered as invalid for one difficulty. It may be valid for a
// lower one.
func TestStampBelowOneDifficultyMaySatisfyAnother(t *testing.T) {
	v, _ := quickVerifier()
	stamp := quickStamp(t, testChallenge, testDifficulty, now)
	hard := Difficulty{Solutions: testDifficulty.Solutions, Bits: MaxBits}
	require.ErrorIs(t, v.Verify(stamp, testChallenge, hard), ErrInvalidStamp)
	require.NoError(t, v.Verify(stamp, testChallenge, testDifficulty))
}

// The caches are bounded, and an accepted stamp stays in them while it is valid.
func TestCachesAreBoundedAndDropNoValidStamp(t *testing.T) {
	v, c := quickVerifier()
	one := Difficulty{Solutions: 1, Bits: 1}
	challenge := func(n int) Challenge {
		l := testChallenge
		binary.BigEndian.PutUint64(l.Statement[:], uint64(n))
		return l
	}
	stamps := make([][]byte, maxCached)
	for n := range maxCached {
		c.now = c.now.Add(200 * time.Millisecond)
		stamps[n] = quickStamp(t, challenge(n), one, c.now)
		require.NoError(t, v.Verify(stamps[n], challenge(n), one))
	}
	require.Equal(t, EpochAt(now), EpochAt(c.now), "all in one epoch")
	c.now = c.now.Add(time.Second)
	require.ErrorIs(t, v.Verify(quickStamp(t, challenge(-1), one, c.now), challenge(-1), one), ErrBusy)
	for n, stamp := range stamps {
		require.ErrorIs(t, v.Verify(stamp, challenge(n), one), ErrStampUsed)
	}
	c.now = c.now.Add(2 * EpochLength)
	require.NoError(t, v.Verify(quickStamp(t, challenge(-1), one, c.now), challenge(-1), one))
	require.Len(t, v.accepted, 1)

	for n := range 2 * maxCached { // invalid stamps
		c.now = c.now.Add(100 * time.Millisecond)
		stamp, err := canonical.Marshal(wireStamp{Version: stampVersion, Epoch: EpochAt(c.now), Solutions: []uint64{uint64(n) << 20}})
		require.NoError(t, err)
		require.Error(t, v.Verify(stamp, challenge(-2), Difficulty{Solutions: 1, Bits: MaxBits}))
	}
	require.LessOrEqual(t, len(v.rejected), maxCached)
	require.LessOrEqual(t, len(v.accepted), maxCached)
}

// Whatever the clock does, no second has more than VerifyRate stamps, and one burst.
func TestRateHoldsWhateverTheClockDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v, c := quickVerifier()
		taken, forward := 0, time.Duration(0)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			by := time.Duration(rapid.Int64Range(-int64(time.Hour), int64(2*time.Second)).Draw(t, "by"))
			if c.now = c.now.Add(by); by > 0 {
				forward += by
			} else {
				forward += time.Second // setting the clock back adds at most one burst
			}
			for range rapid.IntRange(0, 15).Draw(t, "tries") {
				if v.allow(c.now) {
					taken++
				}
			}
		}
		require.LessOrEqual(t, taken, VerifyRate+int(math.Ceil(forward.Seconds()*VerifyRate)))
	})
}
