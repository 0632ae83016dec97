package home

import (
	"bytes"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age/armor"
	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/pointer"
)

// rotatedOften returns a recovery file after some rotations, and the last records of the
// keys before the one in it, oldest first.
func rotatedOften(t *testing.T, times int) (file string, last []pointer.Record, keys []*pointer.Key) {
	t.Helper()
	dir := t.TempDir()
	file = filepath.Join(dir, "f.key")
	h := create(t, CreateOptions{Passphrase: "horse", Recovery: file, WorkFactor: fast})
	for range times {
		next := file + "x"
		r, err := h.Rotate(RotateOptions{Passphrase: "horse", Next: file, Recovery: next, WorkFactor: fast, Former: last})
		require.NoError(t, err)
		card := pointer.Card{Next: r.OldNext, Succession: CardSteps(r.Succession), Successor: r.New.Pointer()}
		record, err := pointer.Sign(r.Old, pointer.Fields{Sequence: pointer.MaxSequence, Expires: LastExpiry(time.Now(), time.Time{}), Card: &card})
		require.NoError(t, err)
		require.NoError(t, r.Commit(record.Bytes()))
		last, keys, file = append(last, record), append(keys, r.Old), next
	}
	return file, last, keys
}

// storedLast returns the last record of a pointer in the book of a home.
func storedLast(t *testing.T, h Home, p pointer.Pointer) (r pointer.Record) {
	t.Helper()
	book, err := h.Book(petname.Options{})
	require.NoError(t, err)
	defer book.Close()
	require.NoError(t, book.Ledger().ReadLocal(func(local *ledger.View) (err error) {
		r, _, err = LastRecord(local, p, time.Now())
		return err
	}))
	return r
}

// A recovery file has the last records of the newest 8 keys, that of its own key
// included. A home that is recovered from it has them, and so has its own recovery file:
// followers of these keys are led on after the network has forgotten.
func TestARecoveryFileHasTheLastRecordsOfFormerKeys(t *testing.T) {
	file, last, _ := rotatedOften(t, 9)
	for i := range 2 { // the file of a rotation, and that of a recovery
		h, r := recoverFrom(t, file)
		id, err := h.Identity()
		require.NoError(t, err)
		require.Len(t, id.Succession, 10+i)
		require.Equal(t, r.Old, storedLast(t, h, r.Old).Pointer())
		for at, record := range last {
			if at < 2+i {
				require.Zero(t, storedLast(t, h, record.Pointer()), at)
				continue
			}
			require.Equal(t, record.Bytes(), storedLast(t, h, record.Pointer()).Bytes(), at)
		}
		file = r.RecoveryFile
	}
}

// The attack: a record in a recovery file is not the last one of a former key, such as
// one that a thief of such a key signed. The file is refused.
func TestAlteredLastRecordsInARecoveryFileAreRefused(t *testing.T) {
	file, last, keys := rotatedOften(t, 3)
	b := read(t, file)
	at := bytes.Index(b, []byte(armor.Header))
	plain, err := decryptUpTo(b[at:], "horse", maxRecovery)
	require.NoError(t, err)
	lines := strings.Split(string(plain), "\n")
	require.Len(t, lines, 8+3)
	line := func(r pointer.Record) string { return formerField + base64.StdEncoding.EncodeToString(r.Bytes()) }
	require.Equal(t, line(last[0]), lines[5])
	thief, err := pointer.NewKey(nil)
	require.NoError(t, err)
	card, _ := last[1].Card()
	theirs := func(change func(c *pointer.Card)) string {
		c := card
		change(&c)
		r, err := pointer.Sign(keys[1], pointer.Fields{Sequence: pointer.MaxSequence, Expires: time.Now().AddDate(50, 0, 0), Card: &c})
		require.NoError(t, err)
		return line(r)
	}
	for name, c := range map[string]struct {
		former []string
		reason string
	}{
		"no successor":         {[]string{theirs(func(c *pointer.Card) { c.Successor = pointer.Pointer{} })}, "not the last one"},
		"a thief's successor":  {[]string{theirs(func(c *pointer.Card) { c.Successor = thief.Pointer() })}, "not the last one"},
		"a thief's commitment": {[]string{theirs(func(c *pointer.Card) { c.Next = mustCommit(t, thief) })}, "not the last one"},
		"no step":              {[]string{theirs(func(c *pointer.Card) { c.Succession = nil })}, "not the last one"},
		"in another order":     {[]string{line(last[1]), line(last[0])}, "not the last one"},
		"twice":                {[]string{line(last[1]), line(last[1])}, "not the last one"},
		"not base64":           {[]string{formerField + "*"}, "base64"},
		"another line":         {[]string{"# x"}, "7 lines"},
		"too many":             {[]string{line(last[0]), line(last[0]), line(last[0]), line(last[0]), line(last[0]), line(last[0]), line(last[0]), line(last[0])}, "7 lines"},
	} {
		changed := append(append(append([]string{}, lines[:5]...), c.former...), lines[8:]...)
		locked, err := encrypt([]byte(strings.Join(changed, "\n")), "horse", fast)
		require.NoError(t, err)
		bad := filepath.Join(t.TempDir(), "bad.key")
		require.NoError(t, os.WriteFile(bad, append(bytes.Clone(b[:at]), locked...), 0o600))
		_, _, err = Recover(filepath.Join(t.TempDir(), "new"), RecoverOptions{File: bad, Passphrase: "horse", WorkFactor: fast})
		require.ErrorIs(t, err, ErrRecovery, name)
		require.ErrorContains(t, err, c.reason, name)
	}
}

// A recovery that was interrupted after it wrote the new recovery file is explained, and
// that file continues the identity: followers of the lost key are led on by it.
func TestARecoveryThatWasInterruptedIsContinuedByItsNewFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "f.key")
	create(t, CreateOptions{Passphrase: "horse", Recovery: file, WorkFactor: fast})
	_, first := recoverFrom(t, file)
	_, _, err := Recover(filepath.Join(t.TempDir(), "again"), RecoverOptions{File: file, Passphrase: "horse", WorkFactor: fast})
	require.Equal(t, &RetryError{File: file, Next: file + ".next"}, err)
	require.ErrorIs(t, err, os.ErrExist)
	h, second := recoverFrom(t, first.RecoveryFile)
	require.Equal(t, first.New, second.Old)
	for _, p := range []pointer.Pointer{first.Old, first.New} {
		require.Equal(t, p, storedLast(t, h, p).Pointer())
	}
	require.NoError(t, os.WriteFile(file+".next", []byte("half"), 0o600))
	_, _, err = Recover(filepath.Join(t.TempDir(), "again"), RecoverOptions{File: file, Passphrase: "horse", WorkFactor: fast})
	require.Equal(t, &RetryError{File: file, Next: file + ".next", Cut: true}, err)
}
