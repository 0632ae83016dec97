package home

import (
	"crypto/ed25519"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/petname"
)

// handed returns what the home hands to the device of a provisional one.
func handed(t *testing.T, h, provisional Home, passphrase string, withKey bool) Handed {
	id, err := h.Identity()
	require.NoError(t, err)
	key, err := id.Key(passphrase)
	require.NoError(t, err)
	device, err := provisional.deviceKey()
	require.NoError(t, err)
	var in Handed
	in.Identity, err = id.Handover(passphrase, withKey)
	require.NoError(t, err)
	in.Sealing, err = h.SealingFile()
	require.NoError(t, err)
	in.Config = Config{Network: "peers", Bootstrap: []string{"/ip4/192.0.2.1/tcp/4001/p2p/12D3KooWGRUVh"}}
	book, err := h.Book(petname.Options{})
	require.NoError(t, err)
	defer book.Close()
	require.NoError(t, book.Ledger().AdmitDevice(key, device.Public().(ed25519.PublicKey), "phone", id.Succession...))
	in.Creator = book.Ledger().Identity()
	in.Entries = slices.Values(missing(t, book))
	return in
}

func missing(t *testing.T, book *petname.Book) (all [][]byte) {
	for b, err := range book.Ledger().Missing(nil) {
		require.NoError(t, err)
		all = append(all, b)
	}
	return all
}

// A home that a device made of what another one handed to it has the same owner and book,
// and never the next key.
func TestADeviceMakesAHomeOfWhatAnotherHandedOver(t *testing.T) {
	for _, tt := range []struct {
		name, passphrase string
		key              bool
	}{{"with the key", "", true}, {"locked", "secret", true}, {"without the key", "", false}} {
		t.Run(tt.name, func(t *testing.T) {
			h := create(t, CreateOptions{Nickname: "Ana", Passphrase: tt.passphrase, WorkFactor: 10})
			dir := filepath.Join(t.TempDir(), "new", "phone")
			provisional, err := BeginJoin(dir)
			require.NoError(t, err)
			_, err = Open(dir)
			require.ErrorIs(t, err, ErrNoHome)
			again, err := BeginJoin(dir)
			require.NoError(t, err)
			require.Equal(t, provisional.Dir, again.Dir, "an interrupted joining continues")
			in := handed(t, h, provisional, tt.passphrase, tt.key)

			mine, err := h.Identity()
			require.NoError(t, err)
			_, next, err := mine.keys(tt.passphrase)
			require.NoError(t, err)
			require.NotContains(t, string(in.Identity), next.Secret())

			joined, err := FinishJoin(dir, in)
			require.NoError(t, err)
			require.Empty(t, joined.CheckFiles())
			id, err := joined.Identity()
			require.NoError(t, err)
			require.Equal(t, mine.Pointer, id.Pointer)
			require.Equal(t, mine.Next, id.Next)
			require.True(t, id.NextElsewhere)
			key, err := id.Key(tt.passphrase)
			if tt.key {
				require.NoError(t, err)
				require.Equal(t, mine.Pointer, key.Pointer())
				_, theirs, err := id.keys(tt.passphrase)
				require.NoError(t, err)
				require.Nil(t, theirs)
			} else {
				require.ErrorIs(t, err, ErrKeyElsewhere)
				require.ErrorIs(t, err, ErrLocked)
				_, err = joined.Rotate(RotateOptions{})
				require.ErrorIs(t, err, ErrKeyElsewhere)
			}
			sealing, err := joined.Sealing()
			require.NoError(t, err)
			want, err := h.Sealing()
			require.NoError(t, err)
			require.Equal(t, want.PublicKeys(), sealing.PublicKeys())
			book, err := joined.Book(petname.Options{})
			require.NoError(t, err)
			defer book.Close()
			require.NoDirExists(t, filepath.Join(dir, joiningDir))
			require.Equal(t, mine.Pointer, book.Identity())
			nickname, err := book.Nickname()
			require.NoError(t, err)
			require.Equal(t, "Ana", nickname)
			require.NoError(t, book.SetNickname("Ana B"))
			_, err = BeginJoin(dir)
			require.ErrorIs(t, err, ErrExists)
		})
	}
}

