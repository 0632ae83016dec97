package home

import (
	"bytes"
	"crypto/ecdh"
	"crypto/hpke"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/petnames-go/petnames/pointer"
)

// Sealing holds the keys that decrypt messages to this home, one for each HPKE KEM in
// its card (RFC 9180; the hybrid with ML-KEM is from draft-ietf-hpke-pq). The file
// is not encrypted, so that a node can read messages without a passphrase; like the
// book in the same folder, it is protected by the file mode only:
//
//	# petname sealing keys 2
//	# made: 2026-03-01T12:00:00Z
//	PETNAME-SEALING-KEY-1 0020 <private key ‖ checksum, base64> X25519, also for drop channels
//	PETNAME-SEALING-KEY-1 647a <private key ‖ checksum, base64> MLKEM768X25519
//	# replaced: 2026-03-01T12:00:00Z, and two such lines, for each former generation
//
// The checksum is the first 4 bytes of the sha2-256 of the line up to the key and
// the key: a flipped bit must not yield another valid key.
//
// Former keys are erased [SealingRetention] after they were replaced, or after a clock
// and the book first showed that the time of the replacement was ahead. Until then, they
// decrypt messages that were encrypted before the replacement. A clock that is behind the
// book dates no replacement before the book's newest entry.
type Sealing struct {
	Made    time.Time         // creation of Current; zero: unknown, by an older version
	Current []hpke.PrivateKey // the keys in the card
	former  []formerSealing   // newest first
}

type formerSealing struct {
	replaced time.Time
	keys     []hpke.PrivateKey
}

const (
	// SealingRetention is the time from the replacement of keys to their erasure.
	SealingRetention = 30 * 24 * time.Hour

	// sealingLead is by how much a creation may be in the future, of clocks that
	// differ a little. Keys made under a clock that ran further ahead are replaced.
	sealingLead = 24 * time.Hour

	sealingMagic    = "# petname sealing keys 2"
	sealingMagic1   = "# petname sealing keys 1" // one generation, with no dates
	sealingMade     = "# made: "
	sealingReplaced = "# replaced: "
	sealingPrefix   = "PETNAME-SEALING-KEY-1 "
	maxGenerations  = 64
)

// sealingKEMs returns the KEMs of a home, in the order of its card.
func sealingKEMs() []hpke.KEM {
	return []hpke.KEM{hpke.DHKEM(ecdh.X25519()), hpke.MLKEM768X25519()}
}

// PublicKeys returns the public keys of Current, for the card.
func (s Sealing) PublicKeys() []pointer.SealingKey {
	var keys []pointer.SealingKey
	for _, k := range s.Current {
		keys = append(keys, pointer.SealingKey{KEM: k.KEM().ID(), Key: k.PublicKey().Bytes()})
	}
	return keys
}

// PrivateKeys returns the keys that decrypt messages: the current ones, then the
// former ones, newest first.
func (s Sealing) PrivateKeys() []hpke.PrivateKey {
	all := slices.Clone(s.Current)
	for _, f := range s.former {
		all = append(all, f.keys...)
	}
	return all
}

// Sealing returns the sealing keys. If a home of an older version has none, Sealing
// creates them. It fails with an [*IncompleteError] if the file was lost: messages that wait
// could not be read with other keys. The caller has the book open, so that no other process creates
// keys at the same time.
func (h Home) Sealing() (Sealing, error) {
	s, err := h.readSealing()
	if !errors.Is(err, fs.ErrNotExist) {
		return s, err
	}
	if h.SealingPublished {
		lost := &IncompleteError{Dir: h.Dir, Missing: []string{sealingFile}}
		if e := h.incomplete(optional); e != nil {
			lost.Present = e.Present
		}
		return Sealing{}, lost
	}
	b, err := newSealing(time.Now())
	if err == nil {
		err = h.replace(sealingFile, b)
	}
	if err != nil {
		return Sealing{}, err
	}
	return h.readSealing()
}

