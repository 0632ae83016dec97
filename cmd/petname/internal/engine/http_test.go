package engine

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/dht/delegated"
	"github.com/petnames-go/petnames/pointer"
)

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

// A node's router serves those who mean it, keeps what it is given, and is gone
// with the node.
func TestNodeServesHTTP(t *testing.T) {
	e := opened(t)
	require.NoError(t, e.ListenHTTP("127.0.0.1:0"))
	status, err := e.Serve(context.Background(), []string{"/ip4/127.0.0.1/tcp/0"})
	require.NoError(t, err)
	require.Regexp(t, `^http://127\.0\.0\.1:[1-9]`, status.HTTP)
	addr := strings.TrimPrefix(status.HTTP, "http://")

	code, body := asked(t, status.HTTP+"/healthz", addr)
	require.Equal(t, 200, code)
	require.Equal(t, "ok\n", body)
	for _, path := range []string{"/healthz", "/metrics", "/routing/v1/ipns/k51"} {
		code, _ = asked(t, status.HTTP+path, "rebound.example")
		require.Equal(t, http.StatusMisdirectedRequest, code, "a page of the web, in somebody's browser")
	}
	code, body = asked(t, status.HTTP+"/metrics", "localhost")
	require.Equal(t, 200, code)
	require.NotContains(t, body, `"421"`, "those are not counted as requests to the router")
	require.NotContains(t, body, e.book.Identity().String())

	key, err := pointer.NewKey(nil)
	require.NoError(t, err)
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
	// What strangers put is no record of this home's.
	pointers, err := e.records.Pointers()
	require.NoError(t, err)
	require.Empty(t, pointers)

	require.NoError(t, e.Close())
	_, err = c.Put(t.Context(), key.Pointer(), record.Bytes())
	require.ErrorIs(t, err, dht.ErrUnreachable)
	l, err := net.Listen("tcp", addr) // the address is free again
	require.NoError(t, err)
	require.NoError(t, l.Close())
}

// An address that was taken for nothing is given back.
func TestListenedForNothing(t *testing.T) {
	e := opened(t)
	require.NoError(t, e.ListenHTTP("127.0.0.1:0"))
	addr := e.web.listener.Addr().String()
	other := opened(t)
	require.Equal(t, ExitFailure, Classify(other.ListenHTTP(addr)).Exit)
	require.NoError(t, e.Close())
	require.NoError(t, other.ListenHTTP(addr))
}
