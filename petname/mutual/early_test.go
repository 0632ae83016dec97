package mutual

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/petnames-go/petnames/pointer/lawtest"
)

// early reports whether the recipient of a message should handle it later.
func (p *scenario) early(m delivery) bool {
	switch m.To {
	case bob.Pointer():
		return p.bob.v.Early(m.Bytes)
	case carol.Pointer():
		return p.carol.v.Early(m.Bytes)
	}
	return p.i.Early(m.from, m.Bytes)
}

// Messages that arrive in any order, and more than once, complete the session if those that are
// early are handled later; and each becomes due.
func TestEarlyMessagesAreHandledLater(t *testing.T) {
	lawtest.Check(t, 40, func(rt *rapid.T) {
		p := newScenario(t, "early")
		queue := p.acceptBoth()
		for step := 0; len(queue) > 0; step++ {
			require.Less(rt, step, 500)
			at := rapid.IntRange(0, len(queue)-1).Draw(rt, "which")
			m := queue[at]
			if p.early(m) {
				continue
			}
			if rapid.IntRange(0, 3).Draw(rt, "again") > 0 {
				queue = append(queue[:at:at], queue[at+1:]...)
			}
			out, err := p.deliver(m)
			require.NoError(rt, err)
			queue = append(queue, out...)
		}
		phase, _ := p.i.Phase()
		require.Equal(rt, []Phase{Active, Active, Active}, []Phase{p.bob.phase(), p.carol.phase(), phase})
	})
}

// A message is early in the phases before its own alone, and never for another party.
func TestWhatIsEarly(t *testing.T) {
	all := newScenario(t, "what is early")
	messages := all.run(all.acceptBoth(), nil)
	p := newScenario(t, "what is early")
	for _, m := range messages {
		_, kind, err := SessionOf(m.Bytes)
		require.NoError(t, err)
		require.Equal(t, kind != KindAccept, p.early(m), "kind %d at the start", kind)
		require.False(t, all.early(m), "kind %d at the end", kind)
	}
	require.False(t, p.i.Early(dave.Pointer(), messages[len(messages)-1].Bytes))
	for _, junk := range [][]byte{nil, []byte("junk"), p.bob.v.request.raw, p.bob.v.Decline()[0].Bytes} {
		require.False(t, p.carol.v.Early(junk))
		require.False(t, p.i.Early(bob.Pointer(), junk))
	}
}
