package agent_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/petname/home"
	"github.com/petnames-go/petnames/pointer"
)

// Before a record leaves the machine, its sequence is reserved on the disk and
// the record is stored there. A home that crashes at this moment signs no other
// record under that sequence.
func TestASequenceIsReservedBeforeItsRecordIsSent(t *testing.T) {
	a, r := opened(t), newRouter(t)
	uses(t, a, r)
	dir, me := t.TempDir(), a.Pointer()
	var problem error
	r.put = func(b []byte) {
		record, err := pointer.Open(me, b, time.Now())
		if err != nil {
			problem = err
			return
		}
		disk, err := copied(a, filepath.Join(dir, fmt.Sprint(r.puts)), agent.Options{})
		if err != nil {
			problem = err
			return
		}
		reserved, err := agent.BookOf(disk).Published()
		held, _, herr := disk.Held(me)
		problem = errors.Join(err, herr, disk.Close())
		if reserved.Sequence != record.Sequence() || held.Sequence() != record.Sequence() {
			problem = fmt.Errorf("%d was sent, with %d reserved and %d stored", record.Sequence(), reserved.Sequence, held.Sequence())
		}
	}
	for i, wait := range []agent.Wait{agent.WaitSome, agent.WaitAll} {
		out, err := a.PublishDraft(t.Context(), draft(wait))
		require.NoError(t, err)
		require.EqualValues(t, i+1, out.Sequence)
		_, puts := r.asked()
		require.Equal(t, i+1, puts)
		require.NoError(t, problem)
	}
}

// A publication that fails before signing uses no sequence and sends nothing.
func TestAnUnsignedPublicationUsesNoSequence(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, a *agent.Agent){
		"a card that is too large": func(t *testing.T, a *agent.Agent) {
			for i := range 12 {
				p := newKey(t).Pointer()
				add(t, a, fmt.Sprintf("contact %d", i), p)
				_, err := a.Share([]string{p.String()}, fmt.Sprintf("%060d", i))
				require.NoError(t, err)
			}
		},
		"a configuration that can't be read": func(t *testing.T, a *agent.Agent) {
			require.NoError(t, os.WriteFile(filepath.Join(a.Dir(), "config.toml"), []byte("netwrok = \"lan\"\n"), 0o600))
		},
		"an identity of another book": func(t *testing.T, a *agent.Agent) {
			b, err := os.ReadFile(filepath.Join(opened(t).Dir(), "identity.key"))
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(filepath.Join(a.Dir(), "identity.key"), b, 0o600))
		},
		"sealing keys that are damaged": func(t *testing.T, a *agent.Agent) {
			require.NoError(t, os.WriteFile(filepath.Join(a.Dir(), "sealing.key"), []byte("# petname sealing keys 2\n"), 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			a, r := opened(t), newRouter(t)
			uses(t, a, r)
			spoil(t, a)
			long := "/ipfs/bafkqaaa/" + strings.Repeat("x", 4000) // fits with a smaller card
			_, err := a.PublishDraft(t.Context(), draft(agent.WaitSome, value(long), func(d *agent.Draft) { d.V1 = true }))
			require.Error(t, err)
			require.False(t, agent.IsNetwork(err), "%v", err)
			require.Zero(t, sequence(t, a))
			_, puts := r.asked()
			require.Zero(t, puts)
			_, _, err = a.Held(a.Pointer())
			require.ErrorIs(t, err, dht.ErrNotFound)
		})
	}
}

// A record that the home cannot store is not sent. Otherwise the home could not
// republish it or compare the next record with it.
func TestARecordThatTheHomeCannotStoreIsNotSent(t *testing.T) {
	a, r := opened(t), newRouter(t)
	uses(t, a, r)
	folder := filepath.Join(a.Dir(), "records")
	require.NoError(t, os.RemoveAll(folder))
	require.NoError(t, os.WriteFile(folder, nil, 0o600))
	for _, wait := range []agent.Wait{agent.WaitSome, agent.WaitAll, agent.WaitNone} {
		_, err := a.PublishDraft(t.Context(), draft(wait))
		require.Error(t, err, wait)
	}
	_, puts := r.asked()
	require.Zero(t, puts)
}

