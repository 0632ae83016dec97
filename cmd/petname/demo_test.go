package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

type told struct {
	V     int
	Steps []step
}

// The demonstration succeeds. Each step states what happened and which commands were
// run, and the homes can be used afterwards, offline.
func TestDemo(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "homes")
	var stdout, stderr bytes.Buffer
	exit := run(context.Background(), []string{"demo", "--nodes", "6", "--keep", dir, "--json"}, strings.NewReader(""), &stdout, &stderr)
	require.Zero(t, exit, stderr.String())
	require.Empty(t, stderr.String())
	require.NoError(t, checkOutput([]string{"--json"}, exit, stdout.String(), stderr.String()))
	var out told
	dec := json.NewDecoder(&stdout)
	dec.DisallowUnknownFields()
	require.NoError(t, dec.Decode(&out))
	require.Equal(t, 1, out.V)
	require.Len(t, out.Steps, 17)
	for _, s := range out.Steps {
		require.True(t, s.OK, s.Name)
		require.NotEmpty(t, s.Name)
		require.NotEmpty(t, s.Detail)
		require.Positive(t, s.Took)
		for _, line := range strings.Split(s.Command, "\n") {
			if line == "" {
				continue
			}
			words := shellWords(line)
			require.Equal(t, "petname", words[0], line)
			require.NoError(t, parses(words[1:]), "%s: %q", s.Name, line)
		}
	}
	for _, who := range []string{"alice", "bob", "carol"} {
		home := filepath.Join(dir, who)
		require.Zero(t, verb(home, "id").exit, who)
		require.Zero(t, verb(home, "log", "--verify").exit, who)
		require.Zero(t, verb(home, "record", "export", "-o", filepath.Join(t.TempDir(), "r")).exit, who)
	}
	carol := filepath.Join(dir, "carol")
	require.Zero(t, verb(carol, "resolve", "alice", "--offline").exit)
	require.Zero(t, verb(carol, "resolve", "alice/bob", "--offline").exit)
	r := verb(filepath.Join(dir, "alice"), "demo", "--keep", dir)
	require.Equal(t, exitConflict, r.exit)
	require.Contains(t, r.stderr, "not empty")
}

// If the check of a step fails, the demonstration ends with a failure: each step in turn.
func TestDemoFails(t *testing.T) {
	for _, asJSON := range []bool{false, true} {
		var stdout, stderr bytes.Buffer
		a := &app{ctx: context.Background(), stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr, json: asJSON}
		after := false
		err := a.runDemo(context.Background(), "", func(d *demo) []demoStep {
			return []demoStep{
				{"one", func() (string, error) { return "fine", nil }},
				{"two", func() (string, error) { return "", errors.New("it broke") }},
				{"three", func() (string, error) { after = true; return "", nil }},
			}
		})
		require.Error(t, err)
		require.Equal(t, exitFailure, classify(err).Exit)
		require.Contains(t, err.Error(), "it broke")
		require.False(t, after)
		if !asJSON {
			require.Contains(t, stdout.String(), "FAILED: two")
			require.NotContains(t, stdout.String(), "All")
			continue
		}
		var out told
		require.NoError(t, json.Unmarshal(stdout.Bytes(), &out), stdout.String())
		require.Len(t, out.Steps, 2)
		require.False(t, out.Steps[1].OK)
		require.Equal(t, "it broke", out.Steps[1].Detail)
	}
}

// The checks of the demonstration fail when their condition is false: all nodes of the
// network have stopped before names are resolved, or alice has taken back what carol
// reads next.
func TestDemoChecks(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		before   string
		sabotage func(d *demo) (string, error)
		failed   string
	}{
		{"resolves, through the DHT", func(d *demo) (string, error) { d.network.close(); return "", nil }, "resolve"},
		{"Carol is back", func(d *demo) (string, error) { return "", d.mustRun("alice", nil, "retract", "bobby", "--to", "caz") }, "carol's inbox has []"},
	} {
		var stdout, stderr bytes.Buffer
		a := &app{ctx: context.Background(), stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr, json: true}
		err := a.runDemo(context.Background(), "", func(d *demo) []demoStep {
			var out []demoStep
			for _, c := range d.storySteps(4) {
				if strings.Contains(c.name, test.before) {
					out = append(out, demoStep{"sabotage", func() (string, error) { return test.sabotage(d) }})
				}
				out = append(out, c)
			}
			return out
		})
		require.ErrorContains(t, err, test.failed)
		var out told
		require.NoError(t, json.Unmarshal(stdout.Bytes(), &out))
		require.False(t, out.Steps[len(out.Steps)-1].OK)
		require.Equal(t, "sabotage", out.Steps[len(out.Steps)-2].Name)
	}
}
