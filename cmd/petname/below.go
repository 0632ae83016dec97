package main

import (
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/petnames-go/petnames/pointer"
)

// copiedValue matches what can be a value to copy in a sentence: a pointer, a commitment,
// a peer ID, the address of a peer, or the URL of a router.
var copiedValue = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`\bk[0-9a-z]{50,70}\b|\b12D3Koo[0-9A-Za-z]{40,50}\b|https?://[^\s"]+|/(?:ip4|ip6|dns|dns4|dns6|dnsaddr)/[^\s"]+`)
})

// sentenceMarks are the signs that can follow a value in a sentence.
const sentenceMarks = ".,:;)"

// copiedBelow returns a message for a terminal of wide columns in which a pointer, a key or
// an address is in a short form, and the whole values, which are to be printed below the
// message, each on a line of its own. It applies to values that a mark of the sentence
// follows, which is copied with them, and to all values of a message with a line that is
// wider than the terminal. A value within quotation marks is a part of a text that was
// entered or received, and stays; so does an example, which has an ellipsis, and all
// without a terminal.
func copiedBelow(message string, wide int) (short string, values []string) {
	if wide == 0 {
		return message, nil
	}
	tooWide := slices.ContainsFunc(strings.Split(message, "\n"), func(line string) bool { return width(line) > wide })
	var b strings.Builder
	at := 0
	for _, found := range copiedValue().FindAllStringIndex(message, -1) {
		begin := found[0]
		value := strings.TrimRight(message[begin:found[1]], sentenceMarks)
		end := begin + len(value)
		before, _ := utf8.DecodeLastRuneInString(message[:begin])
		marked := end < len(message) && strings.IndexByte(sentenceMarks, message[end]) >= 0
		if begin > 0 && !strings.ContainsRune(" (\n", before) || isQuoted(message[:begin]) || strings.Contains(value, "…") || !marked && !tooWide {
			continue
		}
		form := shortForm(value)
		if form == "" {
			continue
		}
		b.WriteString(message[at:begin] + form)
		if at = end; !slices.Contains(values, value) {
			values = append(values, value)
		}
	}
	return b.String() + message[at:], values
}

// isQuoted reports whether a quotation begins in a text and does not end in it.
func isQuoted(s string) (open bool) {
	for i := range len(s) {
		if s[i] == '"' && (i == 0 || s[i-1] != '\\') {
			open = !open
		}
	}
	return open
}

// shortForm returns the form of a value to copy within a sentence, by which it can be
// compared with the whole value; "" for another word.
func shortForm(value string) string {
	if isPeerID(value) {
		return shortPeerID(value)
	}
	if p, err := pointer.Parse(value); err == nil && !strings.Contains(value, "/") {
		return p.Short()
	}
	if _, err := pointer.ParseCommitment(value); err == nil {
		return value[:3] + "…" + value[len(value)-6:]
	}
	if scheme, rest, isURL := strings.Cut(value, "://"); isURL {
		host, _, _ := strings.Cut(rest, "/")
		return scheme + "://" + host + "/…" // the mark of the sentence is not behind a whole URL
	}
	parts := strings.Split(value, "/") // "", network, host, transport, port, …
	if len(parts) < 6 {
		return ""
	}
	form, last := strings.Join(parts[:5], "/"), parts[len(parts)-1]
	if !isPeerID(last) || parts[len(parts)-2] != "p2p" {
		return form + "/…"
	}
	if len(parts) > 7 {
		form += "/…"
	}
	return form + "/p2p/" + shortPeerID(last)
}

// isPeerID reports whether a word is the peer ID of an Ed25519 key.
func isPeerID(word string) bool {
	_, err := pointer.Parse(word)
	return err == nil && strings.HasPrefix(word, "12D3Koo")
}

func shortPeerID(id string) string { return id[:7] + "…" + id[len(id)-6:] }