func (h Home) readSealing() (Sealing, error) {
	name := h.path(sealingFile)
	text, err := readText(name)
	if err != nil {
		return Sealing{}, h.damaged(sealingFile, err)
	}
	s, err := parseSealing(text)
	if err != nil {
		return Sealing{}, h.damaged(sealingFile, fmt.Errorf("sealing keys %q: %w", name, err))
	}
	return s, nil
}

// RenewSealing replaces the current keys if they were made at least maxAge before
// now, or more than a day after it, under a wrong clock; a maxAge of 0 replaces them
// whatever their date. The time of the replacement is now, or newest if that is later.
// It also does what [Home.EraseSealing] does. It returns the keys
// that are in the file afterwards; the caller then publishes a card with their
// public keys.
func (h Home) RenewSealing(now, newest time.Time, maxAge time.Duration) (Sealing, error) {
	return h.updateSealing(now, newest, true, &maxAge)
}

// EraseSealing erases the former keys that were replaced at least
// [SealingRetention] before now. newest is the date of the newest entry of the book;
// zero: unknown. As far as now is over a day after it, now does not count: the clock
// may be ahead, and what was sealed before could not be opened any more. EraseSealing
// returns the current keys, which it does not change, and the remaining former ones. What
// [Home.NewKey] set aside is erased by the same rule.
func (h Home) EraseSealing(now, newest time.Time) (Sealing, error) {
	return h.updateSealing(now, newest, true, nil)
}

// updateSealing erases expired former keys if erase is set, replaces the current keys if
// they are at least maxAge old (nil: never), and writes the file if one of these changed it.
func (h Home) updateSealing(now, newest time.Time, erase bool, maxAge *time.Duration) (Sealing, error) {
	s, err := h.Sealing()
	if err != nil {
		return Sealing{}, err
	}
	replaced := now.UTC().Truncate(time.Second)
	if newest.After(now) { // this clock may be behind
		replaced = newest.UTC().Truncate(time.Second)
	}
	changed := s.boundReplaced(now, replaced)
	shown := now // by more than this clock
	if bound := newest.Add(sealingLead); !newest.IsZero() && now.After(bound) {
		shown = bound
	}
	if erase {
		if err := h.eraseDamaged(s, shown); err != nil {
			return Sealing{}, err
		}
	}
	s.former = slices.DeleteFunc(s.former, func(f formerSealing) bool {
		expired := erase && shown.Sub(f.replaced) >= SealingRetention
		changed = changed || expired
		return expired
	})
	if maxAge != nil && (*maxAge <= 0 || now.Sub(s.Made) >= *maxAge || s.Made.Sub(now) > sealingLead) {
		keys, err := generateSealing()
		if err != nil {
			return Sealing{}, err
		}
		s.former = slices.Insert(s.former, 0, formerSealing{replaced, s.Current})
		s.former = s.former[:min(len(s.former), maxGenerations-1)]
		s.Made, s.Current, changed = latestMade(now, s), keys, true
	}
	if !changed {
		return s, nil
	}
	b, err := s.format()
	if err != nil {
		return Sealing{}, err
	}
	return s, h.replace(sealingFile, b)
}

// plausible is before the first version: a clock that is behind it was never set.
var plausible = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// boundReplaced sets the times of replacement that are after latest to latest, and reports
// whether there were any. A clock that was ahead wrote them, and would put off the
// erasure until its own time. A clock that was never set proves nothing about them.
func (s *Sealing) boundReplaced(now, latest time.Time) (changed bool) {
	if now.Before(plausible) {
		return false
	}
	for i := range s.former {
		if s.former[i].replaced.After(latest) {
			s.former[i].replaced, changed = latest, true
		}
	}
	return changed
}

// newSealing returns the content of a sealing.key with new keys.
func newSealing(now time.Time) ([]byte, error) {
	keys, err := generateSealing()
	if err != nil {
		return nil, err
	}
	return Sealing{Made: now.UTC().Truncate(time.Second), Current: keys}.format()
}

