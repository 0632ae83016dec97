package main

import (
	"bytes"
	"log/slog"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The router of a home has the same port after each start, unless another program has it.
func TestTheRouterKeepsItsPort(t *testing.T) {
	dir := newHome(t)
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, nil))
	listen := func(addr string) *web {
		t.Helper()
		w, err := listenHTTPAgain(dir, addr, log)
		require.NoError(t, err)
		require.NoError(t, w.listener.Close())
		return w
	}
	first := listen("127.0.0.1:0")
	require.Equal(t, first.url, listen("127.0.0.1:0").url)
	require.NotEqual(t, first.url, listen("localhost:0").url, "another address")
	require.Empty(t, out.String())

	taken, err := net.Listen("tcp", strings.TrimPrefix(first.url, "http://"))
	require.NoError(t, err)
	require.NotEqual(t, first.url, listen("127.0.0.1:0").url)
	require.Contains(t, out.String(), "in use by another program")
	require.NoError(t, taken.Close())
	require.Equal(t, first.url, listen("127.0.0.1:0").url)

	_, err = listenHTTPAgain(dir, "router.example:0", log)
	require.Equal(t, exitUsage, classify(err).Exit)
}
