package delegated

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/pointer"
)

// Every target has a corpus in testdata.
func TestCorpora(t *testing.T) {
	for _, name := range []string{"FuzzReadAnswer", "FuzzRequest", "FuzzParseURL"} {
		seeds, err := filepath.Glob(filepath.Join("testdata", "fuzz", name, "*"))
		require.NoError(t, err)
		require.GreaterOrEqual(t, len(seeds), 3, name)
	}
	_, err := os.Stat("testdata/fuzz")
	require.NoError(t, err)
}

// Any response of a router is a record within its bound, no record,
// or an error that is safe to print.
func FuzzReadAnswer(f *testing.F) {
	f.Add([]byte(ok(contentType, "record")), false)
	f.Add([]byte("HTTP/1.1 404 Not Found\r\n\r\nno"), false)
	f.Add([]byte("HTTP/1.1 302 Found\r\nLocation: http://\x1b[31m/\r\n\r\n"), true)
	f.Fuzz(func(t *testing.T, wire []byte, put bool) {
		r := httptest.NewRequest(http.MethodGet, "http://router.example/", nil)
		if put {
			r.Method = http.MethodPut
		}
		resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(wire)), r)
		if err != nil {
			return
		}
		defer resp.Body.Close()
		c := &Client{url: "http://router.example"}
		var record []byte
		if put {
			err = checkStored(resp)
			require.Equal(t, err == nil, resp.StatusCode == 200)
		} else if record, err = readRecord(resp); record != nil {
			require.NoError(t, err)
			require.Equal(t, 200, resp.StatusCode)
			require.NotEmpty(t, record)
			require.LessOrEqual(t, len(record), pointer.MaxRecord)
		}
		if err == nil {
			return
		}
		require.Nil(t, record)
		err = c.routerError(t.Context(), err)
		var named *RouterError
		require.ErrorAs(t, err, &named)
		requirePrintable(t, err.Error())
		var short *dht.ShortError
		require.True(t, errors.Is(err, dht.ErrUnreachable) || errors.Is(err, dht.ErrRejected) && !put ||
			(errors.Is(err, dht.ErrOlder) || errors.As(err, &short)) && put)
	})
}

func requirePrintable(t *testing.T, s string) {
	t.Helper()
	require.True(t, utf8.ValidString(s))
	require.Less(t, len(s), 6*maxReason) // the longest escapes, and this package's text
	for _, r := range s {
		require.True(t, r == ' ' || unicode.IsPrint(r), "%q", s)
	}
}

// Every request is answered, and every stored record verifies.
func FuzzRequest(f *testing.F) {
	k, err := pointer.NewKey(bytes.NewReader(bytes.Repeat([]byte{7}, 64)))
	require.NoError(f, err)
	rec, err := pointer.Sign(k, pointer.Fields{Value: "/ipfs/bafkqaaa", Sequence: 1, Expires: epoch.Add(time.Hour), TTL: time.Minute})
	require.NoError(f, err)
	name := rec.Pointer().String()
	f.Add([]byte("GET " + path + name + " HTTP/1.1\r\nHost: x\r\n\r\n"))
	f.Add([]byte(fmt.Sprintf("PUT %s%s HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", path, name, contentType, len(rec.Bytes()), rec.Bytes())))
	f.Add([]byte("PUT " + path + name + " HTTP/1.1\r\nHost: x\r\nContent-Type: " + contentType + "\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"))
	f.Fuzz(func(t *testing.T, wire []byte) {
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(wire)))
		if err != nil {
			return
		}
		s := unlimited(nil)
		s.Now = func() time.Time { return epoch }
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		require.Contains(t, []int{200, 301, 307, 400, 404, 405, 406, 413}, w.Code)
		if w.Code >= 400 && strings.HasPrefix(r.URL.Path, path) {
			requirePrintable(t, strings.TrimSuffix(w.Body.String(), "\n"))
		}
		for p, e := range s.cache.byPointer {
			require.Equal(t, "PUT", r.Method)
			kept := e.Value.(*cachedRecord).record
			_, err := pointer.Open(p, kept.Bytes(), epoch)
			require.NoError(t, err)
		}
	})
}

// An accepted URL is canonical: it parses to itself.
func FuzzParseURL(f *testing.F) {
	for _, s := range []string{"http://127.0.0.1:8080", "HTTPS://Router.example:443/routing/v1/", "http://[::1]"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := ParseURL(s)
		if err != nil {
			require.Empty(t, u)
			require.Less(t, len(err.Error()), 6*maxURL)
			return
		}
		again, err := ParseURL(u)
		require.NoError(t, err)
		require.Equal(t, u, again)
		r, err := http.NewRequest(http.MethodGet, u+path+"k51", nil)
		require.NoError(t, err)
		require.Contains(t, []string{"http", "https"}, r.URL.Scheme)
		require.Nil(t, r.URL.User)
		require.NotEmpty(t, r.URL.Hostname())
		require.Equal(t, u, r.URL.Scheme+"://"+r.URL.Host, "nothing of it is lost or gained")
	})
}
