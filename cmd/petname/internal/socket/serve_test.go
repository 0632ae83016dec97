package socket

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// A client that disconnects, is interrupted, sends nothing, garbage or too much, or
// does not read, does not affect other clients.
func TestHostileClients(t *testing.T) {
	dir := short(t)
	stop := serving(t, dir)
	path, err := Path(dir)
	require.NoError(t, err)
	dial := func() net.Conn {
		c, err := net.Dial("unix", path)
		require.NoError(t, err)
		t.Cleanup(func() { c.Close() })
		return c
	}
	for range 20 {
		dial() // says nothing, until the stop
	}
	half := dial()
	_, err = half.Write([]byte(`{"v":1,"verb":"ec`))
	require.NoError(t, err)
	deaf := dial()
	_, err = deaf.Write([]byte(`{"v":1,"program":"v1","verb":"big","args":{}}`))
	require.NoError(t, err)
	for _, garbage := range []string{"\n\n\nGET / HTTP/1.1\r\n\r\n", "\x00\xff\xfe", "[]", "null", `"x"`, `{"v":"x"}`, strings.Repeat("[", 100000), `{"v":1}`} {
		c := dial()
		_, err := c.Write([]byte(garbage))
		require.NoError(t, err)
		require.NoError(t, c.(*net.UnixConn).CloseWrite())
		b, err := io.ReadAll(c)
		if err != nil && len(garbage) > 1000 {
			continue // hung up on before it had said it all
		}
		require.NoError(t, err)
		var a answer
		require.NoError(t, json.Unmarshal(b, &a), "%q: %q", garbage, b)
		require.NotNil(t, a.Error, garbage)
		require.NotZero(t, a.Exit, garbage)
	}
	huge := dial()
	_, _ = huge.Write(bytes.Repeat([]byte(" "), 2*maxRequest)) // the rest may be refused
	ctx, cancel := context.WithCancel(context.Background())
	waiting := make(chan error)
	go func() {
		_, _, _, err := Call(ctx, dir, "v1", "wait", json.RawMessage(`{}`))
		waiting <- err
	}()
	cancel()
	require.ErrorIs(t, <-waiting, context.Canceled)
	out, _ := do(t, dir, "echo", `{"x":1}`)
	require.JSONEq(t, `{"x":1}`, out)
	stop()
}

// piped serves one connection in memory, so that its deadlines follow the clock
// of the bubble.
func piped(ctx context.Context, do Handler) (client net.Conn, ended <-chan struct{}) {
	client, server := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer server.Close()
		serve(ctx, server, "v1", nil, do)
	}()
	return client, done
}

// A client that sends nothing, or half of a request, receives an error at its
// deadline and is disconnected. Its verb never starts.
func TestASilentClientIsDisconnected(t *testing.T) {
	for _, said := range []string{"", `{"v":1,"program":"v1","verb":"echo"`} {
		synctest.Test(t, func(t *testing.T) {
			client, ended := piped(t.Context(), func(context.Context, string, json.RawMessage) (json.RawMessage, *Failure) {
				t.Error("a verb was begun")
				return nil, nil
			})
			defer client.Close()
			began := time.Now()
			if said != "" {
				_, err := client.Write([]byte(said))
				require.NoError(t, err)
			}
			var a answer
			require.NoError(t, json.NewDecoder(client).Decode(&a))
			require.Equal(t, usageStatus, a.Exit)
			<-ended
			require.Equal(t, readTimeout, time.Since(began))
		})
	}
}

// A verb may take any time: the deadline for the request does not bound the
// response.
func TestAVerbMayExceedTheRequestDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, ended := piped(t.Context(), func(ctx context.Context, _ string, args json.RawMessage) (json.RawMessage, *Failure) {
			select {
			case <-time.After(10 * readTimeout):
				return args, nil
			case <-ctx.Done():
				return nil, &Failure{Code: "interrupted", Exit: 130}
			}
		})
		defer client.Close()
		_, err := client.Write([]byte(`{"v":1,"program":"v1","verb":"echo","args":{"x":1}}`))
		require.NoError(t, err)
		var a answer
		require.NoError(t, json.NewDecoder(client).Decode(&a))
		require.Nil(t, a.Error)
		require.JSONEq(t, `{"x":1}`, string(a.Result))
		<-ended
	})
}

