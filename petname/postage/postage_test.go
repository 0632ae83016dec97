package postage

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/canonical"
)

var now = time.Date(2026, 3, 1, 13, 0, 0, 0, time.UTC) // in the middle of a seed's time

func pointerOf(name string) pointer.Pointer {
	seed := sha256.Sum256([]byte("postage test " + name))
	k, err := pointer.NewKey(bytes.NewReader(seed[:]))
	if err != nil {
		panic(err)
	}
	return k.Pointer()
}

var letter = Letter{To: pointerOf("alice"), From: pointerOf("sam"), Message: sha256.Sum256([]byte("hello"))}

// price is one that tests can pay.
var price = Price{Puzzles: 4, Bits: 3}

// quick stands in for Argon2id where only what is hashed, and how often, counts.
func quick(challenge [32]byte, puzzle int, answer uint64) [length]byte {
	b := binary.BigEndian.AppendUint32(challenge[:], uint32(puzzle))
	return sha256.Sum256(binary.BigEndian.AppendUint64(b, answer))
}

func quickStamp(t testing.TB, on Letter, price Price, at time.Time) []byte {
	t.Helper()
	stamp, err := makeStamp(context.Background(), nil, on, price, SeedAt(at), nil, quick)
	require.NoError(t, err)
	return stamp
}

// clock is what the verifier is told.
type clock struct{ now time.Time }

func quickVerifier() (*Verifier, *clock) {
	c := &clock{now}
	v := NewVerifier(func() time.Time { return c.now })
	v.hash = quick
	return v, c
}

func TestAStampThatWasMadePaysOnce(t *testing.T) {
	told := 0
	stamp, err := Make(context.Background(), letter, price, now, func(answered, of int) {
		told++
		require.Equal(t, told, answered)
		require.Equal(t, price.Puzzles, of)
	})
	require.NoError(t, err)
	require.Equal(t, price.Puzzles, told)
	v := NewVerifier(func() time.Time { return now })
	require.NoError(t, v.Verify(stamp, letter, price))
	require.ErrorIs(t, v.Verify(stamp, letter, price), ErrSeen, "replayed")
	require.EqualValues(t, price.Puzzles, v.Hashes(), "what is replayed is not hashed")
}

// A stamp of another version of this program is read, and made, the same.
func TestTheFormatIsFixed(t *testing.T) {
	stamp, err := Make(context.Background(), letter, price, now, nil)
	require.NoError(t, err)
	require.Equal(t, "83011a0003c1928406090d01", hex.EncodeToString(stamp))
}

func TestWorkStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	_, err := Make(ctx, letter, Price{Puzzles: 2, Bits: 1}, now, func(int, int) { cancel() })
	if err == nil {
		// The second puzzle was answered by the first number.
		_, err = Make(ctx, letter, Price{Puzzles: MaxPuzzles, Bits: 1}, now, nil)
	}
	require.ErrorIs(t, err, context.Canceled)
}

// However often it is interrupted, the work gets done, and none of it twice.
func TestInterruptedWorkGoesOn(t *testing.T) {
	var stamp []byte
	hashes, rounds := 0, 0
	for done := false; !done; rounds++ {
		require.LessOrEqual(t, rounds, DefaultPuzzles)
		ctx, cancel := context.WithCancel(context.Background())
		before := 0
		counted := func(challenge [32]byte, puzzle int, answer uint64) [length]byte {
			before++
			return quick(challenge, puzzle, answer)
		}
		more, err := makeStamp(ctx, stamp, letter, Price{}, SeedAt(now), func(answered, _ int) { hashes, before = hashes+before, 0; cancel() }, counted)
		cancel()
		if stamp = more; err == nil {
			done = true
		} else {
			require.ErrorIs(t, err, context.Canceled)
		}
	}
	require.Greater(t, rounds, 1)
	whole := 0
	want, err := makeStamp(context.Background(), nil, letter, Price{}, SeedAt(now), nil, func(challenge [32]byte, puzzle int, answer uint64) [length]byte {
		whole++
		return quick(challenge, puzzle, answer)
	})
	require.NoError(t, err)
	require.Equal(t, want, stamp)
	require.Equal(t, whole, hashes)
	// What is begun for another seed, or is garbage, is begun anew.
	for _, begun := range [][]byte{quickStamp(t, letter, Price{Puzzles: 3}, now.Add(-Seed)), []byte("garbage")} {
		again, err := makeStamp(context.Background(), begun, letter, Price{}, SeedAt(now), nil, quick)
		require.NoError(t, err)
		require.Equal(t, want, again)
	}
}

