package home

import (
	"crypto/ed25519"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/ledger/durable"
	"github.com/petnames-go/petnames/ledger/durable/durabletest"
	"github.com/petnames-go/petnames/petname"
)

// rejoining returns a home, its open book, and the device that joins again, of which the new book
// is made and has the nickname "new".
func rejoining(t *testing.T) (h Home, old *petname.Book, device ledger.DeviceID) {
	h = create(t, CreateOptions{Nickname: "old"})
	var err error
	old, err = h.Book(petname.Options{})
	require.NoError(t, err)
	provisional, err := h.BeginRejoin()
	require.NoError(t, err)
	key, err := provisional.DeviceKey()
	require.NoError(t, err)
	id, err := h.Identity()
	require.NoError(t, err)
	identity, err := id.Key("")
	require.NoError(t, err)
	require.NoError(t, old.Ledger().AdmitDevice(identity, key.Public().(ed25519.PublicKey), "new"))
	book, err := h.NewBook(old, petname.Options{})
	require.NoError(t, err)
	require.NoError(t, book.SetNickname("new"))
	require.NoError(t, book.Close())
	return h, old, ledger.DeviceID(key.Public().(ed25519.PublicKey))
}

// A home that joins again has a new device key and a new book, and keeps its identity, its
// other files and the old book.
func TestAHomeJoinsAgainAsANewDevice(t *testing.T) {
	h, old, device := rejoining(t)
	_, err := h.BeginRejoin()
	require.NoError(t, err, "continues")
	before, peer := read(t, h.path(identityFile)), read(t, h.path(peerFile))
	aside, err := h.OldBook()
	require.NoError(t, err)
	require.NoError(t, h.CommitRejoin(aside, old.Close))
	require.Equal(t, h.path("ledger.db.forked"), aside)
	require.Equal(t, before, read(t, h.path(identityFile)))
	require.NotEqual(t, peer, read(t, h.path(peerFile)), "the copy has that key as well")
	require.Empty(t, h.CheckFiles())
	require.Len(t, h.SetAside(), 1)
	require.Contains(t, h.SetAside()[0], "from before it joined as a new device: remove it")
	book, err := h.Book(petname.Options{})
	require.NoError(t, err)
	require.Equal(t, device, book.Ledger().Device())
	nickname, err := book.Nickname()
	require.NoError(t, err)
	require.Equal(t, "new", nickname)
	require.NoError(t, book.Close())
	for _, name := range []string{rejoiningDir, rejoinJournal} {
		require.NoFileExists(t, h.path(name))
		require.NoDirExists(t, h.path(name))
	}
	require.Equal(t, []string{"ledger.db.forked"}, slices.DeleteFunc((file{name: ledgerFile + forkedSuffix}).numbered(h), func(n string) bool { return !exists(h.path(n)) }))
}

func exists(name string) bool {
	_, err := os.Lstat(name)
	return err == nil
}

// What was begun and given up leaves the home as it was.
func TestARejoiningThatIsGivenUpLeavesTheHome(t *testing.T) {
	h, old, device := rejoining(t)
	own := old.Ledger().Device()
	require.NoError(t, h.GiveUpRejoin())
	require.NoError(t, old.Close())
	book, err := h.Book(petname.Options{})
	require.NoError(t, err)
	defer book.Close()
	require.Equal(t, own, book.Ledger().Device())
	require.NotEqual(t, device, own)
	require.NoDirExists(t, h.path(rejoiningDir))
}

// A power cut after any operation of the commit leaves the old home or the new one, whole, and
// loses neither book; after a nil error it leaves the new one.
func TestAPowerCutInARejoiningLeavesTheOldHomeOrTheNew(t *testing.T) {
	outcomes := map[bool]int{}
	for disk := range durabletest.Crashes() {
		h, old, device := rejoining(t)
		was := old.Ledger().Device()
		h.files = disk
		aside, err := h.OldBook()
		require.NoError(t, err)
		err = h.CommitRejoin(aside, old.Close)
		disk.Crash()
		h.files = nil
		book, oerr := h.Book(petname.Options{})
		require.NoError(t, oerr, disk)
		nickname, nerr := book.Nickname()
		require.NoError(t, nerr)
		isNew := book.Ledger().Device() == device
		outcomes[isNew]++
		require.NoError(t, book.Close())
		require.NoError(t, h.Missing(), disk)
		require.Empty(t, h.CheckFiles(), disk)
		require.NoFileExists(t, h.path(rejoinJournal), disk)
		if !isNew {
			require.Error(t, err, disk)
			require.Equal(t, was, book.Ledger().Device(), disk)
			require.Equal(t, "old", nickname)
			require.FileExists(t, filepath.Join(h.path(rejoiningDir), rejoinedBook), "it continues")
			continue
		}
		require.Equal(t, "new", nickname)
		if err == nil {
			require.FileExists(t, aside)
		}
		require.FileExists(t, h.path("ledger.db.forked"), disk)
		require.NoDirExists(t, h.path(rejoiningDir), disk)
	}
	require.Len(t, outcomes, 2)
}

// While one process moves the files, another one opens neither book.
func TestAnotherProcessWaitsForARejoining(t *testing.T) {
	h, old, device := rejoining(t)
	journal := "# petname rejoin 1\n# device: " + device.String() + "\n# aside: \"ledger.db.forked\"\n"
	require.NoError(t, os.WriteFile(h.path(rejoinJournal), []byte(journal), 0o600))
	require.NoError(t, old.Close())
	lock, err := os.Open(h.path(rejoinJournal))
	require.NoError(t, err)
	locked, err := durable.TryLock(lock)
	require.NoError(t, err)
	require.True(t, locked)
	_, err = h.Book(petname.Options{})
	require.ErrorIs(t, err, ledger.ErrInUse)
	require.NoFileExists(t, h.path("ledger.db.forked"))
	require.NoError(t, lock.Close())
	book, err := h.Book(petname.Options{})
	require.NoError(t, err)
	defer book.Close()
	require.Equal(t, device, book.Ledger().Device())
}

// A journal that was damaged opens no home, and changes nothing.
func TestADamagedJournalOfARejoiningIsNamed(t *testing.T) {
	h, old, _ := rejoining(t)
	require.NoError(t, old.Close())
	for _, text := range []string{"", "# petname rejoin 1\n", "# petname rejoin 2\n# device: x\n# aside: \"ledger.db.forked\"\n",
		"# petname rejoin 1\n# device: " + old.Ledger().Device().String() + "\n# aside: \"../ledger.db\"\n"} {
		require.NoError(t, os.WriteFile(h.path(rejoinJournal), []byte(text), 0o600))
		before := files(t, h.Dir)
		_, err := h.Book(petname.Options{})
		require.ErrorAs(t, err, new(*FileError), "%q", text)
		require.Equal(t, before, files(t, h.Dir))
		require.NotEmpty(t, h.CheckFiles())
	}
}
