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
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// patience is a guard against a hang: the operations that it bounds take
// milliseconds.
const patience = time.Minute

// No test leaves a goroutine behind.
func TestMain(m *testing.M) {
	before := runtime.NumGoroutine()
	code := m.Run()
	deadline := time.Now().Add(patience)
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

// short returns a folder whose path is short enough for a socket.
func short(t *testing.T) string {
	dir, err := os.MkdirTemp("", "sock")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// serving starts a server that returns the arguments of a verb. The verb "wait" waits
// until its context ends.
func serving(t *testing.T, dir string) (stop func()) {
	l, err := Listen(dir)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		Serve(ctx, l, "v1", func(ctx context.Context, verb string, args json.RawMessage) (json.RawMessage, *Failure) {
			switch verb {
			case "wait":
				<-ctx.Done()
				return nil, &Failure{Code: "interrupted", Exit: 130}
			case "stop":
				cancel()
				return nil, nil
			case "big":
				return json.RawMessage(`"` + strings.Repeat("x", 8<<20) + `"`), nil
			case "fail":
				return json.RawMessage(`{"a":1}`), &Failure{Code: "name_taken", Message: "m", Next: "n", Exit: 8}
			}
			return args, nil
		})
	}()
	stop = func() {
		cancel()
		select {
		case <-ended:
		case <-time.After(patience):
			t.Error("serving didn't end")
		}
	}
	t.Cleanup(stop)
	return stop
}

func do(t *testing.T, dir, verb, args string) (string, *Failure) {
	out, failed, err := Call(context.Background(), dir, "v1", verb, json.RawMessage(args))
	require.NoError(t, err)
	return string(out), failed
}

func TestCall(t *testing.T) {
	dir := short(t)
	_, _, err := Call(context.Background(), dir, "v1", "echo", nil)
	require.ErrorIs(t, err, ErrNoNode)
	stop := serving(t, dir)
	out, failed := do(t, dir, "echo", `{"x":"y"}`)
	require.Nil(t, failed)
	require.JSONEq(t, `{"x":"y"}`, out)
	out, failed = do(t, dir, "fail", `{}`)
	require.JSONEq(t, `{"a":1}`, out)
	require.Equal(t, &Failure{Code: "name_taken", Message: "m", Next: "n", Exit: 8}, failed)
	out, failed = do(t, dir, "big", `{}`)
	require.Nil(t, failed)
	require.Len(t, out, 8<<20+2)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			_, _, err := Call(context.Background(), dir, "v1", "echo", json.RawMessage(`{}`))
			require.NoError(t, err)
		})
	}
	wg.Wait()
	stop()
	_, _, err = Call(context.Background(), dir, "v1", "echo", nil)
	require.ErrorIs(t, err, ErrNoNode)
}

