package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	dht_pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	record "github.com/libp2p/go-libp2p-record"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-msgio"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/petnames-go/petnames/dht/kad"
	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/pointer"
)

// lanProtocol is the protocol of nodes of private networks.
const lanProtocol = "/ipfs/lan/kad/1.0.0"

// rawPeer is a peer that sends requests to one node at a time, without look-ups.
type rawPeer struct{ host.Host }

func newRawPeer(t testing.TB) rawPeer {
	h, err := libp2p.New(libp2p.NoListenAddrs, libp2p.DisableRelay(), libp2p.DisableMetrics(), libp2p.ForceReachabilityPrivate())
	require.NoError(t, err)
	t.Cleanup(func() { _ = h.Close() })
	return rawPeer{h}
}

// ask sends one request to the node at an address.
func (s rawPeer) ask(t testing.TB, addr string, m *dht_pb.Message) (*dht_pb.Message, error) {
	info, err := peer.AddrInfoFromString(addr)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := s.Connect(ctx, *info); err != nil {
		return nil, err
	}
	st, err := s.NewStream(ctx, info.ID, protocol.ID(lanProtocol))
	if err != nil {
		return nil, err
	}
	defer func() { _ = st.Reset() }()
	_ = st.SetDeadline(time.Now().Add(patience))
	b, err := proto.Marshal(m)
	require.NoError(t, err)
	if _, err := st.Write(append(binary.AppendUvarint(nil, uint64(len(b))), b...)); err != nil {
		return nil, err
	}
	b, err = msgio.NewVarintReaderSize(st, 1<<20).ReadMsg()
	if err != nil {
		return nil, err
	}
	answer := new(dht_pb.Message)
	return answer, proto.Unmarshal(b, answer)
}

func recordKey(t testing.TB, text string) (pointer.Pointer, []byte) {
	p, err := pointer.Parse(text)
	require.NoError(t, err)
	return p, append([]byte("/ipns/"), p.Bytes()...)
}

// holds returns the sequence of the record of a pointer at a node; 0: none.
func (s rawPeer) holds(t testing.TB, addr, pointerText string) uint64 {
	p, key := recordKey(t, pointerText)
	answer, err := s.ask(t, addr, dht_pb.NewMessage(dht_pb.Message_GET_VALUE, key, 0))
	require.NoError(t, err)
	if answer.GetRecord() == nil {
		return 0
	}
	rec, err := pointer.Open(p, answer.GetRecord().GetValue(), time.Now())
	require.NoError(t, err)
	return rec.Sequence()
}

func (s rawPeer) store(t testing.TB, addr string, rec pointer.Record) error {
	_, key := recordKey(t, rec.Pointer().String())
	m := dht_pb.NewMessage(dht_pb.Message_PUT_VALUE, key, 0)
	m.Record = record.MakePutRecord(string(key), rec.Bytes())
	_, err := s.ask(t, addr, m)
	return err
}

// address returns an address of a node that has just started.
func address(t testing.TB, n *background) string {
	var started struct{ Addrs []string }
	require.NoError(t, json.Unmarshal([]byte(n.line), &started), "%q", n.line)
	require.NotEmpty(t, started.Addrs)
	return started.Addrs[0]
}

func status(t testing.TB, home string) nodeStatus {
	r := verb(home, "node", "status", "--json")
	require.Zero(t, r.exit, r.stderr)
	var s nodeStatus
	require.NoError(t, json.Unmarshal([]byte(r.stdout), &s))
	return s
}

func ended(t testing.TB, n *background) {
	select {
	case <-n.done:
	case <-time.After(patience):
		t.Fatalf("it didn't end within %s", patience)
	}
}

// join and node report a bootstrap peer of another network as such.
func TestBootstrapOfAnotherNetwork(t *testing.T) {
	t.Parallel()
	other, err := kad.Start(t.Context(), kad.Config{Listen: []string{"/ip4/127.0.0.1/tcp/0"}, Server: true, Protocol: "/other/kad/1.0.0"})
	require.NoError(t, err)
	t.Cleanup(func() { _ = other.Close() })
	home := newHome(t)
	r := verb(home, "join", other.Addrs()[0], "--json")
	require.Equal(t, exitNetwork, r.exit)
	told := `of another network: it answers, but serves "/other/kad/1.0.0", not ` + lanProtocol
	require.Contains(t, r.failure(t).Message, told)
	require.Contains(t, r.failure(t).Message, other.ID())

	n := serving(t, home)
	require.Contains(t, status(t, home).Problem, told)
	require.Zero(t, verb(home, "node", "stop").exit)
	<-n.done
	require.Contains(t, n.stderr.String(), told)
}

