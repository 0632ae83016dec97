package ledger

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
)

// What counts is settled after each statement and each fork, from all stored entries:
//
//  1. Of the branches at a fork, the one with the smaller hash at the first difference
//     counts. Of a removed device, the one with the last entry that its removal names.
//  2. Of a removed device, entries up to that one count.
//  3. The entries of a device count if an entry that counts admitted it.
//
// A removal counts if its entry does. Two removals can each be after the end that the
// other one sets: then the one by the later identity key counts, and of two by one key the
// one with the smaller hash. So a thief of an earlier key removes no device that the owner
// removes the thief's from.

const (
	maxStatements = 1024 // of one book
	maxLate       = 1024 // entries of a removed device after its end that are stored
)

// storedStatement is a verified admission or removal that is stored in an entry.
type storedStatement struct {
	at       mark
	hash     Hash
	clock    uint64
	kind     Kind
	admitted verifiedAdmission // of a genesis or an admission
	removed  verifiedRemoval   // of a removal
}

// checkStatement verifies the body of a statement. It changes nothing.
func (w *writing) checkStatement(kind Kind, body []byte) (storedStatement, error) {
	st := w.st
	s := storedStatement{kind: kind}
	var err error
	switch kind {
	case KindAdmit:
		if s.admitted, err = parseAdmission(body, st.book, st.identity); err != nil {
			return s, err
		}
		if st.first(s.admitted.device) == nil && len(st.devices) >= maxDevices {
			return s, fmt.Errorf("the book has %d devices already", maxDevices)
		}
	case KindRemove:
		if s.removed, err = parseRemoval(body, st.book, st.identity); err != nil {
			return s, err
		}
		if st.first(s.removed.device) == nil {
			return s, fmt.Errorf("removal of device %v, which was never admitted", s.removed.device)
		}
	}
	if err := w.loadStatements(); err != nil {
		return s, err
	}
	if len(w.statements) >= maxStatements {
		return s, fmt.Errorf("the book has %d statements already", maxStatements)
	}
	return s, nil
}

// addStatement records the statement of a stored entry, and settles what counts.
func (w *writing) addStatement(s storedStatement, i uint32, e Entry) error {
	s.at, s.hash, s.clock = mark{i, e.id.Number}, e.hash, e.clock
	if s.kind == KindAdmit && w.st.first(s.admitted.device) == nil {
		w.addDevice(s.admitted.device, s.admitted.name)
	}
	if _, err := w.index.put(statementKey(s.at), nil); err != nil {
		return err
	}
	w.statements = append(w.statements, s)
	return w.settle()
}

func statementKey(m mark) []byte {
	key := binary.BigEndian.AppendUint32(slices.Clone(statementPrefix), m.branch)
	return binary.BigEndian.AppendUint64(key, m.number)
}

// loadStatements reads the statements of the book, once in a transaction. In a file of
// the first format it looks for them, and records where they are.
func (w *writing) loadStatements() error {
	if w.statements != nil {
		return nil
	}
	if w.st.format < fileFormat {
		return w.upgrade()
	}
	w.statements = []storedStatement{}
	for scan := w.index.scan(statementPrefix); ; {
		k, _, err := scan.next()
		if err != nil {
			return err
		}
		rest, found := bytes.CutPrefix(k, statementPrefix)
		if !found {
			return nil
		}
		if len(rest) != 12 || binary.BigEndian.Uint32(rest) >= uint32(len(w.st.branches)) {
			return w.index.damaged(k, errChecksum)
		}
		m := mark{binary.BigEndian.Uint32(rest), binary.BigEndian.Uint64(rest[4:])}
		if err := w.loadStatement(m); err != nil {
			return err
		}
	}
}

// loadStatement reads the statement in a stored entry.
func (w *writing) loadStatement(m mark) error {
	e, r, err := w.log.entry(m.branch, m.number, false)
	if err != nil {
		return err
	}
	s := storedStatement{at: m, hash: e.hash, clock: e.clock, kind: e.kind}
	switch e.kind {
	case KindGenesis:
		s.admitted, _, _, err = parseGenesis(r.body, w.st.identity)
	case KindAdmit:
		s.admitted, err = parseAdmission(r.body, w.st.book, w.st.identity)
	case KindRemove:
		s.removed, err = parseRemoval(r.body, w.st.book, w.st.identity)
	default:
		err = fmt.Errorf("has kind %d, which is no statement", e.kind)
	}
	if err != nil {
		return &DamagedError{Path: w.l.path, At: "entry " + e.id.String(), Err: err}
	}
	w.statements = append(w.statements, s)
	return nil
}

// upgrade changes the file to the second format.
func (w *writing) upgrade() error {
	w.st.format = fileFormat
	w.statements = []storedStatement{}
	for i := range w.st.branches {
		b := &w.st.branches[i]
		b.dirty = true
		for n := b.from; n <= b.head; n++ {
			e, _, err := w.log.entry(uint32(i), n, false)
			if err != nil {
				return err
			}
			if e.kind == KindApplication {
				continue
			}
			m := mark{uint32(i), n}
			if _, err := w.index.put(statementKey(m), nil); err != nil {
				return err
			}
			if err := w.loadStatement(m); err != nil {
				return err
			}
		}
	}
	return nil
}

