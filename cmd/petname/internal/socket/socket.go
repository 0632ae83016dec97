// Package socket connects a verb with the running node of its home. [Call] sends a
// request to the node, [Listen] and [Serve] are for the node. Each connection carries
// one request and one response, each a JSON document, over a Unix socket that only
// its owner can open. Where the system names the user of the other process (Linux,
// macOS), both ends refuse one of a user other than their own and root.
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

	"github.com/petnames-go/petnames/ledger/durable"
)

const (
	version     = 1 // of request and response
	sockName    = "node.sock"
	maxPath     = 100     // bytes; the limit of kernels is 104 to 108
	maxRequest  = 1 << 20 // bytes
	acceptPause = 50 * time.Millisecond

	dialTimeout  = 2 * time.Second // the node is on this machine
	readTimeout  = 5 * time.Second // for a whole request
	writeTimeout = 5 * time.Second // for a whole response
	stopTimeout  = time.Second     // for a whole response after the node began to stop
)

type request struct {
	V       int             `json:"v"`
	Program string          `json:"program"` // version of the caller
	Verb    string          `json:"verb"`
	Args    json.RawMessage `json:"args"`
}

type answer struct {
	V      int             `json:"v"`
	Notice string          `json:"notice,omitempty"` // of the home, for people; empty: none
	Result json.RawMessage `json:"result,omitempty"`
	Error  *Failure        `json:"error,omitempty"`
	Exit   int             `json:"exit,omitempty"`
}

// Failure is the error of a verb: a stable code for programs, a message and the next
// step for people, and the exit status of the command.
type Failure struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Next    string `json:"next"` // a command to copy, or a sentence; may be empty
	Exit    int    `json:"-"`
}

func (e *Failure) Error() string { return e.Message }

// With replaces the next step, and returns e.
func (e *Failure) With(next string) *Failure {
	e.Next = next
	return e
}

// The exit statuses of failures of this package.
const (
	failureStatus = 1
	usageStatus   = 2
)

// ErrNoNode is returned by [Call] when no node of the home is running.
var ErrNoNode = errors.New("no node is running")

// Path returns the path of the socket of a home. If the path in the home is too long
// for a socket, Path returns a hashed name in the runtime folder of the user.
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

// ErrUntrusted is returned when another user could replace the socket of a home, and so
// impersonate its node and receive a passphrase.
var ErrUntrusted = errors.New("the socket is not trusted")

// checkFolder checks that the folder of a socket, and the socket if it exists, belong to
// this user, that no other user can write to the folder, and that none can even list
// the folder of hashed names.
func checkFolder(path string) error {
	folder := filepath.Dir(path)
	info, err := os.Lstat(folder)
	if err == nil && info.Mode()&fs.ModeSymlink != 0 && filepath.Base(path) == sockName {
		info, err = os.Stat(folder) // a home may be a link
	}
	forbidden := fs.FileMode(0o077)
	if filepath.Base(path) == sockName {
		forbidden = 0o022
	}
	switch {
	case err != nil:
		return err
	case !info.IsDir():
		return fmt.Errorf("%w: %q is not a folder", ErrUntrusted, folder)
	case !durable.OwnedByUser(info):
		return fmt.Errorf("%w: folder %q is another user's", ErrUntrusted, folder)
	case runtime.GOOS != "windows" && info.Mode().Perm()&forbidden != 0:
		return fmt.Errorf("%w: folder %q is open to others (mode %#o): chmod 700 it", ErrUntrusted, folder, info.Mode().Perm())
	}
	if info, err := os.Lstat(path); err == nil && !durable.OwnedByUser(info) {
		return fmt.Errorf("%w: %q is another user's", ErrUntrusted, path)
	}
	return nil
}

// Listen listens on the socket of the home in dir. The caller holds the lock of the
// ledger, so an existing socket is from a node that is no longer running: Listen
// replaces it.
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

// Handler runs a verb and returns its result, its failure, or both.
type Handler func(ctx context.Context, verb string, args json.RawMessage) (json.RawMessage, *Failure)