// A caller of another version receives a failure, but can stop the node.
func TestVersion(t *testing.T) {
	dir := short(t)
	serving(t, dir)
	_, failed, err := Call(context.Background(), dir, "v2", "echo", json.RawMessage(`{}`))
	require.NoError(t, err)
	require.Equal(t, "version", failed.Code)
	require.Equal(t, failureStatus, failed.Exit)
	require.Contains(t, failed.Message, "restart the node")
	require.Equal(t, "petname node stop", failed.Next)
	_, failed, err = Call(context.Background(), dir, "v2", "stop", json.RawMessage(`{}`))
	require.NoError(t, err)
	require.Nil(t, failed)
}

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
		_, _, err := Call(ctx, dir, "v1", "wait", json.RawMessage(`{}`))
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
		serve(ctx, server, "v1", do)
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
		go Serve(ctx, newListener(syscall.EMFILE, syscall.EMFILE, server), "v1", func(_ context.Context, _ string, args json.RawMessage) (json.RawMessage, *Failure) {
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
			Serve(ctx, newListener(server), "v1", func(ctx context.Context, _ string, _ json.RawMessage) (json.RawMessage, *Failure) {
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

// A request of 1 MiB is read. A request that is one byte longer is refused as
// too long. Both are otherwise correct.
func TestARequestHasABound(t *testing.T) {
	sized := func(size int) []byte {
		const around = len(`{"v":1,"program":"v1","verb":"echo","args":""}`)
		return []byte(`{"v":1,"program":"v1","verb":"echo","args":"` + strings.Repeat("x", size-around) + `"}`)
	}
	req, err := decode(bytes.NewReader(sized(maxRequest)))
	require.NoError(t, err)
	require.Equal(t, "echo", req.Verb)
	_, err = decode(bytes.NewReader(sized(maxRequest + 1)))
	require.ErrorContains(t, err, "over 1048576 bytes")
	endless := &counting{r: strings.NewReader(strings.Repeat(" ", 4*maxRequest))}
	_, err = decode(endless)
	require.ErrorContains(t, err, "over 1048576 bytes")
	require.LessOrEqual(t, endless.n, maxRequest, "no more is read than may be")
}

type counting struct {
	r io.Reader
	n int
}

func (c *counting) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += n
	return n, err
}

// A request of another version of the protocol, or of another version of the
// command, does nothing, unless it is a stop.
func TestAnotherVersionDoesNothing(t *testing.T) {
	for request, begun := range map[string]bool{
		`{"v":1,"program":"v1","verb":"echo","args":{}}`: true,
		`{"v":2,"program":"v1","verb":"echo","args":{}}`: false,
		`{"v":0,"program":"v1","verb":"echo","args":{}}`: false,
		`{"program":"v1","verb":"echo","args":{}}`:       false,
		`{"v":1,"program":"v2","verb":"echo","args":{}}`: false,
		`{"v":1,"verb":"echo","args":{}}`:                false,
		`{"v":2,"program":"v1","verb":"stop","args":{}}`: true,
		`{"v":1,"program":"v2","verb":"stop","args":{}}`: true,
		`{"v":1,"program":"v2","verb":"Stop","args":{}}`: false,
	} {
		did := false
		client, ended := piped(t.Context(), func(context.Context, string, json.RawMessage) (json.RawMessage, *Failure) {
			did = true
			return nil, nil
		})
		_, err := client.Write([]byte(request))
		require.NoError(t, err)
		var a answer
		require.NoError(t, json.NewDecoder(client).Decode(&a))
		<-ended
		require.NoError(t, client.Close())
		require.Equal(t, begun, did, request)
		require.Equal(t, 1, a.V)
		if begun {
			require.Nil(t, a.Error, request)
			continue
		}
		require.Equal(t, "version", a.Error.Code, request)
		require.Equal(t, failureStatus, a.Exit, request)
	}
}

// A missing response is not ErrNoNode: the verb may have run.
func TestAMissingResponseIsNotErrNoNode(t *testing.T) {
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
		_, failed, err := Call(context.Background(), dir, "v1", "add", json.RawMessage(`{}`))
		if failed != nil {
			require.NotZero(t, failed.Exit, "an error without an exit status is one all the same")
		} else {
			require.ErrorContains(t, err, "check the result before you try again")
			require.NotErrorIs(t, err, ErrNoNode)
		}
		require.NoError(t, l.Close())
	}
}

// Only the owner can access the socket. The socket of a killed node is replaced.
func TestListen(t *testing.T) {
	dir := short(t)
	path, err := Path(dir)
	require.NoError(t, err)
	dead, err := net.Listen("unix", path)
	require.NoError(t, err)
	dead.(*net.UnixListener).SetUnlinkOnClose(false)
	require.NoError(t, dead.Close())
	_, _, err = Call(context.Background(), dir, "v1", "echo", nil)
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

// Only the owner can access the socket from the moment that it exists. The
// umask of the process has no effect on its mode, and is restored afterwards.
func TestASocketIsPrivateFromTheStart(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no modes")
	}
	old := setUmask(0)
	defer setUmask(old)
	path := filepath.Join(short(t), "s")
	l, err := listenPrivate(path) // before the server changes its mode
	require.NoError(t, err)
	defer l.Close()
	info, err := os.Lstat(path)
	require.NoError(t, err)
	require.Zero(t, info.Mode().Perm()&0o077, "%#o", info.Mode().Perm())
	require.Zero(t, setUmask(0))
}

// A client sends nothing to a socket in a folder that another user owns or can
// write to, or whose folder is not a folder. Another user may be listening
// there, and a request can contain a passphrase. A node does not listen there
// either.
func TestAClientSendsNothingIntoAnUntrustedFolder(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no modes")
	}
	run := short(t)
	t.Setenv("XDG_RUNTIME_DIR", run)
	dir := filepath.Join(short(t), strings.Repeat("deep/", 30))
	path, err := Path(dir)
	require.NoError(t, err)
	folder := filepath.Dir(path)
	require.NoError(t, os.Mkdir(folder, 0o700))
	l, err := net.Listen("unix", path)
	require.NoError(t, err)
	sent := make(chan struct{}, 100)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			sent <- struct{}{}
			_ = json.NewDecoder(c).Decode(new(request))
			_, _ = c.Write([]byte(`{"v":1,"result":"fake"}`))
			c.Close()
		}
	}()
	defer func() {
		l.Close()
		<-done
	}()
	asked := func() (bool, error) {
		_, _, err := Call(context.Background(), dir, "v1", "publish", json.RawMessage(`{"passphrase":"horse"}`))
		select {
		case <-sent:
			return true, err
		default:
			return false, err
		}
	}
	reached, err := asked()
	require.NoError(t, err)
	require.True(t, reached, "its own folder")
	refused := func(why string) {
		t.Helper()
		reached, err := asked()
		require.ErrorIs(t, err, ErrNoNode)
		require.ErrorContains(t, err, why)
		require.False(t, reached)
		_, err = Listen(dir)
		require.ErrorContains(t, err, why)
	}
	for _, mode := range []os.FileMode{0o770, 0o702, 0o720, 0o750, 0o705, 0o701} {
		require.NoError(t, os.Chmod(folder, mode))
		refused("open to others")
	}
	require.NoError(t, os.Chmod(folder, 0o700))
	if os.Geteuid() == 0 { // only root may change the owner, and may enter the folder afterwards
		require.NoError(t, os.Chown(folder, 65534, -1))
		refused("another user's")
		require.NoError(t, os.Chown(folder, 0, -1))
	}
	real := filepath.Join(run, "real")
	require.NoError(t, os.Rename(folder, real))
	require.NoError(t, os.Symlink(real, folder))
	refused("not a folder")
}

