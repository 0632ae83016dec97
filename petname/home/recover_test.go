package home

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"filippo.io/age/armor"
	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/ledger/durable/durabletest"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/pointer"
)

// recoverFrom recovers with the passphrase of the tests.
func recoverFrom(t *testing.T, file string) (Home, Recovered) {
	t.Helper()
	h, r, err := Recover(filepath.Join(t.TempDir(), "new"), RecoverOptions{File: file, Passphrase: "horse", WorkFactor: fast})
	require.NoError(t, err)
	return h, r
}

// A recovery file alone continues the identity: the new home has the next key, the
// succession that both keys signed, the old key's last record, and a new recovery file
// that does the same again. A follower that pinned the first commitment can verify it.
func TestARecoveryFileContinuesTheIdentityAlone(t *testing.T) {
	file := filepath.Join(t.TempDir(), "first.key")
	h := create(t, CreateOptions{Nickname: "Ana", Passphrase: "horse", Recovery: file})
	first, err := h.Identity()
	require.NoError(t, err)
	before := first
	for range 3 {
		require.NoError(t, os.RemoveAll(h.Dir)) // the home is lost
		made, r := recoverFrom(t, file)
		require.Equal(t, before.Pointer, r.Old)
		require.Equal(t, "Ana", r.Nickname)
		require.Equal(t, file+".next", r.RecoveryFile)
		require.WithinDuration(t, time.Now().AddDate(20, 0, 0), r.Until, time.Minute)
		id, err := made.Identity()
		require.NoError(t, err)
		require.Equal(t, r.New, id.Pointer)
		require.True(t, id.Locked && id.NextElsewhere)
		key, err := id.Key("horse")
		require.NoError(t, err)
		require.Equal(t, id.Pointer, key.Pointer())
		at, next, err := pointer.Follow(first.Pointer, first.Next, id.Succession)
		require.NoError(t, err)
		require.Equal(t, id.Pointer, at)
		require.Equal(t, id.Next, next, "the old key signed each step")

		last, err := pointer.Open(r.Old, id.Last, time.Now())
		require.NoError(t, err)
		require.EqualValues(t, pointer.MaxSequence, last.Sequence())
		card, ok := last.Card()
		require.True(t, ok)
		require.Equal(t, id.Pointer, card.Successor)
		require.Empty(t, card.Sealing)
		at, _, err = pointer.Follow(before.Pointer, before.Next, card.Succession)
		require.NoError(t, err)
		require.Equal(t, id.Pointer, at)

		book, err := made.Book(petname.Options{})
		require.NoError(t, err)
		require.Equal(t, id.Pointer, book.Identity())
		require.True(t, book.IsOwn(first.Pointer), "the lost pointer stays the owner's")
		nickname, err := book.Nickname()
		require.NoError(t, err)
		require.Equal(t, "Ana", nickname)
		require.NoError(t, book.Close())
		require.Empty(t, made.CheckFiles())
		h, before, file = made, id, r.RecoveryFile
	}
	require.NoError(t, os.Rename(file, file+"2"))
	r, err := h.Rotate(RotateOptions{Passphrase: "horse", Next: file + "2", Recovery: file, WorkFactor: fast})
	require.NoError(t, err)
	require.NoError(t, r.Commit(nil))
}

// A rotation by a recovery file makes the step that the file has, byte for byte. With
// another one, a recovery and the rotation would be two successions of one key.
func TestARotationAndARecoveryMakeTheSameStep(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "first.key")
	h := create(t, CreateOptions{Passphrase: "horse", Recovery: file})
	made, _ := recoverFrom(t, file)
	r, err := h.Rotate(RotateOptions{Passphrase: "horse", Next: file, Recovery: filepath.Join(dir, "second.key"), WorkFactor: fast})
	require.NoError(t, err)
	require.NoError(t, r.Commit(nil))
	rotated, err := h.Identity()
	require.NoError(t, err)
	recovered, err := made.Identity()
	require.NoError(t, err)
	require.Equal(t, recovered.Succession, rotated.Succession)
	require.Equal(t, recovered.Next, rotated.Next)
	after, _ := recoverFrom(t, filepath.Join(dir, "second.key"))
	id, err := after.Identity()
	require.NoError(t, err)
	require.Equal(t, rotated.Succession, id.Succession[:1])
}

