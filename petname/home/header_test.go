package home

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/ledger/durable/durabletest"
	"github.com/petnames-go/petnames/pointer"
)

// rotated returns a home after a rotation that kept a true last record, and the record.
func rotated(t *testing.T) (Home, []byte) {
	h := create(t, CreateOptions{})
	r, err := h.Rotate(RotateOptions{})
	require.NoError(t, err)
	last, err := pointer.Sign(r.Old, pointer.Fields{Sequence: 1, Expires: time.Now().Add(time.Hour), TTL: time.Minute,
		Card: &pointer.Card{Next: r.OldNext, Successor: r.New.Pointer()}})
	require.NoError(t, err)
	require.NoError(t, r.Commit(last.Bytes()))
	return h, last.Bytes()
}

// resumed returns a home with a rotation that a power cut interrupted after the identity
// had changed, and that was finished afterwards.
func resumed(t *testing.T) Home {
	before, recovery := rotating(t)
	for disk := range durabletest.Crashes() {
		h := crashHome(t, before)
		r, err := h.Rotate(RotateOptions{Passphrase: "horse", Next: recovery, Recovery: filepath.Join(t.TempDir(), "after.key"), WorkFactor: fast})
		require.NoError(t, err)
		last, err := pointer.Sign(r.Old, pointer.Fields{Sequence: 1, Expires: time.Now().Add(time.Hour), TTL: time.Minute,
			Card: &pointer.Card{Next: r.OldNext, Successor: r.New.Pointer()}})
		require.NoError(t, err)
		r.home.files = disk
		_ = r.Commit(last.Bytes()) // cut off
		disk.Crash()
		i, err := h.FinishRotation(time.Now(), time.Time{})
		require.NoError(t, err)
		if i != nil && i.Finished {
			return h
		}
	}
	t.Fatal("no rotation was finished")
	return Home{}
}

// With any character of the header replaced, an identity unlocks with the same pointer,
// commitment and place of the next key, or it is an error. That error names the file
// and the line, and its step works.
func TestEveryLineOfTheHeaderIsCheckedAgainstTheKeys(t *testing.T) {
	elsewhere := create(t, CreateOptions{Passphrase: "horse", Recovery: filepath.Join(t.TempDir(), "next")})
	turned, _ := rotated(t)
	file := filepath.Join(t.TempDir(), "first")
	create(t, CreateOptions{Passphrase: "horse", Recovery: file})
	recovered, _ := recoverFrom(t, file)
	for name, h := range map[string]Home{"home": create(t, CreateOptions{}), "locked": create(t, CreateOptions{Passphrase: "horse"}),
		"elsewhere": elsewhere, "rotated": turned, "recovered": recovered, "resumed": resumed(t)} {
		whole := string(read(t, h.path(identityFile)))
		want, err := h.Identity()
		require.NoError(t, err)
		unlock := func() (Identity, error) {
			id, err := h.Identity()
			if err == nil {
				_, err = id.Key("horse")
			}
			if err == nil {
				err = id.CheckLast()
			}
			return id, err
		}
		_, err = unlock()
		require.NoError(t, err)
		lines := strings.SplitAfter(whole, "\n")
		at, refused := 0, map[int]int{}
		for n, line := range lines {
			if !strings.HasPrefix(line, "# ") {
				break
			}
			step := 1
			if len(line) > 200 {
				step = len(line) / 97
			}
			for i := at; i < at+len(line)-1; i += step {
				changed := whole[:i] + string(whole[i]^1) + whole[i+1:]
				require.NoError(t, os.WriteFile(h.path(identityFile), []byte(changed), 0o600))
				id, err := unlock()
				if err == nil {
					require.Equal(t, want.Pointer, id.Pointer)
					require.Equal(t, want.Next, id.Next, "%s: line %d", name, n+1)
					require.Equal(t, want.NextElsewhere, id.NextElsewhere)
					continue
				}
				refused[n+1]++
				var header *HeaderError
				if n == 0 || !requireAs(err, &header) {
					continue
				}
				require.Contains(t, err.Error(), h.path(identityFile))
				if header.Mend != "" {
					require.Equal(t, strings.TrimSuffix(lines[header.Line-1], "\n"), header.Mend, name)
				}
			}
			at += len(line)
		}
		require.NotZero(t, refused[3], name)
		require.NoError(t, os.WriteFile(h.path(identityFile), []byte(whole), 0o600))
	}
}

