package folder

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/ledger/internal/x25519"
	"github.com/petnames-go/petnames/pointer"
)

// nothing is a fold without a view.
type nothing struct{}

func (nothing) Version() string                                { return "nothing" }
func (nothing) Apply(*ledger.View, ledger.Entry, []byte) error { return nil }

// A folder of 1,000 files of one entry each is read in less than a second, in a few times the
// time of opening the files and verifying one signature for each.
func TestAFolderOfManyFilesCosts(t *testing.T) {
	seed := func(name string) ed25519.PrivateKey {
		h := sha256.Sum256([]byte(name))
		return ed25519.NewKeyFromSeed(h[:])
	}
	dir, files := t.TempDir(), t.TempDir()
	identity := seed("identity")
	first, err := ledger.Create(filepath.Join(dir, "laptop"), ledger.Genesis{Identity: identity, Device: seed("laptop")}, nothing{}, ledger.Options{})
	require.NoError(t, err)
	defer first.Close()
	require.NoError(t, first.AdmitDevice(identity, seed("phone").Public().(ed25519.PublicKey), "phone"))
	list := func(heads []ledger.Head) (out [][]byte) {
		for e, err := range first.Missing(heads) {
			require.NoError(t, err)
			out = append(out, e)
		}
		return out
	}
	p, err := pointer.FromPublicKey(identity.Public())
	require.NoError(t, err)
	second, err := ledger.Join(filepath.Join(dir, "phone"), p, seed("phone"), slices.Values(list(nil)), nothing{}, ledger.Options{})
	require.NoError(t, err)
	defer second.Close()
	const number = 1000
	for range number / 100 {
		_, err := first.Append(slices.Repeat([][]byte{make([]byte, 120)}, 100)...)
		require.NoError(t, err)
	}
	for i, e := range list(second.Heads()) {
		file, err := os.Create(filepath.Join(files, fmt.Sprintf("%04d%s", i, suffix)))
		require.NoError(t, err)
		_, err = content{[]ledger.DeviceID{first.Device(), second.Device()}, [][]byte{e}}.WriteTo(file)
		require.NoError(t, err)
		require.NoError(t, file.Close())
	}
	private, err := x25519.Private(seed("phone"))
	require.NoError(t, err)
	signature := ed25519.Sign(identity, []byte("entry"))
	opened := func() time.Duration {
		began := time.Now()
		for i := range number {
			f, err := os.Open(filepath.Join(files, fmt.Sprintf("%04d%s", i, suffix)))
			require.NoError(t, err)
			s, err := readSlots(f)
			require.NoError(t, err)
			for _, err := range s.read(f, second.Device(), private) {
				require.NoError(t, err)
				require.True(t, ed25519.Verify(identity.Public().(ed25519.PublicKey), []byte("entry"), signature))
			}
			require.NoError(t, f.Close())
		}
		return time.Since(began)
	}
	alone := opened()
	began := time.Now()
	r, err := Sync(second, seed("phone"), files, Options{})
	took := time.Since(began)
	alone = max(alone, opened())
	require.NoError(t, err)
	require.Equal(t, number, r.Files)
	require.Equal(t, number, r.Received)
	t.Logf("a folder of %d files: %v to read, %v to open the files and verify a signature each", number, took, alone)
	require.LessOrEqual(t, took, 8*alone)
	began = time.Now()
	r, err = Sync(second, seed("phone"), files, Options{})
	require.NoError(t, err)
	require.Zero(t, r.Files)
	t.Logf("again, without changes: %v", time.Since(began))
}
