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
	"runtime"
	"sync"
	"time"
)

const (
	version     = 1 // of request and answer
	sockName    = "node.sock"
	maxPath     = 100     // bytes; the kernel's limit is 104 to 108
	maxRequest  = 1 << 20 // bytes
	acceptPause = 50 * time.Millisecond

	dialTimeout  = 2 * time.Second // the node is on this machine
	readTimeout  = 5 * time.Second // for a request to come in whole
	writeTimeout = 5 * time.Second // for an answer to go out
	stopTimeout  = time.Second     // the same, once the node is to stop
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
	Error  *Failure        `json:"error,omitempty"`
	Exit   int             `json:"exit,omitempty"`
}

// Failure is how a verb fails: a stable code for programs, a message and the next
// step for people, and the exit status of the command.
type Failure struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Next    string `json:"next"` // a command to copy, or a sentence; may be empty
	Exit    int    `json:"-"`
}

func (e *Failure) Error() string { return e.Message }

// With replaces the next step, and returns the failure.
func (e *Failure) With(next string) *Failure {
	e.Next = next
	return e
}

// The exit statuses of what goes wrong here.
const (
	failureStatus = 1
	usageStatus   = 2
)

// ErrNoNode: no node of this home is running.
var ErrNoNode = errors.New("no node is running")

// Path is where the socket of a home is. A path too long for a socket becomes a
// hashed name in the user's own runtime folder.
func Path(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if path := filepath.Join(dir, sockName); len(path) <= maxPath {
		return path, nil
	}
	short := os.Getenv("XDG_RUNTIME_DIR")
	if short == "" {
		if short, err = os.UserCacheDir(); err != nil {
			return "", fmt.Errorf("no short place for the socket of %q: %w", dir, err)
		}
	}
	sum := sha256.Sum256([]byte(dir))
	path := filepath.Join(short, "petname", hex.EncodeToString(sum[:8])+".sock")
	if len(path) > maxPath {
		return "", fmt.Errorf("no short place for the socket of %q: %q is too long as well; set XDG_RUNTIME_DIR", dir, path)
	}
	return path, nil
}

// trusted finds the folder of a hashed socket to be this user's and closed to
// others: who could write to it could answer in the node's place, and be told a
// passphrase. A socket in the home is as safe as the home.
func checkFolder(path string) error {
	if filepath.Base(path) == sockName {
		return nil
	}
	folder := filepath.Dir(path)
	info, err := os.Lstat(folder)
	switch {
	case err != nil:
		return err
	case !info.IsDir():
		return fmt.Errorf("%q is not a folder", folder)
	case !ownedByUser(info):
		return fmt.Errorf("folder %q is another user's: remove it, or set XDG_RUNTIME_DIR", folder)
	case runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("folder %q is open to others (mode %#o): chmod 700 it", folder, info.Mode().Perm())
	}
	return nil
}

// Listen opens the socket. The caller holds the ledger's lock, so that a socket
// that is there already is a dead node's, and is replaced.
func Listen(dir string) (net.Listener, error) {
	path, err := Path(dir)
	if err != nil {
		return nil, err
	}
	if filepath.Base(path) != sockName {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return nil, err
		}
	}
	if err := checkFolder(path); err != nil {
		return nil, err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	l, err := listenPrivate(path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// Handler does a verb.
type Handler func(ctx context.Context, verb string, args json.RawMessage) (json.RawMessage, *Failure)

// Serve answers requests with do until ctx ends or the listener is closed. It
// closes the listener, and waits for those under way: do is to give up when its
// context ends, as it does when the caller hangs up.
func Serve(ctx context.Context, l net.Listener, program string, do Handler) {
	var running sync.WaitGroup
	defer running.Wait()
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	defer l.Close()
	for {
		conn, err := l.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) || ctx.Err() != nil {
				return
			}
			select { // out of file descriptors, say
			case <-time.After(acceptPause):
			case <-ctx.Done():
			}
			continue
		}
		running.Go(func() {
			defer conn.Close()
			serve(ctx, conn, program, do)
		})
	}
}

func serve(ctx context.Context, conn net.Conn, program string, do Handler) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// Errors of the deadlines show when reading and writing.
	_ = conn.SetReadDeadline(time.Now().Add(readTimeout))
	silent := context.AfterFunc(ctx, func() { conn.Close() }) // who says nothing holds up no stop
	req, err := decode(conn)
	if !silent() {
		return
	}
	var a answer
	switch {
	case err != nil:
		a.Error = &Failure{Code: "usage", Message: err.Error(), Exit: usageStatus}
	case (req.V != version || req.Program != program) && req.Verb != "stop":
		// Any petname may stop a node, or nothing could.
		a.Error = &Failure{Code: "version", Exit: failureStatus,
			Message: fmt.Sprintf("the running node is petname %q, and this is %q: restart the node", program, req.Program), Next: "petname node stop"}
	default:
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
	// Nobody is left to tell when this fails; who doesn't read holds up no stop.
	_ = conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	hurry := context.AfterFunc(ctx, func() { _ = conn.SetWriteDeadline(time.Now().Add(stopTimeout)) })
	defer hurry()
	_ = json.NewEncoder(conn).Encode(a)
}

// decode reads a request.
func decode(r io.Reader) (request, error) {
	var req request
	limited := &io.LimitedReader{R: r, N: maxRequest}
	if err := json.NewDecoder(limited).Decode(&req); err != nil {
		if limited.N <= 0 {
			return request{}, fmt.Errorf("request: over %d bytes long", maxRequest)
		}
		return request{}, fmt.Errorf("request: %w", err)
	}
	return req, nil
}

// Do has the running node do a verb. [ErrNoNode] when none answers the socket.
func Call(ctx context.Context, dir, program, verb string, args json.RawMessage) (json.RawMessage, *Failure, error) {
	path, err := Path(dir)
	if err != nil { // no node could be listening there either
		return nil, nil, fmt.Errorf("%w: %w", ErrNoNode, err)
	}
	if err := checkFolder(path); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrNoNode, err)
	}
	d := net.Dialer{Timeout: dialTimeout}
	conn, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		if ctx.Err() != nil {
			return nil, nil, ctx.Err()
		}
		return nil, nil, fmt.Errorf("%w: %w", ErrNoNode, err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if err := json.NewEncoder(conn).Encode(request{version, program, verb, args}); err != nil {
		return nil, nil, noAnswer(ctx, err)
	}
	var a answer
	if err := json.NewDecoder(conn).Decode(&a); err != nil {
		return nil, nil, noAnswer(ctx, err)
	}
	if a.Error != nil {
		if a.Error.Exit = a.Exit; a.Exit == 0 { // never 0 on a failure, whatever answers
			a.Error.Exit = failureStatus
		}
	}
	return a.Result, a.Error, nil
}

// lost is an answer that never came: what was asked may or may not be done.
func noAnswer(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("the node went away before it answered; look before you ask again: %w", err)
}
