package delegation

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/pointer/canonical"
	"github.com/petnames-go/petnames/pointer/canonical/canonicaltest"
)

// Accepted delegations, hellos and answers re-encode to the same bytes.
func FuzzMessages(f *testing.F) {
	canonicaltest.RequireCorpus(f, "FuzzMessages")
	hello, w, err := aliceToBob(f).Hello()
	require.NoError(f, err)
	h, err := openedBy(f, "bob", "bob's peer", "alice's peer", hello)
	require.NoError(f, err)
	answer, err := h.Answer(delegate(f, "bob", "bob's peer", 0), Accepted)
	require.NoError(f, err)
	f.Add(delegate(f, "alice", "alice's peer", 2).Bytes())
	f.Add(hello)
	f.Add(answer)
	f.Fuzz(func(t *testing.T, b []byte) {
		if d, err := Open(b); err == nil {
			require.Equal(t, b, d.Bytes())
			inner, err := canonical.Marshal(d.body)
			require.NoError(t, err)
			var s signed
			require.NoError(t, canonical.Unmarshal(b, &s, canonical.Bounds{}))
			require.Equal(t, s.Body, inner)
		}
		if _, d, err := w.Open(b); err == nil {
			require.Equal(t, w.to, d.By())
		}
		if h, err := openedBy(t, "bob", "bob's peer", "alice's peer", b); err == nil {
			require.Equal(t, h.By.Peer(), testKey(t, "alice's peer").Pointer())
		}
	})
}