// settle computes what counts. If that changes for a stored entry, the view is replayed.
func (w *writing) settle() error {
	if err := w.loadStatements(); err != nil {
		return err
	}
	s := &settling{w: w, ends: map[DeviceID]verifiedRemoval{}, counted: make([]uint64, len(w.st.branches))}
	if err := s.evaluate(); err != nil {
		return err
	}
	var removals []storedStatement
	for _, r := range w.statements {
		if r.kind == KindRemove {
			removals = append(removals, r)
		}
	}
	slices.SortFunc(removals, func(a, b storedStatement) int {
		return cmp.Or(cmp.Compare(b.removed.steps, a.removed.steps), bytes.Compare(a.hash[:], b.hash[:]))
	})
	for _, r := range removals {
		end, removedBefore := s.ends[r.removed.device]
		if !s.counts(r.at) || removedBefore && !earlier(r.removed, end) {
			continue
		}
		s.ends[r.removed.device] = r.removed
		if err := s.evaluate(); err != nil {
			return err
		}
	}
	s.apply()
	return nil
}

// earlier reports whether a removal ends a device before another one does.
func earlier(a, b verifiedRemoval) bool {
	return cmp.Or(cmp.Compare(a.last, b.last), bytes.Compare(a.hash[:], b.hash[:])) < 0
}

// settling is the state of one settle.
type settling struct {
	w       *writing
	ends    map[DeviceID]verifiedRemoval
	counted []uint64 // by the index of the branch
}

func (s *settling) counts(m mark) bool { return m.number <= s.counted[m.branch] }

// evaluate computes counted with the present ends.
func (s *settling) evaluate() error {
	st := s.w.st
	for id := range st.devices {
		if err := s.follow(id); err != nil {
			return err
		}
	}
	admitted := map[DeviceID]bool{st.branches[0].device: true}
	for again := true; again; {
		again = false
		for _, a := range s.w.statements {
			if a.kind == KindAdmit && !admitted[a.admitted.device] && admitted[st.branches[a.at.branch].device] && s.counts(a.at) {
				admitted[a.admitted.device], again = true, true
			}
		}
	}
	for i := range st.branches {
		if b := &st.branches[i]; !admitted[b.device] {
			s.counted[i] = b.from - 1
		}
	}
	return nil
}

// follow computes what counts of a device that is admitted.
func (s *settling) follow(id DeviceID) error {
	st := s.w.st
	branches := st.devices[id]
	for _, i := range branches {
		s.counted[i] = st.branches[i].from - 1
	}
	limit := maxNumber
	if end, found := s.ends[id]; found {
		limit = end.last
		m, found, err := s.w.log.find(Head{id, end.last, end.hash})
		if err != nil {
			return err
		}
		if found {
			for i, to := int(m.branch), limit; i != noParent; i = st.branches[i].parent {
				s.counted[i], to = to, st.branches[i].from-1
			}
			return nil
		}
	}
	at, err := s.smallest(branches, 1, noParent)
	if err != nil {
		return err
	}
	for from := uint64(1); ; {
		next := uint64(0) // the next fork of branch at
		for _, i := range branches {
			if b := &st.branches[i]; b.parent == int(at) && b.from > from && (next == 0 || b.from < next) {
				next = b.from
			}
		}
		if next == 0 {
			s.counted[at] = max(limit, st.branches[at].from-1)
			return nil
		}
		winner, err := s.smallest(branches, next, int(at))
		if err != nil {
			return err
		}
		if winner != at {
			s.counted[at] = max(min(limit, next-1), st.branches[at].from-1)
		}
		at, from = winner, next
	}
}

// smallest returns the branch with the smallest hash at a number: of the branches that
// start there after parent, and of parent.
func (s *settling) smallest(branches []uint32, number uint64, parent int) (uint32, error) {
	best, least, found := branches[0], Hash{}, false
	for _, i := range branches {
		b := &s.w.st.branches[i]
		if b.head < number || int(i) != parent && (b.parent != parent || b.from != number) {
			continue
		}
		e, _, err := s.w.log.entry(i, number, false)
		if err != nil {
			return 0, err
		}
		if !found || bytes.Compare(e.hash[:], least[:]) < 0 {
			best, least, found = i, e.hash, true
		}
	}
	return best, nil
}

// apply sets what was computed.
func (s *settling) apply() {
	st := s.w.st
	named := map[DeviceID]storedStatement{}
	for _, a := range s.w.statements {
		if a.kind == KindRemove || !s.counts(a.at) {
			continue
		}
		last, found := named[a.admitted.device]
		if !found || cmp.Or(cmp.Compare(last.clock, a.clock), bytes.Compare(last.hash[:], a.hash[:])) < 0 {
			named[a.admitted.device] = a
		}
	}
	for i := range st.branches {
		b := &st.branches[i]
		before := *b
		b.counted = s.counted[i]
		if st.devices[b.device][0] == uint32(i) {
			end, found := s.ends[b.device]
			b.removed, b.last = found, end.last
			if a, found := named[b.device]; found {
				b.name = a.admitted.name
			}
		}
		if b.end() != before.end() {
			st.replay = true
		}
		if b.counted != before.counted || b.removed != before.removed || b.last != before.last || b.name != before.name {
			b.dirty = true
		}
	}
}

// counted returns the numbers of the first and of the last entry of each branch that
// counts, by the index of the branch.
func (s *state) counted() (next, end []uint64) {
	next, end = make([]uint64, len(s.branches)), make([]uint64, len(s.branches))
	for i := range s.branches {
		next[i], end[i] = s.branches[i].from, s.branches[i].end()
	}
	return next, end
}

// unknowable reports whether an entry that another one saw may be missing for good: its
// device has too many branches, or was removed before it.
func (s *state) unknowable(h Head) bool {
	b := s.first(h.Device)
	return b != nil && (s.full(h.Device) || b.removed && h.Number > b.last)
}
