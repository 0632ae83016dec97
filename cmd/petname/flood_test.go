package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/lawtest"
)

// maxFlooded is the maximum memory of a node under attack, in bytes: stored records,
// connections, and as much again before the garbage collector runs.
const maxFlooded = 128 << 20

// requireNodeFile requires that the file of a node is not longer than its help states.
func requireNodeFile(t *testing.T, home string) {
	t.Helper()
	info, err := os.Stat(filepath.Join(home, "dht.db"))
	require.NoError(t, err)
	require.LessOrEqual(t, info.Size(), int64(32<<20))
}

// A node that peers flood with more full-sized records than it may store stays within
// its memory limit and its storage limit, and serves its own verbs. It cuts off a peer
// that continues after being refused, and node status reports that peer.
func TestFloodedNode(t *testing.T) {
	lawtest.NeedsLong(t)
	t.Parallel()
	home := newHome(t)
	n := serving(t, home, "--json")
	addr := address(t, n)
	idle := status(t, home).Memory
	const flooders, each = 5, 800
	bulk := "/ipfs/bafkqaaa/" + strings.Repeat("x", 9<<10)
	flood := func(s rawPeer, value string, times int) (stored int) {
		for range times {
			key, err := pointer.NewKey(nil)
			if err != nil {
				return stored
			}
			rec, err := pointer.Sign(key, pointer.Fields{Value: value, Sequence: 1, Expires: time.Now().Add(time.Hour)})
			if err == nil && s.store(t, addr, rec) == nil {
				stored++
			}
		}
		return stored
	}
	var wg sync.WaitGroup
	for range flooders {
		s := newRawPeer(t)
		wg.Go(func() { flood(s, bulk, each) })
	}
	wg.Wait()
	full := status(t, home)
	t.Logf("idle: %d MiB; flooded with %d MiB: %d MiB, %d records of %d bytes", idle>>20, flooders*each*len(bulk)>>20, full.Memory>>20, full.Held.Records, full.Held.Bytes)
	require.LessOrEqual(t, full.Held.Bytes, full.Held.Limit)
	require.Greater(t, full.Held.Bytes, full.Held.Limit*9/10, "it is full, or nothing was tested")
	require.Less(t, full.Memory, uint64(maxFlooded))
	requireNodeFile(t, home)
	require.Empty(t, full.CutOff, "within the rate of a keeper of many names")

	loud := newRawPeer(t)
	stored, sent := 0, 0
	cut := full
	for ; len(cut.CutOff) == 0; cut = status(t, home) {
		require.Less(t, sent, 20_000, "it is never cut off")
		stored += flood(loud, firstPath, 250)
		sent += 250
	}
	require.Len(t, cut.CutOff, 1)
	require.Equal(t, loud.ID().String(), cut.CutOff[0].Peer)
	require.Greater(t, time.Until(cut.CutOff[0].Until), 5*time.Minute)
	require.Less(t, stored, sent)
	r := verb(home, "node", "status")
	require.Zero(t, r.exit)
	require.Contains(t, r.stdout, "cut off")
	require.Contains(t, r.stdout, loud.ID().String())
	require.Zero(t, verb(home, "add", "bob", newPointer(t)).exit)
	require.Zero(t, verb(home, "node", "stop").exit)
	<-n.done
	require.Zero(t, n.cmd.ProcessState.ExitCode())
	requireNodeFile(t, home)

	n = serving(t, home, "--json") // with all of it
	again := status(t, home)
	require.InDelta(t, cut.Held.Records, again.Held.Records, 0)
	require.Less(t, again.Memory, uint64(maxFlooded))
	require.False(t, bytes.Contains(n.stderr.Bytes(), []byte("damaged")))
}