// The attack: a recovery file is cut off, or one of its fields is replaced by another
// one, also inside the encryption and with the passphrase. It is refused with the
// reason, and nothing is made.
func TestAlteredRecoveryFilesAreRefused(t *testing.T) {
	dir := t.TempDir()
	file, other := filepath.Join(dir, "a.key"), filepath.Join(dir, "b.key")
	create(t, CreateOptions{Passphrase: "horse", Recovery: file})
	create(t, CreateOptions{Passphrase: "horse", Recovery: other})
	open := func(file string) (header string, lines []string) {
		b := read(t, file)
		at := bytes.Index(b, []byte(armor.Header))
		plain, err := decryptUpTo(b[at:], "horse", maxRecovery)
		require.NoError(t, err)
		return string(b[:at]), strings.Split(string(plain), "\n")
	}
	header, lines := open(file)
	_, others := open(other)
	require.Len(t, lines, 8)
	seal := func(header string, lines []string) []byte {
		locked, err := encrypt([]byte(strings.Join(lines, "\n")), "horse", fast)
		require.NoError(t, err)
		return append([]byte(header), locked...)
	}
	with := func(changes map[int]string) []byte {
		changed := append([]string(nil), lines...)
		for i, line := range changes {
			changed[i] = line
		}
		return seal(strings.Join(changed[:3], "\n")+"\n", changed)
	}
	k := func(line string) *pointer.Key {
		key, err := pointer.ParseKey(line)
		require.NoError(t, err)
		return key
	}
	record := func(change func(f *pointer.Fields, c *pointer.Card)) string {
		// Whoever had the current key could sign such a record.
		current, err := pointer.NewKey(nil)
		require.NoError(t, err)
		b, err := recoveryKeys{current: current, next: k(lines[5]), after: k(lines[6])}.format(LastExpiry(time.Now(), time.Time{}), "horse", fast)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, "c.key"), b, 0o600))
		_, cs := open(filepath.Join(dir, "c.key"))
		raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(cs[4], lastField))
		require.NoError(t, err)
		r, err := pointer.Open(current.Pointer(), raw, time.Now())
		require.NoError(t, err)
		card, _ := r.Card()
		f := pointer.Fields{Sequence: r.Sequence(), Expires: r.Expires(), TTL: r.TTL(), Card: &card}
		change(&f, &card)
		changed, err := pointer.Sign(current, f)
		require.NoError(t, err)
		cs[4] = lastField + base64.StdEncoding.EncodeToString(changed.Bytes())
		return string(seal(strings.Join(cs[:3], "\n")+"\n", cs))
	}
	unsigned, err := pointer.Succeed(k(others[6]).Pointer(), k(lines[5]), mustCommit(t, k(lines[6])), nil)
	require.NoError(t, err)
	chain, err := pointer.EncodeSuccession([]pointer.Succession{unsigned})
	require.NoError(t, err)
	cases := map[string]struct {
		content []byte
		reason  string
	}{
		"nothing":                          {nil, "not one of this version"},
		"the keys alone":                   {[]byte(lines[5]), "not one of this version"},
		"an identity key":                  {append([]byte(identityMagic+"\n"), seal("", lines)...), "not one of this version"},
		"another pointer outside":          {seal(strings.Replace(header, lines[1], others[1], 1), lines), "before the encrypted text"},
		"another commitment outside":       {seal(strings.Replace(header, lines[2], others[2], 1), lines), "before the encrypted text"},
		"another line outside":             {seal(header+"# more: 1\n", lines), "before the encrypted text"},
		"another version inside":           {seal(header, append([]string{recoveryMagic + "1"}, lines[1:]...)), "7 lines"},
		"another pointer":                  {with(map[int]string{1: others[1]}), "step is from"},
		"no pointer":                       {with(map[int]string{1: "# pointer: k51"}), "damaged or altered"},
		"another commitment":               {with(map[int]string{2: others[2]}), "commits to"},
		"no commitment":                    {with(map[int]string{2: "# next: k"}), "damaged or altered"},
		"the step of another key":          {with(map[int]string{3: others[3]}), "the succession leads to"},
		"the step of another key, for all": {with(map[int]string{1: others[1], 3: others[3]}), "the succession leads to"},
		"no step":                          {with(map[int]string{3: successionField}), "damaged"},
		"a step not signed by the old key": {with(map[int]string{1: "# pointer: " + k(others[6]).Pointer().String(), 3: successionField + base64.StdEncoding.EncodeToString(chain)}), "has not signed"},
		"another pointer's last record":    {with(map[int]string{4: others[4]}), "the last record"},
		"no last record":                   {with(map[int]string{4: lastField}), "the last record"},
		"a last record that is not base64": {with(map[int]string{4: lastField + "*"}), "base64"},
		"another next key":                 {with(map[int]string{5: others[5]}), "commits to"},
		"another key after it":             {with(map[int]string{6: others[6]}), "key after the next"},
		"a mistyped key":                   {with(map[int]string{5: strings.Replace(lines[5], lines[5][30:31], "2", 1) + "A"}), "the next key"},
		"a line more":                      {with(map[int]string{7: "x"}), "7 lines"},
		"a line less":                      {seal(header, lines[:6]), "7 lines"},
		"a successor that it does not have": {[]byte(record(func(_ *pointer.Fields, c *pointer.Card) { c.Successor = k(others[5]).Pointer() })),
			"as successor"},
		"a low sequence":           {[]byte(record(func(f *pointer.Fields, _ *pointer.Card) { f.Sequence = 7 })), "sequence 7"},
		"a card of another key":    {[]byte(record(func(_ *pointer.Fields, c *pointer.Card) { c.Next = mustCommit(t, k(others[5])) })), "another commitment"},
		"a card without the steps": {[]byte(record(func(_ *pointer.Fields, c *pointer.Card) { c.Succession = nil })), "another succession"},
	}
	whole := read(t, file)
	for n := 0; n < len(whole); n += 97 {
		cases[fmt.Sprintf("%d bytes of it", n)] = struct {
			content []byte
			reason  string
		}{whole[:n], ""}
	}
	for n := len(header) + len(armor.Header) + 1; n < len(whole); n += 131 {
		flipped := bytes.Clone(whole)
		flipped[n] ^= 1
		cases[fmt.Sprintf("byte %d flipped", n)] = struct {
			content []byte
			reason  string
		}{flipped, ""}
	}
	for name, c := range cases {
		root := t.TempDir()
		bad := filepath.Join(root, "bad.key")
		require.NoError(t, os.WriteFile(bad, c.content, 0o600))
		_, _, err := Recover(filepath.Join(root, "home"), RecoverOptions{File: bad, Passphrase: "horse", WorkFactor: fast})
		if !strings.Contains(name, "flipped") || !errors.Is(err, ErrPassphrase) { // a byte of what the passphrase opens
			require.ErrorIs(t, err, ErrRecovery, name)
		}
		require.ErrorContains(t, err, c.reason, name)
		require.NotContains(t, err.Error(), lines[5], name)
		require.NotContains(t, err.Error(), lines[6], name)
		require.Equal(t, []string{"bad.key"}, files(t, root), name)
	}
	same := filepath.Join(dir, "same.key")
	require.NoError(t, os.WriteFile(same, with(nil), 0o600))
	recoverFrom(t, same)
}