func TestPricesAreBounded(t *testing.T) {
	for _, p := range []Price{{-1, 1}, {1, -1}, {MaxPuzzles + 1, 1}, {1, MaxBits + 1}} {
		_, err := Make(context.Background(), letter, p, now, nil)
		require.Error(t, err, p)
		require.Error(t, NewVerifier(nil).Verify(nil, letter, p), p)
	}
}

// What a stamp is for is all of its letter, and its time: none can be moved.
func TestAStampIsForOneLetterAndTime(t *testing.T) {
	v, c := quickVerifier()
	stamp := quickStamp(t, letter, Price{}, now)
	for name, change := range map[string]func(*Letter){
		"another recipient": func(l *Letter) { l.To = pointerOf("bob") },
		"another sender":    func(l *Letter) { l.From = pointerOf("sue") },
		"another message":   func(l *Letter) { l.Message[31] ^= 1 },
		"turned round":      func(l *Letter) { l.To, l.From = l.From, l.To },
	} {
		on := letter
		change(&on)
		require.ErrorIs(t, v.Verify(stamp, on, Price{}), ErrInvalid, name)
	}
	// The same answers, dated anew.
	w, err := decode(stamp)
	require.NoError(t, err)
	w.Seed++
	later, err := canonical.Marshal(w)
	require.NoError(t, err)
	c.now = now.Add(Seed)
	require.ErrorIs(t, v.Verify(later, letter, Price{}), ErrInvalid)
	c.now = now
	require.NoError(t, v.Verify(stamp, letter, Price{}))
}

// Work that was done ahead can't be used before its time, nor old work after
// it; neither costs a hash.
func TestAStampIsGoodDuringItsSeedAndTheNext(t *testing.T) {
	v, c := quickVerifier()
	for hours, want := range map[int]error{-48: ErrSeed, -4: ErrSeed, 2: ErrSeed, 720: ErrSeed} {
		stamp := quickStamp(t, letter, price, now.Add(time.Duration(hours)*time.Hour))
		require.ErrorIs(t, v.Verify(stamp, letter, price), want, hours)
	}
	require.Zero(t, v.Hashes())
	ahead := quickStamp(t, letter, price, now.Add(Seed))
	require.ErrorIs(t, v.Verify(ahead, letter, price), ErrSeed)
	c.now = now.Add(Seed)
	require.NoError(t, v.Verify(ahead, letter, price), "it was not held against the sender that its clock was ahead")
	require.NoError(t, v.Verify(quickStamp(t, letter, price, now), letter, price), "the one before")
	c.now = now.Add(3 * Seed)
	require.ErrorIs(t, v.Verify(ahead, letter, price), ErrSeed)
}

// A stamp is valid during its seed and the next one, and only once in that
// time. The verifier forgets it only after that time, and not when the seed
// changes.
func TestAStampIsNotValidAgainAfterTheSeedChanged(t *testing.T) {
	v, c := quickVerifier()
	stamp := quickStamp(t, letter, price, now)
	require.NoError(t, v.Verify(stamp, letter, price))
	hashes := v.Hashes()
	c.now = now.Add(Seed)
	require.Equal(t, SeedAt(now)+1, SeedAt(c.now))
	fresh := letter // a stamp for another message makes the verifier search its memory
	fresh.Message[0] ^= 1
	require.NoError(t, v.Verify(quickStamp(t, fresh, price, c.now), fresh, price))
	require.ErrorIs(t, v.Verify(stamp, letter, price), ErrSeen)
	require.EqualValues(t, hashes+uint64(price.Puzzles), v.Hashes())
	c.now = now.Add(2 * Seed)
	require.ErrorIs(t, v.Verify(stamp, letter, price), ErrSeed)

	// A stamp for the same message with the next seed is new work.
	require.NoError(t, v.Verify(quickStamp(t, letter, price, c.now), letter, price))
}

