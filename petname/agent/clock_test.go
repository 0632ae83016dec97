package agent_test

import (
	"crypto/ed25519"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/petname/home"
)

// dated is a router whose responses show a clock that is ahead of this machine's.
type dated struct {
	holding
	ahead time.Duration
}

func (d *dated) ClockSkew() (time.Duration, bool) { return d.ahead, true }

// usesDated configures routers with clocks that are ahead by these durations.
func usesDated(t *testing.T, a *agent.Agent, ahead ...time.Duration) {
	c := home.Config{Network: "off"}
	routers := map[string]agent.Router{}
	for i, d := range ahead {
		url := fmt.Sprintf("http://router%d.invalid", i)
		c.Routers, routers[url] = append(c.Routers, url), &dated{ahead: d}
	}
	agent.SetRouters(a, routers)
	require.NoError(t, agent.HomeOf(a).SetConfig(c))
}

// clockCheck returns the check of the clock; it is there only if something contradicts
// the clock.
func clockCheck(t *testing.T, a *agent.Agent) agent.Check {
	for _, c := range a.Check(t.Context()) {
		if c.Name == "clock" {
			return c
		}
	}
	return agent.Check{OK: true}
}

// Attack: one router claims another time. It causes a hint with its name, and no failed
// check. Two sources that agree fail it, and two that do not agree do not.
func TestOneRouterCausesNoMoreThanAHint(t *testing.T) {
	now := time.Now()
	a := openedWith(t, agent.Options{Now: func() time.Time { return now }})
	usesDated(t, a, time.Minute)
	require.Empty(t, a.ClockHint())
	require.Equal(t, agent.Check{OK: true}, clockCheck(t, a))
	for _, tc := range []struct {
		ahead []time.Duration
		ok    bool
	}{
		{[]time.Duration{5 * time.Hour}, true},
		{[]time.Duration{5 * time.Hour, -5 * time.Hour}, true},
		{[]time.Duration{5 * time.Hour, time.Second}, true},
		{[]time.Duration{5 * time.Hour, 5 * time.Hour}, false},
		{[]time.Duration{-5 * time.Hour, -5 * time.Hour, time.Hour}, false},
		{[]time.Duration{5 * time.Hour, 5 * time.Hour, 0}, false},
		{[]time.Duration{5 * time.Hour, 5 * time.Hour, 0, time.Second}, true},
	} {
		usesDated(t, a, tc.ahead...)
		check := clockCheck(t, a)
		require.Equal(t, tc.ok, check.OK, tc.ahead)
		require.Contains(t, check.Detail, "5h0m0s")
		require.Contains(t, check.Detail, "router http://router0.invalid shows "+now.Add(tc.ahead[0]).UTC().Format("2006-01-02 15:04 UTC"))
		require.Equal(t, now.Unix(), a.Clock().Unix(), "no router sets the clock")
	}
}

// Attack: one router under several names and ports claims another time. It is one source.
func TestOneRouterUnderSeveralNamesIsOneSource(t *testing.T) {
	a := opened(t)
	routers := map[string]agent.Router{}
	c := home.Config{Network: "off"}
	for _, url := range []string{"http://127.0.0.1:8080", "http://127.0.0.1:8081", "http://[::ffff:127.0.0.1]:8080"} {
		c.Routers, routers[url] = append(c.Routers, url), &dated{ahead: 5 * time.Hour}
	}
	agent.SetRouters(a, routers)
	require.NoError(t, agent.HomeOf(a).SetConfig(c))
	check := clockCheck(t, a)
	require.True(t, check.OK)
	require.Contains(t, check.Detail, "5h0m0s")
}

// An act under a clock years ahead is dated so. When the clock is right again, the
// owner is notified, the next act has the right date, and then the notice ends.
func TestAClockThatCameBackIsReported(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "home")
	off := 10 * 365 * 24 * time.Hour
	o := agent.Options{Create: &agent.Profile{}, Now: func() time.Time { return time.Now().Add(off) }}
	a, err := agent.Open(t.Context(), dir, o)
	require.NoError(t, err)
	defer a.Close()
	off = 0
	added := func(name string) time.Time {
		return add(t, a, name, newKey(t).Pointer()).Provenance[0].At
	}
	added("alice")
	require.NoError(t, a.Notice())
	off = 10 * 365 * 24 * time.Hour
	require.ErrorContains(t, a.Notice(), "over a year after the last entry")
	require.WithinDuration(t, time.Now().Add(off), added("bob"), time.Minute)
	off = 0
	require.ErrorContains(t, a.Notice(), "the last entry of this device is dated")
	require.Contains(t, a.ClockHint(), "the last entry of device")
	require.WithinDuration(t, time.Now(), added("carol"), time.Minute)
	require.NoError(t, a.Notice())
	require.Empty(t, a.ClockHint())
}

// The text of an error of libp2p with an expired certificate shows the difference.
// Attack: other texts, also of a peer, show none.
func TestCertificateOfAPeerShowsTheClockSkew(t *testing.T) {
	now := time.Now().Truncate(time.Second)
	public, private, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour)}
	der, err := x509.CreateCertificate(nil, template, template, public, private)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	for off, want := range map[time.Duration]time.Duration{-6 * time.Hour: 5 * time.Hour, 6 * time.Hour: -5 * time.Hour} {
		_, failed := cert.Verify(x509.VerifyOptions{CurrentTime: now.Add(off)})
		require.Error(t, failed)
		failed = fmt.Errorf("12D3Koo: failed to dial: certificate verification failed: %s; and more", failed)
		ahead, ok := agent.CertificateSkew(failed, now.Add(off))
		require.True(t, ok, failed)
		require.Equal(t, want, ahead)
		_, ok = agent.CertificateSkew(failed, now.Add(off+time.Hour))
		require.False(t, ok, "the clock was set since")
	}
	for _, text := range []string{"", "x509: certificate signed by unknown authority", "certificate has expired or is not yet valid: current time now is before then"} {
		_, ok := agent.CertificateSkew(errors.New(text), now)
		require.False(t, ok)
	}
	_, ok := agent.CertificateSkew(nil, now)
	require.False(t, ok)
}

// A joining of a book that fails under a wrong clock states it, and that nothing was saved is true.
func TestAJoiningUnderAWrongClockStatesIt(t *testing.T) {
	now := time.Now().Truncate(time.Second)
	refused := fmt.Errorf("certificate has expired or is not yet valid: current time %s is before %s", now.Format(time.RFC3339), now.Add(3*time.Hour).Format(time.RFC3339))
	dir := filepath.Join(t.TempDir(), "phone")
	j := agent.DeviceJoin{Invitation: "device-742-tunnel-orbit-candy", Networks: []string{"/ip4/127.0.0.1/tcp/1/p2p/12D3KooWGQh4PZmNNXHpLHPVGNWQx9VHjKVWcMVLwMtHaSd7LqKC"}}
	_, _, err := agent.JoinBook(t.Context(), dir, j, agent.Options{Transport: &nodes{refused: refused}})
	var wrong *agent.WrongClockError
	require.ErrorAs(t, err, &wrong)
	require.Contains(t, wrong.Hint, "3h0m0s ahead of this machine's clock")
	require.NotContains(t, err.Error(), "saved")
	require.NoDirExists(t, dir)
}
