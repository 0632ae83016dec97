package socket

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/cmd/petname/internal/engine"
)

// No test leaves a goroutine behind.
func TestMain(m *testing.M) {
	before := runtime.NumGoroutine()
	code := m.Run()
	deadline := time.Now().Add(5 * time.Second)
	for runtime.NumGoroutine() > before && time.Now().Before(deadline) {
		runtime.Gosched()
	}
	if n := runtime.NumGoroutine(); code == 0 && n > before && flag.Lookup("test.fuzz").Value.String() == "" {
		stacks := make([]byte, 1<<16)
		os.Stderr.Write(stacks[:runtime.Stack(stacks, true)])
		code = 1
	}
	os.Exit(code)
}

// short is a folder whose path is short enough for a socket.
func short(t *testing.T) string {
	dir, err := os.MkdirTemp("", "sock")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// serving serves echo: a verb's arguments come back, "wait" waits for its end.
func serving(t *testing.T, dir string) (stop func()) {
	l, err := Listen(dir)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		Serve(ctx, l, "v1", func(ctx context.Context, verb string, args json.RawMessage) (json.RawMessage, *engine.Error) {
			switch verb {
			case "wait":
				<-ctx.Done()
				return nil, &engine.Error{Code: "interrupted", Exit: engine.ExitInterrupted}
			case "stop":
				cancel()
				return nil, nil
			case "big":
				return json.RawMessage(`"` + strings.Repeat("x", 8<<20) + `"`), nil
			case "fail":
				return json.RawMessage(`{"a":1}`), &engine.Error{Code: "name_taken", Message: "m", Next: "n", Exit: engine.ExitConflict}
			}
			return args, nil
		})
	}()
	stop = func() {
		cancel()
		select {
		case <-ended:
		case <-time.After(20 * time.Second):
			t.Error("serving didn't end")
		}
	}
	t.Cleanup(stop)
	return stop
}

func do(t *testing.T, dir, verb, args string) (string, *engine.Error) {
	out, failed, err := Do(context.Background(), dir, "v1", verb, json.RawMessage(args))
	require.NoError(t, err)
	return string(out), failed
}

func TestDo(t *testing.T) {
	dir := short(t)
	_, _, err := Do(context.Background(), dir, "v1", "echo", nil)
	require.ErrorIs(t, err, ErrNoNode)
	stop := serving(t, dir)
	out, failed := do(t, dir, "echo", `{"x":"y"}`)
	require.Nil(t, failed)
	require.JSONEq(t, `{"x":"y"}`, out)
	out, failed = do(t, dir, "fail", `{}`)
	require.JSONEq(t, `{"a":1}`, out)
	require.Equal(t, &engine.Error{Code: "name_taken", Message: "m", Next: "n", Exit: engine.ExitConflict}, failed)
	out, failed = do(t, dir, "big", `{}`)
	require.Nil(t, failed)
	require.Len(t, out, 8<<20+2)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			_, _, err := Do(context.Background(), dir, "v1", "echo", json.RawMessage(`{}`))
			require.NoError(t, err)
		})
	}
	wg.Wait()
	stop()
	_, _, err = Do(context.Background(), dir, "v1", "echo", nil)
	require.ErrorIs(t, err, ErrNoNode)
}

// Another version is told of, and can still stop the node.
func TestVersion(t *testing.T) {
	dir := short(t)
	serving(t, dir)
	_, failed, err := Do(context.Background(), dir, "v2", "echo", json.RawMessage(`{}`))
	require.NoError(t, err)
	require.Equal(t, "version", failed.Code)
	require.Equal(t, engine.ExitFailure, failed.Exit)
	require.Contains(t, failed.Message, "restart the node")
	require.Equal(t, "petname node stop", failed.Next)
	_, failed, err = Do(context.Background(), dir, "v2", "stop", json.RawMessage(`{}`))
	require.NoError(t, err)
	require.Nil(t, failed)
}

// Who hangs up, is interrupted, says nothing, or garbage, or too much, or
// doesn't listen, is in nobody's way.
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
		_, _, err := Do(ctx, dir, "v1", "wait", json.RawMessage(`{}`))
		waiting <- err
	}()
	cancel()
	require.ErrorIs(t, <-waiting, context.Canceled)
	out, _ := do(t, dir, "echo", `{"x":1}`)
	require.JSONEq(t, `{"x":1}`, out)
	start := time.Now()
	stop()
	require.Less(t, time.Since(start), stopTimeout+2*time.Second)
}

