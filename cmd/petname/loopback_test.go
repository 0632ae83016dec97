package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Without --listen, a node listens at the loopback address that the host has: IPv4's if it
// has both.
func TestLoopbackListen(t *testing.T) {
	for _, tc := range []struct {
		four, six bool
		want      string
	}{{true, true, "/ip4/127.0.0.1/tcp/0"}, {true, false, "/ip4/127.0.0.1/tcp/0"}, {false, true, "/ip6/::1/tcp/0"}, {false, false, "/ip4/127.0.0.1/tcp/0"}} {
		require.Equal(t, tc.want, loopbackListen(func(network, _ string) bool { return network == "tcp4" && tc.four || network == "tcp6" && tc.six }))
	}
}
