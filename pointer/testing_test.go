package pointer

import (
	"bytes"
	"crypto"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
	ipnspb "github.com/ipfs/boxo/ipns/pb"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
)

// Injected times. testEnd is far off because boxo, which some tests compare
// with, reads the real clock.
var (
	testNow = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	testEnd = time.Date(2120, 1, 2, 3, 4, 5, 678, time.UTC)
)

// testKey is the key whose seed is 32 times b.
func testKey(b byte) *Key {
	key, err := NewKey(bytes.NewReader(bytes.Repeat([]byte{b}, 32)))
	if err != nil {
		panic(err)
	}
	return key
}

func testCommitment(key *Key) Commitment {
	c, err := Commit(key.Public())
	if err != nil {
		panic(err)
	}
	return c
}

// entry is one pair of a signed document made by hand: a key and the CBOR of
// its value.
type entry struct {
	key   string
	value []byte
}

func mustCBOR(v any) []byte {
	b, err := cbor.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

// honest are the entries of a valid signed document, in DAG-CBOR's order.
func honest() []entry {
	return []entry{
		{"TTL", mustCBOR(uint64(time.Hour))},
		{"Value", mustCBOR([]byte(NoValue))},
		{"Sequence", mustCBOR(uint64(7))},
		{"Validity", mustCBOR([]byte(testEnd.Format(time.RFC3339Nano)))},
		{"ValidityType", mustCBOR(uint64(0))},
	}
}

// encodeMap writes a map with the entries as they stand, sorted or not.
func encodeMap(entries []entry) []byte {
	b := []byte{0xa0 | byte(len(entries))}
	for _, e := range entries {
		b = append(append(b, mustCBOR(e.key)...), e.value...)
	}
	return b
}

// with sets or adds entries, keeping DAG-CBOR's order.
func with(entries []entry, set ...entry) []entry {
	for _, s := range set {
		at := 0
		for at < len(entries) && (len(entries[at].key) < len(s.key) || len(entries[at].key) == len(s.key) && entries[at].key < s.key) {
			at++
		}
		if at < len(entries) && entries[at].key == s.key {
			entries[at] = s
			continue
		}
		entries = append(entries[:at:at], append([]entry{s}, entries[at:]...)...)
	}
	return entries
}

// without takes an entry out.
func without(entries []entry, key string) []entry {
	var kept []entry
	for _, e := range entries {
		if e.key != key {
			kept = append(kept, e)
		}
	}
	return kept
}

// seal signs a document with key and puts it into an envelope, which change
// may rewrite afterwards.
func seal(key *Key, data []byte, change func(*ipnspb.IpnsRecord)) []byte {
	sig, err := key.Sign(nil, append([]byte("ipns-signature:"), data...), crypto.Hash(0))
	if err != nil {
		panic(err)
	}
	pb := &ipnspb.IpnsRecord{Data: data, SignatureV2: sig}
	if change != nil {
		change(pb)
	}
	b, err := proto.Marshal(pb)
	if err != nil {
		panic(err)
	}
	return b
}

// kubo reads a vector of testdata/kubo.
func kubo(t testing.TB, name string) (Pointer, []byte) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "kubo", name+".record"))
	require.NoError(t, err)
	text, err := os.ReadFile(filepath.Join("testdata", "kubo", name+".name"))
	require.NoError(t, err)
	p, err := Parse(string(text))
	require.NoError(t, err)
	require.Equal(t, strings.TrimSpace(string(text)), p.String())
	return p, b
}
