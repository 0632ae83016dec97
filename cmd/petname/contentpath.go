package main

import (
	"net/url"
	"strings"

	"github.com/ipfs/go-cid"
)

// parsePath returns the content path that a text names: a content path, which is returned
// as it is, the URI of one (ipfs://CID/…, ipns://NAME/…), whose escapes are decoded, or a CID
// with or without a path behind it.
func parsePath(text string) (string, error) {
	if text == "" {
		return "", usage("PATH is empty; leave it out to publish the last one again")
	}
	scheme, rest, _ := strings.Cut(text, ":")
	if scheme = strings.ToLower(scheme); scheme == "ipfs" || scheme == "ipns" {
		if strings.ContainsAny(rest, "?#") {
			return "", usage("PATH %q: a content path has no part after ? or #", text).With(pathNext)
		}
		path, err := url.PathUnescape(strings.TrimPrefix(rest, "//"))
		if err != nil {
			return "", usage("PATH %q: is no URI of content", text).With(pathNext)
		}
		return "/" + scheme + "/" + path, nil
	}
	root, _, _ := strings.Cut(text, "/")
	if c, err := cid.Decode(root); err == nil {
		namespace := "/ipfs/"
		if c.Type() == cid.Libp2pKey {
			namespace = "/ipns/"
		}
		return namespace + text, nil
	}
	return text, nil
}

// pathNext is the next step for what is no content path.
const pathNext = "a content path starts with /ipfs/ or /ipns/"
