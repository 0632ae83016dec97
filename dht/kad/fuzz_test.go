package kad

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/libp2p/go-libp2p-kad-dht/pb"
	record "github.com/libp2p/go-libp2p-record"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/petnames-go/petnames/pointer"
)

// An answer of any bytes is an error, or a reply within the bounds, for the
// requested key, with addresses that may be dialled.
func FuzzReadAnswer(f *testing.F) {
	const key = "/ipns/key"
	frame := func(m *dht_pb.Message) []byte {
		b, err := proto.Marshal(m)
		require.NoError(f, err)
		return append(binary.AppendUvarint(nil, uint64(len(b))), b...)
	}
	honest := dht_pb.NewMessage(dht_pb.Message_GET_VALUE, []byte(key), 0)
	honest.Record = record.MakePutRecord(key, []byte("value"))
	for _, a := range []string{"/ip4/127.0.0.1/tcp/1", "/dns4/example.org/tcp/1", "/ip4/0.0.0.0/tcp/1", "/ip6/::1/udp/1/quic-v1"} {
		honest.CloserPeers = append(honest.CloserPeers, &dht_pb.Message_Peer{
			Id: []byte(randomPeer(f)), Addrs: [][]byte{ma.StringCast(a).Bytes()},
		})
	}
	f.Add(frame(honest))
	f.Add(frame(dht_pb.NewMessage(dht_pb.Message_FIND_NODE, nil, 0)))
	f.Add(frame(&dht_pb.Message{Record: record.MakePutRecord("/ipns/other", []byte("x"))}))
	f.Add(frame(&dht_pb.Message{Record: record.MakePutRecord(key, make([]byte, pointer.MaxRecord+1))}))
	f.Add(binary.AppendUvarint(nil, 1<<63))
	f.Add([]byte{0x80, 0x00})
	f.Add([]byte{5, 1, 2})
	f.Add([]byte{})
	n := &Node{host: startHost(f), network: LAN}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := readMessage(bytes.NewReader(b))
		if err != nil {
			require.Nil(t, m)
			return
		}
		r, err := n.readReply(key, m)
		if err != nil {
			require.ErrorIs(t, err, errMalformed)
			return
		}
		require.LessOrEqual(t, len(r.record), pointer.MaxRecord)
		if r.record != nil {
			require.Equal(t, key, string(m.GetRecord().GetKey()))
		}
		require.LessOrEqual(t, len(r.closer), maxCloser)
		for _, p := range r.closer {
			require.NotEqual(t, n.host.ID(), p.ID)
			require.LessOrEqual(t, len(p.Addrs), maxAddrs)
			for _, a := range p.Addrs {
				require.NotContains(t, a.String(), "/dns")
				require.NotContains(t, a.String(), "/p2p-circuit")
			}
		}
	})
}
