package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/petnames-go/petnames/cmd/petname/internal/engine"
	"github.com/petnames-go/petnames/cmd/petname/internal/socket"
	"github.com/petnames-go/petnames/ledger"
)

func (a *app) nodeVerb() *cobra.Command {
	var listen []string
	var http string
	cmd := &cobra.Command{
		Use:   "node",
		Short: "Run a node: store for others, and serve the other verbs",
		Long: `Run a node of this home until it is stopped. It listens on loopback unless told
otherwise, answers and stores for the network that was joined, and does the work
of every other verb of this home meanwhile. The first line that it prints says
where it can be reached.

It puts your own record again before the network forgets it, and signs it anew
before it expires; for that, an identity that is locked needs --passphrase-file.
Records of others are put again only for those whom you keep: petname keep --help.

With --http it is a router for others as well: it answers /routing/v1/ipns/…
(get and put) for the DHT that it is in, /healthz and /metrics. Give a loopback
address, unless it is meant for everybody who can reach this machine.`,
		Example: `  petname node
  petname node --listen /ip4/0.0.0.0/tcp/4001 --listen /ip4/0.0.0.0/udp/4001/quic-v1
  petname node --http 127.0.0.1:8080
  petname node status
  petname node stop`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !cmd.Flags().Changed("http") {
				return a.serve(listen, nil)
			}
			return a.serve(listen, &http)
		},
	}
	cmd.Flags().StringArrayVar(&listen, "listen", []string{"/ip4/127.0.0.1/tcp/0"}, "a `multiaddr` to listen on; may be repeated")
	cmd.Flags().StringVar(&http, "http", "", "a `host:port` to answer HTTP on, such as 127.0.0.1:0")
	cmd.AddCommand(a.nodeStatusVerb(), a.nodeStopVerb())
	return cmd
}

// serve is the node: it holds the book, and does what the socket asks. Without
// an address for HTTP it answers none.
func (a *app) serve(listen []string, http *string) (err error) {
	dir, err := a.dir()
	if err != nil {
		return err
	}
	if err := a.alone(dir); err != nil {
		return err
	}
	e, err := engine.Open(dir, bookWait)
	if errors.Is(err, ledger.ErrInUse) { // by a node that began with this one, perhaps
		if err := a.alone(dir); err != nil {
			return err
		}
	}
	if err != nil {
		return engine.Classify(err)
	}
	defer func() {
		if cerr := e.Close(); cerr != nil && err == nil {
			err = engine.Classify(cerr)
		}
	}()
	if a.passphraseFile != "" {
		passphrase, err := a.passphrase()
		if err != nil {
			return err
		}
		if err := e.Unlock(passphrase); err != nil {
			return engine.Classify(err)
		}
	}
	if http != nil {
		if err := e.ListenHTTP(*http); err != nil {
			return engine.Classify(err)
		}
	}
	ctx, stop := context.WithCancel(a.ctx)
	defer stop()
	status, err := e.Serve(ctx, listen)
	if err != nil {
		return engine.Classify(err)
	}
	l, err := socket.Listen(dir)
	if err != nil {
		return engine.Classify(err)
	}
	defer l.Close()
	if err := a.serving(*status, nil); err != nil {
		return err
	}
	a.hint("stop it with ^C or\n  petname node stop")
	socket.Serve(ctx, l, programVersion(), func(request context.Context, verb string, args json.RawMessage) (json.RawMessage, *engine.Error) {
		if verb == "stop" {
			stop()
			return nil, nil
		}
		out, failed := e.Do(request, verb, args)
		if failed != nil && failed.Exit == engine.ExitInterrupted && ctx.Err() != nil { // not by who asked
			failed = &engine.Error{Code: "network", Exit: engine.ExitNetwork, Message: "the node was stopped meanwhile", Next: "try again"}
		}
		if verb == "status" && failed == nil {
			return withPid(out), nil
		}
		return out, failed
	})
	return nil
}

// alone reports that a node of the home runs already, and where it is reached.
func (a *app) alone(dir string) error {
	var s engine.Status
	if err := a.node("status", &s); err != nil && engine.Classify(err).Code != "version" {
		return nil
	}
	return a.serving(s, &engine.Error{Code: "node_running", Exit: engine.ExitConflict,
		Message: fmt.Sprintf("a node of %q is running already", dir), Next: "petname node stop"})
}

// serving says on one line where a node can be reached.
func (a *app) serving(s engine.Status, err error) error {
	if s.Addrs == nil {
		s.Addrs = []string{}
	}
	return a.show(struct {
		Peer  string   `json:"peer"`
		Addrs []string `json:"addrs"`
		HTTP  string   `json:"http"`
	}{s.Peer, s.Addrs, s.HTTP}, err, err == nil, func(w *bufio.Writer) {
		fmt.Fprintf(w, "serving as %s on", s.Peer)
		for _, addr := range s.Addrs {
			fmt.Fprintf(w, " %s", addr)
		}
		if s.HTTP != "" {
			fmt.Fprintf(w, " %s", s.HTTP)
		}
		fmt.Fprintln(w)
	})
}

func withPid(out json.RawMessage) json.RawMessage {
	var s engine.Status
	if err := json.Unmarshal(out, &s); err != nil {
		return out
	}
	s.Pid = os.Getpid()
	b, err := json.Marshal(s)
	if err != nil {
		return out
	}
	return b
}

// node has the running node do a verb, and no other process.
func (a *app) node(verb string, result any) error {
	dir, err := a.dir()
	if err != nil {
		return err
	}
	out, failed, err := socket.Do(a.ctx, dir, programVersion(), verb, json.RawMessage("{}"))
	if errors.Is(err, socket.ErrNoNode) {
		return &engine.Error{Code: "no_node", Exit: engine.ExitNotFound, Message: "no node of this home is running", Next: "petname node"}
	}
	if err != nil {
		return engine.Classify(err)
	}
	if failed != nil {
		return failed
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(out, result); err != nil {
		return engine.Classify(err)
	}
	return nil
}

func (a *app) nodeStatusVerb() *cobra.Command {
	return &cobra.Command{
		Use:     "status",
		Short:   "Say what the running node does",
		Example: `  petname node status --json`,
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			var s engine.Status
			if err := a.node("status", &s); err != nil {
				return err
			}
			return a.show(s, nil, true, func(w *bufio.Writer) {
				fmt.Fprintf(w, "running as %s\n", s.Peer)
				for _, addr := range s.Addrs {
					field(w, "address", addr)
				}
				if s.HTTP != "" {
					field(w, "router", s.HTTP)
				}
				field(w, "network", fmt.Sprintf("%s, %s in the routing table", s.Network, peers(s.Peers)))
				field(w, "book", fmt.Sprintf("%d names", s.Names))
				keeping(w, s.Keep)
				field(w, "process", fmt.Sprint(s.Pid))
			})
		},
	}
}

func (a *app) nodeStopVerb() *cobra.Command {
	return &cobra.Command{
		Use:     "stop",
		Short:   "Stop the running node",
		Example: `  petname node stop`,
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := a.node("stop", nil); err != nil {
				return err
			}
			return a.show(struct{}{}, nil, true, func(w *bufio.Writer) { fmt.Fprintln(w, "stopped") })
		},
	}
}
