package socket

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
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
		Serve(ctx, l, "v1", nil, func(ctx context.Context, verb string, args json.RawMessage) (json.RawMessage, *Failure) {
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
	out, _, failed, err := Call(context.Background(), dir, "v1", verb, json.RawMessage(args))
	require.NoError(t, err)
	return string(out), failed
}

func TestCall(t *testing.T) {
	dir := short(t)
	_, _, _, err := Call(context.Background(), dir, "v1", "echo", nil)
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
			_, _, _, err := Call(context.Background(), dir, "v1", "echo", json.RawMessage(`{}`))
			require.NoError(t, err)
		})
	}
	wg.Wait()
	stop()
	_, _, _, err = Call(context.Background(), dir, "v1", "echo", nil)
	require.ErrorIs(t, err, ErrNoNode)
}

// A caller of another version receives a failure, but can stop the node.
func TestVersion(t *testing.T) {
	dir := short(t)
	serving(t, dir)
	_, _, failed, err := Call(context.Background(), dir, "v2", "echo", json.RawMessage(`{}`))
	require.NoError(t, err)
	require.Equal(t, "version", failed.Code)
	require.Equal(t, failureStatus, failed.Exit)
	require.Contains(t, failed.Message, "restart the node")
	require.Equal(t, "petname node stop", failed.Next)
	_, _, failed, err = Call(context.Background(), dir, "v2", "stop", json.RawMessage(`{}`))
	require.NoError(t, err)
	require.Nil(t, failed)
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
		_, _, failed, err := Call(context.Background(), dir, "v1", "add", json.RawMessage(`{}`))
		if failed != nil {
			require.NotZero(t, failed.Exit, "an error without an exit status is one all the same")
		} else {
			require.ErrorContains(t, err, "check the result before you try again")
			require.NotErrorIs(t, err, ErrNoNode)
		}
		require.NoError(t, l.Close())
	}
}

// A cancelled caller receives its cancellation error, and not ErrNoNode: it
// must not run the verb itself.
func TestACancelledCallerSendsNoRequest(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, _, _, err := Call(ctx, short(t), "v1", "echo", json.RawMessage(`{}`))
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, ErrNoNode)
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

// The notice of the home comes with each response, also with that of a verb that failed.
func TestANoticeComesWithTheResponse(t *testing.T) {
	dir := short(t)
	l, err := Listen(dir)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	notice := ""
	go Serve(ctx, l, "v1", func() string { return notice }, func(_ context.Context, verb string, args json.RawMessage) (json.RawMessage, *Failure) {
		if verb == "fail" {
			return nil, &Failure{Code: "failure", Exit: 1}
		}
		return args, nil
	})
	for _, want := range []string{"", "records is missing"} {
		notice = want
		for _, verb := range []string{"echo", "fail"} {
			_, got, failed, err := Call(ctx, dir, "v1", verb, json.RawMessage(`{}`))
			require.NoError(t, err)
			require.Equal(t, verb == "fail", failed != nil)
			require.Equal(t, want, got)
		}
	}
}
