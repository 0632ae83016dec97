package delegated

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
)

// Web servers of the kinds that people take for a router are none, and the error states
// what they are. Kubo's RPC is asked with GET alone, which it refuses.
func TestWhatIsNoRouter(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "index.html"), []byte("<h1>Hello</h1>"), 0o600))
	var methods []string
	rpc := http.NewServeMux()
	rpc.HandleFunc("/api/v0/", func(w http.ResponseWriter, r *http.Request) { // as Kubo v0.39 does
		methods = append(methods, r.Method)
		w.Header().Add("Allow", "OPTIONS")
		w.Header().Add("Allow", "POST")
		http.Error(w, "405 - Method Not Allowed", http.StatusMethodNotAllowed)
	})
	for name, tc := range map[string]struct {
		server http.Handler
		reason string
	}{
		"Kubo's RPC":    {rpc, "RPC port of Kubo"},
		"a file server": {http.FileServer(http.Dir(dir)), "a web server answers there, without /routing/v1"},
		"no routes":     {http.NewServeMux(), "a web server answers there, without /routing/v1"},
		"one page": {http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.ServeFile(w, r, filepath.Join(dir, "index.html"))
		}), "is no router"},
		"a page of a proxy": {http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(http.StatusForbidden)
		}), "a web server answers there with a page, 403"},
		"an API": {http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, `{"message":"no"}`, http.StatusMethodNotAllowed)
		}), "a web server answers there, without /routing/v1"},
	} {
		server := httptest.NewServer(tc.server)
		c, err := NewClient(server.URL)
		require.NoError(t, err)
		err = c.Check(t.Context())
		require.ErrorAs(t, err, new(*RouterError))
		require.ErrorIs(t, err, dht.ErrUnreachable)
		require.ErrorContains(t, err, tc.reason, name)
		require.NoError(t, c.Close())
		server.Close()
	}
	require.Equal(t, []string{http.MethodGet}, methods)
	c := newClient(t, &Server{CORS: true})
	require.NoError(t, c.Check(t.Context()))
}
