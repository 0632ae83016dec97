package mutual

import (
	"bytes"
	"crypto/sha256"
	"io"
	"iter"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/lawtest"
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
		every := lawtest.Size(4, 1)
		for at := 0; at < len(b); at += every {
			if !yield(at) {
				return
			}
		}
	}
}

// Alice introduces Bob and Carol to each other; Mallory is a key of Alice's.
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

// testInvitee is one party, which stores and restores its state at every step.
type testInvitee struct {
	t    testing.TB
	key  *pointer.Key
	name string
	v    *Invitee
}

func (h *testInvitee) restart() {
	h.t.Helper()
	state := h.v.State()
	v, err := RestoreInvitee(state)
	require.NoError(h.t, err)
	require.Equal(h.t, state, v.State())
	h.v = v
}

func (h *testInvitee) accept() []Outgoing {
	h.t.Helper()
	out, err := h.v.Accept(now, seeded(h.name), h.key, payloadOf(h.name))
	require.NoError(h.t, err)
	h.restart()
	return out
}

// handle handles a message, and authenticates if that is due.
func (h *testInvitee) handle(from pointer.Pointer, b []byte) ([]Outgoing, error) {
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

func (h *testInvitee) phase() Phase {
	p, _ := h.v.Phase()
	return p
}

func (h *testInvitee) reason() Reason {
	_, r := h.v.Phase()
	return r
}

// scenario is a session of three parties.
type scenario struct {
	t          testing.TB
	i          *Introducer
	bob, carol *testInvitee
}

// newScenario starts an introduction of Bob and Carol by Alice.
func newScenario(t testing.TB, name string) *scenario {
	t.Helper()
	i, out, err := Start(now, seeded(name), alice, party(bob, "Bob W"), party(carol, "Caro"), now.Add(life))
	require.NoError(t, err)
	require.Len(t, out, 2)
	return &scenario{t: t, i: i, bob: receives(t, bob, "bob", out[0].Bytes), carol: receives(t, carol, "carol", out[1].Bytes)}
}

func receives(t testing.TB, key *pointer.Key, name string, request []byte) *testInvitee {
	t.Helper()
	v, err := Receive(now, key.Pointer(), alice.Pointer(), request)
	require.NoError(t, err)
	h := &testInvitee{t: t, key: key, name: name, v: v}
	h.restart()
	return h
}

// delivery is a message on its way.
type delivery struct {
	from pointer.Pointer
	Outgoing
}

func (p *scenario) from(k *pointer.Key, out []Outgoing) (all []delivery) {
	for _, o := range out {
		all = append(all, delivery{k.Pointer(), o})
	}
	return all
}

// deliver delivers one message to its recipient, and returns the messages that follow.
func (p *scenario) deliver(m delivery) ([]delivery, error) {
	p.t.Helper()
	switch m.To {
	case bob.Pointer():
		out, err := p.bob.handle(m.from, m.Bytes)
		return p.from(bob, out), err
	case carol.Pointer():
		out, err := p.carol.handle(m.from, m.Bytes)
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

// run delivers all messages in order until none is left, and returns them. pass returns
// the messages to deliver in place of one; nil delivers each.
func (p *scenario) run(queue []delivery, pass func(n int, m delivery) []delivery) (all []delivery) {
	p.t.Helper()
	for len(queue) > 0 {
		m := queue[0]
		queue = queue[1:]
		all = append(all, m)
		arrives := []delivery{m}
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

// acceptBoth makes both parties consent.
func (p *scenario) acceptBoth() []delivery {
	return append(p.from(bob, p.bob.accept()), p.from(carol, p.carol.accept())...)
}

// runUntil runs a session up to the first message of a kind to a recipient, and returns
// that message, undelivered. Other messages on their way are dropped.
func (p *scenario) runUntil(kind Kind, to *pointer.Key) delivery {
	p.t.Helper()
	var found *delivery
	p.run(p.acceptBoth(), func(_ int, m delivery) []delivery {
		if found != nil {
			return nil
		}
		if _, k, err := SessionOf(m.Bytes); err == nil && k == kind && m.To == to.Pointer() {
			found = &m
			return nil
		}
		return []delivery{m}
	})
	require.NotNil(p.t, found)
	return *found
}

// requireEnded requires that the session ended, and that no secret is left.
func (h *testInvitee) requireEnded(reason Reason) {
	h.t.Helper()
	require.Equal(h.t, Ended, h.phase())
	require.Equal(h.t, reason, h.reason())
	require.Nil(h.t, h.v.Transcript())
	require.Equal(h.t, &Invitee{phase: Ended, reason: reason, request: h.v.request}, h.v)
}