// A damaged next key is found at each unlock, not when a rotation needs it; what the error advises
// leads to a home that publishes. A line after the keys is an error, too.
func TestADamagedNextKeyIsFoundAtEachUnlock(t *testing.T) {
	h := create(t, CreateOptions{})
	want, err := h.Identity()
	require.NoError(t, err)
	whole := string(read(t, h.path(identityFile)))
	lines := strings.Split(strings.TrimSpace(whole), "\n")
	start := strings.LastIndex(whole[:len(whole)-1], "\n") + 1
	for i := start; i < len(whole)-1; i++ {
		changed := whole[:i] + string(whole[i]^1) + whole[i+1:]
		require.NoError(t, os.WriteFile(h.path(identityFile), []byte(changed), 0o600))
		_, err := h.Identity()
		var header *HeaderError
		require.ErrorAs(t, err, &header, "%q", changed[i:])
		require.Equal(t, len(lines), header.Line)
		require.NotContains(t, err.Error()+header.Next(), lines[len(lines)-1][20:])
		require.Contains(t, header.Next(), "# recovery: elsewhere\n")
		require.Contains(t, header.Next(), "\n# next: "+want.Next.String())
	}
	require.NoError(t, os.WriteFile(h.path(identityFile), []byte(whole+"more\n"), 0o600))
	_, err = h.Identity()
	require.ErrorContains(t, err, "a line after the keys")

	lines[3], lines[len(lines)-1] = "# recovery: elsewhere", "# next: "+want.Next.String()
	require.NoError(t, os.WriteFile(h.path(identityFile), []byte(strings.Join(lines, "\n")+"\n"), 0o600))
	id, err := h.Identity()
	require.NoError(t, err)
	_, err = id.Key("")
	require.NoError(t, err)
	_, err = h.Rotate(RotateOptions{})
	require.ErrorIs(t, err, ErrNextElsewhere)

	// The keys of a locked file.
	locked := create(t, CreateOptions{Passphrase: "horse"})
	id, err = locked.Identity()
	require.NoError(t, err)
	body, err := decryptUpTo(id.body, "horse", maxKeyFile)
	require.NoError(t, err)
	body[len(body)-3] ^= 1
	again, err := encrypt(body, "horse", fast)
	require.NoError(t, err)
	file := strings.Replace(string(read(t, locked.path(identityFile))), string(id.body), string(again), 1)
	require.NoError(t, os.WriteFile(locked.path(identityFile), []byte(file), 0o600))
	id, err = locked.Identity()
	require.NoError(t, err)
	_, err = id.Key("horse")
	require.ErrorContains(t, err, "a line of its locked keys")
	require.Equal(t, "put back a copy of "+locked.path(identityFile), err.(*HeaderError).Next())
}

func requireAs(err error, target **HeaderError) bool {
	e, ok := err.(*HeaderError)
	*target = e
	return ok
}

// One wrong character in the commitment is an error that names the line as it should
// be; an identity that is not locked is not even shown with it.
func TestAWrongCommitmentIsNotShown(t *testing.T) {
	h := create(t, CreateOptions{})
	id, err := h.Identity()
	require.NoError(t, err)
	other, err := pointer.Commit(create(t, CreateOptions{}).key(t).Public())
	require.NoError(t, err)
	whole := string(read(t, h.path(identityFile)))
	require.NoError(t, os.WriteFile(h.path(identityFile), []byte(strings.Replace(whole, id.Next.String(), other.String(), 1)), 0o600))
	_, err = h.Identity()
	var header *HeaderError
	require.ErrorAs(t, err, &header)
	require.Equal(t, 3, header.Line)
	require.Equal(t, "# next: "+id.Next.String(), header.Mend)
	require.Contains(t, header.Next(), header.Mend)
	_, err = h.Rotate(RotateOptions{})
	require.ErrorAs(t, err, &header, "and not that another key is needed")
}

func (h Home) key(t *testing.T) *pointer.Key {
	id, err := h.Identity()
	require.NoError(t, err)
	key, err := id.Key("")
	require.NoError(t, err)
	return key
}

// A last record of another key, or one that leads elsewhere, is an error with the line.
func TestTheLastRecordLeadsToTheKey(t *testing.T) {
	h, last := rotated(t)
	id, err := h.Identity()
	require.NoError(t, err)
	require.NoError(t, id.CheckLast())
	for _, wrong := range [][]byte{last[:len(last)-1], {}, append([]byte{1}, last...)} {
		id.Last = wrong
		var header *HeaderError
		require.ErrorAs(t, id.CheckLast(), &header)
		require.Equal(t, 6, header.Line)
		require.Contains(t, header.Next(), "remove its line 6")
	}
	id.Last, id.Pointer = last, create(t, CreateOptions{}).key(t).Pointer()
	require.ErrorContains(t, id.CheckLast(), "does not lead to this key")
}

// Homes of older versions have no line for the commitment to a key that is elsewhere.
func TestAnOlderIdentityWithoutTheCommitmentInTheBodyUnlocks(t *testing.T) {
	current, err := pointer.NewKey(nil)
	require.NoError(t, err)
	next, err := pointer.NewKey(nil)
	require.NoError(t, err)
	b, err := secrets{current: current, next: next, nextElsewhere: true}.format()
	require.NoError(t, err)
	older := string(b[:strings.LastIndex(string(b), bodyNext)])
	require.Equal(t, 1, strings.Count(older, "# next:"))
	id, err := parseIdentity([]byte(older))
	require.NoError(t, err)
	key, err := id.Key("")
	require.NoError(t, err)
	require.Equal(t, current.Pointer(), key.Pointer())
}

// Unlock reports whether the keys prove the commitment to the next key. Those of an older
// version, whose next key is elsewhere, do not, until a step of the succession does.
func TestUnlockReportsWhetherTheNextKeyIsProven(t *testing.T) {
	key, err := pointer.NewKey(nil)
	require.NoError(t, err)
	next, err := pointer.NewKey(nil)
	require.NoError(t, err)
	for _, tc := range []struct {
		elsewhere, older, proven bool
	}{{false, false, true}, {true, false, true}, {true, true, false}} {
		b, err := secrets{current: key, next: next, nextElsewhere: tc.elsewhere}.format()
		require.NoError(t, err)
		if tc.older {
			b = b[:strings.LastIndex(string(b), bodyNext)]
		}
		id, err := parseIdentity(b)
		require.NoError(t, err)
		got, proven, err := id.Unlock("")
		require.NoError(t, err)
		require.Equal(t, key.Pointer(), got.Pointer())
		require.Equal(t, tc.proven, proven, "%+v", tc)
	}
}