// Serve answers requests with do, concurrently, until ctx ends or the listener is
// closed. It then closes the listener, and waits for running requests. The context of
// do also ends when the caller disconnects; do must return soon after that. program is
// the version of the node: requests of other versions are refused, except stop. notice
// returns the notice of the home after a verb, for people; nil: there is none.
func Serve(ctx context.Context, l net.Listener, program string, notice func() string, do Handler) {
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
			select { // for example, no file descriptor was available
			case <-time.After(acceptPause):
			case <-ctx.Done():
			}
			continue
		}
		running.Go(func() {
			defer conn.Close()
			serve(ctx, conn, program, notice, do)
		})
	}
}

func serve(ctx context.Context, conn net.Conn, program string, notice func() string, do Handler) {
	if checkPeer(conn) != nil {
		return // another user learns nothing, and runs nothing
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// If a deadline cannot be set, reading or writing fails too.
	_ = conn.SetReadDeadline(time.Now().Add(readTimeout))
	stopClosing := context.AfterFunc(ctx, func() { conn.Close() }) // a client that sends nothing must not delay a stop
	req, err := decode(conn)
	if !stopClosing() {
		return
	}
	var a answer
	switch {
	case err != nil:
		a.Error = &Failure{Code: "usage", Message: err.Error(), Exit: usageStatus}
	case (req.V != version || req.Program != program) && req.Verb != "stop":
		// Every version may stop a node: after an upgrade, nothing else could.
		a.Error = &Failure{Code: "version", Exit: failureStatus,
			Message: fmt.Sprintf("the running node is petname %q, and this is %q: restart the node", program, req.Program), Next: "petname node stop"}
	default:
		_ = conn.SetReadDeadline(time.Time{})
		go func() { // the client sends nothing more: a read returns when it disconnects
			_, _ = conn.Read(make([]byte, 1))
			cancel()
		}()
		a.Result, a.Error = do(ctx, req.Verb, req.Args)
		if notice != nil {
			a.Notice = notice()
		}
	}
	a.V = version
	if a.Error != nil {
		a.Exit = a.Error.Exit
	}
	// Errors of the response cannot be reported to the client. A client that does not
	// read must not delay a stop.
	_ = conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	cancelShorten := context.AfterFunc(ctx, func() { _ = conn.SetWriteDeadline(time.Now().Add(stopTimeout)) })
	defer cancelShorten()
	_ = json.NewEncoder(conn).Encode(a)
}

// decode reads a request of at most maxRequest bytes.
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

// Call runs a verb in the running node of the home in dir, and returns its result, the
// notice of the home, and the failure of the verb. It fails with [ErrNoNode] when no
// node accepts the connection, with [ErrUntrusted] too when the socket is not safe and
// nothing was sent, and with the error of ctx when ctx ends.
func Call(ctx context.Context, dir, program, verb string, args json.RawMessage) (result json.RawMessage, notice string, failed *Failure, err error) {
	path, err := Path(dir)
	if err != nil { // a node cannot listen there either
		return nil, "", nil, fmt.Errorf("%w: %w", ErrNoNode, err)
	}
	if err := checkFolder(path); err != nil {
		return nil, "", nil, fmt.Errorf("%w: %w", ErrNoNode, err)
	}
	d := net.Dialer{Timeout: dialTimeout}
	conn, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		if ctx.Err() != nil {
			return nil, "", nil, ctx.Err()
		}
		return nil, "", nil, fmt.Errorf("%w: %w", ErrNoNode, err)
	}
	defer conn.Close()
	if err := checkPeer(conn); err != nil { // before the request, which may have a passphrase
		return nil, "", nil, fmt.Errorf("%w: %w", ErrNoNode, err)
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if err := json.NewEncoder(conn).Encode(request{version, program, verb, args}); err != nil {
		return nil, "", nil, noAnswer(ctx, err)
	}
	var a answer
	if err := json.NewDecoder(conn).Decode(&a); err != nil {
		return nil, "", nil, noAnswer(ctx, err)
	}
	if a.Error != nil {
		if a.Error.Exit = a.Exit; a.Exit == 0 { // a failure must not have exit status 0
			a.Error.Exit = failureStatus
		}
	}
	return a.Result, a.Notice, a.Error, nil
}

// noAnswer returns the error of a request without a response: the verb may have run or
// not.
func noAnswer(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("the node ended before it answered; check the result before you try again: %w", err)
}
