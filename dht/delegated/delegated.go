// Package delegated reaches records over HTTP, where a node of the DHT is too
// much: a [Client] is a [dht.Store] at somebody else's router, and a [Server]
// is such a router for others.
//
//	router, err := delegated.NewClient("https://router.example")
//	…
//	defer router.Close()
//	r := &dht.Resolver{Stores: []dht.Store{router, another}, Home: home}
//	res, err := r.Best(ctx, p, dht.LevelAny)
//
// The wire is the IPFS specifications' "Delegated Routing V1 HTTP API", of which
// this speaks the part for IPNS:
//
//	GET /routing/v1/ipns/{name}   200 application/vnd.ipfs.ipns-record: the record
//	                              200 text/plain: there is none (IPIP-513); so is 404
//	PUT /routing/v1/ipns/{name}   200: stored
//
// A name is a CIDv1 of a public key, such as k51…. An ordinary boxo client
// works with the Server, and boxo's server with the Client, byte for byte. What
// is boxo's own is used by the tests alone: its handler turns every refusal of
// a put into a 500 and takes the first 10 KiB of a longer one, its client gives
// a parsed record that is past verifying by somebody else's clock.
//
// A router is as little trusted as a peer. It sees who asks for which pointer,
// and can withhold; it can't forge, as a Resolver verifies all that comes. What
// it can do to a Client's time and memory is bounded: one answer is 10 KiB at
// most, and ends with the request's timeout; it can't send the Client on to
// another host. What clients can do to a Server is bounded as well: see there.
package delegated

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	path        = "/routing/v1/ipns/"
	contentType = "application/vnd.ipfs.ipns-record"

	// maxReason bounds what the other side's words may take in an error, in
	// bytes.
	maxReason = 240
)

// short makes foreign words fit for an error or an answer: cut, on one line,
// with U+FFFD for whatever isn't plainly printable.
func sanitize(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case unicode.IsSpace(r):
			r = ' '
		case !unicode.IsPrint(r):
			r = utf8.RuneError
		}
		if b.Len()+utf8.RuneLen(r) > maxReason {
			return b.String() + "…"
		}
		b.WriteRune(r)
	}
	return strings.TrimSpace(b.String())
}
