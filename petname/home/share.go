package home

import (
	"bytes"
	"crypto/hpke"
	"errors"
	"fmt"
	"slices"
	"time"
)

// ErrSealingAhead is returned by [Home.MergeSealing] for keys of over a day after now.
var ErrSealingAhead = errors.New("were made over a day after the time of this device")

// MergeSealing adds the keys of another device's sealing.key, as SealingFile returns it, and
// reports whether the file changed. The current keys are the newer ones of the two that neither
// file has as former keys; the others become former ones now. If each file has the current keys of
// the other one as former keys, new keys are made. Another device changes no date of a
// former key of this home, and evicts none. It fails with [ErrSealingAhead], and when this home
// has too many former keys for another replacement. The caller has the book open.
func (h Home) MergeSealing(file []byte, now time.Time) (changed bool, err error) {
	return h.MergeSealingAfter(file, now, SealingAfter{})
}

// SealingAfter is what removals of devices mean for the keys of two devices that merge them: see
// [Home.MergeSealingAfter]. The zero value is for a book without removed devices.
type SealingAfter struct {
	Removals int  // removed devices for which the keys of this home were replaced
	Own      bool // the current keys of this home were not replaced yet: those of the file are current
	Other    bool // the keys of the file were not replaced after all of the removals: they are former ones
}

// MergeSealingAfter is [Home.MergeSealing] after removals of devices. A removed device may have
// handed over the keys that were not replaced since: they are current no more, whatever their
// date. A replacement after a removal does not count towards the bound on former keys. It fails
// if both Own and Other are set.
func (h Home) MergeSealingAfter(file []byte, now time.Time, after SealingAfter) (changed bool, err error) {
	if after.Own && after.Other {
		return false, errors.New("sealing keys of another device: neither device replaced its keys after a removal")
	}
	if len(file) > maxKeyFile {
		return false, fmt.Errorf("sealing keys of %d bytes", len(file))
	}
	other, err := parseSealing(string(file))
	if err != nil {
		return false, fmt.Errorf("sealing keys of another device: %w", err)
	}
	if other.Made.Sub(now) > sealingLead {
		return false, fmt.Errorf("sealing keys of another device: %w: %s", ErrSealingAhead, other.Made.Format(time.RFC3339))
	}
	s, err := h.Sealing()
	if err != nil {
		return false, err
	}
	merged, err := s.merge(other, now, after)
	if err != nil {
		return false, err
	}
	before, err := s.format()
	if err != nil {
		return false, err
	}
	text, err := merged.format()
	if err != nil || bytes.Equal(before, text) {
		return false, err
	}
	return true, h.replace(sealingFile, text)
}

const (
	// maxForeign bounds the former keys of a home of which some came from another device: beyond
	// it, no more are added.
	maxForeign = maxGenerations / 2

	// maxReplaced bounds the former keys of a home whose current ones another device can replace.
	// The rest is for the replacements that this device makes.
	maxReplaced = maxGenerations * 3 / 4

	// perRemoval is by how much the replacements after the removal of a device raise maxReplaced,
	// up to mostReplaced.
	perRemoval   = 4
	mostReplaced = maxGenerations - 4
)

// merge returns the keys of both: see [Home.MergeSealing]. Two devices that merge each other's
// keys have the same current ones afterwards.
func (s Sealing) merge(other Sealing, now time.Time, after SealingAfter) (Sealing, error) {
	now = now.UTC().Truncate(time.Second)
	out := Sealing{Made: s.Made, Current: s.Current, former: slices.Clone(s.former)}
	mine, theirs := !other.hasFormer(s.Current), !s.hasFormer(other.Current)
	if after.Own || after.Other {
		mine, theirs = after.Other, after.Own
	}
	switch {
	case bytes.Equal(sealingID(s.Current), sealingID(other.Current)):
		if other.Made.After(s.Made) {
			out.Made = other.Made
		}
	case mine && theirs && s.newer(other), mine && !theirs:
		if len(out.former) < maxForeign {
			out.addFormer(formerSealing{now, other.Current})
		}
	case theirs:
		out.Made, out.Current = other.Made, other.Current
		if after.Own {
			id := sealingID(out.Current)
			out.former = slices.DeleteFunc(out.former, func(f formerSealing) bool { return bytes.Equal(sealingID(f.keys), id) })
			out.former = out.former[:min(len(out.former), maxGenerations-2)]
		}
	default:
		keys, err := generateSealing()
		if err != nil {
			return Sealing{}, err
		}
		out.Made, out.Current = latestMade(now, s, other), keys
		if len(out.former) < maxForeign {
			out.addFormer(formerSealing{now, other.Current})
		}
	}
	if !bytes.Equal(sealingID(out.Current), sealingID(s.Current)) {
		if bound := min(maxReplaced+perRemoval*after.Removals, mostReplaced); len(out.former) >= bound && !after.Own {
			return Sealing{}, fmt.Errorf("sealing keys of another device: the keys of this home were replaced %d times within %d days", len(out.former), SealingRetention/(24*time.Hour))
		}
		out.addFormer(formerSealing{now, s.Current})
	}
	for _, f := range other.former {
		if f.replaced.After(now) {
			f.replaced = now // it would put off the erasure
		}
		if len(out.former) < maxForeign {
			out.addFormer(f)
		}
	}
	slices.SortFunc(out.former, func(a, b formerSealing) int {
		if c := b.replaced.Compare(a.replaced); c != 0 {
			return c
		}
		return bytes.Compare(sealingID(a.keys), sealingID(b.keys))
	})
	return out, nil
}

// addFormer adds former keys, unless the home has them.
func (s *Sealing) addFormer(f formerSealing) {
	if !s.hasFormer(f.keys) && !bytes.Equal(sealingID(f.keys), sealingID(s.Current)) {
		s.former = append(s.former, f)
	}
}

// hasFormer reports whether keys are among the former ones.
func (s Sealing) hasFormer(keys []hpke.PrivateKey) bool {
	id := sealingID(keys)
	return slices.ContainsFunc(s.former, func(f formerSealing) bool { return bytes.Equal(sealingID(f.keys), id) })
}

// newer reports whether the current keys of s are preferred to those of another device.
func (s Sealing) newer(other Sealing) bool {
	c := s.Made.Compare(other.Made)
	return c > 0 || c == 0 && bytes.Compare(sealingID(s.Current), sealingID(other.Current)) > 0
}

// latestMade returns the date of keys that replace those of all: now, or just after theirs, as
// far as other devices accept it.
func latestMade(now time.Time, all ...Sealing) time.Time {
	made := now.UTC().Truncate(time.Second)
	for _, s := range all {
		if after := s.Made.Add(time.Second); after.After(made) && after.Sub(now) <= sealingLead {
			made = after
		}
	}
	return made
}

// sealingID identifies a generation of keys.
func sealingID(keys []hpke.PrivateKey) []byte {
	if len(keys) == 0 {
		return nil
	}
	return keys[0].PublicKey().Bytes()
}