func mustCommit(t *testing.T, key *pointer.Key) pointer.Commitment {
	c, err := pointer.Commit(key.Public())
	require.NoError(t, err)
	return c
}

// A refused recovery makes nothing and overwrites nothing.
func TestRefusedRecoveriesChangeNothing(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "a.key")
	h := create(t, CreateOptions{Passphrase: "horse", Recovery: file})
	there := filepath.Join(dir, "there.key")
	require.NoError(t, os.WriteFile(there, []byte("mine"), 0o600))
	before, homeBefore := files(t, dir), files(t, h.Dir)
	for name, c := range map[string]struct {
		dir  string
		o    RecoverOptions
		want error
	}{
		"no passphrase":        {"", RecoverOptions{File: file}, ErrLocked},
		"a wrong passphrase":   {"", RecoverOptions{File: file, Passphrase: "cow"}, ErrPassphrase},
		"over a home":          {h.Dir, RecoverOptions{File: file, Passphrase: "horse"}, ErrExists},
		"over a file":          {"", RecoverOptions{File: file, Passphrase: "horse", Recovery: there}, os.ErrExist},
		"over the file itself": {"", RecoverOptions{File: file, Passphrase: "horse", Recovery: file}, os.ErrExist},
		"into the home":        {filepath.Join(dir, "new"), RecoverOptions{File: file, Passphrase: "horse", Recovery: filepath.Join(dir, "new", "r.key")}, ErrRecoveryInHome},
		"without the file":     {"", RecoverOptions{File: filepath.Join(dir, "none"), Passphrase: "horse"}, os.ErrNotExist},
	} {
		if c.dir == "" {
			c.dir = filepath.Join(dir, "new")
		}
		c.o.WorkFactor = fast
		_, _, err := Recover(c.dir, c.o)
		require.ErrorIs(t, err, c.want, name)
		require.Equal(t, before, files(t, dir), name)
		require.Equal(t, homeBefore, files(t, h.Dir), name)
		require.Equal(t, "mine", string(read(t, there)))
	}
	for disk := range durabletest.Faults() {
		root := t.TempDir()
		_, _, err := recoverOn(disk, filepath.Join(root, "home"), RecoverOptions{File: file, Passphrase: "horse", Recovery: filepath.Join(root, "r.key"), WorkFactor: fast})
		if disk.Failed() == "" {
			require.NoError(t, err)
			continue
		}
		require.ErrorIs(t, err, syscall.ENOSPC, disk)
		require.Empty(t, files(t, root), disk)
	}
}

