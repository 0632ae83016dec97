package ledger

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/pointer/lawtest"
)

// errorsIsAny reports whether an error is one of several.
func errorsIsAny(err error, targets ...error) bool {
	return slices.ContainsFunc(targets, func(target error) bool { return errors.Is(err, target) })
}

// history is a state of the exploration: what each of three devices holds, and how many of
// its operations it has done.
type history struct {
	held [3][][]byte
	done [3]int
}

// key identifies the state by its content.
func (h history) key() string {
	var b strings.Builder
	for i := range h.held {
		sorted := slices.SortedFunc(slices.Values(h.held[i]), bytes.Compare)
		fmt.Fprintf(&b, "%d %x\n", h.done[i], sha256.Sum256(bytes.Join(sorted, nil)))
	}
	return b.String()
}

// operation is one step of a device: it may first take what another device holds.
type operation struct {
	pull []int // devices
	do   func(l *Ledger) error
	fork bool // by a copy of the device's home, from before its last entry
}

// All interleavings of the operations of three devices, with admissions, a removal, a
// rotation of the identity and a fork among them: in each state the entries of all devices
// lead to one book, whatever the order in which they arrive and in how many batches, and
// however often.
func TestExploreAllInterleavings(t *testing.T) {
	later, steps := succeeded(t)
	names := []string{"one", "two", "three"}
	write := func(body string) func(*Ledger) error {
		return func(l *Ledger) error { _, err := l.Append([]byte(body)); return err }
	}
	admit := func(name string) func(*Ledger) error {
		return func(l *Ledger) error { return l.AdmitDevice(later, publicKey(name), name, steps...) }
	}
	remove := func(name string, rotated bool) func(*Ledger) error {
		return func(l *Ledger) error {
			if rotated {
				return l.RemoveDevice(later, deviceID(name), steps...)
			}
			return l.RemoveDevice(identity, deviceID(name))
		}
	}
	operations := [3][]operation{
		{{do: write("a=1")}, {pull: []int{1}, do: remove("two", true)}, {do: admit("four")}, {pull: []int{2}, do: write("a=2")}},
		{{do: write("a=3")}, {do: write("b=4"), fork: true}, {pull: []int{2}, do: remove("three", false)}, {pull: []int{0}, do: write("a=5")}},
		{{do: write("b=6")}, {pull: []int{1}, do: write("a=7")}, {do: admit("five")}, {pull: []int{0}, do: write("b=8")}},
	}
	count := 4
	if !lawtest.Long() {
		count = 2
	}
	a, _ := newBook(t)
	for _, n := range names[1:] {
		require.NoError(t, a.AdmitDevice(identity, publicKey(n), n))
	}
	fresh := copies(t, a)
	open := func(name string, wires [][]byte) *Ledger {
		l, err := Open(fresh(t)[0], testKey(name), multi{}, testOptions())
		require.NoError(t, err)
		merges(t, unsynced(l), wires...)
		return l
	}
	states, checked := 0, map[string]bool{}
	seen := map[string]bool{}
	var explore func(h history)
	explore = func(h history) {
		if k := h.key(); seen[k] {
			return
		} else {
			seen[k] = true
		}
		states++
		var all [][]byte
		for _, held := range h.held {
			for _, w := range held {
				if !slices.ContainsFunc(all, func(o []byte) bool { return bytes.Equal(o, w) }) {
					all = append(all, w)
				}
			}
		}
		if k := string(bytes.Join(slices.SortedFunc(slices.Values(all), bytes.Compare), nil)); !checked[k] {
			checked[k] = true
			one := open("one", all)
			other := open("one", nil)
			backwards := slices.Clone(all)
			slices.Reverse(backwards)
			merges(t, other, backwards...)
			third := open("one", nil)
			require.NoError(t, third.Follow(trueSuccession(t, 1)))
			for i := len(h.held) - 1; i >= 0; i-- {
				merges(t, third, h.held[i]...)
			}
			want, hash, devices := dump(t, one), digest(t, one), one.Devices()
			require.NoError(t, one.Rebuild())
			require.Equal(t, want, dump(t, one))
			for _, l := range []*Ledger{other, third} {
				require.Equal(t, hash, digest(t, l))
				require.Equal(t, want, dump(t, l))
				require.ElementsMatch(t, devices, l.Devices())
			}
			merges(t, other, all...)
			require.NoError(t, other.Follow(trueSuccession(t, 0)))
			require.Equal(t, hash, digest(t, other))
			for _, l := range []*Ledger{one, other, third} {
				require.NoError(t, l.Close())
			}
		}
		for i := range operations {
			if h.done[i] == count {
				continue
			}
			op := operations[i][h.done[i]]
			next := h
			next.done[i]++
			held := slices.Clone(h.held[i])
			l := open(names[i], held)
			if op.fork {
				before := slices.DeleteFunc(slices.Clone(held), func(w []byte) bool {
					e, err := unwireEntry(l.Book(), w)
					require.NoError(t, err)
					return e.id.Device == l.self
				})
				require.NoError(t, l.Close())
				l = open(names[i], before)
			}
			for _, from := range op.pull {
				merges(t, l, h.held[from]...)
				held = appendNew(held, h.held[from])
			}
			heads := l.Heads()
			if err := op.do(l); err == nil {
				held = appendNew(held, missing(t, l, heads))
			}
			require.NoError(t, l.Close())
			next.held[i] = held
			explore(next)
		}
	}
	explore(history{})
	t.Logf("%d states, with %d sets of entries", states, len(checked))
	require.Greater(t, states, 20)
}

// appendNew appends the entries that held lacks.
func appendNew(held, more [][]byte) [][]byte {
	for _, w := range more {
		if !slices.ContainsFunc(held, func(o []byte) bool { return bytes.Equal(o, w) }) {
			held = append(held, w)
		}
	}
	return held
}
