package pair

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/petnames-go/petnames/pointer/paste"
)

var errTwoInvitations = errors.New("has more than one invitation: paste the one that is meant, alone")

// ParseTicket parses a link, "petname-invite:…", or a compact form, "PETNAME:I.…", and
// those of devices, "petname-device:…" and "PETNAME:D.…": see [Self].Device.
// What other programs add to it is ignored: see package paste. It may be within another
// text, such as a mail or a command, and more than once; two that differ are refused. A
// link is verified; for an expired one the error is an [*ExpiredError]. A compact form
// determines only the inviter's pointer and the secret; the invitation is verified against
// both after it is fetched. Errors do not contain the input, which has a secret.
func ParseTicket(s string, now time.Time) (Ticket, error) {
	t, err := parseTicket(s)
	if err != nil {
		return Ticket{}, fmt.Errorf("invitation: %w", err)
	}
	if t.Invitation != nil && !now.Before(t.Invitation.Expires) {
		return Ticket{}, &ExpiredError{*t.Invitation, now}
	}
	return t, nil
}

// parseTicket is ParseTicket without the check of the time and the prefix of its errors.
func parseTicket(s string) (Ticket, error) {
	if len(s) > maxTicketText {
		return Ticket{}, fmt.Errorf("is %d bytes long", len(s))
	}
	s, _ = paste.Unscan(s, hasInvitation)
	if token := paste.Token(s); !hasInvitation(s) && hasInvitation(token) { // folded before the colon
		s = token
	}
	var found []Ticket
	for _, prefix := range []string{linkPrefix, devicePrefix} {
		for _, rest := range paste.AfterAnyCase(s, prefix) {
			t, err := atStart(rest, isBase64URL, func(text string) (Ticket, error) { return parseLink(text, prefix) })
			if err != nil {
				return Ticket{}, err
			}
			found = append(found, t)
		}
	}
	for _, rest := range paste.After(s, "petname:") {
		prefix := compactPrefix
		digits, ok := strings.CutPrefix(strings.TrimSpace(rest), "I")
		if !ok {
			digits, prefix = strings.TrimPrefix(digits, "D"), compactDevicePrefix
		}
		if digits, ok = strings.CutPrefix(strings.TrimSpace(digits), "."); !ok {
			continue // the link of a contact
		}
		t, err := atStart(digits, isBase36, func(digits string) (Ticket, error) { return parseCompact(prefix + digits) })
		if err != nil {
			return Ticket{}, err
		}
		found = append(found, t)
	}
	if len(found) == 0 {
		return Ticket{}, fmt.Errorf("does not begin with %s or %s: paste all of it", linkPrefix, compactPrefix)
	}
	for _, t := range found[1:] {
		if t.Inviter != found[0].Inviter || t.secret != found[0].secret {
			return Ticket{}, errTwoInvitations
		}
	}
	return found[0], nil
}

// hasInvitation reports whether a text has the start of an invitation.
func hasInvitation(s string) bool {
	return len(paste.AfterAnyCase(s, linkPrefix))+len(paste.AfterAnyCase(s, devicePrefix))+len(paste.After(s, "petname:")) > 0
}

// maxTicketText bounds the text around an invitation, in bytes.
const maxTicketText = 64 << 10

// atStart parses the invitation, of the given characters, at the start of a text. It can
// be in several lines, of which the text does not show the last. So each end is tried, and
// exactly one must be that of an invitation.
func atStart(s string, in func(rune) bool, parse func(string) (Ticket, error)) (Ticket, error) {
	var found *Ticket
	var first, second error
	try := func(text string) {
		t, err := parse(text)
		switch {
		case err != nil && first == nil:
			first = err
		case err == nil && found != nil:
			second = errors.New("can be read in two ways: paste it alone")
		case err == nil:
			found = &t
		}
	}
	var b strings.Builder
	ended, lines := true, 0
	for _, r := range strings.TrimPrefix(strings.TrimSpace(s), "//") {
		if in(r) {
			if ended = false; b.Len() > maxTicket {
				break
			}
			b.WriteRune(r)
			continue
		}
		if !ended && (paste.CanEnd(string(r)) || r == '&' || r == '#') { // of a URL that it is a parameter of
			try(b.String())
		}
		if lines++; !unicode.IsSpace(r) || lines == maxLines {
			ended = true
			break
		}
		ended = true
	}
	if !ended {
		try(b.String())
	}
	if dashless := strings.TrimRight(b.String(), "_-"); found == nil && dashless != b.String() { // of markdown, or a dash
		try(dashless)
	}
	switch {
	case second != nil:
		return Ticket{}, second
	case found != nil:
		return *found, nil
	case first == nil:
		first = errors.New("is mistyped or truncated: ask for it again")
	}
	return Ticket{}, first
}

const (
	maxLines  = 64   // of an invitation
	maxTicket = 8192 // characters of an invitation
)

func isBase64URL(r rune) bool { return isBase36(r) || r == '-' || r == '_' }

func isBase36(r rune) bool {
	return r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
}

// parseLink parses and verifies a link without its prefix. It does not check the time.
func parseLink(text, prefix string) (Ticket, error) {
	if len(text) > base64.RawURLEncoding.EncodedLen(maxInvitation) {
		return Ticket{}, fmt.Errorf("is %d bytes long", len(text))
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || base64.RawURLEncoding.EncodeToString(b) != text {
		return Ticket{}, errors.New("is mistyped or truncated: ask for it again")
	}
	inv, err := openInvitation(b)
	if err != nil {
		return Ticket{}, err
	}
	if inv.linkPrefix() != prefix {
		return Ticket{}, fmt.Errorf("does not begin with %s: paste it as it was", inv.linkPrefix())
	}
	return Ticket{Inviter: inv.Inviter, Addresses: cloneAddresses(inv.Addresses), Invitation: &inv, Device: inv.Device, secret: inv.secret}, nil
}
