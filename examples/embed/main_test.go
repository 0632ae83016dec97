package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/petname/agent/libp2p"
)

// The program finds what the holder of a link has published, and publishes itself,
// in the network of a node on loopback. It can be run again on the same home.
func TestAPersonResolvesAContact(t *testing.T) {
	ctx := t.Context()
	bob, err := agent.Open(ctx, filepath.Join(t.TempDir(), "bob"), agent.Options{Create: &agent.Profile{Nickname: "Bob"},
		Transport: libp2p.New(libp2p.Options{Timeout: time.Minute, Listen: []string{"/ip4/127.0.0.1/tcp/0"}})})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, bob.Close()) })
	require.NoError(t, bob.Start(ctx))
	status, err := bob.Status()
	require.NoError(t, err)
	link, err := bob.Link()
	require.NoError(t, err)
	dir := filepath.Join(t.TempDir(), "ana")

	_, err = person(ctx, dir, status.Addrs[0], link.String())
	require.ErrorIs(t, err, dht.ErrNotFound, "bob has published nothing yet")

	// Another node is what bob stores at.
	other, err := agent.Open(ctx, filepath.Join(t.TempDir(), "other"), agent.Options{Create: &agent.Profile{},
		Transport: libp2p.New(libp2p.Options{Timeout: time.Minute, Listen: []string{"/ip4/127.0.0.1/tcp/0"}})})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, other.Close()) })
	err = other.Join(ctx, status.Addrs...)
	require.NoError(t, err)
	require.NoError(t, other.Start(ctx))
	_, err = bob.Publish(ctx, func(d *agent.Draft) error { d.Value = "/ipfs/bafkqabdumvzxi"; return nil })
	require.NoError(t, err)
	value, err := person(ctx, dir, status.Addrs[0], link.String())
	require.NoError(t, err)
	require.Equal(t, "/ipfs/bafkqabdumvzxi", value)

	ana, err := agent.Open(ctx, dir, agent.Options{})
	require.NoError(t, err)
	id, err := ana.Identity()
	require.NoError(t, err)
	require.EqualValues(t, 2, id.Sequence)
	require.NoError(t, ana.Close())
	found, err := bob.Resolve(ctx, id.Pointer.String(), dht.LevelFresh)
	require.NoError(t, err)
	require.Equal(t, "/ipfs/bafkqaaa", found.Value)
	require.Equal(t, "Ana", found.Nickname)
}

// A link with a typing error is refused.
func TestAMistypedLinkIsRefused(t *testing.T) {
	_, err := person(t.Context(), filepath.Join(t.TempDir(), "ana"), "off", "petname:k51")
	require.Error(t, err)
}

// The program has at most 30 lines of code, those of its imports aside.
func TestTheProgramIsShort(t *testing.T) {
	b, err := os.ReadFile("main.go")
	require.NoError(t, err)
	_, code, found := strings.Cut(string(b), "\n)\n")
	require.True(t, found)
	lines := 0
	for line := range strings.Lines(code) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "//") {
			lines++
		}
	}
	require.Greater(t, lines, 20)
	require.LessOrEqual(t, lines, 30)
}
