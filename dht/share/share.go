// Package share bounds what a server serves at a time, such as streams or connections,
// so that no client excludes the others.
package share

import "sync"

// Slots has a bounded number of slots. Each is taken by keys, such as a peer and the
// group of its address, and the slots of one key are bounded as well. When all slots are
// taken, a new one replaces another: of those that wait for a request, the one that
// waits for the longest time, of the client with the most slots; if all are serving, the
// one that serves for the longest time, of the client with the most, if these are more
// than those of the new one's client. The only slot of a client is not replaced by that
// of a client with several, and, while it is new, not before one that serves: it is new
// until it has served, or half as many further slots were taken as there are. The last key
// names the client. It is safe for concurrent use.
type Slots struct {
	most int
	each []int // for each key

	mu    sync.Mutex
	open  map[*Slot]struct{}
	taken []map[string]int // by key
	clock uint64           // numbers the changes of slots
	count uint64           // slots that were taken since New
}

// Slot is the slot of one client. The mutex of its Slots guards the rest.
type Slot struct {
	slots   *Slots
	keys    []string
	end     func()
	serving bool
	served  bool   // a request at some time
	number  uint64 // its number of all slots
	changed uint64 // when it was taken, or began or ended to serve
}

// New returns Slots with at most a number of slots, and at most each of the other numbers
// for one value of the key in its place.
func New(most int, each ...int) *Slots {
	s := &Slots{most: most, each: each, open: map[*Slot]struct{}{}}
	for range each {
		s.taken = append(s.taken, map[string]int{})
	}
	return s
}

// Acquire returns a slot that waits for a request, or nil if there is none. There are as
// many keys as bounds of New. The slot may replace another one: Acquire then calls the
// end of that one. end must not block.
func (s *Slots) Acquire(end func(), keys ...string) *Slot {
	p, replaced := s.take(end, keys)
	if replaced != nil {
		replaced.end()
	}
	return p
}

func (s *Slots) take(end func(), keys []string) (p, replaced *Slot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, key := range keys {
		if s.taken[i][key] >= s.each[i] {
			return nil, nil
		}
	}
	if len(s.open) >= s.most {
		if replaced = s.replaceable(keys); replaced == nil {
			return nil, nil
		}
		s.remove(replaced)
	}
	s.count++
	p = &Slot{slots: s, keys: keys, end: end, number: s.count}
	s.open[p] = struct{}{}
	for i, key := range keys {
		s.taken[i][key]++
	}
	s.touch(p)
	return p, replaced
}

// ofClient returns the number of slots of the client that the last of some keys names.
// The caller holds mu.
func (s *Slots) ofClient(keys []string) int {
	last := len(keys) - 1
	return s.taken[last][keys[last]]
}

// replaceable returns the slot that a new one with some keys replaces; nil: none. The
// caller holds mu.
func (s *Slots) replaceable(keys []string) *Slot {
	var best *Slot
	has := s.ofClient(keys)
	for p := range s.open {
		if n := s.ofClient(p.keys); n == 1 && has > 1 || p.serving && n <= has+1 {
			continue
		}
		if best == nil || s.replacedFirst(p, best) {
			best = p
		}
	}
	return best
}

// replacedFirst reports whether a is replaced before b. The caller holds mu.
func (s *Slots) replacedFirst(a, b *Slot) bool {
	switch na, nb := s.ofClient(a.keys), s.ofClient(b.keys); {
	case s.goesLast(a) != s.goesLast(b):
		return s.goesLast(b)
	case a.serving != b.serving:
		return b.serving
	case na != nb:
		return na > nb
	}
	return a.changed < b.changed
}

// goesLast reports whether a slot is the only one of its client, and new. The caller holds mu.
func (s *Slots) goesLast(p *Slot) bool {
	return !p.serving && !p.served && s.ofClient(p.keys) == 1 && s.count-p.number < uint64(s.most)/2
}

// touch notes that a slot has changed. The caller holds mu.
func (s *Slots) touch(p *Slot) {
	s.clock++
	p.changed = s.clock
}

// remove removes a slot, if it was not replaced or released before. The caller holds mu.
func (s *Slots) remove(p *Slot) {
	if _, open := s.open[p]; !open {
		return
	}
	delete(s.open, p)
	for i, key := range p.keys {
		if s.taken[i][key]--; s.taken[i][key] == 0 {
			delete(s.taken[i], key)
		}
	}
}

// Len returns the number of slots that are taken.
func (s *Slots) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open)
}

// SetServing notes that the slot serves a request, or waits for the next one.
func (p *Slot) SetServing(serving bool) {
	p.slots.mu.Lock()
	defer p.slots.mu.Unlock()
	p.serving, p.served = serving, true
	p.slots.touch(p)
}

// Release frees the slot. Further calls do nothing, nor does one for a slot that was
// replaced.
func (p *Slot) Release() {
	p.slots.mu.Lock()
	defer p.slots.mu.Unlock()
	p.slots.remove(p)
}