// A restarted node has the records that other peers stored, and joins its network
// again although its only bootstrap peer has stopped. It was stopped or killed.
func TestNodeRestarts(t *testing.T) {
	t.Parallel()
	hub, friend, home := newHome(t), newHome(t), newHome(t)
	hubNode := serving(t, hub, "--json")
	for _, h := range []string{friend, home} {
		require.Zero(t, verb(h, "join", address(t, hubNode)).exit)
	}
	serving(t, friend, "--json")
	n := serving(t, home, "--json")
	require.Eventually(t, func() bool { return status(t, home).Peers == 2 }, patience, 20*time.Millisecond)
	key, err := pointer.NewKey(nil)
	require.NoError(t, err)
	rec, err := pointer.Sign(key, pointer.Fields{Value: firstPath, Sequence: 7, Expires: time.Now().Add(time.Hour)})
	require.NoError(t, err)
	s := newRawPeer(t)
	require.NoError(t, s.store(t, address(t, n), rec))
	require.Equal(t, 1, status(t, home).Held.Records)
	file := filepath.Join(home, "dht.db")
	require.Eventually(t, func() bool { // what a kill may cost is bounded by the next flush
		b, err := os.ReadFile(file)
		require.NoError(t, err)
		return bytes.Contains(b, rec.Bytes()) && bytes.Contains(b, []byte("/tcp/"))
	}, patience, 50*time.Millisecond)
	require.NoError(t, hubNode.cmd.Process.Kill())
	<-hubNode.done
	for _, how := range []string{"KILL", "TERM", "KILL"} {
		if how == "TERM" && runtime.GOOS == "windows" {
			continue
		}
		require.NoError(t, n.cmd.Process.Signal(signals[how]))
		ended(t, n)
		n = serving(t, home, "--json")
		now := status(t, home)
		require.Equal(t, 1, now.Held.Records)
		require.Eventually(t, func() bool { // the friend, by the remembered address
			now := status(t, home)
			return now.Peers == 1 && now.Problem == ""
		}, patience, 10*time.Millisecond)
		require.EqualValues(t, 7, s.holds(t, address(t, n), key.Pointer().String()))
	}
	require.NoError(t, n.cmd.Process.Kill())
	<-n.done
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, b[:len(b)/3], 0o600))
	n = serving(t, home, "--json", "--log", filepath.Join(home, "log"))
	log, err := os.ReadFile(filepath.Join(home, "log"))
	require.NoError(t, err)
	require.Contains(t, string(log), "damaged")
	require.FileExists(t, file+".damaged")
	require.NoError(t, s.store(t, address(t, n), rec))
}

// holding is a peer of the network that acknowledges a record only when the test
// releases it.
type holding struct {
	addr  string
	asked chan struct{} // receives a value for each record
	free  chan struct{} // closed: it may answer
}

func newHolding(t testing.TB) *holding {
	ctx, stop := context.WithCancel(context.Background())
	t.Cleanup(stop)
	h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.DisableRelay(), libp2p.DisableMetrics(), libp2p.ForceReachabilityPrivate())
	require.NoError(t, err)
	t.Cleanup(func() { _ = h.Close() })
	p := &holding{addr: h.Addrs()[0].String() + "/p2p/" + h.ID().String(), asked: make(chan struct{}, 100), free: make(chan struct{})}
	h.SetStreamHandler(lanProtocol, func(st network.Stream) {
		defer func() { _ = st.Reset() }()
		for r := msgio.NewVarintReaderSize(st, 1<<20); ; {
			b, err := r.ReadMsg()
			if err != nil {
				return
			}
			m := new(dht_pb.Message)
			if proto.Unmarshal(b, m) != nil {
				return
			}
			if m.GetType() == dht_pb.Message_PUT_VALUE {
				p.asked <- struct{}{}
				select {
				case <-p.free:
				case <-ctx.Done():
					return
				}
			}
			if b, err = proto.Marshal(m); err != nil {
				return
			}
			if _, err := st.Write(append(binary.AppendUvarint(nil, uint64(len(b))), b...)); err != nil {
				return
			}
		}
	})
	return p
}

