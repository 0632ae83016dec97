package ledger

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"

	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/lawtest"
)

// multi is a well-behaved fold. A body is "key=value" or "key" to delete. It
// keeps, for each key, every write that no other write of the key saw: so that
// concurrent entries come to the same rows in any order.
type multi struct{ version string }

func (m multi) Version() string { return "multi 1" + m.version }

func (m multi) Apply(v *View, e Entry, body []byte) error {
	key, value, set := strings.Cut(string(body), "=")
	if key == "fail" {
		return errors.New("told to fail")
	}
	if body == nil {
		return v.Put("dropped", []byte(e.ID().String()), nil)
	}
	var over [][]byte
	for kv, err := range v.Scan("writes", []byte(key+"\x00")) {
		if err != nil {
			return err
		}
		id := ID{Number: binary.BigEndian.Uint64(kv.Key[len(kv.Key)-8:])}
		copy(id.Device[:], kv.Key[len(key)+1:])
		if e.Saw(id) {
			over = append(over, bytes.Clone(kv.Key))
		}
	}
	for _, k := range over {
		if err := v.Delete("writes", k); err != nil {
			return err
		}
	}
	if !set {
		value = "\x00deleted"
	}
	id := e.ID()
	k := binary.BigEndian.AppendUint64(append([]byte(key+"\x00"), id.Device[:]...), id.Number)
	return v.Put("writes", k, []byte(value))
}

// values are the live values of a key, in a Read or an Update.
func values(v *View, key string) ([]string, error) {
	var out []string
	for kv, err := range v.Scan("writes", []byte(key+"\x00")) {
		if err != nil {
			return nil, err
		}
		if s := string(kv.Value); s != "\x00deleted" {
			out = append(out, s)
		}
	}
	slices.Sort(out)
	return out, nil
}

func testKey(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(name))
	return ed25519.NewKeyFromSeed(seed[:])
}

// clock ticks a second with each look.
func clock() func() time.Time {
	now := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	return func() time.Time { now = now.Add(time.Second); return now }
}

// noise is a deterministic source of "randomness".
type noise struct{ h [32]byte }

func (n *noise) Read(p []byte) (int, error) {
	for i := range p {
		if i%32 == 0 {
			n.h = sha256.Sum256(n.h[:])
		}
		p[i] = n.h[i%32]
	}
	return len(p), nil
}

func testOptions() Options { return Options{Now: clock(), Rand: &noise{}} }

var identity = testKey("identity")

func identityPointer(t testing.TB) pointer.Pointer {
	p, err := pointer.FromPublicKey(identity.Public())
	require.NoError(t, err)
	return p
}

// unsynced disables the syncs of a ledger's file, for tests that do not examine
// the state of the disk. The written bytes are the same.
// TestEveryWritingDatabaseSyncs checks that Create, Join and Open sync.
func unsynced(l *Ledger) *Ledger {
	l.db.NoSync = true
	return l
}

func newBook(t testing.TB) (*Ledger, string) {
	t.Helper()
	path := filepath.Join(lawtest.FastDir(t), "ledger.db")
	l, err := Create(path, Genesis{Identity: identity, Device: testKey("one"), DeviceName: "one"}, multi{}, testOptions())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	return unsynced(l), path
}

func reopen(t testing.TB, l *Ledger, device string) *Ledger {
	t.Helper()
	require.NoError(t, l.Close())
	l, err := Open(l.path, testKey(device), multi{}, testOptions())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	return unsynced(l)
}

// missing collects what the holder of heads lacks.
func missing(t testing.TB, l *Ledger, heads []Head) [][]byte {
	t.Helper()
	var out [][]byte
	for b, err := range l.Missing(heads) {
		require.NoError(t, err)
		out = append(out, b)
	}
	return out
}

// join admits a further device from l, and starts its ledger.
func join(t testing.TB, l *Ledger, device string) *Ledger {
	t.Helper()
	require.NoError(t, l.AdmitDevice(identity, testKey(device).Public().(ed25519.PublicKey), device))
	path := filepath.Join(t.TempDir(), device+".db")
	o, err := Join(path, identityPointer(t), testKey(device), slices.Values(missing(t, l, nil)), multi{}, testOptions())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, o.Close()) })
	return unsynced(o)
}

func pull(t testing.TB, to, from *Ledger) int {
	t.Helper()
	n, err := to.Merge(slices.Values(missing(t, from, to.Heads())))
	require.NoError(t, err)
	return n
}

