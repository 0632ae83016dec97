package main

import (
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/dht/delegated"
	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/pointer"
)

// The program finds what the holder of a link has published, and publishes itself,
// by a router on loopback.
func TestAPersonResolvesAContactByARouter(t *testing.T) {
	ctx := t.Context()
	records := &dht.Memory{}
	router := httptest.NewServer(&delegated.Server{Network: records})
	t.Cleanup(router.Close)
	bob, err := pointer.NewKey(nil)
	require.NoError(t, err)
	r, err := pointer.Sign(bob, pointer.Fields{Value: "/ipfs/bafkqabdumvzxi", Sequence: 1, Expires: time.Now().Add(time.Hour)})
	require.NoError(t, err)
	_, err = records.Put(ctx, r.Pointer(), r.Bytes())
	require.NoError(t, err)
	dir := filepath.Join(t.TempDir(), "ana")

	value, err := person(ctx, dir, router.URL, pointer.Link{Pointer: bob.Pointer()}.String())
	require.NoError(t, err)
	require.Equal(t, "/ipfs/bafkqabdumvzxi", value)

	ana, err := agent.Open(ctx, dir, agent.Options{})
	require.NoError(t, err)
	me := ana.Pointer()
	require.NoError(t, ana.Close())
	found, err := (&dht.Resolver{Stores: []dht.Store{records}}).Best(ctx, me, dht.LevelAny)
	require.NoError(t, err)
	require.Equal(t, "/ipfs/bafkqaaa", found.Record.Value())
}
