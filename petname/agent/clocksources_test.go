package agent_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/pointer"
)

const year = 365 * 24 * time.Hour

// offClock is a clock that is off by a time that can be changed.
type offClock struct{ off time.Duration }

func (c *offClock) now() time.Time { return time.Now().Add(c.off) }

func (c *offClock) opened(t *testing.T, hub ...string) *agent.Agent {
	a := openedWith(t, agent.Options{Transport: loopback(), JoinTimeout: 2 * patient, Now: c.now})
	if hub != nil {
		join(t, a, hub...)
	}
	return a
}

// Clocks are weeks or years apart, and there is no router. Peers of the DHT show the difference,
// also to a home whose book agrees with its clock.
func TestPeersOfTheDHTShowTheClockSkew(t *testing.T) {
	hub := addrs(t, served(t, nil))
	var right offClock
	bob := right.opened(t, hub...)
	_, err := bob.Publish(t.Context(), draft(agent.WaitSome, value("/ipfs/bafkqaaa")))
	require.NoError(t, err)
	require.Empty(t, bob.ClockHint())

	behind := offClock{-40 * 24 * time.Hour}
	a := behind.opened(t, hub...)
	_, err = a.Publish(t.Context(), draft(agent.WaitSome))
	require.Error(t, err)
	require.Contains(t, a.ClockHint(), "what one peer of the DHT signed when it started shows "+time.Now().UTC().Format("2006-01-02"))
	require.Contains(t, a.ClockHint(), "at the earliest, 960h0m0s ahead of this machine's clock")
	require.True(t, clockCheck(t, a).OK, "all peers are one source: %+v", clockCheck(t, a))
	require.Contains(t, clockCheck(t, a).Detail, "signed when it started")
	behind.off = 0
	require.NotContains(t, a.ClockHint(), "signed when it started")

	ahead := offClock{100 * 24 * time.Hour}
	a = ahead.opened(t, hub...)
	require.Empty(t, a.ClockHint())
	_, err = a.Resolve(t.Context(), bob.Pointer().String(), dht.LevelFresh)
	require.ErrorAs(t, err, new(*pointer.ExpiredError))
	require.Contains(t, a.ClockHint(), "an expired record that one peer of the DHT still returns shows ")
	require.Contains(t, a.ClockHint(), "at the latest, 2351h0m0s behind this machine's clock", "an hour of life, and 48 hours in the store")
	require.True(t, clockCheck(t, a).OK)

	// With the book as a second source the check fails, and an entry under the wrong clock
	// does not change that.
	right.off = 10 * year
	require.False(t, clockCheck(t, bob).OK)
	for _, name := range []string{"one", "two"} {
		check := clockCheck(t, bob)
		require.False(t, check.OK)
		require.Contains(t, check.Detail, "still returns")
		require.Contains(t, check.Detail, "the last entry of the book")
		add(t, bob, name, newKey(t).Pointer())
	}
	right.off = 0
	require.NotContains(t, bob.ClockHint(), "behind")
}

// Attack: one peer signs a false time. Beside others it causes no hint, whatever it signs;
// alone, the hint states that it is one peer's. No number of them causes more than a hint.
func TestOnePeerCausesNoHintBesideOthers(t *testing.T) {
	now := time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)
	month := now.AddDate(0, -1, 0)
	for _, tc := range []struct {
		times []time.Time
		want  string
	}{
		{nil, ""},
		{[]time.Time{month}, ""},
		{[]time.Time{now.Add(4 * time.Minute), now}, ""},
		{[]time.Time{month, now.Add(10 * year), month}, ""},
		{[]time.Time{now.Add(10 * year)}, "what one peer of the DHT signed when it started shows 2036-11-28 12:00 UTC at the earliest"},
		{[]time.Time{now.Add(48 * time.Hour), month, now.Add(10 * year)}, "what 2 peers of the DHT signed when they started shows 2026-12-03 12:00 UTC at the earliest, 48h0m0s ahead"},
		{[]time.Time{now.Add(-2 * year), now.Add(-3 * year)}, ""},
		{[]time.Time{now.Add(-2 * year), now.Add(-3 * year), month}, "3 peers of the DHT signed when they started shows 2024-12-01"},
		{[]time.Time{month, month, now.Add(-2 * year)}, ""},
	} {
		got := agent.SignedHint(tc.times, now)
		if tc.want == "" {
			require.Empty(t, got, tc.times)
		} else {
			require.Contains(t, got, tc.want)
		}
	}
}

