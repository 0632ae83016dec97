package petname

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/secure/precis"
	"golang.org/x/text/unicode/norm"

	"github.com/petnames-go/petnames/pointer"
)

// Name is a petname: text that I chose, normalised for comparison by the PRECIS
// Nickname profile (RFC 8266). Two names are the same when their comparison
// keys are: case, width, and the number of spaces don't tell names apart. The
// spelling that was typed is kept for display. The zero value is no name.
type Name struct {
	text, key string
}

// MaxName bounds a name, in bytes of UTF-8.
const MaxName = 128

// UnicodeVersion is the version of the tables that comparison keys are made
// with; a book made with others derives its keys again when it is opened.
const UnicodeVersion = precis.UnicodeVersion

// NameError says why a text is no name. Text is the input.
type NameError struct {
	Text   string
	Reason string
}

func (e *NameError) Error() string {
	return fmt.Sprintf("name %s %s", quote(e.Text), e.Reason)
}

// ParseName reads a name. Refused, with a [*NameError]: the empty name, a name
// over [MaxName], one with a slash (which reads as a path), one that reads as a
// pointer or a link, and what RFC 8266 refuses: controls, invisible and
// unassigned code points.
func ParseName(s string) (Name, error) {
	text, key, reason := normalise(s)
	if reason != "" {
		return Name{}, &NameError{s, reason}
	}
	return Name{text, key}, nil
}

func normalise(s string) (text, key, reason string) {
	if !utf8.ValidString(s) {
		return "", "", "is not valid UTF-8"
	}
	if len(s) > MaxName {
		return "", "", fmt.Sprintf("is %d bytes long, over %d", len(s), MaxName)
	}
	for _, r := range s {
		// Joiners are left to PRECIS, which allows them where a script needs them.
		if !unicode.IsGraphic(r) && r != '\u200c' && r != '\u200d' {
			return "", "", fmt.Sprintf("has the invisible or unassigned character %U", r)
		}
	}
	text = norm.NFC.String(strings.Join(strings.FieldsFunc(s, unicode.IsSpace), " "))
	switch {
	case text == "":
		return "", "", "is empty"
	case strings.ContainsAny(text, "/\u2044\u2215\u29f8\uff0f"):
		return "", "", "has a slash: it reads as a path, not as one name"
	case strings.HasPrefix(strings.ToLower(text), "petname:"):
		return "", "", "reads as a link"
	case strings.HasPrefix(text, "-"):
		return "", "", "starts with a hyphen: it reads as a flag"
	}
	if _, err := pointer.Parse(text); err == nil {
		return "", "", "reads as a pointer"
	}
	key, err := compareKey(text)
	if err != nil {
		return "", "", err.Error()
	}
	return text, key, ""
}

// compareKey is RFC 8266's comparison, applied until it is stable as its §2.4
// asks: one pass can leave work for another.
func compareKey(text string) (string, error) {
	key := text
	for range 4 {
		next, err := precis.Nickname.CompareKey(key)
		if err != nil {
			return "", errors.New("has a character that RFC 8266 doesn't allow in a nickname")
		}
		if next == key {
			return key, nil
		}
		key = next
	}
	return "", errors.New("has no stable form for comparison (RFC 8266, §2.4)")
}

// String is the name as it was typed, but for white space around it.
func (n Name) String() string { return n.text }

// Key is the comparison key: equal for names that are the same.
func (n Name) Key() string { return n.key }

// IsZero reports whether n is no name.
func (n Name) IsZero() bool { return n.text == "" }

// MarshalText gives the spelling.
func (n Name) MarshalText() ([]byte, error) { return []byte(n.text), nil }

// quote repeats an input in an error: escaped and bounded.
func quote(s string) string {
	const most = 100
	if len(s) > most {
		return fmt.Sprintf("%q…", s[:most])
	}
	return fmt.Sprintf("%q", s)
}
