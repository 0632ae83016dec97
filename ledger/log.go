package ledger

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"go.etcd.io/bbolt"
)

// The log is one bucket with the entries of all branches. Numbers have no gaps,
// so it needs no links between rows: a missing entry up to its branch's head is
// damage.
//
//	key = index of the branch in this file, 4 bytes ‖ number, 8 bytes, big endian
//	row = crc32c of bucket ‖ key ‖ the rest, 4 bytes ‖ state of the body, 1 byte
//	    ‖ order of arrival here, uvarint
//	    ‖ version vector: count, then pairs of branch index and number, uvarints
//	    ‖ length of the entry, uvarint ‖ entry ‖ body
//
// The order of arrival is a causal order, so a replay in this order can be
// folded.

// bodyState reports whether the row of an entry has the entry's body.
type bodyState byte

const (
	bodyStored  bodyState = 0
	bodyDropped bodyState = 1 // by DropBody; never stored again
	bodyMissing bodyState = 2 // received without its body; stored when it is received
)

// logBucket is the log within one transaction.
type logBucket struct {
	b    *bbolt.Bucket
	st   *state
	path string
}

// record is one row of the log.
type record struct {
	order uint64
	past  []mark
	raw   []byte // the entry's canonical bytes
	body  []byte // nil if it is not stored
	state bodyState
}

// logAt is the place of a row of the log, for errors.
type logAt struct {
	st    *state
	index uint32
	num   uint64
}

func (a logAt) String() string {
	if int(a.index) < len(a.st.branches) {
		return fmt.Sprintf("entry %v", ID{a.st.branches[a.index].device, a.num})
	}
	return fmt.Sprintf("entry %d of branch %d", a.num, a.index)
}

func logKey(index uint32, number uint64) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(make([]byte, 0, 12), index), number)
}

func openLog(tx *bbolt.Tx, st *state, path string) (*logBucket, error) {
	b := tx.Bucket([]byte(bucketLog))
	if b == nil {
		return nil, &DamagedError{Path: path, At: bucketLog, Err: errors.New("the bucket is missing")}
	}
	b.FillPercent = 0.95 // almost all writes append entries
	return &logBucket{b: b, st: st, path: path}, nil
}

// sum returns the checksum of a row.
func (g *logBucket) sum(key, v []byte) uint32 {
	return crc32.Update(crc32.Update(logSalt(), castagnoli(), key), castagnoli(), v[4:])
}

// put writes the row of an entry.
func (g *logBucket) put(index uint32, number uint64, r record) (err error) {
	defer rescue(&err, g.path, logAt{g.st, index, number})
	key := logKey(index, number)
	v := make([]byte, 5, 5+5*binary.MaxVarintLen32+20*len(r.past)+len(r.raw)+len(r.body))
	v[4] = byte(r.state)
	v = binary.AppendUvarint(v, r.order)
	v = binary.AppendUvarint(v, uint64(len(r.past)))
	for _, m := range r.past {
		v = binary.AppendUvarint(v, uint64(m.branch))
		v = binary.AppendUvarint(v, m.number)
	}
	v = binary.AppendUvarint(v, uint64(len(r.raw)))
	v = append(v, r.raw...)
	v = append(v, r.body...)
	binary.LittleEndian.PutUint32(v, g.sum(key, v))
	return g.b.Put(key, v)
}

// get returns the row of an existing entry. The slices are valid within the
// transaction.
func (g *logBucket) get(index uint32, number uint64) (r record, err error) {
	defer rescue(&err, g.path, logAt{g.st, index, number})
	key := logKey(index, number)
	v := g.b.Get(key)
	bad := func(err error) (record, error) {
		return record{}, &DamagedError{Path: g.path, At: logAt{g.st, index, number}.String(), Err: err}
	}
	switch {
	case v == nil:
		return bad(errAbsent)
	case len(v) < 8 || len(v) > maxRow || g.sum(key, v) != binary.LittleEndian.Uint32(v):
		return bad(errChecksum)
	}
	r.state = bodyState(v[4])
	rest, broken := v[5:], false
	uvarint := func() uint64 {
		n, size := binary.Uvarint(rest)
		if size <= 0 {
			broken = true
			return 0
		}
		rest = rest[size:]
		return n
	}
	r.order = uvarint()
	n := uvarint()
	if n > maxRows {
		return bad(errChecksum)
	}
	if n > 0 {
		r.past = make([]mark, n)
	}
	for i := range r.past {
		d := uvarint()
		if d >= uint64(len(g.st.branches)) {
			return bad(errChecksum)
		}
		r.past[i] = mark{uint32(d), uvarint()}
	}
	size := uvarint()
	if broken || size > uint64(len(rest)) {
		return bad(errChecksum)
	}
	r.raw = rest[:size:size]
	if r.state == bodyStored {
		r.body = rest[size:len(rest):len(rest)]
	}
	return r, nil
}

// entry returns an entry and its body, checked against each other and against
// the key; with verify also the signature.
func (g *logBucket) entry(index uint32, number uint64, verify bool) (e Entry, r record, err error) {
	if r, err = g.get(index, number); err != nil {
		return e, r, err
	}
	e, err = parseEntry(g.st.book, r.raw)
	if want := (ID{g.st.branches[index].device, number}); err == nil && e.id != want {
		err = fmt.Errorf("holds entry %v", e.id)
	}
	if err == nil && verify {
		err = e.verify()
	}
	if err == nil && r.state == bodyStored {
		err = e.checkBody(r.body)
	}
	if err != nil {
		return Entry{}, r, &DamagedError{Path: g.path, At: logAt{g.st, index, number}.String(), Err: err}
	}
	e.past, e.st = r.past, g.st
	return e, r, nil
}

// merged iterates over several branches as one, in order of arrival or of the hybrid
// clocks, which is the same on all devices.
type merged struct {
	log    *logBucket
	next   []uint64 // number of the next entry of each branch
	end    []uint64 // last number
	heads  []Entry  // at next, where loaded
	recs   []record
	loaded []bool
	clock  bool
	verify bool
}

// newMerged returns the iteration from the numbers next to the numbers end, each by
// the index of the branch. It changes next. clock selects the order of the hybrid
// clocks; verify verifies the signatures.
func newMerged(log *logBucket, next, end []uint64, clock, verify bool) *merged {
	n := len(next)
	return &merged{log: log, next: next, end: end, heads: make([]Entry, n), recs: make([]record, n), loaded: make([]bool, n), clock: clock, verify: verify}
}

// step returns the next entry, false at the end.
func (m *merged) step() (e Entry, r record, ok bool, err error) {
	best := -1
	for i := range m.next {
		if m.next[i] > m.end[i] {
			continue
		}
		if !m.loaded[i] {
			if m.heads[i], m.recs[i], err = m.log.entry(uint32(i), m.next[i], m.verify); err != nil {
				m.next[i]++ // so that a caller can continue after the damage
				return Entry{}, record{}, true, err
			}
			m.loaded[i] = true
		}
		if best < 0 || m.before(i, best) {
			best = i
		}
	}
	if best < 0 {
		return Entry{}, record{}, false, nil
	}
	m.loaded[best] = false
	m.next[best]++
	return m.heads[best], m.recs[best], true, nil
}

// before reports whether the loaded entry of branch i comes before that of branch j.
func (m *merged) before(i, j int) bool {
	if !m.clock {
		return m.recs[i].order < m.recs[j].order
	}
	a, b := &m.heads[i], &m.heads[j]
	if a.clock != b.clock {
		return a.clock < b.clock
	}
	return string(a.id.Device[:]) < string(b.id.Device[:])
}
