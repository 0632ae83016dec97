package mutual

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/pointer/canonical"
)

// A message has exactly the fields of its kind, each within its bounds.
func TestMessageHasTheShapeOfItsKind(t *testing.T) {
	sent, _, _, _ := messages(t)
	good := make(map[Kind]map[int]any)
	for _, b := range sent {
		var m map[int]any
		require.NoError(t, canonical.Unmarshal(b, &m, canonical.Bounds{}))
		good[mustDecode(t, b).Kind] = m
	}
	require.Len(t, good, len(shapes))
	all := make(map[int]any) // a value of each field
	for _, m := range good {
		maps.Copy(all, m)
	}
	require.Len(t, all, 21)
	refuses := func(of map[int]any, what ...any) {
		t.Helper()
		_, err := decode(encode(of))
		require.ErrorIs(t, err, ErrInvalid, what...)
	}
	with := func(kind Kind, key int, value any) map[int]any {
		m := maps.Clone(good[kind])
		m[key] = value
		return m
	}
	for kind, m := range good {
		for key, value := range all {
			if key == 1 || kind == KindRequest && (key == 9 || key == 10) {
				continue
			}
			if _, present := m[key]; !present {
				refuses(with(kind, key, value), "kind %d with field %d", kind, key)
				continue
			}
			less := maps.Clone(m)
			delete(less, key)
			refuses(less, "kind %d without field %d", kind, key)
			if b, ok := m[key].([]byte); ok && !slices.Contains([]int{6, 7, 16, 17, 18}, key) { // pointers and parts have variable sizes
				refuses(with(kind, key, b[1:]), "kind %d, short field %d", kind, key)
				refuses(with(kind, key, append(bytes.Clone(b), 0)), "kind %d, long field %d", kind, key)
			}
		}
	}
	for _, kind := range []uint64{0, 8, 255} {
		refuses(with(KindDecline, 1, kind), "kind %d", kind)
	}
	for name, c := range map[string]struct {
		kind  Kind
		key   int
		most  any
		wrong []any
	}{
		"side":      {KindAuth, 3, uint64(2), []any{uint64(0), uint64(3)}},
		"end":       {KindAccept, 4, int64(maxMillis), []any{int64(maxMillis + 1), int64(-1), int64(0)}},
		"made":      {KindRequest, 5, int64(maxMillis), []any{int64(maxMillis + 1), int64(-1), int64(0)}},
		"by":        {KindRequest, 6, bob.Pointer().Bytes(), []any{[]byte{}, []byte("by"), append(bob.Pointer().Bytes(), 0)}},
		"to":        {KindAccept, 7, bob.Pointer().Bytes(), []any{[]byte{}, []byte("to"), append(bob.Pointer().Bytes(), 0)}},
		"suggested": {KindRequest, 9, strings.Repeat("x", maxText), []any{strings.Repeat("x", maxText+1)}},
		"note":      {KindRequest, 10, strings.Repeat("x", maxNote), []any{strings.Repeat("x", maxNote+1)}},
		"about":     {KindReveal, 16, bob.Pointer().Bytes(), []any{[]byte{}, []byte("about"), append(bob.Pointer().Bytes(), 0)}},
		"consent":   {KindReveal, 17, make([]byte, maxAccept), []any{make([]byte, maxAccept+1)}},
		"sealed":    {KindAuth, 18, make([]byte, maxSealed), []any{make([]byte, maxSealed+1)}},
		"reason":    {KindAbort, 20, uint64(maxReason), []any{uint64(maxReason + 1), uint64(0)}},
	} {
		_, err := decode(encode(with(c.kind, c.key, c.most)))
		require.NoError(t, err, name)
		for _, wrong := range c.wrong {
			refuses(with(c.kind, c.key, wrong), "%s %v", name, wrong)
		}
	}
	long := make([]byte, maxMessage+1)
	require.ErrorContains(t, decodeInto(long, maxMessage, new(wire)), "6001 bytes")
}

