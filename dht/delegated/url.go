package delegated

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

const maxURL = 512 // bytes

// ParseURL returns the canonical form of a router's URL: http or https and a
// host, with a port if it is not the default one. It accepts a slash,
// /routing/v1 or /routing/v1/ipns at the end. Any other path, a user, a query or a fragment is an
// error, as are hosts that are not ASCII: use their form in the DNS (xn--…).
func ParseURL(s string) (string, error) {
	u, err := parseURL(s)
	if err != nil {
		if len(s) > maxURL {
			s = s[:maxURL] + "…"
		}
		return "", fmt.Errorf("router %q: %w", s, err)
	}
	return u, nil
}

// parseURL is ParseURL without the prefix of its errors.
func parseURL(s string) (string, error) {
	if len(s) > maxURL {
		return "", fmt.Errorf("%d bytes long, over %d", len(s), maxURL)
	}
	for _, r := range s {
		if r <= ' ' || r > '~' {
			return "", errors.New("only plain ASCII without spaces; a host of another script is written xn--…")
		}
	}
	u, err := url.Parse(s)
	if err != nil {
		return "", errors.New("no URL")
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return "", errors.New("starts with neither http:// nor https://")
	case u.User != nil:
		return "", errors.New("has a user in it, which is not sent to routers")
	// ForceQuery and "#" find an empty query and an empty fragment.
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.Contains(s, "#"):
		return "", errors.New("ends with a query or a fragment")
	}
	switch strings.TrimSuffix(u.EscapedPath(), "/") {
	case "", "/routing/v1", "/routing/v1/ipns":
	default:
		return "", errors.New("has a path; routers are found under /routing/v1")
	}
	host, err := parseHost(u)
	if err != nil {
		return "", err
	}
	return u.Scheme + "://" + host, nil
}

// parseHost returns the canonical form of the host and the port.
func parseHost(u *url.URL) (string, error) {
	host, port := strings.ToLower(u.Hostname()), u.Port()
	bracketed := strings.HasPrefix(u.Host, "[")
	addr, err := netip.ParseAddr(host)
	switch {
	case err == nil && addr.Zone() != "":
		return "", errors.New("has a zone in its address")
	case bracketed != (err == nil && addr.Is6()):
		return "", errors.New("no host that can be asked")
	case bracketed:
		host = "[" + addr.String() + "]"
	case err != nil && !isDomain(host):
		return "", errors.New("no host that can be asked")
	}
	if port == "" {
		if strings.HasSuffix(u.Host, ":") {
			return "", errors.New("has a colon and no port")
		}
		return host, nil
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return "", fmt.Errorf("port %q: is none of 1 to 65535", port)
	}
	if u.Scheme == "http" && n == 80 || u.Scheme == "https" && n == 443 {
		return host, nil
	}
	return host + ":" + strconv.FormatUint(n, 10), nil
}

// isDomain reports whether host is a name for the DNS (RFC 1123, §2.1, and
// underscores, which are in use). Names with a numeric last label are refused:
// some programs parse 127.1 as an address.
func isDomain(host string) bool {
	host = strings.TrimSuffix(host, ".")
	if host == "" || len(host) > 253 {
		return false
	}
	labels := strings.Split(host, ".")
	for _, label := range labels {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, r := range label {
			if !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '_') {
				return false
			}
		}
	}
	last := labels[len(labels)-1]
	return last[0] < '0' || last[0] > '9'
}
