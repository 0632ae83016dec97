package agent_test

import (
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/multiformats/go-multiaddr"
	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/petname/delegation"
	"github.com/petnames-go/petnames/petname/home"
	"github.com/petnames-go/petnames/pointer"
)

const streamProtocol = "/petnames/stream/1"

// accepts reports whether a dialed stream of the echo protocol works.
func accepts(t *testing.T, from *agent.Agent, path string) error {
	t.Helper()
	c, err := from.Dial(t.Context(), path, echoProtocol)
	if err != nil {
		return err
	}
	_, err = c.Write([]byte("x"))
	require.NoError(t, err)
	_, err = io.ReadFull(c, make([]byte, 1))
	require.NoError(t, err)
	return c.Close()
}

// An agent answers its contacts alone: a caller that it does not have, or has removed, gets no
// answer, and a listener for Everybody answers it. The streams of a removed contact end, and so do
// those to it.
func TestAnAgentAnswersItsContactsAlone(t *testing.T) {
	alice, bob := acquainted(t)
	carol := served(t, addrs(t, alice))
	add(t, carol, "bob", bob.Pointer())
	l := listen(t, bob)
	go echo(l)
	require.NoError(t, accepts(t, alice, "bob"))
	require.ErrorIs(t, accepts(t, carol, "bob"), agent.ErrNotAnswered)

	open, err := alice.Dial(t.Context(), "bob", echoProtocol)
	require.NoError(t, err)
	_, err = bob.Remove("alice")
	require.NoError(t, err)
	_, err = open.Read(make([]byte, 1))
	require.Error(t, err, "the other end closed it")
	require.ErrorIs(t, accepts(t, alice, "bob"), agent.ErrNotAnswered)
	require.NoError(t, l.Close())

	go echo(listen(t, bob, agent.Everybody))
	require.NoError(t, accepts(t, carol, "bob"))
	open, err = carol.Dial(t.Context(), "bob", echoProtocol)
	require.NoError(t, err)
	_, err = carol.Remove("bob")
	require.NoError(t, err)
	_, err = open.Read(make([]byte, 1))
	require.ErrorIs(t, err, net.ErrClosed)
}

// A contact whose next key is in doubt is not answered, until the owner settles that.
func TestAContactInDoubtIsNotAnswered(t *testing.T) {
	alice, bob := acquainted(t)
	go echo(listen(t, bob))
	require.NoError(t, accepts(t, alice, "bob"))
	other, err := pointer.Commit(newKey(t).Public())
	require.NoError(t, err)
	carol := served(t, addrs(t, alice))
	go echo(listen(t, carol))
	publishAddresses(t, carol)
	add(t, alice, "carol", carol.Pointer())
	_, err = carol.Add("alice", pointer.Link{Pointer: alice.Pointer(), Next: other}, petname.Source{Channel: "argument"})
	require.NoError(t, err)
	_, err = carol.Resolve(t.Context(), "alice", dht.LevelFresh)
	require.Error(t, err, "her card contradicts the link")
	require.ErrorIs(t, accepts(t, alice, "carol"), agent.ErrNotAnswered)
	_, err = carol.Confirm(t.Context(), "alice", petname.Confirmation{})
	require.NoError(t, err)
	require.NoError(t, accepts(t, alice, "carol"))
}

// What Dial says of each thing that prevents a stream, and that nothing is left open.
func TestErrorsOfDial(t *testing.T) {
	alice, bob := acquainted(t)
	require.ErrorIs(t, accepts(t, alice, "bob"), agent.ErrNotListening)
	require.ErrorIs(t, accepts(t, alice, "nobody"), petname.ErrNotFound)
	require.ErrorAs(t, func() error { _, err := alice.Dial(t.Context(), "bob", ""); return err }(), new(*agent.ArgumentError))
	_, err := bob.Listen("")
	require.ErrorAs(t, err, new(*agent.ArgumentError))

	l := listen(t, bob)
	_, err = bob.Listen(echoProtocol)
	require.ErrorIs(t, err, agent.ErrProtocolInUse)
	for range 16 { // nothing accepts them
		_, err := alice.Dial(t.Context(), "bob", echoProtocol)
		require.NoError(t, err)
	}
	require.ErrorIs(t, accepts(t, alice, "bob"), agent.ErrBusy)
	require.NoError(t, l.Close())
	require.ErrorIs(t, l.Close(), net.ErrClosed)
	_, err = l.Accept()
	require.ErrorIs(t, err, net.ErrClosed)
	require.ErrorIs(t, accepts(t, alice, "bob"), agent.ErrNotListening)

	_, err = bob.Publish(t.Context(), draft(agent.WaitSome))
	require.NoError(t, err)
	_, err = alice.Resolve(t.Context(), "bob", dht.LevelFresh)
	require.NoError(t, err)
	require.ErrorIs(t, accepts(t, alice, "bob"), agent.ErrNoAddress)

	lone := openedWith(t, agent.Options{})
	_, err = lone.Listen(echoProtocol)
	require.ErrorIs(t, err, agent.ErrNoTransport)
}

