package main

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/petname/name"
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

// A warning of a node is a sentence on a terminal, without the signs of a log and of peers.
func TestWarningsOnATerminalAreSentences(t *testing.T) {
	var out strings.Builder
	log := slog.New(plainHandler{warn: func(format string, args ...any) { fmt.Fprintf(&out, format+"\n", args...) }})
	log.With("address", "127.0.0.1:80").Warn("the port is in use", "error", errors.New("bad\x1b[2J"))
	log.Info("not shown")
	log.WithGroup("g").Error("HTTP ended")
	require.Equal(t, "the port is in use (address: 127.0.0.1:80, error: "+name.Clean("bad\x1b[2J")+")\nHTTP ended\n", out.String())
}