// One stamp doesn't make two, and its answers don't answer for each other.
func TestAStampCannotBeSplit(t *testing.T) {
	v, _ := quickVerifier()
	w, err := decode(quickStamp(t, letter, Price{}, now))
	require.NoError(t, err)
	half := Price{Puzzles: DefaultPuzzles / 2}
	for name, answers := range map[string][]uint64{
		"the first half":  w.Answers[:half.Puzzles],
		"the second half": w.Answers[half.Puzzles:],
	} {
		stamp, err := canonical.Marshal(wireStamp{Version: stampVersion, Seed: w.Seed, Answers: answers})
		require.NoError(t, err)
		require.ErrorIs(t, v.Verify(stamp, letter, Price{}), ErrInvalid, name)
	}
	require.Zero(t, v.Hashes(), "too few answers are refused unhashed")
	// Even where half is enough, the second half answers other puzzles.
	stamp, err := canonical.Marshal(wireStamp{Version: stampVersion, Seed: w.Seed, Answers: w.Answers[half.Puzzles:]})
	require.NoError(t, err)
	require.ErrorIs(t, v.Verify(stamp, letter, half), ErrInvalid)
	// One answer, over and over.
	for i := range w.Answers {
		w.Answers[i] = w.Answers[0]
	}
	stamp, err = canonical.Marshal(w)
	require.NoError(t, err)
	require.ErrorIs(t, v.Verify(stamp, letter, Price{}), ErrInvalid)
}

// A stamp that was good makes no second one by what is behind the answers that
// count.
func TestMoreAnswersMakeNoNewStamp(t *testing.T) {
	v, _ := quickVerifier()
	w, err := decode(quickStamp(t, letter, Price{Puzzles: 6, Bits: 3}, now))
	require.NoError(t, err)
	long, err := canonical.Marshal(w)
	require.NoError(t, err)
	require.NoError(t, v.Verify(long, letter, price))
	hashes := v.Hashes()
	require.EqualValues(t, price.Puzzles, hashes, "only what is asked for is hashed")
	w.Answers[5]++
	long, err = canonical.Marshal(w)
	require.NoError(t, err)
	require.ErrorIs(t, v.Verify(long, letter, price), ErrSeen)
	require.ErrorIs(t, v.Verify(quickStamp(t, letter, price, now), letter, price), ErrSeen)
	require.Equal(t, hashes, v.Hashes())
}

func TestAFloodOfGarbageIsHashedAtTheRateOnly(t *testing.T) {
	v, c := quickVerifier()
	w, err := decode(quickStamp(t, letter, Price{}, now))
	require.NoError(t, err)
	garbage := func(n int) []byte { // of the right form and time; none like another
		for i := range w.Answers {
			w.Answers[i] = math.MaxUint32 + uint64(n)
		}
		b, err := canonical.Marshal(w)
		require.NoError(t, err)
		return b
	}
	for n := range 10_000 {
		require.Error(t, v.Verify(garbage(n), letter, Price{}))
	}
	// All at one moment: Rate of them, and one hash each, but for those whose
	// made-up answer is right by chance.
	require.LessOrEqual(t, v.Hashes(), uint64(Rate*2))
	require.GreaterOrEqual(t, v.Hashes(), uint64(Rate))
	first := v.Hashes()
	for range 100 { // ten seconds
		c.now = c.now.Add(100 * time.Millisecond)
		for n := range 100 {
			require.Error(t, v.Verify(garbage(20_000+n+int(c.now.UnixMilli()%1e9)), letter, Price{}))
		}
	}
	require.LessOrEqual(t, v.Hashes()-first, uint64(10*Rate*2))
	// The honest one comes through as soon as there is time.
	c.now = c.now.Add(time.Second)
	require.NoError(t, v.Verify(quickStamp(t, letter, Price{}, now), letter, Price{}))
}