// An agent with a locked identity serves and dials by a delegation that it has, until that ends.
func TestALockedIdentityUsesTheDelegationThatItHas(t *testing.T) {
	hub := served(t, []string{})
	var ahead atomic.Int64
	horse := func() ([]byte, error) { return []byte("horse"), nil }
	dir := filepath.Join(t.TempDir(), "home")
	options := func(ask func() ([]byte, error)) agent.Options {
		return agent.Options{Create: &agent.Profile{Passphrase: "horse", WorkFactor: 2}, Transport: loopback(), JoinTimeout: 2 * patient,
			Passphrase: ask, Now: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }}
	}
	open := func(ask func() ([]byte, error)) *agent.Agent {
		a, err := agent.Open(t.Context(), dir, options(ask))
		require.NoError(t, err)
		join(t, a, addrs(t, hub)...)
		require.NoError(t, a.Start(t.Context()))
		return a
	}
	bob := open(horse)
	go echo(listen(t, bob))
	month := func(d *agent.Draft) { d.Addresses, d.Lifetime = true, 30*24*time.Hour }
	for _, a := range []*agent.Agent{bob, hub} {
		_, err := a.Publish(t.Context(), draft(agent.WaitSome, month))
		require.NoError(t, err)
	}
	add(t, hub, "bob", bob.Pointer())
	add(t, bob, "hub", hub.Pointer())
	require.NoError(t, accepts(t, hub, "bob"))
	require.NoError(t, bob.Close())

	bob = open(nil)
	require.Eventually(t, func() bool { status, err := hub.Status(); return err == nil && status.Peers > 0 }, patience, time.Millisecond)
	go echo(listen(t, bob))
	go echo(listen(t, hub))
	require.NoError(t, accepts(t, bob, "hub"))
	require.NoError(t, accepts(t, hub, "bob"))
	ahead.Store(int64(delegation.MaxLifetime))
	_, err := bob.Dial(t.Context(), "hub", echoProtocol)
	require.ErrorIs(t, err, home.ErrLocked)
	require.ErrorIs(t, accepts(t, hub, "bob"), agent.ErrNotAnswered)
	require.NoError(t, bob.Close())
}

// http.Transport reaches a contact by its petname, also by one that is not ASCII.
func TestHTTPByPetname(t *testing.T) {
	alice, bob := acquainted(t)
	l, err := bob.Listen("example.org/http/1")
	require.NoError(t, err)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "for "+r.RemoteAddr) })}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	for _, name := range []string{"bob", "zoë"} {
		_, err = alice.Rename("bob", name, petname.Source{})
		require.NoError(t, err)
		client := http.Client{Transport: &http.Transport{DialContext: alice.DialContext("example.org/http/1")}}
		res, err := client.Get("http://" + name + "/")
		require.NoError(t, err)
		body, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		require.Equal(t, "for "+alice.Pointer().String(), string(body))
		require.NoError(t, res.Body.Close())
		client.CloseIdleConnections()
		_, err = alice.Rename(name, "bob", petname.Source{})
		require.NoError(t, err)
	}
}

// attacker is a node of no home, whose peer key the attacker has.
type attacker struct {
	agent.Node
	key  *pointer.Key
	peer pointer.Pointer
}

func newAttacker(t *testing.T, bootstrap []string) attacker {
	key := newKey(t)
	node, err := loopback().Start(t.Context(), agent.NodeConfig{Bootstrap: bootstrap, Key: key.Ed25519()})
	require.NoError(t, err)
	t.Cleanup(func() { _ = node.Close() })
	return attacker{node, key, key.Pointer()}
}

// say sends a message in a stream to an agent, and returns the answer; nil: it ended the stream.
func (m attacker) say(t *testing.T, to *agent.Agent, message func(peer pointer.Pointer) []byte) []byte {
	s, err := m.OpenStream(t.Context(), binaryAddresses(t, to), streamProtocol, true)
	require.NoError(t, err)
	defer s.Close()
	require.NoError(t, s.SetDeadline(time.Now().Add(patience)))
	b := message(s.Peer())
	_, err = s.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...))
	require.NoError(t, err)
	answer := make([]byte, 2)
	if _, err := io.ReadFull(s, answer); err != nil {
		require.NotErrorIs(t, err, os.ErrDeadlineExceeded)
		return nil
	}
	answer = make([]byte, binary.BigEndian.Uint16(answer))
	_, err = io.ReadFull(s, answer)
	require.NoError(t, err)
	return answer
}

func peerOf(t *testing.T, a *agent.Agent) string {
	s, err := a.Status()
	require.NoError(t, err)
	return s.Peer
}

func binaryAddresses(t *testing.T, a *agent.Agent) (all [][]byte) {
	for _, text := range addrs(t, a) {
		m, err := multiaddr.NewMultiaddr(text)
		require.NoError(t, err)
		all = append(all, m.Bytes())
	}
	return all
}

