package ledger

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// What counts is settled after statements and forks, from all stored entries:
//
//  1. Of the branches at a fork, the one with the smaller hash at the first difference
//     counts. Of a removed device, the one with the last entry that its removal names.
//  2. Of a removed device, entries up to that one count.
//  3. The entries of a device count if a statement that stands admitted it.
//
// A statement stands if its steps follow the succession (see [Ledger.Follow]), in any branch of
// its device, since the identity signed it: a thief of a device's key undoes none by a fork. It
// does not stand after the end of a removed device. Two removals can each be after the end that the
// other one sets: so they are applied in order, those by the later identity key first, and by one
// key those with the smaller hash, and one that does not stand when it is its turn is not applied.
// So a thief of an earlier key removes no device that the owner removes the thief's from under a
// later key, if the removal names an entry before the thief's.

const (
	maxStatements = 1024 // of one branch with all before it
	maxLate       = 256  // entries of a removed device after its end that are stored
)

// storedStatement is a verified admission or removal that is stored in an entry.
type storedStatement struct {
	at       mark
	hash     Hash
	body     Hash
	clock    uint64
	kind     Kind
	admitted verifiedAdmission // of a genesis or an admission
	removed  verifiedRemoval   // of a removal
	follows  bool              // its steps follow the succession
}

// checkStatement verifies the body of a statement in an entry after the chain that ends
// with the mark before; before.number is 0 for the first entry. It changes nothing.
func (w *writing) checkStatement(e *Entry, body []byte, before mark) (storedStatement, error) {
	st := w.st
	s := storedStatement{kind: e.kind, body: e.bodyHash}
	var err error
	switch e.kind {
	case KindAdmit:
		if s.admitted, err = parseAdmission(body, st.book, st.identity, e.id); err != nil {
			return s, err
		}
	case KindRemove:
		if s.removed, err = parseRemoval(body, st.book, st.identity, e.id); err != nil {
			return s, err
		}
		if st.first(s.removed.device) == nil {
			return s, fmt.Errorf("removal of device %v, which was never admitted", s.removed.device)
		}
	}
	s.judge(st.followed)
	if err := w.loadStatements(); err != nil {
		return s, err
	}
	// By its chain alone, so that all devices decide alike.
	count := 0
	for _, o := range w.statements {
		if before.number == 0 || !st.contains(before, o.at) {
			continue
		}
		if count++; o.body == s.body {
			return s, errors.New("its device made the same statement before")
		}
	}
	if count >= maxStatements {
		return s, fmt.Errorf("its device made %d statements already", count)
	}
	return s, nil
}

// addStatement records the statement of a stored entry. The caller settles what counts.
func (w *writing) addStatement(s storedStatement, i uint32, e Entry) error {
	s.at, s.hash, s.clock = mark{i, e.id.Number}, e.hash, e.clock
	if s.kind == KindAdmit && w.st.first(s.admitted.device) == nil && len(w.st.branches) < maxRows {
		w.addDevice(s.admitted.device, s.admitted.name)
	}
	if _, err := w.index.put(statementKey(s.at), nil); err != nil {
		return err
	}
	w.statements = append(w.statements, s)
	return nil
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
	all, err := w.log.statements(w.index)
	if err == nil {
		w.statements = all
	}
	return err
}

// statements reads the statements that the index lists.
func (g *logBucket) statements(index *chain) ([]storedStatement, error) {
	all := []storedStatement{}
	for scan := index.scan(statementPrefix); ; {
		k, _, err := scan.next()
		if err != nil {
			return nil, err
		}
		rest, found := bytes.CutPrefix(k, statementPrefix)
		if !found {
			return all, nil
		}
		if len(rest) != 12 || binary.BigEndian.Uint32(rest) >= uint32(len(g.st.branches)) {
			return nil, index.damaged(k, errChecksum)
		}
		s, err := g.statement(mark{binary.BigEndian.Uint32(rest), binary.BigEndian.Uint64(rest[4:])})
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
}

// statement reads the statement in a stored entry.
func (g *logBucket) statement(m mark) (storedStatement, error) {
	e, r, err := g.entry(m.branch, m.number, false)
	if err != nil {
		return storedStatement{}, err
	}
	s := storedStatement{at: m, hash: e.hash, body: e.bodyHash, clock: e.clock, kind: e.kind}
	switch e.kind {
	case KindGenesis:
		s.admitted, _, _, err = parseGenesis(r.body, g.st.identity)
	case KindAdmit:
		s.admitted, err = parseAdmission(r.body, g.st.book, g.st.identity, e.id)
	case KindRemove:
		s.removed, err = parseRemoval(r.body, g.st.book, g.st.identity, e.id)
	default:
		err = fmt.Errorf("has kind %d, which is no statement", e.kind)
	}
	if err != nil {
		return s, &DamagedError{Path: g.path, At: "entry " + e.id.String(), Err: err}
	}
	s.judge(g.st.followed)
	return s, nil
}

// upgrade changes the file to the second format.
func (w *writing) upgrade() error {
	w.st.format = fileFormat
	w.statements = []storedStatement{}
	if own := w.st.devices[w.l.self]; len(own) > 0 && w.st.branches[own[0]].head > 0 {
		if _, err := w.index.put(ownKey, binary.BigEndian.AppendUint32(nil, own[0])); err != nil {
			return err
		}
	}
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
			s, err := w.log.statement(m)
			if err != nil {
				return err
			}
			w.statements = append(w.statements, s)
		}
	}
	return nil
}