// An answer that never comes is no "no node": what was asked may be done.
func TestLost(t *testing.T) {
	dir := short(t)
	path, err := Path(dir)
	require.NoError(t, err)
	for _, said := range []string{"", "{", "garbage", `{"v":1,"error":{"code":"x","message":"y"}}`} {
		l, err := net.Listen("unix", path)
		require.NoError(t, err)
		go func() {
			c, err := l.Accept()
			if err == nil {
				_, _ = c.Read(make([]byte, 1000))
				_, _ = c.Write([]byte(said))
				c.Close()
			}
		}()
		_, failed, err := Do(context.Background(), dir, "v1", "add", json.RawMessage(`{}`))
		if failed != nil {
			require.NotZero(t, failed.Exit, "an error without an exit status is one all the same")
		} else {
			require.ErrorContains(t, err, "look before you ask again")
			require.NotErrorIs(t, err, ErrNoNode)
		}
		require.NoError(t, l.Close())
	}
}

// The socket is its owner's alone; a dead node's is replaced.
func TestListen(t *testing.T) {
	dir := short(t)
	path, err := Path(dir)
	require.NoError(t, err)
	dead, err := net.Listen("unix", path)
	require.NoError(t, err)
	dead.(*net.UnixListener).SetUnlinkOnClose(false)
	require.NoError(t, dead.Close())
	_, _, err = Do(context.Background(), dir, "v1", "echo", nil)
	require.ErrorIs(t, err, ErrNoNode)
	l, err := Listen(dir)
	require.NoError(t, err)
	defer l.Close()
	if runtime.GOOS != "windows" {
		info, err := os.Lstat(path)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	}
}

// A home too deep for a socket has it in the user's runtime folder, if nobody
// else can get at that.
func TestLongPath(t *testing.T) {
	run := short(t)
	t.Setenv("XDG_RUNTIME_DIR", run)
	dir := filepath.Join(short(t), strings.Repeat("deep/", 30))
	path, err := Path(dir)
	require.NoError(t, err)
	require.LessOrEqual(t, len(path), maxPath)
	require.True(t, strings.HasPrefix(path, run))
	other, err := Path(dir + "2")
	require.NoError(t, err)
	require.NotEqual(t, path, other)
	require.NoDirExists(t, filepath.Join(run, "petname"), "asking makes nothing")
	stop := serving(t, dir)
	out, failed := do(t, dir, "echo", `{}`)
	require.Nil(t, failed)
	require.Equal(t, "{}", out)
	stop()
	if runtime.GOOS != "windows" {
		require.NoError(t, os.Chmod(filepath.Join(run, "petname"), 0o777))
		_, err = Listen(dir)
		require.ErrorContains(t, err, "open to others")
	}
	t.Setenv("XDG_RUNTIME_DIR", "/"+strings.Repeat("x", 120))
	_, err = Listen(dir)
	require.ErrorContains(t, err, "too long")
	_, _, err = Do(context.Background(), dir, "v1", "echo", nil)
	require.ErrorIs(t, err, ErrNoNode)
}

// What is no request is an error, and what is one reads back as it was written.
func FuzzRequest(f *testing.F) {
	for _, seed := range []string{`{"v":1,"program":"v1","verb":"add","args":{"name":"bob"}}`, `{}`, `null`, `[`, "\x00", `{"v":1e99}`, `{"args":[[[[]]]]}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		req, err := decode(bytes.NewReader(b))
		if err != nil {
			return
		}
		again, err := json.Marshal(req)
		require.NoError(t, err)
		if len(again) > maxRequest {
			return
		}
		back, err := decode(bytes.NewReader(again))
		require.NoError(t, err)
		if req.Args == nil {
			req.Args = json.RawMessage("null")
		}
		var compact bytes.Buffer
		require.NoError(t, json.Compact(&compact, req.Args))
		require.Equal(t, req.Verb, back.Verb)
		require.Equal(t, req.V, back.V)
	})
}