// A cancelled caller receives its cancellation error, and not ErrNoNode: it
// must not run the verb itself.
func TestACancelledCallerSendsNoRequest(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, _, err := Call(ctx, short(t), "v1", "echo", json.RawMessage(`{}`))
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, ErrNoNode)
}

// A socket lies in its home if its path is no longer than every system allows.
func TestThePathOfASocketIsBounded(t *testing.T) {
	t.Setenv("XDG_RUNTIME_DIR", short(t))
	root := short(t)
	for _, length := range []int{maxPath, maxPath + 1} {
		dir := filepath.Join(root, strings.Repeat("x", length-len(root)-len("/"+sockName)-1))
		path, err := Path(dir)
		require.NoError(t, err)
		require.Equal(t, length == maxPath, path == filepath.Join(dir, sockName), path)
	}
}

// A home whose path is too long has its socket in the runtime folder of the user, if
// no other user can access that folder.
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
	_, _, err = Call(context.Background(), dir, "v1", "echo", nil)
	require.ErrorIs(t, err, ErrNoNode)
}

// Input is an error, or a request that decodes to the same value after encoding.
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
		require.Equal(t, req.Program, back.Program)
		var escaped bytes.Buffer // json.Marshal escapes <, > and &
		json.HTMLEscape(&escaped, compact.Bytes())
		require.Equal(t, escaped.String(), string(back.Args))
	})
}