// A verb is cancelled when its client disconnects.
func TestAVerbEndsWithItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, ended := piped(context.Background(), func(ctx context.Context, _ string, _ json.RawMessage) (json.RawMessage, *Failure) {
			<-ctx.Done()
			return nil, nil
		})
		_, err := client.Write([]byte(`{"v":1,"program":"v1","verb":"wait","args":{}}`))
		require.NoError(t, err)
		require.NoError(t, client.Close())
		<-ended
	})
}

// A client that does not read its response is disconnected at its deadline, and
// delays a stop by at most a second.
func TestAClientThatDoesNotReadIsDisconnected(t *testing.T) {
	echo := func(_ context.Context, _ string, args json.RawMessage) (json.RawMessage, *Failure) {
		return args, nil
	}
	for _, stopped := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			client, ended := piped(ctx, echo)
			defer client.Close()
			_, err := client.Write([]byte(`{"v":1,"program":"v1","verb":"echo","args":{}}`))
			require.NoError(t, err)
			synctest.Wait() // the server is writing
			began, within := time.Now(), writeTimeout
			if stopped {
				cancel()
				within = stopTimeout
			}
			<-ended
			require.Equal(t, within, time.Since(began))
		})
	}
}

// A client that has sent nothing yet does not delay a stop.
func TestAStopWaitsForNoSilentClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		client, ended := piped(ctx, nil)
		defer client.Close()
		synctest.Wait() // the server is reading
		began := time.Now()
		cancel()
		<-ended
		require.Zero(t, time.Since(began))
	})
}

// listener returns the given connections and errors from Accept, until it is
// closed.
type listener struct {
	accepts chan any
	closed  chan struct{}
	once    sync.Once
}

func newListener(accepts ...any) *listener {
	l := &listener{accepts: make(chan any, len(accepts)), closed: make(chan struct{})}
	for _, a := range accepts {
		l.accepts <- a
	}
	return l
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case a := <-l.accepts:
		if err, failed := a.(error); failed {
			return nil, err
		}
		return a.(net.Conn), nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *listener) Addr() net.Addr { return nil }

// A failed Accept, for example for lack of file descriptors, does not end the
// server.
func TestServingGoesOnAfterAFailedAccept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		client, server := net.Pipe()
		defer client.Close()
		go Serve(ctx, newListener(syscall.EMFILE, syscall.EMFILE, server), "v1", nil, func(_ context.Context, _ string, args json.RawMessage) (json.RawMessage, *Failure) {
			return args, nil
		})
		began := time.Now()
		_, err := client.Write([]byte(`{"v":1,"program":"v1","verb":"echo","args":{"x":1}}`))
		require.NoError(t, err)
		var a answer
		require.NoError(t, json.NewDecoder(client).Decode(&a))
		require.JSONEq(t, `{"x":1}`, string(a.Result))
		require.Equal(t, 2*acceptPause, time.Since(began), "it pauses between two tries")
	})
}

// Serve returns after the last verb returns, so that each verb can clean up.
func TestServingEndsAfterItsVerbs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		client, server := net.Pipe()
		defer client.Close()
		var done atomic.Bool
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			Serve(ctx, newListener(server), "v1", nil, func(ctx context.Context, _ string, _ json.RawMessage) (json.RawMessage, *Failure) {
				<-ctx.Done()
				time.Sleep(time.Hour)
				done.Store(true)
				return nil, nil
			})
		}()
		_, err := client.Write([]byte(`{"v":1,"program":"v1","verb":"wait","args":{}}`))
		require.NoError(t, err)
		synctest.Wait() // the verb has begun
		cancel()
		<-ended
		require.True(t, done.Load())
	})
}
