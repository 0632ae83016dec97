// Package delegated gets and puts records over HTTP, for hosts that run no DHT
// node. Call [NewClient] for a [dht.Store] at a router. A [Server] is a router:
// call [Serve] to run it.
//
//	router, err := delegated.NewClient("https://router.example")
//	…
//	defer router.Close()
//	r := &dht.Resolver{Stores: []dht.Store{router, another}, Home: home}
//	res, err := r.Best(ctx, p, dht.LevelAny)
//
// The protocol is the part for IPNS of the IPFS specification "Delegated Routing
// V1 HTTP API":
//
//	GET /routing/v1/ipns/{name}   200 application/vnd.ipfs.ipns-record: the record
//	                              200 text/plain: no record (IPIP-513); so is 404
//	                              with plain text or no body, of older routers
//	PUT /routing/v1/ipns/{name}   200: stored; no other status is
//
// A name is a CIDv1 of a public key, such as k51…. The Server works with boxo's
// client, and the Client with boxo's server, with identical bytes. Only tests use
// boxo's code: its handler answers every refused put with 500 and accepts the
// first 10 KiB of a longer one, and its client returns a parsed record that cannot
// be verified again by a different clock.
//
// A router is not trusted. It learns which address requests which pointer, and
// can withhold a record. It cannot forge one, since a Resolver verifies all
// answers. Its use of a Client's time and memory is bounded: an answer has at most
// 10 KiB, and ends with the timeout of the request. It cannot redirect the Client
// to another host. The use of a Server by its clients is bounded as well: see
// [Server].
package delegated

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	path        = "/routing/v1/ipns/"
	contentType = "application/vnd.ipfs.ipns-record"

	// maxReason bounds the text of the other side in an error, in bytes.
	maxReason = 240
)

// sanitize returns text from the network for an error or a response: at most
// maxReason bytes, on one line, with U+FFFD for characters that are not printable.
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