// A stopping node finishes a running publication. If there is not enough time, the
// record is saved in the home, and the next publication continues from it. A second
// signal ends the node at once.
func TestStopMidPublish(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("signals")
	}
	t.Parallel()
	for _, how := range []string{"finished", "saved", "twice"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			var (
				home string
				peer *holding
				n    *background
				r    result
			)
			for attempt := range 5 {
				home, peer = newHome(t), newHolding(t)
				n = serving(t, home)
				require.Zero(t, verb(home, "join", peer.addr).exit)
				_, end := began(t, home, "publish", firstPath, "--json")
				<-peer.asked
				require.NoError(t, n.cmd.Process.Signal(signals["TERM"]))
				require.Eventually(t, func() bool { // the node is stopping
					_, err := os.Stat(filepath.Join(home, "node.sock"))
					return err != nil
				}, patience, time.Millisecond)
				switch how {
				case "finished":
					close(peer.free)
				case "twice":
					_ = n.cmd.Process.Signal(signals["TERM"]) // an error: the process has ended
				}
				ended(t, n)
				r = end()
				if (how == "saved") == (n.cmd.ProcessState.ExitCode() == 0 && r.exit != 0) {
					break
				}
				// The deadline to finish passed before this process was scheduled
				// again.
				t.Logf("attempt %d came too late", attempt)
			}
			var out published
			switch how {
			case "finished":
				require.Zero(t, n.cmd.ProcessState.ExitCode())
				require.Zero(t, r.exit, r.stderr)
				require.NoError(t, json.Unmarshal([]byte(r.stdout), &out))
				require.Equal(t, 1, out.Stored)
				return
			case "saved":
				require.Zero(t, n.cmd.ProcessState.ExitCode())
				require.Contains(t, r.failure(t).Message, "signed and saved here")
				require.Contains(t, r.failure(t).Message, "the node was stopped meanwhile")
			case "twice":
				require.Equal(t, -1, n.cmd.ProcessState.ExitCode(), "ended by the signal")
			}
			require.NotZero(t, r.exit)
			require.Zero(t, verb(home, "record", "export", "-o", filepath.Join(home, "mine")).exit, "it is in the home")
			close(peer.free)
			next := verb(home, "publish", "--json")
			require.Zero(t, next.exit, next.stderr)
			require.NoError(t, json.Unmarshal([]byte(next.stdout), &out))
			require.EqualValues(t, 2, out.Sequence)
			require.Equal(t, firstPath, out.Value)
		})
	}
}

// libp2p writes nothing to standard error, even if it fails to listen.
func TestStandardErrorIsOneObject(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	taken := fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", l.Addr().(*net.TCPAddr).Port)
	_, end := began(t, newHome(t), "node", "--listen", taken, "--json")
	r := end()
	require.Equal(t, exitFailure, r.exit)
	require.Contains(t, r.failure(t).Message, taken)
}

// When node stop reports success, the node has stopped: the next process can open the
// home.
func TestStoppedIsStopped(t *testing.T) {
	t.Parallel()
	home, peer := newHome(t), newHolding(t)
	n := serving(t, home)
	require.Zero(t, verb(home, "join", peer.addr).exit)
	_, end := began(t, home, "publish", firstPath, "--json")
	<-peer.asked // who says nothing, so that stopping takes a while
	stop := verb(home, "node", "stop")
	require.Zero(t, stop.exit, stop.stderr)
	e, err := agent.Open(context.Background(), home, agent.Options{})
	require.NoError(t, err)
	require.NoError(t, e.Close())
	close(peer.free)
	ended(t, n)
	require.NotZero(t, end().exit)
}

// The log contains no petname, no nickname, and no control sequence of a terminal.
func TestLogIsClean(t *testing.T) {
	t.Parallel()
	home, log := newHome(t), filepath.Join(t.TempDir(), "log")
	serving(t, home, "--log", log, "--verbose")
	secretName := "zaphod-the-petname"
	require.Zero(t, verb(home, "add", secretName, newPointer(t)).exit)
	require.NotZero(t, verb(home, "resolve", secretName).exit)
	require.NotZero(t, verb(home, "publish", firstPath).exit)
	require.Zero(t, verb(home, "node", "stop").exit)
	b, err := os.ReadFile(log)
	require.NoError(t, err)
	require.Contains(t, string(b), "msg=serving")
	require.NotContains(t, strings.ToLower(string(b)), secretName)

	var out bytes.Buffer
	for _, a := range []*app{{stderr: &out}, {stderr: &out, json: true}} {
		l, end, err := a.logger("-", true)
		require.NoError(t, err)
		out.Reset()
		l.Info("hostile", "text", evil, "error", io.EOF, "wrapped", hostileError(evil), slog.Group("g", "text", evil))
		end()
		require.NoError(t, checkOutput(nil, 0, out.String(), ""))
		require.Equal(t, 1, strings.Count(out.String(), "\n"))
		require.Contains(t, out.String(), "EOF")
	}
	quiet := &app{stderr: &out, json: true}
	l, _, err := quiet.logger("", false)
	require.NoError(t, err)
	out.Reset()
	l.Error("nobody asked for it")
	require.Empty(t, out.String())
	_, _, err = quiet.logger(t.TempDir(), false)
	require.Error(t, err, "a folder is no log")
}

type hostileError string

func (e hostileError) Error() string { return string(e) }
