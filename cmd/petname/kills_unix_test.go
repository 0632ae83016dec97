//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/pointer/lawtest"
)

// member is a node of a test's network, and where it logs.
type member struct {
	*background
	home, addr, log string
	dead            bool
}

// stored reports whether the log of the node states that it stored a record for a
// peer: it logs this before it answers.
func (m member) stored(t testing.TB, pointer string) bool {
	b, err := os.ReadFile(m.log)
	require.NoError(t, err)
	return bytes.Contains(b, []byte(`msg="record stored"`)) && bytes.Contains(b, []byte("key="+pointer))
}

// startNetwork starts so many nodes that know each other, each a process.
func startNetwork(t testing.TB, size int) []*member {
	var all []*member
	var bootstrap []string
	for i := range size {
		m := &member{home: newHome(t), log: filepath.Join(t.TempDir(), fmt.Sprintf("%d.log", i))}
		if i > 0 {
			config := fmt.Sprintf("network = \"peers\"\nbootstrap = %s\n", toJSON(t, bootstrap))
			require.NoError(t, os.WriteFile(filepath.Join(m.home, "config.toml"), []byte(config), 0o600))
		}
		m.background = serving(t, m.home, "--log", m.log, "--verbose")
		m.addr = status(t, m.home).Addrs[0]
		if bootstrap = append(bootstrap, m.addr); len(bootstrap) > 3 {
			bootstrap = bootstrap[:3]
		}
		all = append(all, m)
	}
	return all
}

func toJSON(t testing.TB, v any) string {
	b, err := json.Marshal(v)
	require.NoError(t, err)
	return string(b)
}

// If a third of the nodes of a network, each a process, are killed during a
// publication, the report of publish is true: the reported number of nodes stored the
// record, and the remaining ones have it and return it to a resolver.
func TestKilledMidPublish(t *testing.T) {
	t.Parallel()
	size := lawtest.Size(9, 30)
	kills := size / 3
	start := time.Now()
	network := startNetwork(t, size)
	t.Logf("%d nodes started in %s", size, time.Since(start).Round(time.Millisecond))
	survivors, victims := network[:size-kills], network[size-kills:]
	publisher := func() (home, pointer string) {
		home = newHome(t)
		require.Zero(t, verb(home, "join", survivors[0].addr, survivors[1].addr).exit)
		var id struct{ Pointer string }
		require.NoError(t, json.Unmarshal([]byte(verb(home, "id", "--json").stdout), &id))
		return home, id.Pointer
	}
	s := newRawPeer(t)
	check := func(what string, r result, pointer string) {
		var out published
		require.NoError(t, json.Unmarshal([]byte(r.stdout), &out), "%s", r.stderr)
		told, holders, dead := 0, 0, 0
		for _, m := range network {
			stored := m.stored(t, pointer)
			if stored {
				told++
			}
			if m.dead {
				if stored {
					dead++
				}
				continue
			}
			holds := s.holds(t, m.addr, pointer) == out.Sequence
			require.Equal(t, stored, holds, "%s: a node that lives has what it said it had", m.addr)
			if holds {
				holders++
			}
		}
		t.Logf("%s: exit %d, %d asked, %d stored, %d refused, %d unreachable in %.2f s; truly stored by %d, of which %d were killed and %d hold it",
			what, r.exit, out.Asked, out.Stored, out.Refused, out.Unreachable, out.Took, told, dead, holders)
		require.LessOrEqual(t, out.Stored, told, "it reported more than there are")
		require.LessOrEqual(t, out.Stored+out.Refused+out.Unreachable, out.Asked)
		require.GreaterOrEqual(t, out.Stored, 1)
		require.GreaterOrEqual(t, holders, out.Stored-dead)
		if len(survivors) < 15 { // every one of them is needed: it waited for all
			require.LessOrEqual(t, told, out.Stored+out.Unreachable, "it reported fewer than there are")
		}

		reader := newHome(t)
		require.Zero(t, verb(reader, "join", survivors[len(survivors)-1].addr).exit)
		got := verb(reader, "resolve", pointer, "--fresh", "--json")
		require.Zero(t, got.exit, got.stderr)
		var resolved resolved
		require.NoError(t, json.Unmarshal([]byte(got.stdout), &resolved))
		require.Equal(t, out.Sequence, resolved.Sequence)
		require.Equal(t, out.Value, resolved.Value)
		require.LessOrEqual(t, resolved.Agreed, holders)
		t.Logf("%s: resolved by %d answers, %d of which agree (%s)", what, resolved.Answered, resolved.Agreed, resolved.Freshness)
	}

	home, pointer := publisher()
	// Half of the nodes to kill are suspended first: the publication waits for them, so
	// that they are killed during it.
	for _, m := range victims[:(kills+1)/2] {
		require.NoError(t, m.cmd.Process.Signal(syscall.SIGSTOP))
	}
	_, end := began(t, home, "publish", firstPath, "--wait", "all", "--json")
	require.Eventually(t, func() bool { // one who will be killed has it, or as many as publish waits for
		have := 0
		for _, m := range survivors {
			if m.stored(t, pointer) {
				have++
			}
		}
		return slices.ContainsFunc(victims, func(m *member) bool { return m.stored(t, pointer) }) || have >= min(len(survivors), 15)
	}, patience, time.Millisecond)
	for _, m := range victims {
		require.NoError(t, m.cmd.Process.Kill())
		m.dead = true
	}
	r := end()
	for _, m := range victims {
		<-m.done
	}
	require.Contains(t, []int{0, exitNetwork}, r.exit, r.stderr)
	check("killed meanwhile", r, pointer)

	home, pointer = publisher()
	r = verb(home, "publish", firstPath, "--json")
	require.Zero(t, r.exit, r.stderr)
	check("afterwards", r, pointer)

	held := 0
	for _, m := range survivors {
		now := status(t, m.home)
		require.Empty(t, now.CutOff)
		held += now.Held.Records
	}
	require.GreaterOrEqual(t, held, 2)
	for _, m := range survivors {
		require.NoError(t, m.cmd.Process.Signal(syscall.SIGTERM))
	}
	for _, m := range survivors {
		ended(t, m.background)
		require.Zero(t, m.cmd.ProcessState.ExitCode(), m.stderr.String())
	}
}