// Both the book and the home's own record determine the next sequence. After a
// restore of an old book the next sequence is above both, and the value stays
// the same.
func TestTheNextSequenceIsAboveTheRecordThatTheHomeHas(t *testing.T) {
	a := opened(t)
	key := ownKey(t, a)
	newer, err := pointer.Sign(key, pointer.Fields{Value: "/ipfs/bafkqaaa", Sequence: 41, Expires: time.Now().Add(time.Hour)})
	require.NoError(t, err)
	_, err = agent.RecordsOf(a).Put(t.Context(), newer.Pointer(), newer.Bytes())
	require.NoError(t, err)
	out, err := a.PublishDraft(t.Context(), draft(agent.WaitNone))
	require.NoError(t, err)
	require.EqualValues(t, 42, out.Sequence)
	require.Equal(t, "/ipfs/bafkqaaa", out.Value)
	// Nothing is signed after the highest sequence.
	last, err := pointer.Sign(key, pointer.Fields{Sequence: pointer.MaxSequence, Expires: time.Now().Add(time.Hour)})
	require.NoError(t, err)
	_, err = agent.RecordsOf(a).Put(t.Context(), last.Pointer(), last.Bytes())
	require.NoError(t, err)
	_, err = a.PublishDraft(t.Context(), draft(agent.WaitNone))
	require.ErrorContains(t, err, "there is none above it")
	require.ErrorAs(t, err, new(*agent.SequenceError))
}

// Two publications at once use two sequences.
func TestPublicationsAtOnceUseDifferentSequences(t *testing.T) {
	a := opened(t)
	sequences := make(chan uint64, 10)
	for range 10 {
		go func() {
			out, _ := a.PublishDraft(context.Background(), draft(agent.WaitNone))
			sequences <- out.Sequence
		}()
	}
	seen := map[uint64]bool{}
	for range 10 {
		seen[<-sequences] = true
	}
	require.Len(t, seen, 10)
	require.True(t, seen[10])
}

// An unreadable configuration, or one without a network, does not improve by
// waiting: a publication fails and uses no sequence.
func TestADamagedConfigurationUsesNoSequence(t *testing.T) {
	for _, text := range []string{"network = [", "network = \"peers\"\nbootstrap = [\"/ip4/127.0.0.1/tcp/1\"]\n"} {
		a := opened(t)
		require.NoError(t, os.WriteFile(filepath.Join(a.Dir(), "config.toml"), []byte(text), 0o600))
		for _, wait := range []agent.Wait{agent.WaitNone, agent.WaitSome} {
			out, err := a.PublishDraft(t.Context(), draft(wait))
			require.Zero(t, out)
			require.Error(t, err)
			require.False(t, agent.IsNetwork(err), "%v", err)
			require.Zero(t, sequence(t, a))
		}
	}
}

// A publication that waits for all routers fails if one refuses the record.
func TestPublishingToAllFailsWhenOneRefuses(t *testing.T) {
	a, r := opened(t), newRouter(t)
	refuses := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusBadRequest) }))
	t.Cleanup(refuses.Close)
	require.NoError(t, agent.HomeOf(a).SetConfig(home.Config{Network: "off", Routers: []string{r.URL, refuses.URL}}))
	for wait, fails := range map[agent.Wait]bool{agent.WaitSome: false, agent.WaitAll: true} {
		out, err := a.PublishDraft(t.Context(), draft(wait))
		require.Equal(t, 1, out.Receipt.Stored)
		require.Equal(t, 1, out.Receipt.Refused)
		if fails {
			require.ErrorAs(t, err, new(*dht.ShortError))
		} else {
			require.NoError(t, err)
		}
	}
}

// A publication whose caller cancelled it returns that, whatever the network
// returned, and its record is kept.
func TestACancelledPublicationReturnsTheCancellation(t *testing.T) {
	a, r := opened(t), newRouter(t)
	uses(t, a, r)
	ctx, cancel := context.WithCancel(t.Context())
	r.put = func([]byte) { cancel() }
	out, err := a.PublishDraft(ctx, draft(agent.WaitSome))
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, dht.ErrUnreachable)
	require.Equal(t, out.Sequence, held(t, a, a.Pointer()).Sequence())
}

// If no peer stores the record, the record is in the home and its sequence is
// used. The next one has a higher sequence.
func TestAFailedPublicationIsInTheHome(t *testing.T) {
	a, r := opened(t), newRouter(t)
	uses(t, a, r)
	r.Close()
	for i := range 2 {
		out, err := a.PublishDraft(t.Context(), draft(agent.WaitSome, value("/ipfs/bafkqaaa")))
		require.True(t, agent.IsNetwork(err), "%v", err)
		require.Zero(t, out.Receipt.Stored)
		require.EqualValues(t, i+1, out.Sequence)
		require.Equal(t, out.Sequence, held(t, a, a.Pointer()).Sequence())
	}
}
