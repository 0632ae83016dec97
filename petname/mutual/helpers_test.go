package mutual

import (
	"bytes"
	"crypto/sha256"
	"flag"
	"io"
	"iter"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/pointer"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const life = 30 * 24 * time.Hour

func testKey(name string) *pointer.Key {
	seed := sha256.Sum256([]byte("mutual test " + name))
	k, err := pointer.NewKey(bytes.NewReader(seed[:]))
	if err != nil {
		panic(err)
	}
	return k
}

// flips yields the offsets of a message to change: every fourth byte, or every
// byte if PETNAME_TEST_LONG is set. Only the keys of maps are shorter than four
// bytes.
func flips(b []byte) iter.Seq[int] {
	return func(yield func(int) bool) {
		every := 4
		if os.Getenv("PETNAME_TEST_LONG") == "1" {
			every = 1
		}
		for at := 0; at < len(b); at += every {
			if !yield(at) {
				return
			}
		}
	}
}

// quickly reduces the runs of a slow rapid property, unless PETNAME_TEST_LONG
// is set or the command line sets a number.
func quickly(t testing.TB, checks int) {
	t.Helper()
	f := flag.Lookup("rapid.checks")
	if os.Getenv("PETNAME_TEST_LONG") == "1" || f.Value.String() != f.DefValue {
		return
	}
	require.NoError(t, f.Value.Set(strconv.Itoa(checks)))
	t.Cleanup(func() { require.NoError(t, f.Value.Set(f.DefValue)) })
}

// Alice introduces Bob and Carol to each other; Mallory is a key that Alice made up.
var alice, bob, carol, dave, mallory, trudy = testKey("alice"), testKey("bob"), testKey("carol"), testKey("dave"), testKey("mallory"), testKey("trudy")

func seeded(name string) io.Reader {
	return rand.NewChaCha8(sha256.Sum256([]byte("mutual test randomness " + name)))
}

func party(k *pointer.Key, name string) Party {
	return Party{Pointer: k.Pointer(), Suggested: name, Note: "from the choir"}
}

func payloadOf(name string) pointer.Details {
	next, err := pointer.Commit(testKey(name + "'s next").Public())
	if err != nil {
		panic(err)
	}
	return pointer.Details{Next: next, Nickname: "~" + name, Addresses: [][]byte{[]byte("the address of " + name)},
		Sealing: []pointer.SealingKey{{KEM: 0x20, Key: bytes.Repeat([]byte{name[0]}, 32)}}}
}

// home is one of the two, who stores and restores the state at every step.
type home struct {
	t    testing.TB
	key  *pointer.Key
	name string
	v    *Invitee
}

func (h *home) restart() {
	h.t.Helper()
	state := h.v.State()
	v, err := RestoreInvitee(state)
	require.NoError(h.t, err)
	require.Equal(h.t, state, v.State())
	h.v = v
}

func (h *home) accept() []Outgoing {
	h.t.Helper()
	out, err := h.v.Accept(now, seeded(h.name), h.key, payloadOf(h.name))
	require.NoError(h.t, err)
	h.restart()
	return out
}

// take handles a message, and proves the key if that is due.
func (h *home) take(from pointer.Pointer, b []byte) ([]Outgoing, error) {
	h.t.Helper()
	out, err := h.v.Handle(now, from, b)
	h.restart()
	if h.v.NeedsKey() {
		more, err := h.v.Authenticate(now, seeded(h.name+" proves"), h.key)
		require.NoError(h.t, err)
		h.restart()
		out = append(out, more...)
	}
	return out, err
}

func (h *home) phase() Phase {
	p, _ := h.v.Phase()
	return p
}

func (h *home) reason() Reason {
	_, r := h.v.Phase()
	return r
}

// play is a session of the three.
type play struct {
	t          testing.TB
	i          *Introducer
	bob, carol *home
}

// starts has Alice offer to introduce Bob and Carol to each other.
func starts(t testing.TB, name string) *play {
	t.Helper()
	i, out, err := Start(now, seeded(name), alice, party(bob, "Bob W"), party(carol, "Caro"), now.Add(life))
	require.NoError(t, err)
	require.Len(t, out, 2)
	return &play{t: t, i: i, bob: receives(t, bob, "bob", out[0].Bytes), carol: receives(t, carol, "carol", out[1].Bytes)}
}

func receives(t testing.TB, key *pointer.Key, name string, request []byte) *home {
	t.Helper()
	v, err := Receive(now, key.Pointer(), alice.Pointer(), request)
	require.NoError(t, err)
	h := &home{t: t, key: key, name: name, v: v}
	h.restart()
	return h
}

// sent is a message on its way.
type sent struct {
	from pointer.Pointer
	Outgoing
}

func (p *play) from(k *pointer.Key, out []Outgoing) (all []sent) {
	for _, o := range out {
		all = append(all, sent{k.Pointer(), o})
	}
	return all
}

// deliver brings one message to whom it is for, and gives what comes of it.
func (p *play) deliver(m sent) ([]sent, error) {
	p.t.Helper()
	switch m.To {
	case bob.Pointer():
		out, err := p.bob.take(m.from, m.Bytes)
		return p.from(bob, out), err
	case carol.Pointer():
		out, err := p.carol.take(m.from, m.Bytes)
		return p.from(carol, out), err
	}
	out, err := p.i.Handle(now, m.from, m.Bytes)
	state := p.i.State()
	var rerr error
	p.i, rerr = RestoreIntroducer(state)
	require.NoError(p.t, rerr)
	require.Equal(p.t, state, p.i.State())
	return p.from(alice, out), err
}

// run delivers all there is, in order, until nothing is on its way. pass says
// what becomes of a message; nil: it arrives. It gives all that was sent.
func (p *play) run(queue []sent, pass func(n int, m sent) []sent) (all []sent) {
	p.t.Helper()
	for len(queue) > 0 {
		m := queue[0]
		queue = queue[1:]
		all = append(all, m)
		arrives := []sent{m}
		if pass != nil {
			arrives = pass(len(all)-1, m)
		}
		for _, m := range arrives {
			out, _ := p.deliver(m)
			queue = append(queue, out...)
		}
	}
	return all
}

// accepts has both consent.
func (p *play) accepts() []sent {
	return append(p.from(bob, p.bob.accept()), p.from(carol, p.carol.accept())...)
}

// until runs a session up to the first message of a kind to somebody, and gives
// it, undelivered. What else is on its way is lost.
func (p *play) until(kind Kind, to *pointer.Key) sent {
	p.t.Helper()
	var found *sent
	p.run(p.accepts(), func(_ int, m sent) []sent {
		if found != nil {
			return nil
		}
		if _, k, err := SessionOf(m.Bytes); err == nil && k == kind && m.To == to.Pointer() {
			found = &m
			return nil
		}
		return []sent{m}
	})
	require.NotNil(p.t, found)
	return *found
}

// ended requires that nothing came of it for somebody, and nothing secret is left.
func (h *home) ended(why Reason) {
	h.t.Helper()
	require.Equal(h.t, Ended, h.phase())
	require.Equal(h.t, why, h.reason())
	require.Nil(h.t, h.v.Transcript())
	require.Equal(h.t, &Invitee{phase: Ended, reason: why, request: h.v.request}, h.v)
}