// Attack: one peer returns an old record. Beside others, the second strongest counts. What
// was returned counts for ten minutes by the clock, and for 64 peers.
func TestExpiredRecordsOfPeersAreBounded(t *testing.T) {
	now := time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)
	var e agent.ExpiredSeen
	e.Add("honest", now.Add(-47*time.Hour), now)
	require.Empty(t, e.Hint(now), "a peer keeps it for 48 hours")
	e.Add("liar", now.Add(-10*year), now)
	require.Contains(t, e.Hint(now), "an expired record that one peer of the DHT still returns shows 2016-12-")
	e.Add("honest", now.Add(-100*time.Hour), now)
	require.Contains(t, e.Hint(now), "an expired record that 2 peers of the DHT still return shows 2026-11-29 08:00 UTC at the latest, 52h0m0s behind")
	e.Add("honest", now.Add(-90*time.Hour), now)
	require.Contains(t, e.Hint(now), "52h0m0s behind", "the strongest of a peer")
	for i := range 1000 {
		e.Add(fmt.Sprint("peer ", i), now.Add(-100*time.Hour), now)
	}
	require.Equal(t, 64, e.Len())
	for _, later := range []time.Duration{11 * time.Minute, -11 * time.Minute, 60 * time.Hour} {
		require.Empty(t, e.Hint(now.Add(later)), "the clock was set, or the machine slept")
		e.Add("honest", now.Add(-100*time.Hour), now)
	}
	require.NotEmpty(t, e.Hint(now.Add(9*time.Minute)))
}

// A record of the owner that ends later than it can last shows that this clock is behind, or
// that another was ahead: its end is a hint until the next publication.
func TestAnOwnRecordOfTheFutureIsAHint(t *testing.T) {
	var c offClock
	a := c.opened(t)
	publish := func() {
		_, err := a.Publish(t.Context(), draft(agent.WaitNone, value("/ipfs/bafkqaaa")))
		require.NoError(t, err)
	}
	c.off = 20 * year
	publish()
	require.NotContains(t, a.ClockHint(), "the end of your own record")
	c.off = 0
	require.True(t, clockCheck(t, a).OK, "the record and the entry in the book have the date of one clock")
	require.Contains(t, a.ClockHint(), "the last entry of device")
	require.Contains(t, a.ClockHint(), "the end of your own record shows "+time.Now().Add(20*year).UTC().Format("2006-01-02"))
	publish()
	require.Empty(t, a.ClockHint())

	// The last record of a key is no sign of a wrong clock.
	id, err := agent.HomeOf(a).Identity()
	require.NoError(t, err)
	key, err := id.Key("")
	require.NoError(t, err)
	last, err := pointer.Sign(key, pointer.Fields{Sequence: pointer.MaxSequence, Expires: time.Now().Add(20 * year).Truncate(time.Second)})
	require.NoError(t, err)
	_, err = agent.RecordsOf(a).Put(t.Context(), last.Pointer(), last.Bytes())
	require.NoError(t, err)
	require.Empty(t, a.ClockHint())
}

// timedNodes is a transport whose nodes have peers that signed at these times.
type timedNodes struct {
	*nodes
	times []time.Time
}

type timedNode struct {
	agent.Node
	times []time.Time
}

func (n *timedNode) PeerTimes(context.Context) []time.Time { return n.times }

func (n *timedNodes) Start(ctx context.Context, c agent.NodeConfig) (agent.Node, error) {
	node, err := n.nodes.Start(ctx, c)
	return &timedNode{node, n.times}, err
}

// Attack: all peers of the DHT are one attacker's, and show in two ways that the clock is
// ahead. They are one source: the check of the clock does not fail.
func TestAllPeersOfTheDHTAreOneSource(t *testing.T) {
	now := time.Now()
	old := now.Add(-2 * year)
	a := openedWith(t, agent.Options{Transport: &timedNodes{&nodes{}, []time.Time{old, old, old, old}}, Now: func() time.Time { return now }})
	_ = a.Join(t.Context(), "/ip4/127.0.0.1/tcp/1/p2p/12D3KooWFVNWKHHKxP3eByWDK3ZoMgmYCTfsuXtt8zRpiGYGdtvm")
	for _, peer := range []string{"a", "b", "c"} {
		agent.AddExpired(a, peer, old)
	}
	check := clockCheck(t, a)
	require.Contains(t, check.Detail, "the newest that 4 peers of the DHT signed")
	require.Contains(t, check.Detail, "an expired record that 3 peers of the DHT still return")
	require.True(t, check.OK)
	require.Equal(t, now.Unix(), a.Clock().Unix(), "no peer sets the clock")
}
