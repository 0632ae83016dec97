package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht/delegated"
	"github.com/petnames-go/petnames/pointer"
)

// 30 addresses with 64 connections each, which are opened again as soon as they are closed,
// put and get names, or begin requests and do not end them. A client at another address
// publishes and resolves meanwhile, and none of its requests fails.
func TestFloodedRouterServesAClientAtAnotherAddress(t *testing.T) {
	const addresses, each, rounds = 30, 64, 3
	v := opened(t)
	w, err := listenHTTP("127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, v.agent.Start(t.Context()))
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.serve(ctx, v.agent) }()
	host := strings.TrimPrefix(w.url, "http://")

	sign := func(key *pointer.Key, sequence uint64) pointer.Record {
		r, err := pointer.Sign(key, pointer.Fields{Value: firstPath, Sequence: sequence, Expires: time.Now().Add(time.Hour)})
		require.NoError(t, err)
		return r
	}
	var requests [][]byte // of flooders
	for range 64 {
		key := newKey(t)
		path := "/routing/v1/ipns/" + key.Pointer().String()
		body := sign(key, 1).Bytes()
		requests = append(requests,
			fmt.Appendf(nil, "PUT %s HTTP/1.1\r\nHost: %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", path, host, recordType, len(body), body),
			fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\nAccept: %s\r\nCache-Control: no-cache\r\n\r\n", path, host, recordType),
			fmt.Appendf(nil, "PUT %s HTTP/1.1\r\nHost: %s\r\nContent-Length: 9000\r\n\r\n", path, host))
	}
	many := make(chan struct{}) // closed when many connections were opened
	var opened, answered, limited atomic.Int64
	flood := func(from net.IP, first int) {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: from}}
		conn, err := d.DialContext(ctx, "tcp", host)
		if err != nil {
			return
		}
		defer conn.Close()
		defer context.AfterFunc(ctx, func() { conn.Close() })()
		if opened.Add(1) == addresses*each/4 {
			close(many)
		}
		in := bufio.NewReader(conn)
		for n := first; ctx.Err() == nil; n += 3 { // of one kind
			if _, err := conn.Write(requests[n%len(requests)]); err != nil {
				return
			}
			resp, err := http.ReadResponse(in, nil)
			if err != nil {
				return
			}
			if _, err := io.Copy(io.Discard, resp.Body); err != nil {
				return
			}
			if answered.Add(1); resp.StatusCode == http.StatusTooManyRequests {
				limited.Add(1)
			}
		}
	}
	var wg sync.WaitGroup
	for a := range addresses {
		for c := range each {
			wg.Go(func() {
				for ctx.Err() == nil {
					flood(net.IPv4(127, 0, 1, byte(1+a)), a+c)
				}
			})
		}
	}
	if probe, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, 1)}}).Dial("tcp", host); err != nil {
		stop()
		wg.Wait()
		t.Skipf("no further loopback addresses here: %v", err)
	} else {
		probe.Close()
	}
	<-many

	c, err := delegated.NewClient(w.url)
	require.NoError(t, err)
	defer c.Close()
	key := newKey(t)
	var took []time.Duration
	for n := range uint64(rounds) {
		record := sign(key, n+1).Bytes()
		began := time.Now()
		receipt, err := c.Put(t.Context(), key.Pointer(), record)
		require.NoError(t, err, "round %d", n)
		require.Equal(t, 1, receipt.Stored)
		for a, err := range c.Get(t.Context(), key.Pointer()) {
			require.NoError(t, err, "round %d", n)
			require.True(t, bytes.Equal(record, a.Record), "round %d", n)
		}
		took = append(took, time.Since(began))
	}
	stop()
	wg.Wait()
	require.NoError(t, <-ended)
	slices.Sort(took)
	t.Logf("%d connections were opened, %d requests answered, %d of them with 429; a publication with a look-up took %v (median) and %v (most)",
		opened.Load(), answered.Load(), limited.Load(), took[rounds/2], took[rounds-1])
	require.Positive(t, limited.Load(), "the flooders met their limit")
}