// The attacks on a callee: each is a caller that knows all that Bob publishes, and the petname
// under which Bob has Alice, and gets no answer.
func TestACalleeAnswersNoForgedHello(t *testing.T) {
	alice, bob := acquainted(t)
	go echo(listen(t, bob))
	mallory := newAttacker(t, addrs(t, alice))
	identity, err := agent.KeyOf(alice)
	require.NoError(t, err)
	card, _ := held(t, bob, bob.Pointer()).Card()
	now := time.Now()
	sign := func(key *pointer.Key, peer pointer.Pointer, epoch uint64, made time.Time) delegation.Delegation {
		d, err := delegation.Sign(key, peer, epoch, made, made.Add(time.Hour))
		require.NoError(t, err)
		return d
	}
	hello := func(own delegation.Delegation, to, peer pointer.Pointer) []byte {
		b, _, err := delegation.Call{Own: own, To: to, Sealing: card.Sealing, Peer: peer, Protocol: echoProtocol}.Hello()
		require.NoError(t, err)
		return b
	}
	require.NotEmpty(t, mallory.say(t, bob, func(peer pointer.Pointer) []byte {
		return hello(sign(identity, mallory.peer, 0, now), bob.Pointer(), peer)
	}), "a delegation of Alice herself is good: the attacks differ from it in one thing")

	alicePeer, err := pointer.Parse(peerOf(t, alice))
	require.NoError(t, err)
	for name, message := range map[string]func(peer pointer.Pointer) []byte{
		"nothing":      func(pointer.Pointer) []byte { return nil },
		"garbage":      func(pointer.Pointer) []byte { return make([]byte, 2048) },
		"over a bound": func(pointer.Pointer) []byte { return make([]byte, 60000) },
		"a delegation of Mallory's own key": func(peer pointer.Pointer) []byte {
			return hello(sign(mallory.key, mallory.peer, 0, now), bob.Pointer(), peer)
		},
		"Alice's delegation to her own peer": func(peer pointer.Pointer) []byte {
			return hello(sign(identity, alicePeer, 0, now), bob.Pointer(), peer)
		},
		"an expired one": func(peer pointer.Pointer) []byte {
			return hello(sign(identity, mallory.peer, 0, now.Add(-2*time.Hour)), bob.Pointer(), peer)
		},
		"for another pointer": func(peer pointer.Pointer) []byte {
			return hello(sign(identity, mallory.peer, 0, now), alice.Pointer(), peer)
		},
		"for another peer": func(pointer.Pointer) []byte {
			return hello(sign(identity, mallory.peer, 0, now), bob.Pointer(), alicePeer)
		},
	} {
		require.Empty(t, mallory.say(t, bob, message), name)
	}
	require.NoError(t, accepts(t, alice, "bob"))
}

// A stolen peer key is refused by those that have the card which was published after the device
// was removed: at either end of a stream.
func TestAStolenPeerKeyIsRefusedAfterItsRemoval(t *testing.T) {
	alice, bob := acquainted(t)
	go echo(listen(t, bob))
	mallory := newAttacker(t, addrs(t, alice)) // with a delegation that Alice signed for the stolen device
	identity, err := agent.KeyOf(alice)
	require.NoError(t, err)
	card, _ := held(t, bob, bob.Pointer()).Card()
	stolen, err := delegation.Sign(identity, mallory.peer, 0, time.Now(), time.Now().Add(time.Hour))
	require.NoError(t, err)
	call := func(peer pointer.Pointer) []byte {
		b, _, err := delegation.Call{Own: stolen, To: bob.Pointer(), Sealing: card.Sealing, Peer: peer, Protocol: echoProtocol}.Hello()
		require.NoError(t, err)
		return b
	}
	require.NotEmpty(t, mallory.say(t, bob, call))

	removeSome(t, alice, identity)
	publishAddresses(t, alice)
	_, err = bob.Resolve(t.Context(), "alice", dht.LevelFresh)
	require.NoError(t, err)
	card2, _ := held(t, bob, alice.Pointer()).Card()
	require.Equal(t, uint64(1), card2.Epoch)
	require.Empty(t, mallory.say(t, bob, call))
	require.NoError(t, accepts(t, alice, "bob"), "the delegations of the other devices are signed anew")
}

// removeSome admits a device to the book of an agent, and removes it.
func removeSome(t *testing.T, a *agent.Agent, identity *pointer.Key) {
	t.Helper()
	public := newKey(t).Ed25519().Public().(ed25519.PublicKey)
	require.NoError(t, agent.BookOf(a).AdmitDevice(identity, public, "phone", false))
	_, err := a.RemoveDevice(ledger.DeviceID(public))
	require.NoError(t, err)
}

// Half-open streams of one peer do not keep a contact out, and end.
func TestAFloodOfHalfOpenDialsKeepsNobodyOut(t *testing.T) {
	alice, bob := acquainted(t)
	go echo(listen(t, bob))
	for range 3 {
		mallory := newAttacker(t, addrs(t, alice))
		for range 100 {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			_, err := mallory.OpenStream(ctx, binaryAddresses(t, bob), streamProtocol, true)
			cancel()
			if err != nil {
				break
			}
		}
	}
	require.NoError(t, accepts(t, alice, "bob"))
}