func get(t testing.TB, l *Ledger, key string) (out []string) {
	t.Helper()
	require.NoError(t, l.Read(func(v *View) (err error) {
		out, err = values(v, key)
		return err
	}))
	return out
}

// dump returns every row of the view, links and checksums too.
func dump(t testing.TB, l *Ledger) string {
	t.Helper()
	var out strings.Builder
	require.NoError(t, l.read(func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte(bucketView)).ForEach(func(k, v []byte) error {
			fmt.Fprintf(&out, "%q %x\n", k, v)
			return nil
		})
	}))
	return out.String()
}

func verified(t testing.TB, l *Ledger) {
	t.Helper()
	for err := range l.Verify(context.Background()) {
		require.NoError(t, err)
	}
}

func bodies(t testing.TB, l *Ledger) (out []string) {
	t.Helper()
	for e, err := range l.Entries() {
		require.NoError(t, err)
		if e.Kind() == KindApplication {
			out = append(out, string(e.Body))
		}
	}
	return out
}

func seq(b ...[]byte) iter.Seq[[]byte] { return slices.Values(b) }

var _ crypto.Signer = ed25519.PrivateKey(nil)

func TestWhatIsAppendedIsThereAfterReopening(t *testing.T) {
	l, path := newBook(t)
	es, err := l.Append([]byte("a=1"), []byte("b=2"), []byte("a=3"))
	require.NoError(t, err)
	require.Len(t, es, 3)
	require.Equal(t, uint64(2), es[0].ID().Number, "the genesis is 1")
	require.Equal(t, es[0].Hash(), es[1].Prev())
	before := dump(t, l)
	book := l.Book()

	l = reopen(t, l, "one")
	require.Equal(t, book, l.Book())
	require.Equal(t, identityPointer(t), l.Identity())
	require.Equal(t, []string{"3"}, get(t, l, "a"))
	require.Equal(t, []string{"2"}, get(t, l, "b"))
	require.Empty(t, get(t, l, "c"))
	require.Equal(t, before, dump(t, l))
	require.Equal(t, []string{"a=1", "b=2", "a=3"}, bodies(t, l))
	e, body, err := l.Entry(es[1].ID())
	require.NoError(t, err)
	require.Equal(t, "b=2", string(body))
	require.Equal(t, es[1], e)
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	verified(t, l)
}

func TestARebuiltViewIsEqualByteForByte(t *testing.T) {
	l, _ := newBook(t)
	for i := range 200 {
		_, err := l.Append(fmt.Appendf(nil, "key%d=%d", i%37, i))
		require.NoError(t, err)
	}
	before := dump(t, l)
	require.NoError(t, l.Rebuild())
	require.Equal(t, before, dump(t, l))
	verified(t, l)
}

func TestDevicesSync(t *testing.T) {
	a, _ := newBook(t)
	_, err := a.Append([]byte("k=from a"))
	require.NoError(t, err)
	b := join(t, a, "two")
	require.Equal(t, []string{"from a"}, get(t, b, "k"))

	ea, err := a.Append([]byte("k=a again"))
	require.NoError(t, err)
	eb, err := b.Append([]byte("k=b too"))
	require.NoError(t, err)
	require.False(t, ea[0].Saw(eb[0].ID()))
	require.False(t, eb[0].Saw(ea[0].ID()))
	require.Equal(t, 1, pull(t, a, b))
	require.Equal(t, 1, pull(t, b, a))
	require.Zero(t, pull(t, b, a), "merging again changes nothing")
	require.Equal(t, []string{"a again", "b too"}, get(t, a, "k"))
	require.Equal(t, dump(t, a), dump(t, b))

	e, err := b.Append([]byte("k=settled"))
	require.NoError(t, err)
	require.True(t, e[0].Saw(ea[0].ID()))
	require.True(t, e[0].Saw(eb[0].ID()))
	require.Len(t, e[0].Seen(), 1, "only what changed is written")
	require.Equal(t, 1, pull(t, a, b))
	require.Equal(t, []string{"settled"}, get(t, a, "k"))
	require.Equal(t, dump(t, a), dump(t, b))
	require.Equal(t, bodies(t, a), bodies(t, b), "one display order")
	verified(t, a)
	verified(t, b)
}

func pointerOf(t testing.TB, name string) pointer.Pointer {
	p, err := pointer.FromPublicKey(testKey(name).Public())
	require.NoError(t, err)
	return p
}

