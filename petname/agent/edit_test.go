package agent_test

import (
	"context"
	"errors"
	"iter"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/pointer"
)

// holding is a router that holds the last record that it received.
type holding struct {
	mu     sync.Mutex
	record []byte
	puts   int
}

func (h *holding) Get(ctx context.Context, p pointer.Pointer) iter.Seq2[dht.Answer, error] {
	return h.GetAt(ctx, p, dht.LevelAny)
}

func (h *holding) GetAt(context.Context, pointer.Pointer, dht.Level) iter.Seq2[dht.Answer, error] {
	return func(yield func(dht.Answer, error) bool) {
		h.mu.Lock()
		defer h.mu.Unlock()
		yield(dht.Answer{Record: h.record, Source: dht.SourceNetwork, Asked: 1}, nil)
	}
}

func (h *holding) Put(_ context.Context, _ pointer.Pointer, record []byte) (dht.Receipt, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.record = record
	h.puts++
	return dht.Receipt{Asked: 1, Stored: 1}, nil
}

func (*holding) Check(context.Context) error { return nil }
func (*holding) Close() error                { return nil }

// newer returns a router that has a record of the owner with a higher sequence
// than the home's: of another device, or of a home that was lost.
func newer(t *testing.T, a *agent.Agent, path string, sequence uint64) *holding {
	t.Helper()
	r, err := pointer.Sign(ownKey(t, a), pointer.Fields{Value: path, Sequence: sequence, Expires: time.Now().Add(time.Hour)})
	require.NoError(t, err)
	return &holding{record: r.Bytes()}
}

// edit is called again with the newest value when the network has another than the
// home, so that no update is lost. The sequence is above the network's.
func TestEditIsCalledAgainForANewerValue(t *testing.T) {
	a := openedWith(t, agent.Options{})
	r := newer(t, a, "/ipfs/bafkqaaa", 7)
	usesFake(t, a, r)
	var seen []string
	edit := func(d *agent.Draft) error {
		seen = append(seen, d.Value)
		require.Equal(t, agent.DefaultTTL, d.TTL, "each call has a draft of its own")
		if d.TTL = time.Minute; d.Value == "" {
			d.Value = "/ipfs/bafkqaaa/none"
		} else {
			d.Value += "/x"
		}
		return nil
	}
	out, err := a.PublishDraft(t.Context(), edit)
	require.NoError(t, err)
	require.Equal(t, []string{"", "/ipfs/bafkqaaa"}, seen)
	require.Equal(t, "/ipfs/bafkqaaa/x", out.Value)
	require.EqualValues(t, 8, out.Sequence)

	seen = nil // the home knows the newest value now
	out, err = a.PublishDraft(t.Context(), edit)
	require.NoError(t, err)
	require.Equal(t, []string{"/ipfs/bafkqaaa/x"}, seen)
	require.Equal(t, "/ipfs/bafkqaaa/x/x", out.Value)
	require.EqualValues(t, 9, out.Sequence)
}

// What edit returns is the error of Publish, in the first call and in the second.
// Nothing is signed, reserved or sent.
func TestAnErrorOfEditPublishesNothing(t *testing.T) {
	refused := errors.New("refused")
	for _, at := range []int{1, 2} {
		a := openedWith(t, agent.Options{})
		r := newer(t, a, "/ipfs/bafkqaaa", 7)
		usesFake(t, a, r)
		same := unchanged(t, a.Dir())
		calls := 0
		receipt, err := a.Publish(t.Context(), func(*agent.Draft) error {
			if calls++; calls == at {
				return refused
			}
			return nil
		})
		require.ErrorIs(t, err, refused)
		require.Zero(t, receipt)
		require.Equal(t, at, calls)
		require.Zero(t, sequence(t, a))
		require.Zero(t, r.puts)
		if at == 1 {
			same()
		}
	}
}

// A draft that cannot be published is an ArgumentError, and changes nothing.
func TestABadDraftPublishesNothing(t *testing.T) {
	a := openedWith(t, agent.Options{})
	r := &holding{}
	usesFake(t, a, r)
	same := unchanged(t, a.Dir())
	_, err := a.Publish(t.Context(), draft(agent.WaitSome, value("no path")))
	require.ErrorAs(t, err, new(*agent.ArgumentError))
	require.Zero(t, r.puts)
	same()
}

// A nil edit publishes the last value anew, with the default lifetime and TTL.
func TestANilEditPublishesTheLastValue(t *testing.T) {
	now := time.Now().Truncate(time.Second)
	a := openedWith(t, agent.Options{Now: func() time.Time { return now }})
	usesFake(t, a, &holding{})
	_, err := a.Publish(t.Context(), draft(agent.WaitSome, value("/ipfs/bafkqaaa")))
	require.NoError(t, err)
	receipt, err := a.Publish(t.Context(), nil)
	require.NoError(t, err)
	require.Equal(t, 1, receipt.Stored)
	r := held(t, a, a.Pointer())
	require.Equal(t, "/ipfs/bafkqaaa", r.Value())
	require.EqualValues(t, 2, r.Sequence())
	require.Equal(t, agent.DefaultTTL, r.TTL())
	require.True(t, r.Expires().Equal(now.Add(agent.DefaultLifetime)), r.Expires())
}

// WaitSome and WaitAll store the record before they return. WaitNone leaves it in
// the home, and an agent that runs stores it afterwards.
func TestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := openedWith(t, agent.Options{})
		r := &holding{}
		usesFake(t, a, r)
		publish := func(wait agent.Wait) agent.Published {
			out, err := a.PublishDraft(t.Context(), draft(wait))
			require.NoError(t, err)
			require.Equal(t, out.Sequence, held(t, a, a.Pointer()).Sequence())
			return out
		}
		none := publish(agent.WaitNone)
		require.Zero(t, none.Receipt)
		synctest.Wait()
		require.Zero(t, r.puts, "the agent does not run")
		require.Zero(t, publish(agent.WaitSome).Receipt.Confirmed)
		require.Equal(t, 1, r.puts)
		all := publish(agent.WaitAll)
		require.Equal(t, 2, r.puts)
		require.Equal(t, dht.Receipt{Asked: 1, Stored: 1}, all.Receipt, "a router is not asked again")

		require.NoError(t, a.Start(t.Context()))
		synctest.Wait()
		before := r.puts
		last := publish(agent.WaitNone)
		require.Zero(t, last.Receipt)
		agent.WaitTasks(a)
		require.Equal(t, before+1, r.puts)
		stored, err := pointer.Open(a.Pointer(), r.record, time.Now())
		require.NoError(t, err)
		require.Equal(t, last.Sequence, stored.Sequence())
		status, err := a.Status()
		require.NoError(t, err)
		require.Equal(t, last.Sequence, status.Put.Sequence)
	})
}

// WaitAll counts the peers of the DHT that return the record; WaitSome does not.
func TestWaitAllCountsThePeersThatReturnTheRecord(t *testing.T) {
	hub := served(t, nil)
	served(t, addrs(t, hub))
	require.Eventually(t, func() bool { status, err := hub.Status(); return err == nil && status.Peers > 0 }, patience, time.Millisecond)
	a := opened(t)
	join(t, a, addrs(t, hub)...)
	for wait, confirmed := range map[agent.Wait]int{agent.WaitSome: 0, agent.WaitAll: 2} {
		out, err := a.PublishDraft(t.Context(), draft(wait))
		require.NoError(t, err)
		require.Equal(t, 2, out.Receipt.Stored)
		require.Equal(t, confirmed, out.Receipt.Confirmed)
	}
}
