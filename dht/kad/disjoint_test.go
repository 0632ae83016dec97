package kad

import (
	"testing"
	"time"

	"github.com/libp2p/go-libp2p-kad-dht/pb"
	record "github.com/libp2p/go-libp2p-record"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
)

func TestStrictAsksEachPeerOnce(t *testing.T) {
	simulate(t, func(t *testing.T) {
		nodes := startServers(t, 24)
		client := startClient(t, nodes[0])
		rec := sign(t, newKey(t), 1)
		ctx := within(t, 30*time.Second)
		_, err := client.PutAll(ctx, rec.Pointer(), rec.Bytes())
		require.NoError(t, err)
		answers, have := map[string]int{}, 0
		for a, err := range startClient(t, nodes[5]).GetAt(ctx, rec.Pointer(), dht.LevelStrict) {
			require.NoError(t, err)
			if a.Record != nil { // a few peers of the network may not have the record
				require.Equal(t, rec.Bytes(), a.Record)
				have++
			}
			answers[a.Peer]++
		}
		require.GreaterOrEqual(t, len(answers), closest)
		require.NotZero(t, have)
		for id, n := range answers {
			require.Equal(t, 1, n, id)
		}
	})
}

// A look-up ends with its caller's loop, however the loop ends, and the node can
// be closed.
func TestALookUpEndsWithItsCallersLoop(t *testing.T) {
	simulate(t, func(t *testing.T) {
		for _, level := range []dht.Level{dht.LevelAny, dht.LevelFresh, dht.LevelStrict} {
			nodes := startServers(t, 5)
			client := startClient(t, nodes[0])
			rec := sign(t, newKey(t), 1)
			ctx := within(t, 30*time.Second)
			_, err := client.PutAll(ctx, rec.Pointer(), rec.Bytes())
			require.NoError(t, err)
			require.PanicsWithValue(t, "enough", func() {
				for range client.GetAt(ctx, rec.Pointer(), level) {
					panic("enough")
				}
			})
			require.NoError(t, client.Wait(within(t, 20*time.Second)), "at level %s", level)
		}
	})
}

// Peers that acknowledge a put and store nothing are not counted as confirmed.
func TestOnlyRecordsReadBackAreConfirmed(t *testing.T) {
	simulate(t, func(t *testing.T) {
		nodes := startServers(t, 9)
		client := startClient(t, nodes...)
		var addrs []string
		for range 6 {
			addrs = append(addrs, startMalicious(t, func(s network.Stream, req *dht_pb.Message) {
				m := dht_pb.NewMessage(req.GetType(), req.GetKey(), 0)
				if req.GetType() == dht_pb.Message_PUT_VALUE {
					m.Record = record.MakePutRecord(string(req.GetKey()), req.GetRecord().GetValue())
				}
				send(s, m)
			})...)
		}
		ctx := within(t, 30*time.Second)
		_, err := client.Join(ctx, addrs)
		require.NoError(t, err)
		rec := sign(t, newKey(t), 1)
		receipt, err := client.PutAll(ctx, rec.Pointer(), rec.Bytes())
		require.NoError(t, err)
		require.Equal(t, 15, receipt.Stored, "false acknowledgements count as acknowledgements")
		require.LessOrEqual(t, receipt.Confirmed, len(nodes))
		require.GreaterOrEqual(t, receipt.Confirmed, len(nodes)-15/4, "all but the first quarter")
	})
}
