package agent_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/petname/agent"
)

// A record that would have expired when it is signed is refused before, and uses no sequence.
func TestNoRecordIsSignedThatHasExpired(t *testing.T) {
	a := opened(t)
	short := func(d *agent.Draft) error {
		d.Value, d.Lifetime, d.TTL, d.Wait = "/ipfs/bafkqaaa", 1, 0, agent.WaitNone
		return nil
	}
	p, err := a.PublishDraft(t.Context(), short)
	var argument *agent.ArgumentError
	require.ErrorAs(t, err, &argument)
	require.Equal(t, "lifetime", argument.Name)
	require.Zero(t, p.Sequence)
	p, err = a.PublishDraft(t.Context(), func(d *agent.Draft) error { _ = short(d); d.Lifetime = time.Hour; return nil })
	require.NoError(t, err)
	require.EqualValues(t, 1, p.Sequence)
}
