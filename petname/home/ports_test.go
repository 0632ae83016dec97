package home

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/pointer"
)

// The first port of each address stays, whatever is bound later.
func TestTheFirstPortOfAnAddressIsKept(t *testing.T) {
	h := create(t, CreateOptions{})
	ports, err := h.Ports()
	require.NoError(t, err)
	require.Empty(t, ports)
	tcp, quic := "/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"
	require.NoError(t, h.KeepPorts([]ListenPort{{tcp, 4001}, {quic, 4002}}))
	require.NoError(t, h.KeepPorts([]ListenPort{{tcp, 5001}, {tcp, 5003}, {"http 127.0.0.1:0", 80}}), "4001 was in use")
	require.NoError(t, h.KeepPorts(nil))
	ports, err = h.Ports()
	require.NoError(t, err)
	require.Equal(t, []ListenPort{{tcp, 4001}, {quic, 4002}, {tcp, 5003}, {"http 127.0.0.1:0", 80}}, ports)

	info, err := os.Stat(h.path(portsFile))
	require.NoError(t, err)
	require.NoError(t, h.KeepPorts([]ListenPort{{tcp, 6001}}))
	again, err := os.Stat(h.path(portsFile))
	require.NoError(t, err)
	require.True(t, os.SameFile(info, again), "nothing new: not written")

	for i := range 2 * maxPorts {
		require.NoError(t, h.KeepPorts([]ListenPort{{fmt.Sprintf("/ip4/127.0.0.1/udp/0/%d", i), 1}}))
	}
	ports, err = h.Ports()
	require.NoError(t, err)
	require.Len(t, ports, maxPorts)
	require.Error(t, h.KeepPorts([]ListenPort{{strings.Repeat("x", maxListen+1), 1}}))
}

// A file of ports or of peers that no home writes is damaged, and not used: it names
// what a node listens on and dials. doctor reports it, and a node makes a new one.
func TestHostileNetworkFiles(t *testing.T) {
	const id = "/p2p/12D3KooWGQh4PZmNNXHpLHPVGNWQx9VHjKVWcMVLwMtHaSd7LqKC"
	const other = "/p2p/12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA"
	peer := func(addrs string) string {
		return `{"v":1,"network":"x","peers":[{"addrs":` + addrs + `,"last":"2026-11-30T00:00:00Z","days":1}]}`
	}
	ok := peer(`["/ip4/127.0.0.1/tcp/1` + id + `"]`)
	for file, texts := range map[string][]string{
		portsFile: {"", "null x", "[]", `"x"`, `{"v":2}`, `{"v":1,"ports":{}}`, `{"v":1,"ports":[{"listen":"x","port":70000}]}`,
			`{"v":1,"ports":[{"listen":"x","port":0}]}`, `{"v":1,"ports":[{"listen":"","port":1}]}`, `{"v":1,"ports":[{"listen":"` + strings.Repeat("x", 129) + `","port":1}]}`,
			`{"v":1,"ports":[` + strings.Repeat(`{"listen":"x","port":1},`, maxPorts) + `{"listen":"x","port":1}]}`,
			strings.Repeat("[", 1<<13), strings.Repeat(" ", maxPortsFile) + `{"v":1}`},
		peersFile: {"", "[]", `{"v":0}`, peer(`[]`), peer(`["/ip4/127.0.0.1/tcp/1"]`), peer(`["` + id + `"]`), peer(`["x` + id + `"]`), peer(`["\u001b[31m` + id + `"]`),
			peer(`["/ip4/127.0.0.1/tcp/1` + id + `","/ip4/127.0.0.1/tcp/1` + other + `"]`), peer(`["` + strings.Repeat("/ip4/127.0.0.1", 30) + id + `"]`),
			peer(`[` + strings.Repeat(`"/ip4/127.0.0.1/tcp/1`+id+`",`, maxPeerAddrs) + `"/ip4/127.0.0.1/tcp/1` + id + `"]`),
			strings.Replace(ok, `"days":1`, `"days":0`, 1), strings.Replace(ok, "2026-11-30", "2026-13-30", 1),
			`{"v":1,"peers":[` + strings.TrimSuffix(strings.Repeat(ok[strings.Index(ok, `{"addrs"`):len(ok)-2]+",", 2), ",") + `]}`,
			strings.Replace(ok, `"x"`, `"`+strings.Repeat("x", maxNetworkTag+1)+`"`, 1), strings.Repeat(" ", maxPeersFile) + ok},
	} {
		for _, text := range texts {
			h := create(t, CreateOptions{})
			require.NoError(t, os.WriteFile(h.path(file), []byte(text), 0o600))
			problems := h.CheckFiles()
			require.Len(t, problems, 1, "%.200s", text)
			var damaged *FileError
			require.ErrorAs(t, problems[0], &damaged)
			require.Contains(t, problems[0].Error(), file)
			require.NotContains(t, problems[0].Error(), "\x1b")
			require.Less(t, len(problems[0].Error()), 800)
			require.Contains(t, damaged.Next(), "makes a new one")

			require.NoError(t, h.KeepPorts([]ListenPort{{"/ip4/127.0.0.1/tcp/0", 1}}))
			require.NoError(t, h.SetKnownPeers(KnownPeers{}))
			require.Empty(t, h.CheckFiles())
		}
	}
	h := create(t, CreateOptions{})
	require.NoError(t, os.WriteFile(h.path(peersFile), []byte(strings.Replace(ok, `"v":1`, `"v":1,"new":[{}]`, 1)), 0o600))
	known, err := h.KnownPeers()
	require.NoError(t, err, "a field of a newer version")
	require.Equal(t, id[len("/p2p/"):], known.Peers[0].ID())
}

// What was stored is read again, and bounded.
func TestKnownPeers(t *testing.T) {
	h := create(t, CreateOptions{})
	none, err := h.KnownPeers()
	require.NoError(t, err)
	require.Zero(t, none)
	k := KnownPeers{Network: "peers x"}
	for i := range maxKnownPeers + 5 {
		k.Peers = append(k.Peers, KnownPeer{Addrs: []string{"/ip4/127.0.0.1/tcp/1/p2p/" + newPeerID(t)}, Last: time.Unix(int64(i), 0).UTC(), Days: 1})
	}
	require.NoError(t, h.SetKnownPeers(k))
	got, err := h.KnownPeers()
	require.NoError(t, err)
	k.Peers = k.Peers[:maxKnownPeers]
	require.Equal(t, k, got)
	require.Error(t, h.SetKnownPeers(KnownPeers{Peers: []KnownPeer{{}}}))
	require.Empty(t, KnownPeer{}.ID())
	require.Empty(t, KnownPeer{Addrs: []string{"x"}}.ID())

	require.NoError(t, os.Chmod(h.path(peersFile), 0))
	if os.Geteuid() != 0 {
		_, err = h.KnownPeers()
		require.False(t, errors.As(err, new(*FileError)))
	}
}

func newPeerID(t *testing.T) string {
	key, err := pointer.NewKey(nil)
	require.NoError(t, err)
	return key.Pointer().String()
}
