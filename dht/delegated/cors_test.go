package delegated

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/pointer"
)

// With CORS, web pages of all origins can use the router: the headers of the specification
// are on every answer, refusals included, and a preflight request is answered without
// counting. Without it nothing of that is there.
func TestCORS(t *testing.T) {
	k := newKey(t)
	name, rec := k.Pointer().String(), sign(t, k, 1).Bytes()
	for _, cors := range []bool{true, false} {
		s := &Server{CORS: cors, Burst: 3}
		for _, tc := range []struct {
			method string
			body   []byte
			header []string
			status int
		}{
			{"OPTIONS", nil, []string{"Origin", "https://page.example", "Access-Control-Request-Method", "PUT", "Access-Control-Request-Headers", "content-type"}, 204},
			{"OPTIONS", nil, nil, 204},
			{"OPTIONS", nil, nil, 204},
			{"PUT", rec, nil, 200},
			{"GET", nil, []string{"Origin", "https://page.example"}, 200},
			{"GET", nil, []string{"Accept", "text/html"}, 406},
			{"GET", nil, nil, 429},
			{"OPTIONS", nil, nil, 204},
			{"DELETE", nil, nil, 405},
		} {
			w := request(s, here, tc.method, name, tc.body, tc.header...)
			if !cors {
				for header := range w.Header() {
					require.NotContains(t, header, "Access-Control", tc.method)
				}
				if tc.method == "OPTIONS" {
					require.Equal(t, http.StatusMethodNotAllowed, w.Code)
				}
				continue
			}
			require.Equal(t, tc.status, w.Code, tc.method)
			require.Equal(t, "*", w.Header().Get("Access-Control-Allow-Origin"), tc.method)
			require.Equal(t, "GET, PUT, OPTIONS", w.Header().Get("Access-Control-Allow-Methods"))
			require.Empty(t, w.Header().Get("Access-Control-Allow-Credentials"), "no cookie or password of a visitor")
			if tc.method == "OPTIONS" {
				require.Contains(t, w.Header().Get("Access-Control-Allow-Headers"), "Content-Type", "of a PUT")
				require.Zero(t, w.Body.Len())
			}
		}
	}
}

// holding is a network that holds a record itself.
type holding struct {
	dht.Memory
	held []byte
}

func (h *holding) Held(context.Context, pointer.Pointer) []byte { return h.held }

// A record that the network holds itself counts over an older one in memory, and over none
// else: what it holds is not trusted either.
func TestTheHeldRecordCounts(t *testing.T) {
	k := newKey(t)
	p, now := k.Pointer(), epoch
	at := func(sequence uint64) []byte {
		r, err := pointer.Sign(k, pointer.Fields{Value: "/ipfs/bafkqaaa", Sequence: sequence, Expires: epoch.Add(time.Hour), TTL: time.Hour})
		require.NoError(t, err)
		return r.Bytes()
	}
	h := &holding{Memory: dht.Memory{Source: dht.SourceNetwork}}
	s := unlimited(h)
	s.Now = func() time.Time { return now }
	require.Equal(t, 200, request(s, here, "PUT", p.String(), at(5)).Code)
	got := func() []byte { return request(s, here, "GET", p.String(), nil).Body.Bytes() }
	foreign, err := pointer.Sign(newKey(t), pointer.Fields{Value: "/ipfs/bafkqaaa", Sequence: 9, Expires: epoch.Add(time.Hour)})
	require.NoError(t, err)
	tampered := at(9)
	tampered[40] ^= 1
	expired, err := pointer.Sign(k, pointer.Fields{Value: "/ipfs/bafkqaaa", Sequence: 9, Expires: epoch.Add(-time.Minute)})
	require.NoError(t, err)
	for _, useless := range [][]byte{nil, {}, at(4), foreign.Bytes(), tampered, expired.Bytes()} {
		h.held = useless
		require.Equal(t, at(5), got())
	}
	h.held = at(6)
	require.Equal(t, at(6), got())
}
