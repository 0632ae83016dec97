package agent_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/petname/agent"
)

// A draft has bounds. A value at a bound is accepted. A value beyond it is an
// ArgumentError with its name.
func TestADraftHasBounds(t *testing.T) {
	long := "/ipfs/bafkqaaa/" + strings.Repeat("x", agent.MaxValue)
	for name, c := range map[string]struct {
		good, bad func(d *agent.Draft)
		argument  string
	}{
		"value":        {value(long[:agent.MaxValue]), value(long[:agent.MaxValue+1]), "value"},
		"its form":     {value("/ipns/k51qzi5uqu5dj14f9vvbpgm71vgojks1ptxr1ucs1z2ojs8omwb4s0wbkjpnnr"), value("bafkqaaa"), "path"},
		"lifetime":     {func(d *agent.Draft) { d.Lifetime = agent.MaxLifetime }, func(d *agent.Draft) { d.Lifetime = agent.MaxLifetime + 1 }, "lifetime"},
		"no lifetime":  {func(d *agent.Draft) { d.Lifetime, d.TTL = 1, 0 }, func(d *agent.Draft) { d.Lifetime, d.TTL = 0, 0 }, "lifetime"},
		"TTL":          {func(d *agent.Draft) { d.TTL = time.Hour }, func(d *agent.Draft) { d.TTL = time.Hour + 1 }, "ttl"},
		"negative TTL": {func(d *agent.Draft) { d.TTL = 0 }, func(d *agent.Draft) { d.TTL = -1 }, "ttl"},
	} {
		d := agent.Draft{Value: "/ipfs/bafkqaaa", TTL: time.Minute, Lifetime: time.Hour}
		c.good(&d)
		require.NoError(t, agent.CheckDraft(d), name)
		c.bad(&d)
		var bad *agent.ArgumentError
		require.ErrorAs(t, agent.CheckDraft(d), &bad, name)
		require.Equal(t, c.argument, bad.Name, name)
	}
}
