package agent_test

import (
	"context"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/nettest"

	"github.com/petnames-go/petnames/petname/agent"
)

const echoProtocol = "example.org/echo/1"

// publishAddresses publishes the addresses of an agent that runs.
func publishAddresses(t testing.TB, a *agent.Agent) {
	t.Helper()
	_, err := a.Publish(t.Context(), draft(agent.WaitSome, func(d *agent.Draft) { d.Addresses = true }))
	require.NoError(t, err)
}

// acquainted returns two agents that run and have each other as contacts: the first has "bob",
// the second "alice".
func acquainted(t testing.TB) (alice, bob *agent.Agent) {
	t.Helper()
	alice = served(t, []string{})
	bob = served(t, addrs(t, alice))
	publishAddresses(t, bob)
	publishAddresses(t, alice)
	add(t, alice, "bob", bob.Pointer())
	add(t, bob, "alice", alice.Pointer())
	return alice, bob
}

// listen returns the listener of an agent for the echo protocol.
func listen(t testing.TB, a *agent.Agent, o ...agent.ListenOption) net.Listener {
	t.Helper()
	l, err := a.Listen(echoProtocol, o...)
	require.NoError(t, err)
	return l
}

// echo answers each stream of a listener with what it sends, and returns the pointer
// of each caller.
func echo(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			_, _ = io.Copy(c, c)
			_ = c.(*agent.Conn).CloseWrite()
		}()
	}
}

// Two contacts open a stream by petname, and each end states the pointer and the contact of the
// other one.
func TestDialByPetname(t *testing.T) {
	alice, bob := acquainted(t)
	l := listen(t, bob)
	require.Equal(t, bob.Pointer().String(), l.Addr().String())
	c, err := alice.Dial(t.Context(), "bob", echoProtocol)
	require.NoError(t, err)
	accepted, err := l.Accept()
	require.NoError(t, err)
	there := accepted.(*agent.Conn)

	require.Equal(t, bob.Pointer(), c.Pointer())
	require.Equal(t, alice.Pointer(), there.Pointer())
	contact, ok := c.Contact()
	require.True(t, ok)
	require.Equal(t, "bob", contact.Name.String())
	contact, ok = there.Contact()
	require.True(t, ok)
	require.Equal(t, "alice", contact.Name.String())
	require.True(t, c.Direct())
	require.Equal(t, echoProtocol, there.Protocol())
	require.Equal(t, "petname", there.RemoteAddr().Network())
	require.Equal(t, alice.Pointer().String(), there.RemoteAddr().String())
	require.Equal(t, bob.Pointer().String(), there.LocalAddr().String())

	_, err = c.Write([]byte("hello"))
	require.NoError(t, err)
	require.NoError(t, c.CloseWrite())
	got, err := io.ReadAll(there)
	require.NoError(t, err)
	require.Equal(t, "hello", string(got))
	_, err = there.Write([]byte("and back"))
	require.NoError(t, err)
	require.NoError(t, there.Close())
	got, err = io.ReadAll(c)
	require.NoError(t, err)
	require.Equal(t, "and back", string(got), "one direction was closed")
	require.NoError(t, c.Close())
	require.ErrorIs(t, c.Close(), net.ErrClosed)
}

// A Conn passes the suite of package nettest for a net.Conn.
func TestConnIsANetConn(t *testing.T) {
	alice, bob := acquainted(t)
	l := listen(t, bob)
	nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
		c1, err = alice.Dial(t.Context(), "bob", echoProtocol)
		if err != nil {
			return nil, nil, nil, err
		}
		c2, err = l.Accept()
		return c1, c2, func() { _, _ = c1.Close(), c2.Close() }, err
	})
}

// The errors of a Conn are those that errors.Is understands.
func TestErrorsOfAConn(t *testing.T) {
	alice, bob := acquainted(t)
	go echo(listen(t, bob))
	c, err := alice.Dial(t.Context(), "bob", echoProtocol)
	require.NoError(t, err)
	require.NoError(t, c.SetReadDeadline(time.Unix(1, 0)))
	_, err = c.Read(make([]byte, 1))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.ErrorAs(t, err, new(*net.OpError))
	require.NoError(t, c.Close())
	_, err = c.Read(make([]byte, 1))
	require.ErrorIs(t, err, net.ErrClosed)
	_, err = c.Write([]byte("x"))
	require.ErrorIs(t, err, net.ErrClosed)
	require.ErrorIs(t, c.SetDeadline(time.Time{}), net.ErrClosed)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = alice.Dial(ctx, "bob", echoProtocol)
	require.ErrorIs(t, err, context.Canceled)
}
