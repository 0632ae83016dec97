package agent_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/dht/kad"
	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/pointer"
)

// What can be joined combines, in any order. What cannot be is an AddressError.
func TestParseJoin(t *testing.T) {
	a := opened(t)
	const peer = "/p2p/12D3KooWGQh4PZmNNXHpLHPVGNWQx9VHjKVWcMVLwMtHaSd7LqKC"
	public := len(kad.PublicBootstrap()) // which nothing dials here
	for _, test := range []struct {
		targets string
		network string
		peers   int
		routers string
	}{
		{"off", "off", 0, ""}, {"lan", "lan", 0, ""}, {"lan lan", "lan", 0, ""}, {"ipfs", "ipfs", public, ""},
		{"/ip4/127.0.0.1/tcp/4001" + peer, "peers", 1, ""},
		{"/ip4/10.0.0.1/udp/4001/quic-v1" + peer + " /ip6/::1/tcp/1" + peer, "peers", 2, ""},
		{"/ip4/127.0.0.1/tcp/1" + peer + " lan", "lan", 1, ""},
		{"ipfs /ip4/127.0.0.1/tcp/1" + peer, "ipfs", public + 1, ""},
		{"http://127.0.0.1:80", "off", 0, "http://127.0.0.1"},
		{"HTTPS://A.example/routing/v1/ http://b.example https://a.example", "off", 0, "https://a.example http://b.example"},
		{"lan http://a.example /ip4/127.0.0.1/tcp/1" + peer, "lan", 1, "http://a.example"},
		{"http://a.example ipfs", "ipfs", public, "http://a.example"},
		{"http://a.example /ip4/127.0.0.1/tcp/1" + peer, "peers", 1, "http://a.example"},
	} {
		c, err := agent.ParseJoin(a, strings.Fields(test.targets)...)
		require.NoError(t, err)
		require.Equal(t, test.network, c.Network, test.targets)
		require.Len(t, c.Bootstrap, test.peers, test.targets)
		require.Equal(t, test.routers, strings.Join(c.Routers, " "), test.targets)
		require.NotNil(t, c.Bootstrap, "[] in JSON")
		require.NotNil(t, c.Routers, "[] in JSON")
	}
	for _, bad := range []string{"x", "OFF", "ipfs lan", "off off", "off lan", "off http://a.example", "http://a.example off",
		"/ip4/127.0.0.1/tcp/1", "/ip4/300.0.0.1/tcp/1" + peer, "/ip4/127.0.0.1/tcp/1" + peer + " off", "/p2p/x",
		"/ip4/127.0.0.1/tcp/4001/ws" + peer, "lan /dns4/a.example/tcp/443/tls/ws" + peer, "/ip4/127.0.0.1/udp/1/quic-v1/webtransport" + peer, "ipfs /ip4/127.0.0.1/udp/1/webrtc-direct" + peer,
		"http://", "http:a.example", "ftp://a.example", "http://user:secret@a.example", "https://a.example/x", "lan http://a.example:0", "a.example:80"} {
		_, err := agent.ParseJoin(a, strings.Fields(bad)...)
		require.ErrorAs(t, err, new(*agent.AddressError), bad)
	}
}

// What to join is read as people copy it.
func TestParseJoinOfPastedText(t *testing.T) {
	a := opened(t)
	const id = "12D3KooWGQh4PZmNNXHpLHPVGNWQx9VHjKVWcMVLwMtHaSd7LqKC"
	const peer, url = "/ip4/127.0.0.1/tcp/4001/p2p/" + id, "http://[::1]:8080"
	for _, args := range [][]string{
		{peer + ".", "<" + url + ">"}, {"“" + peer + "”,", "`" + url + "`."}, {peer, url + "/"},
		{"serving as " + id + " on " + peer + " " + url}, {"serving", "as", id, "on", peer, url}, {"serving as " + id + "\n  " + peer + "\n  " + url + "\n"},
		{peer + "," + url}, {url + ", " + peer + ","}, {url + ";" + peer},
		{"my router is " + url + ", and my node", peer}, {"[it](" + url + ")", peer}, {"\u200b" + peer + "\u00ad", url}, {"petname join " + peer + " '" + url + "'"},
		{"Hi, my node is\n" + peer + "\n-- \nmy page: http://a.example", url}, {"> " + peer, "1. " + url}, {"first " + peer + ", also " + peer, url},
	} {
		c, err := agent.ParseJoin(a, args...)
		require.NoError(t, err, args)
		require.Equal(t, []string{peer}, c.Bootstrap, args)
		require.Equal(t, []string{url}, c.Routers, args)
	}
	for _, text := range []string{"my lan", "it is off", peer + " " + peer[:len(peer)-1], "see " + url + " and http://", "serving as " + id,
		"my node " + peer + "\nmy page " + url, "not " + peer + " but " + strings.Replace(peer, "HaSd", "HaSe", 1), "was http://a.example, is " + url} {
		_, err := agent.ParseJoin(a, text)
		require.ErrorAs(t, err, new(*agent.AddressError), text)
	}
}

// Without a joined network no method enters one. A method that needs a network
// fails with ErrNotJoined.
func TestNoMethodSendsRequestsWithoutAJoinedNetwork(t *testing.T) {
	a := opened(t)
	ctx, key := t.Context(), newKey(t)
	other := key.Pointer().String()
	add(t, a, "bob", key.Pointer())
	record, err := pointer.Sign(key, pointer.Fields{Sequence: 1, Expires: time.Now().Add(time.Hour)})
	require.NoError(t, err)
	for name, do := range map[string]func() error{
		"Publish":        func() error { _, err := a.Publish(ctx, draft(agent.WaitSome)); return err },
		"Resolve":        func() error { _, err := a.Resolve(ctx, "bob", dht.LevelAny); return err },
		"Resolve, fresh": func() error { _, err := a.Resolve(ctx, "bob", dht.LevelFresh); return err },
		"PutRecord":      func() error { _, err := a.PutRecord(ctx, record); return err },
		"RequestContact": func() error { _, err := a.RequestContact(ctx, agent.Request{To: other, As: "me"}); return err },
		"Invite":         func() error { _, err := a.Invite(ctx, agent.InvitationTerms{Uses: 1, Lifetime: time.Hour}); return err },
	} {
		require.ErrorIs(t, do(), agent.ErrNotJoined, name)
	}
	fetched, err := a.Fetch(ctx, false)
	require.NoError(t, err)
	require.Equal(t, agent.Fetched{Network: "off"}, fetched)
	require.NotEmpty(t, a.Check(ctx))
	_, err = a.Rotate(ctx, agent.Rotation{})
	require.NoError(t, err)
	unreached(t, a)
}

// After "off" is joined no request goes to a network that was joined before.
func TestALeftRouterReceivesNoRequests(t *testing.T) {
	a, r := opened(t), newRouter(t)
	ctx := t.Context()
	join(t, a, r.URL)
	_, err := a.Publish(ctx, draft(agent.WaitSome))
	require.NoError(t, err)
	join(t, a, "off")
	gets, puts := r.asked()
	require.Equal(t, 1, puts)
	_, err = a.Publish(ctx, draft(agent.WaitSome))
	require.ErrorIs(t, err, agent.ErrNotJoined)
	_, err = a.Resolve(ctx, a.Pointer().String(), dht.LevelFresh)
	require.ErrorIs(t, err, agent.ErrNotJoined)
	nowGets, nowPuts := r.asked()
	require.Equal(t, gets, nowGets)
	require.Equal(t, puts, nowPuts)
}
