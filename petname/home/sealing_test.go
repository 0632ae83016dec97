package home

import (
	"bytes"
	"crypto/hpke"
	"encoding/base64"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/pointer"
)

// A home decrypts what is sealed to the keys in its card. Two homes have different keys.
func TestAHomeDecryptsWhatIsSealedToItsCard(t *testing.T) {
	h, other := create(t, CreateOptions{Passphrase: "horse"}), create(t, CreateOptions{})
	sealing, err := h.Sealing()
	require.NoError(t, err)
	strangers, err := other.Sealing()
	require.NoError(t, err)
	public := sealing.PublicKeys()
	require.Equal(t, []uint16{0x0020, 0x647a}, []uint16{public[0].KEM, public[1].KEM})
	for i, k := range public {
		kem, err := hpke.NewKEM(k.KEM)
		require.NoError(t, err)
		key, err := kem.NewPublicKey(k.Key)
		require.NoError(t, err)
		sealed, err := hpke.Seal(key, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), []byte("test"), []byte("hello"))
		require.NoError(t, err)
		opened, err := hpke.Open(sealing.Current[i], hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), []byte("test"), sealed)
		require.NoError(t, err)
		require.Equal(t, "hello", string(opened))
		_, err = hpke.Open(strangers.Current[i], hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), []byte("test"), sealed)
		require.Error(t, err)
	}
}

// Replaced keys decrypt messages for 30 days, and are erased then.
func TestReplacedSealingKeysAreErasedAfterTheirRetention(t *testing.T) {
	h := create(t, CreateOptions{})
	first, err := h.Sealing()
	require.NoError(t, err)
	now := first.Made.Add(time.Hour)
	same, err := h.RenewSealing(now, time.Time{}, 2*time.Hour)
	require.NoError(t, err)
	require.True(t, slices.EqualFunc(first.PublicKeys(), same.PublicKeys(), equalKeys), "too young to be replaced")
	second, err := h.RenewSealing(now, time.Time{}, time.Hour)
	require.NoError(t, err)
	require.False(t, slices.EqualFunc(first.PublicKeys(), second.PublicKeys(), equalKeys))
	read, err := h.Sealing()
	require.NoError(t, err)
	require.True(t, slices.EqualFunc(second.PublicKeys(), read.PublicKeys(), equalKeys))
	require.Equal(t, second.Made, read.Made)
	require.Len(t, read.PrivateKeys(), 4)
	require.True(t, read.PrivateKeys()[2].PublicKey() != nil && bytes.Equal(read.PrivateKeys()[2].PublicKey().Bytes(), first.PublicKeys()[0].Key))
	before, err := os.ReadFile(h.path(sealingFile))
	require.NoError(t, err)

	third, err := h.RenewSealing(now.Add(SealingRetention), time.Time{}, 365*24*time.Hour)
	require.NoError(t, err)
	require.Len(t, third.PrivateKeys(), 2)
	after, err := os.ReadFile(h.path(sealingFile))
	require.NoError(t, err)
	private, err := first.Current[0].Bytes()
	require.NoError(t, err)
	line := sealingLine(first.Current[0].KEM())
	erased := base64.StdEncoding.EncodeToString(append(private, sealingSum(line, private)...))
	require.Contains(t, string(before), erased)
	require.NotContains(t, string(after), erased)
	// Every line counts: none can be left out, or come twice.
	lines := strings.SplitAfter(string(before), "\n")
	for i := range lines[:len(lines)-1] {
		_, err := parseSealing(strings.Join(slices.Delete(slices.Clone(lines), i, i+1), ""))
		require.Error(t, err, "without line %d", i+1)
		_, err = parseSealing(strings.Join(slices.Insert(slices.Clone(lines), i, lines[i]), ""))
		require.Error(t, err, "line %d twice", i+1)
	}
}

