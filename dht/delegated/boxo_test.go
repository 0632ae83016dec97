package delegated

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/ipfs/boxo/autoconf"
	"github.com/ipfs/boxo/ipns"
	boxoclient "github.com/ipfs/boxo/routing/http/client"
	boxoserver "github.com/ipfs/boxo/routing/http/server"
	"github.com/libp2p/go-libp2p/core/routing"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/pointer"
)

// boxoRouter is the part of a router that boxo's handler calls for IPNS.
type boxoRouter struct {
	boxoserver.ContentRouter
	mu      sync.Mutex
	records map[ipns.Name]*ipns.Record
}

func (b *boxoRouter) GetIPNS(_ context.Context, name ipns.Name) (*ipns.Record, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if r, ok := b.records[name]; ok {
		return r, nil
	}
	return nil, routing.ErrNotFound
}

func (b *boxoRouter) PutIPNS(_ context.Context, name ipns.Name, r *ipns.Record) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if have, ok := b.records[name]; ok {
		old, err := have.Sequence()
		if err != nil {
			return err
		}
		if now, err := r.Sequence(); err != nil || now < old {
			return errors.New("older")
		}
	}
	if b.records == nil {
		b.records = map[ipns.Name]*ipns.Record{}
	}
	b.records[name] = r
	return nil
}

func newBoxoRouter() http.Handler {
	return boxoserver.Handler(&boxoRouter{}, boxoserver.WithPrometheusRegistry(prometheus.NewRegistry()))
}

type sample struct {
	name   string
	p      pointer.Pointer
	record []byte
}

// samples returns records of several programs: this module in both forms, and Kubo.
func samples(t *testing.T) (out []sample) {
	for i, v1 := range []bool{false, true} {
		k := newKey(t)
		fields := pointer.Fields{Value: "/ipfs/bafkqaaa", Sequence: uint64(i), Expires: sign(t, k, 0).Expires(), TTL: 7, V1: v1,
			Card: &pointer.Card{Nickname: "Ana"}}
		rec, err := pointer.Sign(k, fields)
		require.NoError(t, err)
		out = append(out, sample{fmt.Sprintf("ours, v1=%v", v1), rec.Pointer(), rec.Bytes()})
	}
	kubo, err := filepath.Glob("../../pointer/testdata/kubo/*.record")
	require.NoError(t, err)
	for _, file := range kubo {
		if strings.Contains(file, "expired") {
			continue
		}
		b, err := os.ReadFile(file)
		require.NoError(t, err)
		name, err := os.ReadFile(strings.TrimSuffix(file, ".record") + ".name")
		require.NoError(t, err)
		p, err := pointer.Parse(string(name))
		require.NoError(t, err)
		out = append(out, sample{filepath.Base(file), p, b})
	}
	require.GreaterOrEqual(t, len(out), 6)
	return out
}

// The server stores the bytes that a boxo client puts, and the boxo client
// gets the same bytes.
func TestBoxoClientWithServer(t *testing.T) {
	for _, s := range samples(t) {
		for how, network := range map[string]dht.Store{"alone": nil, "with a network": &dht.Memory{Source: dht.SourceNetwork}} {
			t.Run(s.name+" "+how, func(t *testing.T) {
				c := newClient(t, unlimited(network))
				boxo, err := boxoclient.New(c.URL())
				require.NoError(t, err)
				name, err := ipns.NameFromString(s.p.String())
				require.NoError(t, err)
				_, err = boxo.GetIPNS(t.Context(), name)
				require.ErrorIs(t, err, routing.ErrNotFound)
				record, err := ipns.UnmarshalRecord(s.record)
				require.NoError(t, err)
				require.NoError(t, boxo.PutIPNS(t.Context(), name, record))
				a, err := get(t, c, s.p)
				require.NoError(t, err)
				require.Equal(t, s.record, a.Record, "as it was put")
				got, err := boxo.GetIPNS(t.Context(), name)
				require.NoError(t, err)
				again, err := ipns.MarshalRecord(got)
				require.NoError(t, err)
				require.Equal(t, s.record, again, "as it was put")
			})
		}
	}
}

