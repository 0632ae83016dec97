package home

import (
	"bytes"
	"crypto/hpke"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/petnames-go/petnames/pointer"
)

// maxSealingLead bounds how far the keys of another device may be ahead of this clock.
const maxSealingLead = sealingLead

// MergeSealing adds the keys of another device's sealing.key, as SealingFile returns it, and
// reports whether the file changed. The newest keys of the two are the current ones; the
// others are former ones. Keys of over a day after now are refused. The caller has the
// book open.
func (h Home) MergeSealing(file []byte, now time.Time) (changed bool, err error) {
	if len(file) > maxKeyFile {
		return false, fmt.Errorf("sealing keys of %d bytes", len(file))
	}
	other, err := parseSealing(string(file))
	if err != nil {
		return false, fmt.Errorf("sealing keys of another device: %w", err)
	}
	if lead := other.Made.Sub(now); lead > maxSealingLead {
		return false, fmt.Errorf("sealing keys of another device: were made %s after the time of this one", lead)
	}
	s, err := h.Sealing()
	if err != nil {
		return false, err
	}
	merged := s.merge(other)
	before, err := s.format()
	if err != nil {
		return false, err
	}
	after, err := merged.format()
	if err != nil || bytes.Equal(before, after) {
		return false, err
	}
	return true, h.replace(sealingFile, after)
}

// merge returns the keys of both. It is the same in either order.
func (s Sealing) merge(other Sealing) Sealing {
	newest, older := s, other
	if other.Made.After(s.Made) || other.Made.Equal(s.Made) && bytes.Compare(sealingID(other.Current), sealingID(s.Current)) > 0 {
		newest, older = other, s
	}
	out := Sealing{Made: newest.Made, Current: newest.Current}
	replaced := newest.Made
	former := slices.Concat(newest.former, older.former, []formerSealing{{replaced, older.Current}})
	for _, f := range former {
		id := sealingID(f.keys)
		if bytes.Equal(id, sealingID(out.Current)) {
			continue
		}
		i := slices.IndexFunc(out.former, func(o formerSealing) bool { return bytes.Equal(sealingID(o.keys), id) })
		switch {
		case i < 0:
			out.former = append(out.former, f)
		case f.replaced.Before(out.former[i].replaced): // the earlier replacement counts
			out.former[i].replaced = f.replaced
		}
	}
	slices.SortFunc(out.former, func(a, b formerSealing) int {
		if c := b.replaced.Compare(a.replaced); c != 0 {
			return c
		}
		return bytes.Compare(sealingID(a.keys), sealingID(b.keys))
	})
	out.former = out.former[:min(len(out.former), maxGenerations-1)]
	return out
}

// sealingID identifies a generation of keys.
func sealingID(keys []hpke.PrivateKey) []byte {
	if len(keys) == 0 {
		return nil
	}
	return keys[0].PublicKey().Bytes()
}

// ErrNoSuccessor is returned for an identity key that does not follow the one of this home.
var ErrNoSuccessor = errors.New("is not of a successor of this home's identity")

// AdoptIdentity replaces the identity key by the one that another device of the owner
// handed over, of [Identity.Handover], after that device has rotated the key: the succession
// has to continue that of this home, and its next key has to be the one that this home
// commits to. It reports whether the file changed: it does not if the home has the key
// already, and a key is never replaced by the lack of the same one. The caller has the book
// open, and no rotation is under way.
func (h Home) AdoptIdentity(file []byte) (id Identity, changed bool, err error) {
	mine, err := h.Identity()
	if err != nil {
		return Identity{}, false, err
	}
	theirs, err := ParseHandover(file)
	if err != nil {
		return mine, false, err
	}
	if theirs.Pointer == mine.Pointer {
		if !mine.KeyElsewhere || theirs.KeyElsewhere {
			return mine, false, nil
		}
	} else if err := mine.checkSuccessor(theirs); err != nil {
		return mine, false, err
	}
	if err := h.replace(identityFile, file); err != nil {
		return mine, false, err
	}
	id, err = h.Identity()
	return id, true, err
}

// checkSuccessor returns nil if another identity continues this one.
func (id Identity) checkSuccessor(other Identity) error {
	fail := func(err error) error {
		return errors.Join(fmt.Errorf("identity key of %s: %w", other.Pointer, ErrNoSuccessor), err)
	}
	known := len(id.Succession)
	if known >= len(other.Succession) || !slices.EqualFunc(id.Succession, other.Succession[:known], pointer.Succession.Equal) {
		return fail(nil)
	}
	at, next := id.Pointer, id.Next
	for steps := range slices.Chunk(other.Succession[known:], maxFollowed) {
		var err error
		if at, next, err = pointer.Follow(at, next, steps); err != nil {
			return fail(err)
		}
	}
	if at != other.Pointer {
		return fail(nil)
	}
	return nil
}

// maxFollowed is the number of steps that pointer.Follow reads at a time.
const maxFollowed = 32
