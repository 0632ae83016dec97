package delegated

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
)

// asked returns a client whose clock is off by a duration, after a request to a server.
func asked(t *testing.T, url string, off *time.Duration) (*Client, error) {
	t.Helper()
	c, err := NewClient(url)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	c.Now = func() time.Time { return time.Now().Add(*off) }
	_, known := c.ClockSkew()
	require.False(t, known)
	return c, c.Check(t.Context())
}

// The Date of a response shows by how much the clocks differ, whatever the response is.
// The difference is dropped after 10 minutes, and when the clock is set.
func TestDateShowsTheClockSkew(t *testing.T) {
	headers := map[string]string{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for name, value := range headers {
			w.Header().Set(name, value)
		}
		w.WriteHeader(http.StatusBadRequest)
	}))
	defer s.Close()
	for _, off := range []time.Duration{0, 5 * time.Hour, -5 * time.Hour, 10 * 365 * 24 * time.Hour} {
		c, err := asked(t, s.URL, &off)
		require.NoError(t, err)
		ahead, known := c.ClockSkew()
		require.True(t, known)
		require.InDelta(t, -off, ahead, float64(time.Minute))
		off += 11 * time.Minute
		_, known = c.ClockSkew()
		require.False(t, known)
	}
	// A cache on the way adds the age of the response.
	off := time.Duration(0)
	headers["Date"], headers["Age"] = time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat), "3600"
	c, err := asked(t, s.URL, &off)
	require.NoError(t, err)
	ahead, known := c.ClockSkew()
	require.True(t, known)
	require.InDelta(t, 0, ahead, float64(time.Minute))
	// Attack: a Date that is no date, and an Age that is no number.
	headers["Date"] = "yesterday"
	c, err = asked(t, s.URL, &off)
	require.NoError(t, err)
	_, known = c.ClockSkew()
	require.False(t, known)
	headers["Date"], headers["Age"] = time.Now().UTC().Format(http.TimeFormat), "99999999999999999999"
	c, err = asked(t, s.URL, &off)
	require.NoError(t, err)
	ahead, _ = c.ClockSkew()
	require.InDelta(t, 0, ahead, float64(time.Minute))
}

// A certificate that is not valid by this machine's clock shows the least difference.
func TestCertificateShowsTheClockSkew(t *testing.T) {
	s := httptest.NewTLSServer(http.NotFoundHandler())
	defer s.Close()
	valid := s.Certificate()
	before, after := time.Until(valid.NotBefore)-5*time.Hour, time.Until(valid.NotAfter)+5*time.Hour
	for off, want := range map[time.Duration]time.Duration{before: 5 * time.Hour, after: -5 * time.Hour} {
		c, err := asked(t, s.URL, &off)
		require.ErrorIs(t, err, dht.ErrUnreachable)
		ahead, known := c.ClockSkew()
		require.True(t, known)
		require.InDelta(t, want, ahead, float64(time.Minute))
	}
	off := time.Duration(0) // another reason: the authority is unknown
	c, err := asked(t, s.URL, &off)
	require.ErrorIs(t, err, dht.ErrUnreachable)
	_, known := c.ClockSkew()
	require.False(t, known)
}