// The introducer forwards a proof and a confirmation only from their own side,
// in their order, and before the end of the session.
func TestIntroducerChecksSidesAndOrder(t *testing.T) {
	for name, c := range map[string]struct {
		kind  Kind // the first message of this kind to the introducer is changed
		wrong func(p *scenario, m *message)
	}{
		"a proof of the other side":        {KindAuth, func(_ *scenario, m *message) { m.Side = otherSide(m.Side) }},
		"a confirmation of the other side": {KindActivate, func(_ *scenario, m *message) { m.Side = otherSide(m.Side) }},
		"a confirmation before the other proof": {KindAuth, func(_ *scenario, m *message) {
			*m = message{wire: wire{Kind: KindActivate, Session: m.Session, Side: m.Side, MAC: make([]byte, hashSize)}}
		}},
		"a second proof": {KindActivate, func(_ *scenario, m *message) {
			*m = message{wire: wire{Kind: KindAuth, Session: m.Session, Side: m.Side, Sealed: make([]byte, 50)}}
		}},
	} {
		p := newScenario(t, "sides")
		m := p.runUntil(c.kind, alice)
		if name == "a confirmation before the other proof" { // after the same side's proof
			_, err := p.deliver(m)
			require.NoError(t, err)
		}
		w := mustDecode(t, m.Bytes)
		c.wrong(p, &w)
		m.Bytes = encode(w.wire)
		out, err := p.deliver(m)
		var ended *EndedError
		require.ErrorAs(t, err, &ended, name)
		require.Equal(t, Unexpected, ended.Reason, name)
		require.Len(t, out, 2, "both contacts are notified")
		require.Equal(t, &Introducer{phase: Ended, reason: Unexpected, requests: p.i.requests}, p.i, "and no state remains")
	}
	p := newScenario(t, "the end")
	m := p.runUntil(KindAuth, alice)
	out, err := p.i.Handle(now.Add(life), m.from, m.Bytes)
	var ended *EndedError
	require.ErrorAs(t, err, &ended)
	require.Equal(t, Expired, ended.Reason)
	require.Empty(t, out, "nothing is forwarded")

	p = newScenario(t, "done")
	p.run(p.acceptBoth(), nil)
	phase, _ := p.i.Phase()
	require.Equal(t, Active, phase)
	require.Equal(t, [3][]byte{}, p.i.salts, "the salts of the requests are erased")
}

// A confirmation with a valid MAC of the wrong side is refused.
func TestConfirmationIsOfThePeersSide(t *testing.T) {
	p := newScenario(t, "whose confirmation")
	m := mustDecode(t, p.runUntil(KindActivate, bob).Bytes)
	m.Side = otherSide(m.Side)
	p.bob.requireRefusal(encode(m.wire), Invalid)
}

// The seal of a proof depends on the side of its sender.
func TestProofUnderThePeersSealIsRefused(t *testing.T) {
	p := newScenario(t, "whose seal")
	m := mustDecode(t, p.runUntil(KindAuth, bob).Bytes)
	require.EqualValues(t, 2, m.Side)
	a := p.carol.v.keys
	plain, err := a.aead(2).Open(nil, m.Sealed[:gcmNonceSize], m.Sealed[gcmNonceSize:], a.additionalData(2))
	require.NoError(t, err)
	m.Side = 1
	m.Sealed = a.aead(1).Seal(bytes.Clone(m.Sealed[:gcmNonceSize]), m.Sealed[:gcmNonceSize], plain, a.additionalData(1))
	p.bob.requireRefusal(encode(m.wire), Invalid)
}

// After the end of a session its parties neither consent to it nor prove
// anything in it.
func TestNothingIsSignedAfterTheEnd(t *testing.T) {
	end := now.Add(life)
	p := newScenario(t, "too late")
	_, err := p.bob.v.Accept(end, seeded("x"), bob, payloadOf("bob"))
	var ended *EndedError
	require.ErrorAs(t, err, &ended)
	p.bob.requireEnded(Expired)

	p = newScenario(t, "too late to prove")
	reveal := p.runUntil(KindReveal, bob)
	_, err = p.bob.v.Handle(end.Add(-1), reveal.from, reveal.Bytes)
	require.NoError(t, err)
	require.True(t, p.bob.v.NeedsKey())
	out, err := p.bob.v.Authenticate(end, seeded("x"), bob)
	require.ErrorAs(t, err, &ended)
	require.Empty(t, out)
	p.bob.requireEnded(Expired)
}

// Accept succeeds once: its statement cannot be replaced.
func TestAcceptSucceedsOnce(t *testing.T) {
	p := newScenario(t, "twice")
	p.bob.accept()
	before := p.bob.v.State()
	out, err := p.bob.v.Accept(now, seeded("x"), bob, payloadOf("bob"))
	require.Error(t, err)
	require.Empty(t, out)
	require.Equal(t, before, p.bob.v.State())
}
