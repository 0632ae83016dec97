package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/dht/delegated"
	"github.com/petnames-go/petnames/pointer"
)

// An address for HTTP is one of this machine, with a port.
func TestCheckHTTP(t *testing.T) {
	for _, good := range []string{"127.0.0.1:0", "localhost:8080", "[::1]:65535", "0.0.0.0:1", ":8080"} {
		require.NoError(t, checkHTTP(good), good)
	}
	for _, bad := range []string{"", "127.0.0.1", "8080", ":", "127.0.0.1:", "127.0.0.1:http", "127.0.0.1:65536", "127.0.0.1:-1", "::1:80",
		"http://127.0.0.1:80", "router.example:80", "127.0.0.1:0/x", "256.0.0.1:80", "127.0.0.1:0\n"} {
		require.Equal(t, exitUsage, classify(checkHTTP(bad)).Exit, "%q", bad)
	}
}

// A node on loopback answers under no other name: a web page could have its own
// name point there.
func TestIsLocal(t *testing.T) {
	for _, good := range []string{"127.0.0.1", "127.0.0.1:8080", "localhost", "LOCALHOST:1", "[::1]", "[::1]:80", "127.9.9.9:1", "[::ffff:127.0.0.1]:1"} {
		require.True(t, isLocal(good), good)
	}
	for _, bad := range []string{"", "rebound.example", "rebound.example:8080", "localhost.example", "192.0.2.1", "127.0.0.1.example", "[2001:db8::1]:80"} {
		require.False(t, isLocal(bad), bad)
	}
}

// asked sends a request to the node's router under a name.
func asked(t *testing.T, url, host string) (status int, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	r.Host = host
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := c.Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(b)
}

// A node's router serves requests for this machine, stores what it receives, and
// ends with the node.
func TestNodeServesHTTP(t *testing.T) {
	v := opened(t)
	w, err := listenHTTP("127.0.0.1:0")
	require.NoError(t, err)
	v.http = w.url
	require.NoError(t, v.agent.Start(t.Context()))
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.serve(ctx, v.agent) }()
	status, err := v.status(t.Context(), noArgs{})
	require.NoError(t, err)
	require.Regexp(t, `^http://127\.0\.0\.1:[1-9]`, status.HTTP)
	addr := strings.TrimPrefix(status.HTTP, "http://")

	code, body := asked(t, status.HTTP+"/healthz", addr)
	require.Equal(t, 200, code)
	require.Equal(t, "ok\n", body)
	for _, path := range []string{"/healthz", "/metrics", "/routing/v1/ipns/k51"} {
		code, _ = asked(t, status.HTTP+path, "rebound.example")
		require.Equal(t, http.StatusMisdirectedRequest, code, "a web page in a browser")
	}
	code, body = asked(t, status.HTTP+"/metrics", "localhost")
	require.Equal(t, 200, code)
	require.NotContains(t, body, `"421"`, "those are not counted as requests to the router")
	require.NotContains(t, body, v.agent.Pointer().String())

	key := newKey(t)
	record, err := pointer.Sign(key, pointer.Fields{Value: pointer.NoValue, Sequence: 1, Expires: time.Now().Add(time.Hour)})
	require.NoError(t, err)
	c, err := delegated.NewClient(status.HTTP)
	require.NoError(t, err)
	defer c.Close()
	receipt, err := c.Put(t.Context(), key.Pointer(), record.Bytes())
	require.NoError(t, err)
	require.Equal(t, 1, receipt.Stored)
	answers := 0
	for a, err := range c.Get(t.Context(), key.Pointer()) {
		require.NoError(t, err)
		require.Equal(t, record.Bytes(), a.Record)
		answers++
	}
	require.Equal(t, 1, answers)
	// What clients of the router put is no record of this home's.
	records, err := homeOf(t, v).Records()
	require.NoError(t, err)
	pointers, err := records.Pointers()
	require.NoError(t, err)
	require.Empty(t, pointers)

	stop()
	require.NoError(t, <-ended)
	require.NoError(t, v.agent.Close())
	_, err = c.Put(t.Context(), key.Pointer(), record.Bytes())
	require.ErrorIs(t, err, dht.ErrUnreachable)
	l, err := net.Listen("tcp", addr) // the address is free again
	require.NoError(t, err)
	require.NoError(t, l.Close())
}

// A node that cannot start frees the address that it opened for HTTP.
func TestANodeThatFailsFreesItsHTTPAddress(t *testing.T) {
	first, err := listenHTTP("127.0.0.1:0")
	require.NoError(t, err)
	addr := first.listener.Addr().String()
	_, err = listenHTTP(addr)
	require.Equal(t, exitFailure, classify(err).Exit, "in use")
	require.NoError(t, first.listener.Close())

	node := &app{ctx: t.Context(), home: newHome(t), stdout: io.Discard, stderr: io.Discard}
	logger, end, err := node.logger("", false)
	require.NoError(t, err)
	defer end()
	err = node.serve(nodeOptions{listen: []string{"/ip4/300.0.0.1"}, http: &addr, logger: logger})
	require.Equal(t, exitUsage, classify(err).Exit, "%v", err)
	again, err := listenHTTP(addr)
	require.NoError(t, err)
	require.NoError(t, again.listener.Close())
}

// The URL that a node prints can be used, also if it listens on all addresses.
func TestTheURLOfANodeCanBeUsed(t *testing.T) {
	for bound, want := range map[string]string{
		"[::]:80": "http://127.0.0.1:80", "0.0.0.0:80": "http://127.0.0.1:80", "192.0.2.1:8080": "http://192.0.2.1:8080", "[::1]:80": "http://[::1]:80",
	} {
		require.Equal(t, want, usableURL(netip.MustParseAddrPort(bound)))
	}
}
