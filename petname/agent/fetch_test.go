package agent_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/petname/home"
)

// Network states whether the network is there, although no contact has to be asked.
func TestFetchStatesWhetherTheNetworkIsThere(t *testing.T) {
	node := served(t, nil)
	status, err := node.Status()
	require.NoError(t, err)
	router := newRouter(t)
	const dead, deadURL = "/ip4/127.0.0.1/tcp/1/p2p/12D3KooWGQh4PZmNNXHpLHPVGNWQx9VHjKVWcMVLwMtHaSd7LqKC", "http://127.0.0.1:1"
	for name, test := range map[string]struct {
		config home.Config
		want   string
	}{
		"a peer":                        {home.Config{Network: "peers", Bootstrap: status.Addrs}, "ok"},
		"a router":                      {home.Config{Network: "off", Routers: []string{router.URL}}, "ok"},
		"a router beside a dead one":    {home.Config{Network: "off", Routers: []string{deadURL, router.URL}}, "ok"},
		"a router beside a dead peer":   {home.Config{Network: "peers", Bootstrap: []string{dead}, Routers: []string{router.URL}}, "ok"},
		"a peer beside a dead router":   {home.Config{Network: "peers", Bootstrap: status.Addrs, Routers: []string{deadURL}}, "ok"},
		"a dead peer":                   {home.Config{Network: "peers", Bootstrap: []string{dead}}, "unreachable"},
		"a dead router":                 {home.Config{Network: "off", Routers: []string{deadURL}}, "unreachable"},
		"a dead peer and a dead router": {home.Config{Network: "peers", Bootstrap: []string{dead}, Routers: []string{deadURL}}, "unreachable"},
		"none":                          {home.Config{Network: "off"}, "off"},
	} {
		a := opened(t)
		require.NoError(t, agent.HomeOf(a).SetConfig(test.config))
		f, err := a.Fetch(t.Context(), false)
		require.NoError(t, err, name)
		require.Equal(t, test.want, f.Network, name)
		require.Zero(t, f.Polled, name)
		if test.want == "unreachable" {
			require.ErrorIs(t, f.Problem, dht.ErrUnreachable, name)
		} else {
			require.NoError(t, f.Problem, name)
		}
	}
}