func TestAnErrorInUpdateChangesNothing(t *testing.T) {
	l, _ := newBook(t)
	_, err := l.Append([]byte("a=1"))
	require.NoError(t, err)
	before, heads := dump(t, l), l.Heads()
	boom := errors.New("boom")
	_, err = l.Update(func(tx *Tx) error {
		_, err := tx.Append([]byte("a=2"))
		require.NoError(t, err)
		got, err := values(tx.View(), "a")
		require.NoError(t, err)
		require.Equal(t, []string{"2"}, got, "what was appended is seen at once")
		require.Error(t, tx.View().Put("writes", []byte("k"), nil), "only the fold writes")
		return boom
	})
	require.ErrorIs(t, err, boom)
	_, err = l.Append([]byte("b=1"), []byte("fail"))
	require.ErrorContains(t, err, "told to fail")
	_, err = l.Update(func(tx *Tx) error {
		_, _ = tx.Append([]byte("fail")) // an error passed over is still one
		return nil
	})
	require.ErrorContains(t, err, "told to fail")
	_, err = l.Append(make([]byte, MaxBody+1))
	require.Error(t, err)
	require.Panics(t, func() { _, _ = l.Update(func(*Tx) error { panic("a caller's mistake") }) })
	var kept *Tx
	var keptView *View
	_, err = l.Update(func(tx *Tx) error { kept, keptView = tx, tx.View(); return nil })
	require.NoError(t, err)
	_, err = kept.Append(nil)
	require.ErrorIs(t, err, errClosed)
	isOver := func(v *View) {
		_, err := v.Get("writes", nil)
		require.ErrorIs(t, err, errClosed)
		require.ErrorIs(t, v.Put("writes", nil, nil), errClosed)
		require.ErrorIs(t, v.Delete("writes", nil), errClosed)
		_, err = v.Count("writes")
		require.ErrorIs(t, err, errClosed)
		_, _, err = v.Last("writes", nil)
		require.ErrorIs(t, err, errClosed)
		for _, err := range v.Scan("writes", nil) {
			require.ErrorIs(t, err, errClosed)
		}
	}
	isOver(keptView)
	require.NoError(t, l.Read(func(v *View) error { keptView = v; return nil }))
	isOver(keptView)
	require.Equal(t, before, dump(t, l))
	require.Equal(t, heads, l.Heads())
	_, err = l.Append([]byte("c=1"), append([]byte("d="), make([]byte, MaxBody-2)...), nil)
	require.NoError(t, err)
	verified(t, l)
}

func TestAViewOfAnotherVersionIsRebuiltOnOpen(t *testing.T) {
	l, path := newBook(t)
	_, err := l.Append([]byte("a=1"))
	require.NoError(t, err)
	require.NoError(t, l.Close())
	l, err = Open(path, testKey("one"), rows{}, testOptions())
	require.Error(t, err, "that fold cannot read these bodies")
	require.Nil(t, l)
	l, err = Open(path, testKey("one"), multi{version: " and more"}, testOptions())
	require.NoError(t, err)
	require.Equal(t, []string{"1"}, get(t, l, "a"))
	require.NoError(t, l.Close())
}

func TestOneWrongClockDoesNotPullTheOthers(t *testing.T) {
	a, _ := newBook(t)
	b := join(t, a, "two")
	b.now = func() time.Time { return time.Date(2999, 1, 1, 0, 0, 0, 0, time.UTC) }
	_, err := b.Append([]byte("k=future"))
	require.NoError(t, err)
	pull(t, a, b)
	e, err := a.Append([]byte("k=now"))
	require.NoError(t, err)
	require.Equal(t, 2026, e[0].Time().Year())
	a.now = func() time.Time { return time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC) }
	e2, err := a.Append([]byte("k=then"))
	require.NoError(t, err)
	require.False(t, e2[0].Time().Before(e[0].Time()), "and its own never goes back")
	pull(t, b, a)
	verified(t, b)
}

func TestDeviceIDsAreReadAsWritten(t *testing.T) {
	l, _ := newBook(t)
	text, err := l.Device().MarshalText()
	require.NoError(t, err)
	var d DeviceID
	require.NoError(t, d.UnmarshalText(text))
	require.Equal(t, l.Device(), d)
	for _, bad := range []string{"", "x", string(text) + "a", strings.ToUpper(string(text)), string(text[:51]) + "b", " " + string(text)} {
		require.Errorf(t, d.UnmarshalText([]byte(bad)), "%q", bad)
	}
}