// What is handed over is verified, and nothing is left of a home that cannot be made of it.
func TestNothingIsMadeOfWhatDoesNotVerify(t *testing.T) {
	h := create(t, CreateOptions{})
	other := create(t, CreateOptions{})
	dir := filepath.Join(t.TempDir(), "phone")
	provisional, err := BeginJoin(dir)
	require.NoError(t, err)
	good := handed(t, h, provisional, "", true)
	keyless := handed(t, h, provisional, "", false).Identity
	foreign := handed(t, other, provisional, "", true)
	empty := iter.Seq[[]byte](func(func([]byte) bool) {})
	for name, change := range map[string]func(in *Handed){
		"another identity":  func(in *Handed) { in.Identity = foreign.Identity },
		"another creator":   func(in *Handed) { in.Creator = foreign.Creator },
		"another book":      func(in *Handed) { in.Entries = foreign.Entries },
		"no entries":        func(in *Handed) { in.Entries = empty },
		"no sealing keys":   func(in *Handed) { in.Sealing = nil },
		"an altered header": func(in *Handed) { in.Identity = altered(keyless, 3, foreign.Identity) },
		"a keyless key": func(in *Handed) {
			in.Identity = []byte(strings.Replace(string(keyless), "identity 2", "identity 1", 1))
		},
		"an unsigned header":      func(in *Handed) { in.Identity = keyless[:strings.LastIndex(string(keyless), keylessField)] },
		"a cut identity":          func(in *Handed) { in.Identity = in.Identity[:len(in.Identity)/2] },
		"an identity with a next": func(in *Handed) { in.Identity = read(t, h.path(identityFile)) },
	} {
		in := good
		change(&in)
		_, err := FinishJoin(dir, in)
		require.Error(t, err, name)
		require.Equal(t, []string{joiningDir}, names(t, dir), name)
	}
	_, err = Create(dir, CreateOptions{})
	require.ErrorIs(t, err, ErrNotEmpty)
	_, err = FinishJoin(dir, good)
	require.NoError(t, err)

	given := filepath.Join(t.TempDir(), "up")
	_, err = BeginJoin(given)
	require.NoError(t, err)
	require.NoError(t, GiveUpJoin(given))
	require.NoDirExists(t, given)
}

// altered returns a file with line n of another one.
func altered(b []byte, n int, from []byte) []byte {
	lines, others := strings.Split(string(b), "\n"), strings.Split(string(from), "\n")
	lines[n-1] = others[n-1]
	return []byte(strings.Join(lines, "\n"))
}

func names(t *testing.T, dir string) (all []string) {
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

// A joining that was interrupted after any file was written is finished by a second call.
func TestAJoiningIsFinishedAfterACrash(t *testing.T) {
	h := create(t, CreateOptions{})
	dir := filepath.Join(t.TempDir(), "phone")
	provisional, err := BeginJoin(dir)
	require.NoError(t, err)
	in := handed(t, h, provisional, "", true)
	// A crash leaves the marker and some of the files.
	require.NoError(t, os.WriteFile(filepath.Join(dir, creatingFile), creating{}.format(), 0o600))
	for _, left := range []string{deviceFile, peerFile, sealingFile, ledgerFile, configFile} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, left), []byte("half"), 0o600))
	}
	require.NoError(t, os.Mkdir(filepath.Join(dir, recordsDir), 0o700))
	again, err := BeginJoin(dir)
	require.NoError(t, err, "the same command continues")
	require.Equal(t, provisional.Dir, again.Dir)
	joined, err := FinishJoin(dir, in)
	require.NoError(t, err)
	require.Empty(t, joined.CheckFiles())
	// The next open removes the provisional home.
	require.DirExists(t, filepath.Join(dir, joiningDir))
	book, err := joined.Book(petname.Options{})
	require.NoError(t, err)
	require.NoError(t, book.Close())
	require.NoDirExists(t, filepath.Join(dir, joiningDir))
}