// The client works with a server of boxo's handler.
func TestClientWithBoxoServer(t *testing.T) {
	for _, s := range samples(t) {
		t.Run(s.name, func(t *testing.T) {
			c := newClient(t, newBoxoRouter())
			a, err := get(t, c, s.p)
			require.NoError(t, err)
			require.Nil(t, a.Record)
			require.Equal(t, c.URL(), a.Peer, "to have none is an answer")
			receipt, err := c.Put(t.Context(), s.p, s.record)
			require.NoError(t, err)
			require.Equal(t, dht.Receipt{Asked: 1, Stored: 1}, receipt)
			a, err = get(t, c, s.p)
			require.NoError(t, err)
			require.Equal(t, s.record, a.Record)
		})
	}
	c := newClient(t, newBoxoRouter())
	k := newKey(t)
	rec := sign(t, k, 1)
	receipt, err := c.Put(t.Context(), k.Pointer(), rec.Bytes()[:50])
	require.Equal(t, dht.Receipt{Asked: 1, Refused: 1}, receipt)
	require.ErrorContains(t, err, "invalid", "boxo's reason")
	_, err = c.Put(t.Context(), newKey(t).Pointer(), rec.Bytes())
	require.Error(t, err)
}

// A boxo client is refused with a status and the reason.
func TestBoxoClientReceivesTheReason(t *testing.T) {
	k := newKey(t)
	c := newClient(t, unlimited(nil))
	boxo, err := boxoclient.New(c.URL())
	require.NoError(t, err)
	name, err := ipns.NameFromString(k.Pointer().String())
	require.NoError(t, err)
	put := func(rec pointer.Record) error {
		r, err := ipns.UnmarshalRecord(rec.Bytes())
		require.NoError(t, err)
		return boxo.PutIPNS(t.Context(), name, r)
	}
	require.NoError(t, put(sign(t, k, 2)))
	var failed *boxoclient.HTTPError
	require.ErrorAs(t, put(sign(t, k, 1)), &failed)
	require.Equal(t, http.StatusConflict, failed.StatusCode)
	require.Contains(t, failed.Body, "sequence 2")
	require.ErrorAs(t, put(sign(t, newKey(t), 3)), &failed)
	require.Equal(t, http.StatusBadRequest, failed.StatusCode)
	require.Contains(t, failed.Body, "does not verify")
}

// The settings of the page for Kubo, read as Kubo reads them, lead a client of boxo to a
// router: it puts and gets, and does not ask for what the router has not.
func TestSettingsOfThePageForKubo(t *testing.T) {
	page, err := os.ReadFile("../../petname/docs/ipfs.md")
	require.NoError(t, err)
	settings := regexp.MustCompile(`ipfs config --json (\S+) '(\[.*\])'`).FindAllStringSubmatch(string(page), -1)
	require.Len(t, settings, 2)
	router := unlimited(nil)
	c := newClient(t, router)
	for _, setting := range settings {
		var urls []string
		require.NoError(t, json.Unmarshal([]byte(setting[2]), &urls), setting[1])
		endpoints, err := autoconf.GroupByKnownCapabilities(urls, true, setting[1] == "Ipns.DelegatedPublishers")
		require.NoError(t, err)
		require.Equal(t, map[string]autoconf.EndpointCapabilities{
			"http://127.0.0.1:8099": {IPNSGet: true, IPNSPut: setting[1] == "Ipns.DelegatedPublishers"},
		}, endpoints)
		joined, err := ParseURL(urls[0])
		require.NoError(t, err, "the same URL can be joined")
		require.Equal(t, "http://127.0.0.1:8099", joined)
	}
	require.Contains(t, string(page), "petname node --http 127.0.0.1:8099")

	boxo, err := boxoclient.New(c.URL()) // the base URL, as for 127.0.0.1:8099
	require.NoError(t, err)
	k := newKey(t)
	name, err := ipns.NameFromString(k.Pointer().String())
	require.NoError(t, err)
	record, err := ipns.UnmarshalRecord(sign(t, k, 1).Bytes())
	require.NoError(t, err)
	require.NoError(t, boxo.PutIPNS(t.Context(), name, record))
	_, err = boxo.GetIPNS(t.Context(), name)
	require.NoError(t, err)
}
