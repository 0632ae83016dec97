package main

import (
	"bufio"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/petname/name"
)

// While a node runs, no record waits for one.
func TestAKeptRecordWaitsForANodeOnlyIfNoneRuns(t *testing.T) {
	at := time.Date(2026, 3, 3, 4, 5, 6, 0, time.Local)
	p := newPointer(t)
	shown := func(running bool, k keptContact) string {
		k.Name, k.Pointer = "ana", p
		var out strings.Builder
		w := bufio.NewWriter(&out)
		printKept(w, name.Plain, keptList{Kept: []keptContact{k}, Running: running})
		require.NoError(t, w.Flush())
		_, state, _ := strings.Cut(strings.TrimSpace(out.String()), short(t, p)+"  ")
		return state
	}
	require.Equal(t, "waits for a running node", shown(false, keptContact{}))
	require.Equal(t, "first look-up soon", shown(true, keptContact{}))
	require.Equal(t, "first look-up 2026-03-03 04:05:06", shown(true, keptContact{Next: &at}))
	require.Equal(t, "held by 1 of 1 peer; next look-up 2026-03-03 04:05:06", shown(true, keptContact{Next: &at, Looked: &at, Holders: 1, Asked: 1}))
}
