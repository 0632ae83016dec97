// Package socket is how a verb reaches the running node of its home: one
// request and one answer a connection, each a JSON document, over a Unix
// socket that only the home's owner can open.
package socket

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/petnames-go/petnames/cmd/petname/internal/engine"
)

const (
	version     = 1               // of request and answer
	maxPath     = 100             // bytes; the kernel's limit is 104 to 108
	maxRequest  = 1 << 20         // bytes
	dialTimeout = 2 * time.Second // the node is on this machine
	readTimeout = 5 * time.Second // for a request to come in whole
)

type request struct {
	V       int             `json:"v"`
	Program string          `json:"program"` // the caller's version
	Verb    string          `json:"verb"`
	Args    json.RawMessage `json:"args"`
}

type answer struct {
	V      int             `json:"v"`
	Result json.RawMessage `json:"result,omitempty"`
	Error  *engine.Error   `json:"error,omitempty"`
	Exit   int             `json:"exit,omitempty"`
}

// ErrNoNode: no node of this home is running.
var ErrNoNode = errors.New("no node is running")

// Path is where the socket of a home is. A path too long for a socket becomes a
// hashed name in the user's own runtime folder.
func Path(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if path := filepath.Join(dir, "node.sock"); len(path) <= maxPath {
		return path, nil
	}
	runtime := os.Getenv("XDG_RUNTIME_DIR")
	if runtime == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return "", fmt.Errorf("no short place for the socket of %q: %w", dir, err)
		}
		runtime = cache
	}
	runtime = filepath.Join(runtime, "petname")
	if err := os.MkdirAll(runtime, 0o700); err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(dir))
	path := filepath.Join(runtime, hex.EncodeToString(sum[:8])+".sock")
	if len(path) > maxPath {
		return "", fmt.Errorf("no short place for the socket of %q: %q is too long as well; set XDG_RUNTIME_DIR", dir, path)
	}
	return path, nil
}

// Listen opens the socket. The caller holds the ledger's lock, so that a socket
// that is there already is a dead node's, and is replaced.
func Listen(dir string) (net.Listener, error) {
	path, err := Path(dir)
	if err != nil {
		return nil, err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// Serve answers requests with do until the listener is closed, then waits for
// those under way. When the caller hangs up, its request's context ends.
func Serve(ctx context.Context, l net.Listener, program string, do func(ctx context.Context, verb string, args json.RawMessage) (json.RawMessage, *engine.Error)) {
	var running sync.WaitGroup
	defer running.Wait()
	for {
		conn, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		running.Go(func() {
			defer conn.Close()
			serve(ctx, conn, program, do)
		})
	}
}

func serve(ctx context.Context, conn net.Conn, program string, do func(ctx context.Context, verb string, args json.RawMessage) (json.RawMessage, *engine.Error)) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// Errors of the deadline show when reading.
	_ = conn.SetReadDeadline(time.Now().Add(readTimeout))
	var req request
	dec := json.NewDecoder(io.LimitReader(conn, maxRequest))
	if err := dec.Decode(&req); err != nil {
		return
	}
	var a answer
	if req.V != version || req.Program != program {
		a = answer{Error: &engine.Error{Code: "version", Exit: engine.ExitFailure,
			Message: fmt.Sprintf("the running node is petname %s, and this is %s: restart the node", program, req.Program), Next: "petname node stop"}}
	} else {
		_ = conn.SetReadDeadline(time.Time{})
		go func() { // nothing more comes, but the end
			_, _ = conn.Read(make([]byte, 1))
			cancel()
		}()
		a.Result, a.Error = do(ctx, req.Verb, req.Args)
	}
	a.V = version
	if a.Error != nil {
		a.Exit = a.Error.Exit
	}
	_ = json.NewEncoder(conn).Encode(a) // nobody is left to tell
}

// Do has the running node do a verb. [ErrNoNode] when none answers the socket.
func Do(ctx context.Context, dir, program, verb string, args json.RawMessage) (json.RawMessage, *engine.Error, error) {
	path, err := Path(dir)
	if err != nil {
		return nil, nil, err
	}
	d := net.Dialer{Timeout: dialTimeout}
	conn, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrNoNode, err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if err := json.NewEncoder(conn).Encode(request{version, program, verb, args}); err != nil {
		return nil, nil, lost(ctx, err)
	}
	var a answer
	if err := json.NewDecoder(conn).Decode(&a); err != nil {
		return nil, nil, lost(ctx, err)
	}
	if a.Error != nil {
		a.Error.Exit = a.Exit
	}
	return a.Result, a.Error, nil
}

// lost is an answer that never came: what was asked may or may not be done.
func lost(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("the node went away before it answered; look before you ask again: %w", err)
}