// Former keys are erased even if no new keys are created, as in a home that no longer
// publishes.
func TestReplacedSealingKeysAreErasedWithoutNewOnes(t *testing.T) {
	h := create(t, CreateOptions{})
	first, err := h.Sealing()
	require.NoError(t, err)
	second, err := h.RenewSealing(first.Made.Add(time.Hour), time.Time{}, 0)
	require.NoError(t, err)
	kept, err := h.EraseSealing(first.Made.Add(SealingRetention), time.Time{})
	require.NoError(t, err)
	require.Len(t, kept.PrivateKeys(), 4)
	_, err = h.EraseSealing(first.Made.Add(SealingRetention+time.Hour), time.Time{})
	require.NoError(t, err)
	read, err := h.Sealing()
	require.NoError(t, err)
	require.Len(t, read.PrivateKeys(), 2)
	require.True(t, slices.EqualFunc(second.PublicKeys(), read.PublicKeys(), equalKeys))
}

// The file of sealing keys can be read after any number of replacements: the
// oldest keys are removed first.
func TestFormerSealingKeysAreBounded(t *testing.T) {
	h := create(t, CreateOptions{})
	s, err := h.Sealing()
	require.NoError(t, err)
	for i := range maxGenerations - 1 {
		s.former = append(s.former, formerSealing{s.Made.Add(-time.Duration(i) * time.Minute), s.Current})
	}
	b, err := s.format()
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(h.path(sealingFile), b, 0o600))
	full, err := h.Sealing()
	require.NoError(t, err)
	require.Len(t, full.PrivateKeys(), 2*maxGenerations)
	renewed, err := h.RenewSealing(s.Made.Add(time.Hour), time.Time{}, 0)
	require.NoError(t, err)
	again, err := h.Sealing()
	require.NoError(t, err)
	require.Len(t, again.PrivateKeys(), 2*maxGenerations)
	require.Equal(t, renewed.PublicKeys(), again.PublicKeys())
	require.Equal(t, s.former[len(s.former)-2].replaced, again.former[len(again.former)-1].replaced)
}

// A home from before sealing keys existed receives them once, when they are
// needed, readable only by its owner.
func TestAnOlderHomeReceivesSealingKeys(t *testing.T) {
	h := create(t, CreateOptions{})
	require.NoError(t, os.Remove(h.path(sealingFile)))
	require.Empty(t, h.CheckFiles())
	made, err := h.Sealing()
	require.NoError(t, err)
	again, err := h.Sealing()
	require.NoError(t, err)
	require.Equal(t, made.PublicKeys(), again.PublicKeys())
	require.Empty(t, h.CheckFiles())
	require.NotContains(t, strings.Join(files(t, h.Dir), " "), "sealing.key-")
}

func equalKeys(a, b pointer.SealingKey) bool { return a.KEM == b.KEM && bytes.Equal(a.Key, b.Key) }

// A clock that was years ahead when keys were replaced puts off their erasure by no
// more than the retention, counted from when the clock is right again. A clock that was
// never set erases nothing, then or later.
func TestAClockThatWasAheadKeepsNoFormerKeys(t *testing.T) {
	h := create(t, CreateOptions{})
	first, err := h.Sealing()
	require.NoError(t, err)
	right := first.Made.Add(time.Hour)
	_, err = h.RenewSealing(right.AddDate(10, 0, 0), time.Time{}, 0)
	require.NoError(t, err)
	count := func(now time.Time) int {
		s, err := h.EraseSealing(now, time.Time{})
		require.NoError(t, err)
		read, err := h.Sealing()
		require.NoError(t, err)
		require.Len(t, read.PrivateKeys(), len(s.PrivateKeys()))
		return len(s.PrivateKeys())
	}
	require.Equal(t, 4, count(time.Unix(0, 0)), "a clock that was never set")
	require.Equal(t, 4, count(right))
	require.Equal(t, 4, count(right.Add(SealingRetention-time.Second)))
	require.Equal(t, 2, count(right.Add(SealingRetention)))
}