// A recovery file of version 1 has the next key alone. The new home continues with it;
// the step lacks the old key's signature, and there is no last record.
func TestARecoveryFileOfVersion1MakesAHomeWithoutProof(t *testing.T) {
	file := filepath.Join(t.TempDir(), "old.key")
	current, err := pointer.NewKey(nil)
	require.NoError(t, err)
	next, err := pointer.NewKey(nil)
	require.NoError(t, err)
	locked, err := encrypt([]byte(next.Secret()+"\n"), "horse", fast)
	require.NoError(t, err)
	header := recoveryMagic1 + fmt.Sprintf(recoveryOf1, current.Pointer())
	require.NoError(t, os.WriteFile(file, append([]byte(header), locked...), 0o600))
	h, r := recoverFrom(t, file)
	require.True(t, r.Until.IsZero())
	require.Equal(t, current.Pointer(), r.Old)
	require.Equal(t, next.Pointer(), r.New)
	id, err := h.Identity()
	require.NoError(t, err)
	require.Nil(t, id.Last)
	require.Len(t, id.Succession, 1)
	require.Nil(t, id.Succession[0].OldSignature)
	at, proven, err := pointer.Follow(current.Pointer(), mustCommit(t, next), id.Succession)
	require.NoError(t, err)
	require.Equal(t, id.Pointer, at)
	require.True(t, proven.IsZero(), "the next commitment has to be confirmed")
	book, err := h.Book(petname.Options{})
	require.NoError(t, err)
	require.Equal(t, id.Pointer, book.Identity())
	require.NoError(t, book.Close())

	require.NoError(t, os.WriteFile(file, bytes.Replace(append([]byte(header), locked...), []byte("k51"), []byte("k52"), 1), 0o600))
	_, _, err = Recover(filepath.Join(t.TempDir(), "new"), RecoverOptions{File: file, Passphrase: "horse", WorkFactor: fast})
	require.ErrorIs(t, err, ErrRecovery)
}

// The longest succession that a home keeps can be recovered.
func TestTheLongestSuccessionIsRecovered(t *testing.T) {
	newKey := func() *pointer.Key {
		key, err := pointer.NewKey(nil)
		require.NoError(t, err)
		return key
	}
	current, next, after := newKey(), newKey(), newKey()
	var chain []pointer.Succession
	for len(chain) < pointer.MaxKept-1 {
		step, err := pointer.Succeed(current.Pointer(), next, mustCommit(t, after), current)
		require.NoError(t, err)
		chain = append(chain, step)
		current, next, after = next, after, newKey()
	}
	b, err := recoveryKeys{current: current, next: next, after: after, chain: chain}.format(LastExpiry(time.Now(), time.Time{}), "horse", fast)
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "long.key")
	require.NoError(t, os.WriteFile(file, b, 0o600))
	h, r := recoverFrom(t, file)
	require.Empty(t, r.RecoveryFile, "there is no further step")
	require.NoFileExists(t, file+".next")
	id, err := h.Identity()
	require.NoError(t, err)
	require.Len(t, id.Succession, pointer.MaxKept)
	_, err = h.Rotate(RotateOptions{Passphrase: "horse"})
	require.ErrorContains(t, err, "begin a new identity")
}

// A nickname that this version refuses, as one of another version with other rules or tables, does
// not prevent a recovery: the home is made without it.
func TestARefusedNicknameDoesNotPreventARecovery(t *testing.T) {
	file := filepath.Join(t.TempDir(), "f.key")
	keys := make([]*pointer.Key, 3)
	for i := range keys {
		var err error
		keys[i], err = pointer.NewKey(nil)
		require.NoError(t, err)
	}
	b, err := recoveryKeys{current: keys[0], next: keys[1], after: keys[2], nickname: "Ana/\U0010ffff"}.format(LastExpiry(time.Now(), time.Time{}), "horse", fast)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, b, 0o600))
	made, r := recoverFrom(t, file)
	require.True(t, r.NicknameLost)
	require.Equal(t, keys[1].Pointer(), r.New)
	book, err := made.Book(petname.Options{})
	require.NoError(t, err)
	nickname, err := book.Nickname()
	require.NoError(t, err)
	require.Empty(t, nickname)
	require.NoError(t, book.Close())
	_, r = recoverFrom(t, r.RecoveryFile)
	require.False(t, r.NicknameLost, "it had none any more")
}
