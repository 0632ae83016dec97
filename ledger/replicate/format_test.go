package replicate

import (
	"bytes"
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/pointer/canonical"
)

// The bytes of the format do not change.
func TestTheFormatIsAsItWas(t *testing.T) {
	h := head{Device: [32]byte{1}, Number: 5, Hash: [32]byte{2}}
	zeroes := hex.EncodeToString(make([]byte, 31))
	hexHead := "83582001" + zeroes + "05" + "582002" + zeroes
	for want, item := range map[string]any{
		"86010181" + hexHead + "4103" + "f5" + "4105": hello{Kind: kindHello, Version: 1, Heads: []head{h}, Same: []byte{3}, Ask: true, Side: []byte{5}},
		"8601018040f440":              helloOf(),
		"8302018241074108":            entriesOf(stateLast, []byte{7}, []byte{8}),
		"820350" + zeroes[:30] + "09": done{Kind: kindDone, Digest: append(make([]byte, 15), 9)},
		"8501410141020343040506":      message{Version: 1, Channel: []byte{1}, Round: []byte{2}, Number: 3, Data: []byte{4, 5, 6}},
		"84014101f5824102" + "4103":   bundle{Version: 1, Channel: []byte{1}, More: true, Entries: [][]byte{{2}, {3}}},
	} {
		require.Equal(t, want, hex.EncodeToString(canonical.MustMarshal(item)))
	}
	require.Equal(t, "b96f1d489a4ccee01b688fb9919162c6", hex.EncodeToString(bundleChannel(ledger.BookID{1}, ledger.DeviceID{2}, ledger.DeviceID{3})))
	require.Equal(t, "183b6a5460591d1f215e76eb067793db", hex.EncodeToString(channel(ledger.BookID{1}, ledger.DeviceID{2}, ledger.DeviceID{3})))
	stream := bytes.Repeat([]byte{1, 2, 3}, 3000)
	messages := cut([]byte("channel"), roundOf(stream), stream)
	require.Len(t, messages, 2)
	require.Equal(t, "1bbed420b134269d", hex.EncodeToString(roundOf(stream)))
}

// FuzzItems holds the parsers to one encoding of what they accept, and the state of a peer
// to the same.
func FuzzItems(f *testing.F) {
	corpus, err := os.ReadDir(filepath.Join("testdata", "fuzz", f.Name()))
	require.NoError(f, err)
	require.NotEmpty(f, corpus, "the corpus is missing")
	f.Add(canonical.MustMarshal(helloOf(head{Number: 1})))
	f.Add(canonical.MustMarshal(entriesOf(stateMore, []byte{1})))
	f.Add(canonical.MustMarshal(done{Kind: kindDone, Digest: []byte{}}))
	f.Add(canonical.MustMarshal(message{Version: 1, Channel: []byte{1}, Round: []byte{2}, Data: []byte{3}}))
	f.Add(canonical.MustMarshal(bundle{Version: 1, Channel: []byte{1}, More: true, Entries: [][]byte{{2}}}))
	state, err := NewPeer(ledger.DeviceID{1}).MarshalBinary()
	require.NoError(f, err)
	f.Add(state)
	f.Fuzz(func(t *testing.T, b []byte) {
		if h, err := parseHello(b); err == nil {
			require.Equal(t, b, canonical.MustMarshal(h))
			require.LessOrEqual(t, len(h.Heads), maxHeads)
		}
		if e, err := parseEntries(b); err == nil {
			require.Equal(t, b, canonical.MustMarshal(e))
		}
		if d, err := parseDone(b); err == nil {
			require.Equal(t, b, canonical.MustMarshal(d))
		}
		var m message
		if canonical.Unmarshal(b, &m, messageBounds) == nil {
			require.Equal(t, b, canonical.MustMarshal(m))
		}
		if m, err := parseBundle(b); err == nil {
			require.Equal(t, b, canonical.MustMarshal(m))
			require.NotEmpty(t, m.Entries)
			require.LessOrEqual(t, len(b), maxMessage)
		}
		var p Peer
		if p.UnmarshalBinary(b) == nil {
			again, err := p.MarshalBinary()
			require.NoError(t, err)
			require.Equal(t, b, again)
		}
	})
}