// Garbage that was found out is not hashed again, nor what is malformed at all.
func TestGarbageIsRefusedBeforeHashing(t *testing.T) {
	v, c := quickVerifier()
	good := quickStamp(t, letter, price, now)
	w, err := decode(good)
	require.NoError(t, err)
	w.Answers[0] = math.MaxUint64
	bad, err := canonical.Marshal(w)
	require.NoError(t, err)
	require.ErrorIs(t, v.Verify(bad, letter, price), ErrInvalid)
	require.EqualValues(t, 1, v.Hashes())
	for n := range 1000 {
		c.now = c.now.Add(time.Second)
		require.ErrorIs(t, v.Verify(bad, letter, price), ErrInvalid)
		require.ErrorIs(t, v.Verify(good[:n%len(good)], letter, price), ErrInvalid)
		require.ErrorIs(t, v.Verify(bytes.Repeat([]byte{byte(n)}, n), letter, price), ErrInvalid)
	}
	require.EqualValues(t, 1, v.Hashes())
	const rounds = 100
	long := make([]byte, MaxStamp+1)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range rounds {
		_ = v.Verify(bad, letter, price)
		_ = v.Verify(long, letter, price)
	}
	runtime.ReadMemStats(&after)
	require.Less(t, (after.TotalAlloc-before.TotalAlloc)/rounds, uint64(16<<10), "far from a MiB")
}

// A stamp has one encoding: another encoding would be a second stamp for the
// same work.
func TestAnotherEncodingOfAStampIsRefused(t *testing.T) {
	v, _ := quickVerifier()
	good := quickStamp(t, letter, price, now)
	require.Equal(t, []byte{0x83, stampVersion, 0x1a}, good[:3])
	answers := good[7:]
	require.Equal(t, byte(0x80+price.Puzzles), answers[0])
	for why, bad := range map[string][]byte{
		"a head in two bytes":    append([]byte{0x98, 3}, good[1:]...),
		"a version in two bytes": append([]byte{0x83, 0x18}, good[1:]...),
		"a seed in nine bytes":   append(append([]byte{0x83, 1, 0x1b, 0, 0, 0, 0}, good[3:7]...), answers...),
		"answers' head longer":   append(append(bytes.Clone(good[:7]), 0x98, byte(price.Puzzles)), answers[1:]...),
		"an open end":            append(append([]byte{0x9f}, good[1:]...), 0xff),
		"one more":               append(append([]byte{0x84}, good[1:]...), 0),
		"a tag":                  append([]byte{0xc6}, good...),
		"more behind it":         append(bytes.Clone(good), 0),
		"another version":        append([]byte{0x83, 2}, good[2:]...),
		"no answers":             append(bytes.Clone(good[:7]), 0x80),
	} {
		require.ErrorIs(t, v.Verify(bad, letter, price), ErrInvalid, why)
	}
	require.Zero(t, v.Hashes())
	w, err := decode(good)
	require.NoError(t, err)
	for n, fits := range map[int]bool{MaxPuzzles: true, MaxPuzzles + 1: false} {
		w.Answers = make([]uint64, n)
		b, err := canonical.Marshal(w)
		require.NoError(t, err)
		_, err = decode(b)
		require.Equal(t, fits, err == nil, n)
	}
	require.NoError(t, v.Verify(good, letter, price))
}

// A stamp is remembered as wrong for one price. It may still be sufficient for
// a lower price.
func TestAStampBelowOnePriceMayPayAnother(t *testing.T) {
	v, _ := quickVerifier()
	stamp := quickStamp(t, letter, price, now)
	dear := Price{Puzzles: price.Puzzles, Bits: MaxBits}
	require.ErrorIs(t, v.Verify(stamp, letter, dear), ErrInvalid)
	require.NoError(t, v.Verify(stamp, letter, price))
}

