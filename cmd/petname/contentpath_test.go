package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// What people copy from a browser or from other IPFS software names a content path.
func TestContentPathsAreReadInEachForm(t *testing.T) {
	const (
		v0  = "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWKSPTM"
		v1  = "bafkqabtgn5wgizls"
		key = "k51qzi5uqu5dj14f9vvbpgm71vgojks1ptxr1ucs1z2ojs8omwb4s0wbkjpnnr"
	)
	for text, want := range map[string]string{
		"/ipfs/" + v1:             "/ipfs/" + v1,
		"/ipfs/" + v1 + "/a%20b?": "/ipfs/" + v1 + "/a%20b?", // a path has no escapes
		"ipfs://" + v1:            "/ipfs/" + v1,
		"ipfs://" + v1 + "/":      "/ipfs/" + v1 + "/",
		"ipfs:" + v1:              "/ipfs/" + v1,
		"IPFS://" + v0 + "/a/b":   "/ipfs/" + v0 + "/a/b", // of v0 the case counts
		"ipfs://" + v1 + "/a%20b": "/ipfs/" + v1 + "/a b",
		"ipns://docs.example.org": "/ipns/docs.example.org",
		"ipns://" + key + "/x":    "/ipns/" + key + "/x",
		v0:                        "/ipfs/" + v0,
		v1 + "/a":                 "/ipfs/" + v1 + "/a",
		key:                       "/ipns/" + key,
		"ipld://" + v1:            "ipld://" + v1, // the rest is refused where it is signed
		"nonsense":                "nonsense",
		"https://example.org":     "https://example.org",
	} {
		got, err := parsePath(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got)
	}
	for _, text := range []string{"", "ipfs://" + v1 + "?a=b", "ipns://" + key + "#a", "ipfs://" + v1 + "/100%"} {
		_, err := parsePath(text)
		require.Error(t, err, text)
		require.Equal(t, exitUsage, classify(err).Exit)
	}
}
