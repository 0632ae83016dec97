package share

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// requireEmpty checks that nothing is left of slots.
func requireEmpty(t *testing.T, s *Slots) {
	t.Helper()
	require.Zero(t, s.Len())
	for _, taken := range s.taken {
		require.Empty(t, taken)
	}
}

// Slots that wait for a request are replaced first, and those of the client with the
// most before others. A client with as many slots as the others replaces none that
// serves a request.
func TestIdleSlotsAreReplacedFirst(t *testing.T) {
	const most, each = 1024, 64
	s := New(most, each)
	add := func(client string, serving bool) (p, replaced *Slot) {
		if p, replaced = s.take(func() {}, []string{client}); p != nil {
			p.SetServing(serving)
		}
		return p, replaced
	}
	var idle []*Slot
	for i := range most {
		p, _ := add(fmt.Sprint("a", i/4), i%4 != 3)
		require.NotNil(t, p)
		if !p.serving {
			idle = append(idle, p)
		}
	}
	idle[0].SetServing(true) // it was used since
	idle[0].SetServing(false)
	for range 2 {
		p, replaced := add("b", true)
		require.NotNil(t, p)
		require.Same(t, idle[1], replaced, "the oldest of those that wait")
		idle = slices.Delete(idle, 1, 2)
	}
	for range len(idle) {
		p, replaced := add("c", false)
		require.NotNil(t, p)
		require.False(t, replaced.serving)
		if s.taken[0]["c"] > 20 {
			break // from here on it replaces its own
		}
	}
	for p := range s.open {
		p.SetServing(true)
	}
	p, replaced := add("d", true)
	require.NotNil(t, p)
	require.Equal(t, []string{"c"}, replaced.keys, "it has the most")
	for p := range s.open {
		p.Release()
	}
	requireEmpty(t, s)
	for i := range most { // one of each
		p, _ := add(fmt.Sprint("e", i), true)
		require.NotNil(t, p)
	}
	p, replaced = add("d", true)
	require.Nil(t, p)
	require.Nil(t, replaced)
	require.Equal(t, most, s.Len())
}

// A value of each key has a share of the slots. When all are taken, one without a
// request is replaced first, then one of the client with the most.
func TestSlotsAreShared(t *testing.T) {
	const most, ofPeer, ofSource = 32, 8, 16
	s := New(most, ofPeer, ofSource)
	var ended []string
	acquire := func(id, source string) *Slot {
		return s.Acquire(func() { ended = append(ended, id) }, id, source)
	}
	others := []*Slot{acquire("lone", "z")} // sends no request, and is the oldest
	for range ofPeer {
		require.NotNil(t, acquire("flooder", "a"))
	}
	require.Nil(t, acquire("flooder", "a"), "the share of a peer")
	require.Nil(t, acquire("flooder", "y"), "from another address, too")
	for i := range ofSource - ofPeer {
		require.NotNil(t, acquire(fmt.Sprint("sybil", i), "a"))
	}
	require.Nil(t, acquire("one more sybil", "a"), "the share of an address")
	for i := range most - ofSource - 1 {
		p := acquire(fmt.Sprint("other", i), fmt.Sprint("b", i))
		p.SetServing(true)
		others = append(others, p)
	}
	require.Empty(t, ended)
	for i := range ofSource - 1 {
		p := acquire(fmt.Sprint("busy", i), "c")
		p.SetServing(true)
	}
	require.Len(t, ended, ofSource-1)
	require.NotContains(t, ended, "lone", "of those that wait, those of the source with the most go first")
	acquire("new1", "d").SetServing(true)
	acquire("new2", "e").SetServing(true)
	require.Contains(t, ended, "lone", "before any that is served")
	require.NotContains(t, ended, "busy0")
	acquire("new3", "f").SetServing(true)
	require.Equal(t, "busy0", ended[len(ended)-1], "the oldest of the source with the most")
	for _, p := range others {
		p.Release()
		p.Release()
	}
	for p := range s.open {
		p.Release()
	}
	requireEmpty(t, s)
}

// Clients with many slots, all of which serve, do not exclude a client with one, which
// waits: neither by a further slot of theirs, nor by that of a new client.
func TestTheOnlySlotOfAClientStays(t *testing.T) {
	const most, each, attackers = 64, 16, 8
	s := New(most, each)
	take := func(client string) (p, replaced *Slot) { return s.take(func() {}, []string{client}) }
	flood := func() {
		for i := range attackers * each {
			if p, _ := take(fmt.Sprint("flooder", i%attackers)); p != nil {
				p.SetServing(true)
			}
		}
	}
	flood()
	honest, replaced := take("honest")
	require.NotNil(t, honest)
	require.True(t, replaced.serving)
	requireOpen := func(when string) {
		_, open := s.open[honest]
		require.True(t, open, when)
	}
	flood()
	requireOpen("before its first request")
	p, replaced := take("new")
	require.True(t, replaced.serving, "one of a flooder goes, not the new one of a client")
	p.Release()
	flood()
	honest.SetServing(true)
	flood()
	requireOpen("during a request")
	honest.SetServing(false)
	flood()
	requireOpen("between requests")
	old, _ := take("old") // sends no request
	flood()
	for i := range most + 2 {
		if p, _ := take(fmt.Sprint("next", i)); p != nil {
			p.SetServing(true)
		}
	}
	_, open := s.open[old]
	require.False(t, open, "it is new for a bounded time")
}

// The end of a slot may use the slots: it is called without their lock.
func TestAnEndReleasesItsSlot(t *testing.T) {
	s := New(1, 1)
	var first *Slot
	first = s.Acquire(func() { first.Release() }, "a")
	require.NotNil(t, s.Acquire(func() {}, "b"))
	require.Equal(t, 1, s.Len())
}
