package mutual

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/pointer"
)

// messages returns the messages of one session, and the states of its three parties.
func messages(t testing.TB) (sent, invitee, introducer [][]byte, transcript []byte) {
	p := newScenario(t, "fuzz")
	sent = [][]byte{p.bob.v.request.raw, p.carol.v.request.raw}
	note := func() {
		invitee = append(invitee, p.bob.v.State(), p.carol.v.State())
		introducer = append(introducer, p.i.State())
	}
	note()
	p.run(p.acceptBoth(), func(_ int, m delivery) []delivery {
		sent = append(sent, m.Bytes)
		note()
		return []delivery{m}
	})
	note()
	transcript = p.bob.v.Transcript()
	q := newScenario(t, "fuzz ends")
	for _, o := range q.i.Withdraw() {
		sent = append(sent, o.Bytes)
	}
	introducer = append(introducer, q.i.State())
	for _, o := range q.bob.v.Decline() {
		sent = append(sent, o.Bytes)
	}
	return sent, append(invitee, q.bob.v.State()), introducer, transcript
}

// Accepted bytes re-encode to the same bytes, and no message makes a party Active
// that did not wait for it.
func FuzzMessage(f *testing.F) {
	sent, invitee, introducer, _ := messages(f)
	for _, b := range sent {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, err := decode(b); err != nil {
			require.ErrorIs(t, err, ErrInvalid)
		} else {
			require.Equal(t, b, encode(m.wire))
		}
		_, _ = OpenRequest(b, now)
		for _, state := range invitee[4:8] {
			v, err := RestoreInvitee(state)
			require.NoError(t, err)
			_, _ = v.Handle(now, alice.Pointer(), b)
			_, err = RestoreInvitee(v.State())
			require.NoError(t, err)
		}
		for _, from := range []*pointer.Key{bob, carol} {
			i, err := RestoreIntroducer(introducer[2])
			require.NoError(t, err)
			_, _ = i.Handle(now, from.Pointer(), b)
			_, err = RestoreIntroducer(i.State())
			require.NoError(t, err)
		}
	})
}

func FuzzState(f *testing.F) {
	_, invitee, introducer, _ := messages(f)
	for _, b := range append(invitee, introducer...) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if v, err := RestoreInvitee(b); err != nil {
			require.ErrorIs(t, err, ErrInvalid)
		} else {
			require.Equal(t, b, v.State())
			_, _ = v.Handle(now, v.request.by, v.request.raw)
		}
		if i, err := RestoreIntroducer(b); err != nil {
			require.ErrorIs(t, err, ErrInvalid)
		} else {
			require.Equal(t, b, i.State())
			_ = i.Withdraw()
		}
	})
}

func FuzzTranscript(f *testing.F) {
	_, _, _, transcript := messages(f)
	f.Add(transcript)
	redacted, err := Redact(transcript)
	require.NoError(f, err)
	f.Add(redacted)
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, w, err := openTranscript(b); err != nil {
			require.ErrorIs(t, err, ErrInvalid)
		} else {
			require.Equal(t, b, encode(w))
		}
	})
}

func FuzzPayload(f *testing.F) {
	for _, p := range []pointer.Details{{}, payloadOf("bob")} {
		b, err := encodePayload(p, make([]byte, saltSize))
		require.NoError(f, err)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := openPayload(b)
		if err != nil {
			require.ErrorIs(t, err, ErrInvalid)
			return
		}
		var w wirePayload
		require.NoError(t, decodeInto(b, maxPayload, &w))
		again, err := encodePayload(p, w.Salt)
		require.NoError(t, err)
		require.Equal(t, b, again)
	})
}
