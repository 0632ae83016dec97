package replicate

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/lawtest"
)

func TestMain(m *testing.M) { os.Exit(lawtest.Main(m)) }

func testKey(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(name))
	return ed25519.NewKeyFromSeed(seed[:])
}

func idOf(name string) ledger.DeviceID {
	return ledger.DeviceID(testKey(name).Public().(ed25519.PublicKey))
}

// counts is a fold that counts the entries with each body.
type counts struct{}

func (counts) Version() string { return "counts" }

func (counts) Apply(v *ledger.View, _ ledger.Entry, body []byte) error {
	body = body[:min(len(body), 100)]
	old, err := v.Get("counts", body)
	if err != nil {
		return err
	}
	n, _ := strconv.Atoi(string(old))
	return v.Put("counts", body, []byte(strconv.Itoa(n+1)))
}

// clock is a second later at each look.
func clock() func() time.Time {
	now := time.Date(2026, 11, 30, 8, 0, 0, 0, time.UTC)
	return func() time.Time { now = now.Add(time.Second); return now }
}

// device is a device of a book in a test.
type device struct {
	*ledger.Ledger
	key  ed25519.PrivateKey
	path string
}

func newDevice(t testing.TB, l *ledger.Ledger, name, path string) *device {
	d := &device{l, testKey(name), path}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

// book returns a book with these devices, each with what the first one has.
func book(t testing.TB, names ...string) []*device {
	t.Helper()
	dir := t.TempDir()
	identity := testKey("identity")
	path := filepath.Join(dir, names[0])
	l, err := ledger.Create(path, ledger.Genesis{Identity: identity, Device: testKey(names[0]), DeviceName: names[0]}, counts{}, ledger.Options{Now: clock()})
	require.NoError(t, err)
	first := newDevice(t, l, names[0], path)
	for _, name := range names[1:] {
		admit(t, first, name)
	}
	devices := []*device{first}
	for _, name := range names[1:] {
		devices = append(devices, join(t, first, name))
	}
	return devices
}

func admit(t require.TestingT, d *device, name string) {
	require.NoError(t, d.AdmitDevice(testKey("identity"), testKey(name).Public().(ed25519.PublicKey), name))
}

// join returns a device with the entries of another one.
func join(t testing.TB, from *device, name string) *device {
	return joinEntries(t, name, missing(t, from.Ledger, nil))
}

func joinEntries(t testing.TB, name string, entries [][]byte) *device {
	p, err := pointer.FromPublicKey(testKey("identity").Public())
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), name)
	l, err := ledger.Join(path, p, testKey(name), slices.Values(entries), counts{}, ledger.Options{Now: clock()})
	require.NoError(t, err)
	return newDevice(t, l, name, path)
}

// copyOf returns a copy of a device, as of a home that was copied with its key.
func copyOf(t testing.TB, d *device) *device {
	c := &device{nil, d.key, filepath.Join(t.TempDir(), "copy")}
	require.NoError(t, os.WriteFile(c.path, snapshot(t, d), 0o600))
	c.Ledger = reopen(t, c.key, c.path)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func reopen(t testing.TB, key ed25519.PrivateKey, path string) *ledger.Ledger {
	l, err := ledger.Open(path, key, counts{}, ledger.Options{Now: clock()})
	require.NoError(t, err)
	return l
}

func missing(t require.TestingT, l *ledger.Ledger, heads []ledger.Head) (out [][]byte) {
	for b, err := range l.Missing(heads) {
		require.NoError(t, err)
		out = append(out, b)
	}
	return out
}

func sizeOf(entries [][]byte) (n int) {
	for _, e := range entries {
		n += len(e)
	}
	return n
}

func digest(t require.TestingT, l *device) ledger.Hash {
	h, err := l.Digest()
	require.NoError(t, err)
	return h
}

func write(t require.TestingT, l *device, bodies ...string) {
	var all [][]byte
	for _, b := range bodies {
		all = append(all, []byte(b))
	}
	_, err := l.Append(all...)
	require.NoError(t, err)
}

// fill writes n entries with bodies of 120 bytes.
func fill(t require.TestingT, l *device, n int) {
	for from := 0; from < n; from += 500 {
		var bodies []string
		for i := from; i < min(from+500, n); i++ {
			bodies = append(bodies, fmt.Sprintf("%0120d", i))
		}
		write(t, l, bodies...)
	}
}

// outcome is what a call returned.
type outcome struct {
	Result
	err error
}

// accepting runs Accept on a connection.
func accepting(ctx context.Context, d *device, conn io.ReadWriteCloser, o Options) <-chan outcome {
	c := make(chan outcome, 1)
	go func() {
		r, err := Accept(ctx, d.Ledger, d.key, conn, o)
		c <- outcome{r, err}
	}()
	return c
}

// connect runs a session of two devices over pipes that wrap returns.
func connect(t require.TestingT, a, b *device, oa, ob Options, wrap func(conn io.ReadWriteCloser) io.ReadWriteCloser) (dialled, accepted outcome) {
	near, far := net.Pipe()
	c := accepting(context.Background(), b, far, ob)
	var conn io.ReadWriteCloser = near
	if wrap != nil {
		conn = wrap(near)
	}
	r, err := Dial(context.Background(), a.Ledger, a.key, conn, b.Device(), oa)
	return outcome{r, err}, <-c
}

// syncBoth is a session without errors.
func syncBoth(t require.TestingT, a, b *device) (dialled, accepted Result) {
	d, ac := connect(t, a, b, Options{}, Options{}, nil)
	require.NoError(t, d.err)
	require.NoError(t, ac.err)
	return d.Result, ac.Result
}

// snapshot returns the file of a device, as of a backup.
func snapshot(t testing.TB, d *device) []byte {
	require.NoError(t, d.Close())
	content, err := os.ReadFile(d.path)
	require.NoError(t, err)
	d.Ledger = reopen(t, d.key, d.path)
	return content
}

// restore replaces the file of a device by one of a backup.
func restore(t testing.TB, d *device, content []byte) {
	require.NoError(t, d.Close())
	require.NoError(t, os.WriteFile(d.path, content, 0o600))
	d.Ledger = reopen(t, d.key, d.path)
}