// generateSealing returns a new private key for each KEM of sealingKEMs.
func generateSealing() ([]hpke.PrivateKey, error) {
	var keys []hpke.PrivateKey
	for _, kem := range sealingKEMs() {
		key, err := kem.GenerateKey()
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// format returns the content of sealing.key.
func (s Sealing) format() ([]byte, error) {
	var b strings.Builder
	b.WriteString(sealingMagic + "\n" + sealingMade + s.Made.Format(time.RFC3339) + "\n")
	generations := append([]formerSealing{{keys: s.Current}}, s.former...)
	for i, g := range generations {
		if i > 0 {
			b.WriteString(sealingReplaced + g.replaced.Format(time.RFC3339) + "\n")
		}
		for _, key := range g.keys {
			private, err := key.Bytes()
			if err != nil {
				return nil, err
			}
			line := sealingLine(key.KEM())
			b.WriteString(line + base64.StdEncoding.EncodeToString(append(private, sealingSum(line, private)...)) + "\n")
		}
	}
	return []byte(b.String()), nil
}

// sealingLine returns the prefix of the line of a key.
func sealingLine(kem hpke.KEM) string { return fmt.Sprintf("%s%04x ", sealingPrefix, kem.ID()) }

// sealingSum returns the checksum of a key; line is the prefix of its line.
func sealingSum(line string, private []byte) []byte {
	sum := sha256.Sum256(append([]byte(line), private...))
	return sum[:4]
}

// parseSealing parses a file of sealing keys. Its errors contain nothing of the
// file, which is secret.
func parseSealing(text string) (Sealing, error) {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	var s Sealing
	var err error
	rest := lines[1:]
	switch {
	case lines[0] == sealingMagic1:
		if s.Current, rest, err = parseGeneration(rest, 2); err != nil {
			return Sealing{}, err
		}
	case lines[0] == sealingMagic && len(rest) > 0:
		made, ok := strings.CutPrefix(rest[0], sealingMade)
		if s.Made, err = time.Parse(time.RFC3339, made); !ok || err != nil {
			return Sealing{}, errors.New("line 2 doesn't say when they were made: damaged")
		}
		if s.Current, rest, err = parseGeneration(rest[1:], 3); err != nil {
			return Sealing{}, err
		}
	default:
		return Sealing{}, errors.New("are not of this version, or damaged")
	}
	for len(rest) > 0 && len(s.former) < maxGenerations {
		at := len(lines) - len(rest) + 1
		replaced, ok := strings.CutPrefix(rest[0], sealingReplaced)
		f := formerSealing{}
		if f.replaced, err = time.Parse(time.RFC3339, replaced); !ok || err != nil || lines[0] == sealingMagic1 {
			return Sealing{}, fmt.Errorf("line %d doesn't say when the keys below were replaced: damaged", at)
		}
		if f.keys, rest, err = parseGeneration(rest[1:], at+1); err != nil {
			return Sealing{}, err
		}
		s.former = append(s.former, f)
	}
	if len(rest) > 0 {
		return Sealing{}, errors.New("have too many lines: damaged")
	}
	return s, nil
}

// parseGeneration parses the keys of one generation, which start at line number at,
// and returns the remaining lines.
func parseGeneration(lines []string, at int) ([]hpke.PrivateKey, []string, error) {
	fail := func(i int, what string) ([]hpke.PrivateKey, []string, error) {
		return nil, nil, fmt.Errorf("line %d %s: damaged", at+i, what)
	}
	kems := sealingKEMs()
	if len(lines) < len(kems) {
		return fail(len(lines), "is missing")
	}
	var keys []hpke.PrivateKey
	for i, kem := range kems {
		line := sealingLine(kem)
		encoded, ok := strings.CutPrefix(lines[i], line)
		if !ok {
			return fail(i, fmt.Sprintf("is not a key for KEM %04x", kem.ID()))
		}
		b, err := base64.StdEncoding.Strict().DecodeString(encoded)
		if err != nil || len(b) < 4 {
			return fail(i, "is not base64, or cut short")
		}
		private := b[:len(b)-4]
		if !bytes.Equal(b[len(b)-4:], sealingSum(line, private)) {
			return fail(i, "has a wrong checksum")
		}
		key, err := kem.NewPrivateKey(private)
		if err != nil {
			return fail(i, "is no private key")
		}
		keys = append(keys, key)
	}
	return keys, lines[len(kems):], nil
}
