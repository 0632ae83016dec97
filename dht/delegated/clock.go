package delegated

import (
	"crypto/x509"
	"errors"
	"net/http"
	"strconv"
	"time"
)

// ClockSkew returns by how much the clock of the router is ahead of this machine's,
// negative if it is behind, and reports whether a response or failed TLS
// handshake in the last 10 minutes showed it. The source is the Date header (RFC
// 9110, §6.6.1) with the Age, exact to a few seconds, or a certificate that is not
// valid now: then the skew is the least that would make it valid. A router can claim any time.
func (c *Client) ClockSkew() (ahead time.Duration, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	// Neither the clock was set since, nor did the machine sleep.
	return c.skew, !c.skewAt.IsZero() && c.now().Sub(c.skewAt).Abs() <= skewLife
}

// skewLife is how long a difference is reported after it was measured.
const skewLife = 10 * time.Minute

func (c *Client) now() time.Time {
	if c.Now != nil {
		return c.Now().Round(0)
	}
	return time.Now().Round(0)
}

func (c *Client) setSkew(ahead time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.skew, c.skewAt = ahead, c.now()
}

// compareClocks reads the Date of a response to a request that was sent at a time.
func (c *Client) compareClocks(resp *http.Response, sent time.Time) {
	date, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		return
	}
	if age, err := strconv.ParseUint(resp.Header.Get("Age"), 10, 31); err == nil {
		date = date.Add(time.Duration(age) * time.Second) // a cache on the way answered
	}
	now := c.now()
	c.setSkew(date.Sub(now.Add(-now.Sub(sent) / 2)))
}

// compareCertificate reads the dates of a certificate that is not valid now.
func (c *Client) compareCertificate(err error) {
	invalid, ok := errors.AsType[x509.CertificateInvalidError](err)
	if !ok || invalid.Reason != x509.Expired || invalid.Cert == nil {
		return
	}
	now := c.now()
	switch {
	case now.Before(invalid.Cert.NotBefore):
		c.setSkew(invalid.Cert.NotBefore.Sub(now))
	case now.After(invalid.Cert.NotAfter):
		c.setSkew(invalid.Cert.NotAfter.Sub(now))
	}
}
