package home

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/petnames-go/petnames/ledger/durable"
	"github.com/petnames-go/petnames/pointer"
)

// ErrNoSuccessor is returned for an identity key that does not follow the one of this home.
var ErrNoSuccessor = errors.New("is not of a successor of this home's identity")

// ErrHoldsNext is returned by [Home.AdoptIdentity] for a rotation to the next key of this home,
// which no other device receives, by a file that does not prove to contain that key.
var ErrHoldsNext = errors.New("is of the next key, which is in this home: a copy of this home has rotated the key")

// AdoptIdentity replaces the identity key by the one that another device of the owner
// handed over, of [Identity.Handover], after that device has rotated the key: the succession
// has to continue that of this home, its next key has to be the one that this home
// commits to, and its commitment that of its last step. It reports whether the file changed: it
// does not if the home has the key already, and a key is never replaced by the lack of the same
// one. The caller has the book open, and no rotation is under way.
//
// The header of a locked file is verified, and the key in it cannot be: until
// [Home.IdentityUnlocked] the file that it replaced stays beside it, in identity.key.replaced,
// and another one for the same pointer may replace it. A home that has the next key is not
// changed by a file that is locked or without the key.
func (h Home) AdoptIdentity(file []byte) (id Identity, changed bool, err error) {
	return h.adopt(file, false)
}

// AdoptInvited is AdoptIdentity for a file that a device handed over by whose invitation
// this home joins again. A home that has the next key adopts it in each form.
func (h Home) AdoptInvited(file []byte) (id Identity, changed bool, err error) {
	return h.adopt(file, true)
}

func (h Home) adopt(file []byte, invited bool) (id Identity, changed bool, err error) {
	mine, err := h.Identity()
	if err != nil {
		return Identity{}, false, err
	}
	file = []byte(strings.TrimPrefix(plainText(file), bom)) // as Home.Identity reads it
	theirs, err := ParseHandover(file)
	if err != nil {
		return mine, false, err
	}
	replaced, unverified, err := h.replacedIdentity()
	if err != nil {
		return mine, false, err
	}
	if theirs.Pointer == mine.Pointer {
		if theirs.Next != mine.Next || !slices.EqualFunc(mine.Succession, theirs.Succession, pointer.Succession.Equal) {
			return mine, false, theirs.noSuccessor(nil)
		}
		own, err := h.IdentityFile()
		if err != nil || theirs.KeyElsewhere || !mine.KeyElsewhere && !unverified || bytes.Equal(own, file) {
			return mine, false, err
		}
	} else if err := mine.checkSuccessor(theirs); err != nil {
		return mine, false, err
	} else if !invited && !mine.KeyElsewhere && !mine.NextElsewhere && (theirs.Locked || theirs.KeyElsewhere) {
		return mine, false, fmt.Errorf("identity key of %s: %w", theirs.Pointer, ErrHoldsNext)
	}
	if theirs.Locked {
		if !unverified {
			if replaced, err = h.IdentityFile(); err != nil {
				return mine, false, err
			}
		}
		if err := h.replace(replacedFile, append(replacedLine(file), replaced...)); err != nil {
			return mine, false, err
		}
	}
	if err := h.replace(identityFile, file); err != nil {
		return mine, false, err
	}
	id, err = h.Identity()
	if err == nil && !id.Locked { // ParseHandover has verified it
		err = h.IdentityUnlocked(id)
	}
	return id, true, err
}

// replacedFile is the identity key that a locked one replaced, after a line with the
// sha2-256 of that one. It does not count when identity.key has another content.
const (
	replacedFile  = identityFile + ".replaced"
	replacedField = "# replaced by: "
)

func replacedLine(by []byte) []byte {
	sum := sha256.Sum256(by)
	return []byte(replacedField + hex.EncodeToString(sum[:]) + "\n")
}

// replacedIdentity returns the file that identity.key replaced, and reports whether it is there
// because nothing has unlocked identity.key yet.
func (h Home) replacedIdentity() (file []byte, unverified bool, err error) {
	b, err := durable.ReadFile(h.path(replacedFile), maxKeyFile+int64(len(replacedLine(nil))))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	own, err := h.IdentityFile()
	if err != nil {
		return nil, false, err
	}
	file, unverified = bytes.CutPrefix(b, replacedLine(own))
	return file, unverified, nil
}

// IdentityUnlocked erases what identity.key replaced, if that is still id: the caller has
// unlocked it. It does nothing if there is no such file.
func (h Home) IdentityUnlocked(id Identity) error {
	name := h.path(replacedFile)
	if _, err := os.Lstat(name); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	now, err := h.Identity()
	if err != nil || now.Pointer != id.Pointer || !bytes.Equal(now.body, id.body) {
		return err
	}
	if err := durable.Or(h.files).Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("former identity key %q: %w", name, err)
	}
	return nil
}

// noSuccessor returns the error for an identity that does not continue that of this home.
func (id Identity) noSuccessor(err error) error {
	return errors.Join(fmt.Errorf("identity key of %s: %w", id.Pointer, ErrNoSuccessor), err)
}

// checkSuccessor returns nil if another identity continues this one.
func (id Identity) checkSuccessor(other Identity) error {
	known := len(id.Succession)
	if known >= len(other.Succession) || !slices.EqualFunc(id.Succession, other.Succession[:known], pointer.Succession.Equal) {
		return other.noSuccessor(nil)
	}
	at, next := id.Pointer, id.Next
	for steps := range slices.Chunk(other.Succession[known:], maxFollowed) {
		var err error
		if at, next, err = pointer.Follow(at, next, steps); err != nil {
			return other.noSuccessor(err)
		}
	}
	if at != other.Pointer || next.IsZero() || next != other.Next {
		return other.noSuccessor(nil)
	}
	return nil
}

// maxFollowed is the number of steps that pointer.Follow reads at a time.
const maxFollowed = 32