// settle computes what counts. If that changes for a stored entry, the view is replayed.
func (w *writing) settle() error {
	_, err := w.settling()
	return err
}

func (w *writing) settling() (*settling, error) {
	if err := w.loadStatements(); err != nil {
		return nil, err
	}
	n := len(w.st.branches)
	s := &settling{w: w, ends: map[DeviceID]verifiedRemoval{}, named: map[DeviceID]mark{}, states: map[DeviceID]bool{}, path: make([]uint64, n), counted: make([]uint64, n)}
	for id := range w.st.devices {
		if err := s.follow(id); err != nil {
			return nil, err
		}
	}
	s.admit()
	var removals []storedStatement
	for _, r := range w.statements {
		s.states[w.st.branches[r.at.branch].device] = true
		if r.kind == KindRemove {
			removals = append(removals, r)
		}
	}
	slices.SortFunc(removals, func(a, b storedStatement) int {
		return cmp.Or(cmp.Compare(b.removed.steps, a.removed.steps), bytes.Compare(a.hash[:], b.hash[:]))
	})
	for _, r := range removals {
		end, removedBefore := s.ends[r.removed.device]
		if !s.stands(r) || removedBefore && !earlier(r.removed, end) {
			continue
		}
		s.ends[r.removed.device] = r.removed
		if err := s.follow(r.removed.device); err != nil {
			return nil, err
		}
		if s.states[r.removed.device] {
			s.admit()
		} else {
			s.count(r.removed.device) // its end changes which statements stand only if it made some
		}
	}
	s.apply()
	return s, nil
}

// earlier reports whether a removal ends a device before another one does.
func earlier(a, b verifiedRemoval) bool {
	return cmp.Or(cmp.Compare(a.last, b.last), bytes.Compare(a.hash[:], b.hash[:])) < 0
}

// settling is the state of one settle.
type settling struct {
	w        *writing
	ends     map[DeviceID]verifiedRemoval
	named    map[DeviceID]mark // where the last entries are that removals name, if they are stored
	admitted map[DeviceID]bool
	states   map[DeviceID]bool // the device made a statement
	path     []uint64          // by the index of the branch: what counts if its device is admitted
	counted  []uint64
}

// stands reports whether a statement does.
func (s *settling) stands(a storedStatement) bool {
	if !a.follows {
		return false
	}
	m := a.at
	id := s.w.st.branches[m.branch].device
	end, removed := s.ends[id]
	if at, found := s.named[id]; found {
		return s.admitted[id] && s.w.st.contains(at, m)
	}
	return s.admitted[id] && (!removed || m.number <= end.last)
}

// admit computes which devices are admitted, and what counts, with the present ends.
func (s *settling) admit() {
	st := s.w.st
	s.admitted = map[DeviceID]bool{st.branches[0].device: true}
	for again := true; again; {
		again = false
		for _, a := range s.w.statements {
			if a.kind == KindAdmit && !s.admitted[a.admitted.device] && s.stands(a) {
				s.admitted[a.admitted.device], again = true, true
			}
		}
	}
	for id := range st.devices {
		s.count(id)
	}
}

// count computes what counts of a device.
func (s *settling) count(id DeviceID) {
	for _, i := range s.w.st.devices[id] {
		if s.counted[i] = s.path[i]; !s.admitted[id] {
			s.counted[i] = s.w.st.branches[i].from - 1
		}
	}
}

// follow computes what counts of a device if it is admitted.
func (s *settling) follow(id DeviceID) error {
	st := s.w.st
	branches := st.devices[id]
	for _, i := range branches {
		s.path[i] = st.branches[i].from - 1
	}
	delete(s.named, id)
	limit := maxNumber
	if end, found := s.ends[id]; found {
		limit = end.last
		m, found, err := s.w.log.find(Head{id, end.last, end.hash})
		if err != nil {
			return err
		}
		if found {
			s.named[id] = m
			for i, to := int(m.branch), limit; i != noParent; i = st.branches[i].parent {
				s.path[i], to = to, st.branches[i].from-1
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
			s.path[at] = max(limit, st.branches[at].from-1)
			return nil
		}
		winner, err := s.smallest(branches, next, int(at))
		if err != nil {
			return err
		}
		if winner != at {
			s.path[at] = max(min(limit, next-1), st.branches[at].from-1)
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
	names := map[DeviceID]storedStatement{} // the admissions that name the devices
	for _, a := range s.w.statements {
		if a.kind == KindRemove {
			continue
		}
		// Of those that stand the latest, or else any.
		order := func(a, b storedStatement) int {
			stands := func(a storedStatement) int { return map[bool]int{true: 1}[s.stands(a)] }
			return cmp.Or(cmp.Compare(stands(a), stands(b)), cmp.Compare(a.clock, b.clock), bytes.Compare(a.hash[:], b.hash[:]))
		}
		if last, found := names[a.admitted.device]; !found || order(last, a) < 0 {
			names[a.admitted.device] = a
		}
	}
	for i := range st.branches {
		b := &st.branches[i]
		before := *b
		b.counted = s.counted[i]
		if st.devices[b.device][0] == uint32(i) {
			end, found := s.ends[b.device]
			b.removed, b.last = found, end.last
			if a, found := names[b.device]; found {
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

// unknowable reports whether an entry that another one saw may be missing for good: it is
// over a bound.
func (s *state) unknowable(h Head) bool {
	b := s.first(h.Device)
	return b != nil && (s.full(h.Device) || b.removed && (h.Number > b.last+maxLate || s.late(h.Device) >= maxLate))
}
