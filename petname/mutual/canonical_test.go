package mutual

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

// spellings returns other encodings of a message, a map whose first two entries
// are its kind and its session. Some of them have additional content.
func spellings(t testing.TB, m []byte) map[string][]byte {
	t.Helper()
	require.Equal(t, byte(5), m[0]>>5)
	require.Less(t, m[0]&31, byte(23))
	require.Equal(t, []byte{1, m[2], 2, 0x58, 32}, m[1:6])
	head, kind, session, rest := m[0], m[1:3], m[3:38], m[38:]
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	return map[string][]byte{
		"a key in two bytes":      join([]byte{head, 0x18}, kind, session, rest),
		"a number in two bytes":   join([]byte{head, 1, 0x18}, kind[1:], session, rest),
		"a length in three bytes": join([]byte{head}, kind, []byte{2, 0x59, 0, 32}, session[3:], rest),
		"a head in two bytes":     join([]byte{0xb8, head & 31}, kind, session, rest),
		"another order":           join([]byte{head}, session, kind, rest),
		"an open end":             join([]byte{0xbf}, kind, session, rest, []byte{0xff}),
		"a key twice":             join([]byte{head + 1}, kind, kind, session, rest),
		"an unknown key":          join([]byte{head + 1}, kind, session, rest, []byte{0x18, 30, 0}),
		"a null":                  join([]byte{head + 1}, kind, session, rest, []byte{0x18, 30, 0xf6}),
		"a tag":                   join([]byte{0xc6}, m),
		"more behind it":          join(m, []byte{0}),
	}
}

// A message has one encoding. Signatures cover that encoding, so accepting a
// second one would allow another message under the same signature.
func TestMessageHasOneEncoding(t *testing.T) {
	sent, _, _, _ := messages(t)
	kinds := map[Kind]bool{}
	for _, good := range sent {
		m := mustDecode(t, good)
		kinds[m.Kind] = true
		for reason, bad := range spellings(t, good) {
			_, err := decode(bad)
			require.ErrorIs(t, err, ErrInvalid, "kind %d: %s", m.Kind, reason)
			if m.Kind == KindRequest {
				_, err := Receive(now, m.to, m.by, bad)
				require.ErrorIs(t, err, ErrInvalid, reason)
			}
		}
	}
	require.Len(t, kinds, len(shapes), "of each kind")
}

// The parts of a message that are lists have one encoding, too.
func TestListHasOneEncoding(t *testing.T) {
	_, invitee, introducer, transcript := messages(t)
	payload, err := encodePayload(payloadOf("bob"), make([]byte, saltSize))
	require.NoError(t, err)
	for name, c := range map[string]struct {
		good []byte
		open func([]byte) error
	}{
		"payload":    {payload, func(b []byte) error { _, err := openPayload(b); return err }},
		"transcript": {transcript, func(b []byte) error { _, err := Verify(b); return err }},
		"invitee":    {invitee[0], func(b []byte) error { _, err := RestoreInvitee(b); return err }},
		"introducer": {introducer[0], func(b []byte) error { _, err := RestoreIntroducer(b); return err }},
	} {
		require.NoError(t, c.open(c.good), name)
		require.Equal(t, byte(4), c.good[0]>>5, name)
		n := c.good[0] & 31
		for reason, bad := range map[string][]byte{
			"a head in two bytes": append([]byte{0x98, n}, c.good[1:]...),
			"an open end":         append(append([]byte{0x9f}, c.good[1:]...), 0xff),
			"one more":            append(append([]byte{0x80 + n + 1}, c.good[1:]...), 0),
			"a tag":               append([]byte{0xc6}, c.good...),
			"more behind it":      append(bytes.Clone(c.good), 0),
		} {
			require.ErrorIs(t, c.open(bad), ErrInvalid, "%s: %s", name, reason)
		}
	}
}
