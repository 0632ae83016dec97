package pointer

import (
	"errors"
	"fmt"
	"strings"

	"github.com/petnames-go/petnames/pointer/paste"
)

// ErrScanned is returned by [ParseLink] for a text in which a mail scanner replaced an address, and
// which has no link otherwise.
var ErrScanned = errors.New("has an address that a mail scanner wrote in place of another one: ask for the link itself, as text or as a QR code")

// unscanned returns a text with the addresses that mail scanners replaced, if they are links, or
// pointers at a gateway with nothing behind them. found reports whether it has any such address.
func unscanned(s string) (text string, found bool) {
	return paste.Unscan(s, func(address string) bool {
		if hasPrefixFold(address, linkScheme) {
			return true
		}
		if _, err := parse(address); err != nil || strings.ContainsAny(address, "?#") {
			return false
		}
		_, rest, _ := strings.Cut(address, "://")
		host, path, _ := strings.Cut(strings.TrimSuffix(rest, "/"), "/")
		return path == "" || !strings.Contains(host, ".ipns.") && strings.Count(path, "/") == 1
	})
}

// scanError returns the error for a text with an address of a mail scanner that is not read.
func scanError(s string) error {
	return fmt.Errorf("link %s: %w", quote(strings.TrimSpace(s)), ErrScanned)
}