// Whatever comes, what is remembered is bounded; and nothing that was good is
// forgotten while it could be used again.
func TestMemoryIsBoundedAndForgetsNothingThatIsStillGood(t *testing.T) {
	v, c := quickVerifier()
	one := Price{Puzzles: 1, Bits: 1}
	on := func(n int) Letter {
		l := letter
		binary.BigEndian.PutUint64(l.Message[:], uint64(n))
		return l
	}
	stamps := make([][]byte, maxSeen)
	for n := range maxSeen {
		c.now = c.now.Add(200 * time.Millisecond)
		stamps[n] = quickStamp(t, on(n), one, c.now)
		require.NoError(t, v.Verify(stamps[n], on(n), one))
	}
	require.Equal(t, SeedAt(now), SeedAt(c.now), "all in one seed")
	c.now = c.now.Add(time.Second)
	require.ErrorIs(t, v.Verify(quickStamp(t, on(-1), one, c.now), on(-1), one), ErrBusy)
	for n, stamp := range stamps {
		require.ErrorIs(t, v.Verify(stamp, on(n), one), ErrSeen)
	}
	c.now = c.now.Add(2 * Seed)
	require.NoError(t, v.Verify(quickStamp(t, on(-1), one, c.now), on(-1), one))
	require.Len(t, v.good, 1)

	for n := range 2 * maxSeen { // those that are wrong
		c.now = c.now.Add(100 * time.Millisecond)
		stamp, err := canonical.Marshal(wireStamp{Version: stampVersion, Seed: SeedAt(c.now), Answers: []uint64{uint64(n) << 20}})
		require.NoError(t, err)
		require.Error(t, v.Verify(stamp, on(-2), Price{Puzzles: 1, Bits: MaxBits}))
	}
	require.LessOrEqual(t, len(v.bad), maxSeen)
	require.LessOrEqual(t, len(v.good), maxSeen)
}

// However the clock goes, no second sees more than Rate beside those saved up.
func TestTheRateHoldsWhateverTheClockDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v, c := quickVerifier()
		taken, forward := 0, time.Duration(0)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			by := time.Duration(rapid.Int64Range(-int64(time.Hour), int64(2*time.Second)).Draw(t, "by"))
			if c.now = c.now.Add(by); by > 0 {
				forward += by
			} else {
				forward += time.Second // a jump back gives at most what a rest does
			}
			for range rapid.IntRange(0, 15).Draw(t, "tries") {
				if v.take(c.now) {
					taken++
				}
			}
		}
		require.LessOrEqual(t, taken, Rate+int(math.Ceil(forward.Seconds()*Rate)))
	})
}

func FuzzStamp(f *testing.F) {
	good := quickStamp(f, letter, price, now)
	f.Add(good)
	f.Add([]byte{})
	f.Add([]byte{0x83, 1, 0x18, 1, 0x81, 0})
	f.Add(append(bytes.Clone(good), 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		w, err := decode(b)
		if err != nil {
			require.ErrorIs(t, err, ErrInvalid)
			return
		}
		again, err := canonical.Marshal(w)
		require.NoError(t, err)
		require.Equal(t, b, again)
		require.LessOrEqual(t, len(w.Answers), MaxPuzzles)
		v, _ := quickVerifier()
		if v.Verify(b, letter, price) == nil {
			require.Equal(t, SeedAt(now), w.Seed)
		}
	})
}

// Both sides of the work, in one run: what a stamp costs who makes it, and who
// checks it.
func BenchmarkPostage(b *testing.B) {
	challenge := letter.challenge(SeedAt(now))
	b.Run("hash", func(b *testing.B) {
		b.ReportAllocs()
		n := uint64(0)
		for b.Loop() {
			hash(challenge, 0, n)
			n++
		}
	})
	b.Run("stamp", func(b *testing.B) {
		var made, checked time.Duration
		n := 0
		for b.Loop() {
			on := letter
			binary.BigEndian.PutUint64(on.Message[:], uint64(n))
			n++
			began := time.Now()
			stamp, err := Make(context.Background(), on, Price{}, now, nil)
			require.NoError(b, err)
			made += time.Since(began)
			began = time.Now()
			require.NoError(b, NewVerifier(func() time.Time { return now }).Verify(stamp, on, Price{}))
			checked += time.Since(began)
		}
		b.ReportMetric(made.Seconds()/float64(n), "s/make")
		b.ReportMetric(checked.Seconds()*1000/float64(n), "ms/check")
		b.ReportMetric(made.Seconds()/checked.Seconds(), "ratio")
	})
}
