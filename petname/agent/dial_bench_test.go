package agent_test

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/stretchr/testify/require"
)

// BenchmarkStream prints the throughput of a Conn beside that of a libp2p stream, and the time to
// the first byte of an answer, in turns in one run.
func BenchmarkStream(b *testing.B) {
	alice, bob := acquainted(b)
	l := listen(b, bob)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go serveBench(c)
		}
	}()
	one, other := rawHost(b), rawHost(b)
	other.SetStreamHandler(echoProtocol, func(s network.Stream) { serveBench(s) })
	require.NoError(b, one.Connect(b.Context(), peer.AddrInfo{ID: other.ID(), Addrs: other.Addrs()}))
	ways := []struct {
		name string
		dial func(ctx context.Context) (io.ReadWriteCloser, error)
	}{
		{"conn", func(ctx context.Context) (io.ReadWriteCloser, error) { return alice.Dial(ctx, "bob", echoProtocol) }},
		{"raw", func(ctx context.Context) (io.ReadWriteCloser, error) {
			return one.NewStream(ctx, other.ID(), echoProtocol)
		}},
	}
	const size = 64 << 20
	var took, first [2]time.Duration
	for range b.N {
		for i, way := range ways {
			began := time.Now()
			s, err := way.dial(b.Context())
			require.NoError(b, err)
			_, err = s.Write([]byte{1})
			require.NoError(b, err)
			_, err = io.ReadFull(s, make([]byte, 1))
			require.NoError(b, err)
			first[i] += time.Since(began)
			began = time.Now()
			n, err := io.Copy(io.Discard, io.LimitReader(s, size))
			require.NoError(b, err)
			require.EqualValues(b, size, n)
			took[i] += time.Since(began)
			_ = s.Close()
		}
	}
	for i, way := range ways {
		b.ReportMetric(float64(size)*float64(b.N)/took[i].Seconds()/1e6, way.name+"-MB/s")
		b.ReportMetric(float64(first[i].Microseconds())/float64(b.N), way.name+"-first-µs")
	}
	b.ReportMetric(took[1].Seconds()/took[0].Seconds(), "of-raw")
}

// serveBench answers one byte, and then sends without end.
func serveBench(s io.ReadWriteCloser) {
	defer s.Close()
	if _, err := io.ReadFull(s, make([]byte, 1)); err != nil {
		return
	}
	if _, err := s.Write([]byte{1}); err != nil {
		return
	}
	block := make([]byte, 64<<10)
	for {
		if _, err := s.Write(block); err != nil {
			return
		}
	}
}

func rawHost(b *testing.B) host.Host {
	h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.DisableMetrics(), libp2p.DisableRelay())
	require.NoError(b, err)
	b.Cleanup(func() { _ = h.Close() })
	return h
}
