package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/petnames-go/petnames/cmd/petname/internal/socket"
	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/petname/agent/libp2p"
	"github.com/petnames-go/petnames/petname/home"
)

func (a *app) nodeVerb() *cobra.Command {
	var options nodeOptions
	var http, logTo string
	var verbose bool
	cmd := &cobra.Command{
		Use:        "node",
		SuggestFor: []string{"status", "start", "stop", "daemon"},
		Short:      "Run a node: publish again, fetch messages, store for peers",
		Long: `Run a node of this home until it is stopped. It prints its addresses, then
stores and returns records for the peers of the joined network. Meanwhile it
runs the other verbs of this home. It listens on loopback only, without
--listen. For port 0 it listens at the port of its first start again, if that
is free.

It stores your record again before the network drops it, and signs it again
before it expires; a locked identity needs --passphrase-file for that. It does
the same, without signing, for the contacts of petname keep.

With --http it is also a router: it serves /routing/v1/ipns/… (get and put) from
its DHT, and /healthz and /metrics. Use a loopback address, except if all
machines that can connect may use the router. With --cors, web pages of all
sites may use it too: those that are open in a browser that can connect.

On the public network, a node that listens beyond loopback asks the gateway to
map its port, tests whether peers can connect, and uses relays if they cannot.
The records that it stores for peers take at most 32 MiB, and are kept when it
stops. A peer that floods it is refused for some time.

Problems are logged to standard error. With --log, they and other events go to a
file. A signal (^C) stops the node when it has published what is pending, within
seconds. A second signal ends it at once.`,
		Example: `  petname node
  petname node --listen /ip4/0.0.0.0/tcp/4001 --listen /ip4/0.0.0.0/udp/4001/quic-v1
  petname node --http 127.0.0.1:8080
  petname node --log node.log --verbose
  petname node status
  petname node stop`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("http") {
				options.http = &http
			} else if options.cors {
				return usage("--cors is for --http").With("petname node --http 127.0.0.1:8080 --cors")
			}
			if !cmd.Flags().Changed("listen") {
				options.listen = []string{loopbackListen(canBind)}
			}
			logger, end, err := a.logger(logTo, verbose)
			if err != nil {
				return err
			}
			defer end()
			options.logger = logger
			return a.serve(options)
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&options.listen, "listen", []string{"/ip4/127.0.0.1/tcp/0"}, "a `multiaddr` to listen on; may be repeated")
	f.StringVar(&http, "http", "", "a `host:port` to serve HTTP on, such as 127.0.0.1:0")
	f.BoolVar(&options.cors, "cors", false, "let the web pages of all sites use the router of --http")
	f.StringArrayVar(&options.relays, "relay", nil, "a `multiaddr` of a relay to use with ipfs; may be repeated (default: relays that are found)")
	f.StringVar(&logTo, "log", "", "a `file` to log to, or - for standard error; with --json, as JSON")
	f.BoolVar(&verbose, "verbose", false, "log also what helps to find errors")
	cmd.AddCommand(a.nodeStatusVerb(), a.nodeStopVerb())
	return cmd
}

// nodeOptions are the options of the verb node.
type nodeOptions struct {
	listen, relays []string
	http           *string // nil: no HTTP server
	cors           bool    // of the HTTP server
	logger         *slog.Logger
}

// serve runs the node: it opens the book and runs the verbs that it receives on the
// socket, until it is stopped.
func (a *app) serve(o nodeOptions) (err error) {
	dir, err := a.dir()
	if err != nil {
		return err
	}
	if err := a.checkNoNode(dir); err != nil {
		return err
	}
	passphrase, err := a.nodePassphrase()
	if err != nil {
		return err
	}
	ag, err := agent.Open(a.ctx, dir, agent.Options{Transport: libp2p.New(libp2p.Options{Listen: o.listen, Relays: o.relays, Timeout: a.timeout}), JoinTimeout: 2 * a.timeout, Passphrase: passphrase, Log: o.logger, Wait: bookTimeout, Now: a.now})
	if errors.Is(err, ledger.ErrInUse) { // possibly by a node that started at the same time
		if err := a.checkNoNode(dir); err != nil {
			return err
		}
	}
	if err != nil {
		return classify(err)
	}
	defer func() {
		if cerr := ag.Close(); cerr != nil && err == nil {
			err = classify(cerr)
		}
	}()
	a.warnNotice(noticeOf(ag))
	if passphrase != nil {
		if err := ag.Unlock(); err != nil {
			return classify(err)
		}
	}
	if err := a.checkRelays(dir, o.relays); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(a.ctx)
	defer stop()
	v := &verbs{agent: ag, work: a.work, serving: true}
	var w *web
	if o.http != nil {
		if w, err = listenHTTPAgain(dir, *o.http, o.logger); err != nil {
			return err
		}
		defer w.listener.Close()
		v.http, w.cors = w.url, o.cors
	}
	if err := ag.Start(ctx); err != nil {
		return classify(err)
	}
	if w != nil {
		var serving sync.WaitGroup
		defer serving.Wait()
		defer stop()
		serving.Go(func() {
			if err := w.serve(ctx, ag); err != nil {
				o.logger.Error("HTTP ended", "error", err)
			}
		})
	}
	status, err := v.status(ctx, noArgs{})
	if err != nil {
		return classify(err)
	}
	l, err := socket.Listen(dir)
	if err != nil {
		return classify(err)
	}
	defer l.Close()
	if err := a.printServing(*status, nil); err != nil {
		return err
	}
	if w != nil && w.everywhere {
		a.warn("HTTP is served on all addresses of this machine: others use one of these, or its name, in place of 127.0.0.1")
	}
	if status.Problem != "" {
		a.warn("not connected to a network yet: %s", status.Problem)
	}
	a.hint("stop it with ^C or\n  petname node stop")
	o.logger.Info("serving", "peer", status.Peer, "addrs", status.Addrs, "network", status.Network, "peers", status.Peers)
	defer o.logger.Info("stopping")
	socket.Serve(ctx, l, programVersion(), func() string { return noticeOf(ag) }, func(request context.Context, verb string, args json.RawMessage) (json.RawMessage, *failure) {
		if verb == "stop" {
			stop()
			return nil, nil
		}
		if verb == "publish" || verb == "put" {
			var cancel context.CancelFunc
			request, cancel = graceContext(request, ctx)
			defer cancel()
		}
		out, failed := v.do(request, verb, args)
		if failed != nil && failed.Exit == exitInterrupted && ctx.Err() != nil { // by the stop, not by the caller
			message := strings.Replace(failed.Message, "interrupted", "the node was stopped meanwhile", 1) // the rest may state what was saved
			failed = &failure{Code: "network", Exit: exitNetwork, Message: message, Next: "try again"}
		}
		if verb == "status" && failed == nil {
			return withPid(out), nil
		}
		return out, failed
	})
	return nil
}

// nodePassphrase returns a function that returns the passphrase of the identity, for
// the running node. It is nil without --passphrase-file.
func (a *app) nodePassphrase() (func() ([]byte, error), error) {
	if a.passphraseFile == "" {
		return nil, nil
	}
	passphrase, err := a.passphrase()
	if err != nil {
		return nil, err
	}
	return func() ([]byte, error) { return []byte(passphrase), nil }, nil
}

// checkRelays refuses relays on any network but the public one.
func (a *app) checkRelays(dir string, relays []string) error {
	h, err := home.Open(dir)
	if err != nil {
		return classify(err)
	}
	c, err := h.Config()
	if err != nil {
		return classify(err)
	}
	if len(relays) > 0 && c.Network != "ipfs" {
		return usage("--relay is for the public network, and %q is joined", c.Network).With("petname join ipfs")
	}
	return nil
}

// gracePeriod is how long a stopped node continues to publish. A record that is not
// stored in the network by then is signed and saved in the home.
const gracePeriod = 2 * time.Second

// graceContext returns a context that ends with request, but gracePeriod later if the
// node is stopping. It ends at once if the caller has disconnected.
func graceContext(request, stopping context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(request))
	ended := context.AfterFunc(request, func() {
		if stopping.Err() == nil {
			cancel()
			return
		}
		late := time.AfterFunc(gracePeriod, cancel)
		context.AfterFunc(ctx, func() { late.Stop() })
	})
	return ctx, func() {
		ended()
		cancel()
	}
}

// checkNoNode returns an error if a node of the home is running, and prints the
// addresses of that node.
func (a *app) checkNoNode(dir string) error {
	var s nodeStatus
	if err := a.callNode("status", &s); err != nil && classify(err).Code != "version" {
		return nil
	}
	return a.printServing(s, &failure{Code: "node_running", Exit: exitConflict,
		Message: fmt.Sprintf("a node of %q is running already", dir), Next: "petname node stop"})
}

// printServing prints the addresses of a node: each on a line of its own on a
// terminal, where it can be copied, and otherwise all on the first line.
func (a *app) printServing(s nodeStatus, err error) error {
	if s.Addrs == nil {
		s.Addrs = []string{}
	}
	return a.printResult(struct {
		Peer  string   `json:"peer"`
		Addrs []string `json:"addrs"`
		HTTP  string   `json:"http"`
	}{s.Peer, s.Addrs, s.HTTP}, err, err == nil, func(w *bufio.Writer) {
		after, before := " on", " "
		if isTerminal(a.stdout) {
			after, before = "", "\n  "
		}
		fmt.Fprintf(w, "serving as %s%s", s.Peer, after)
		for _, addr := range s.Addrs {
			fmt.Fprint(w, before, addr)
		}
		if s.HTTP != "" {
			fmt.Fprint(w, before, s.HTTP)
		}
		fmt.Fprintln(w)
	})
}

// callNode runs a verb in the running node. It fails with the code no_node without
// one.
func (a *app) callNode(verb string, result any) error {
	dir, err := a.dir()
	if err != nil {
		return err
	}
	out, _, failed, err := socket.Call(a.ctx, dir, programVersion(), verb, json.RawMessage("{}"))
	if errors.Is(err, socket.ErrUntrusted) {
		return untrustedSocket(err)
	}
	if errors.Is(err, socket.ErrNoNode) {
		return &failure{Code: "no_node", Exit: exitNotFound, Message: "no node of this home is running", Next: "petname node"}
	}
	if err != nil {
		return classify(err)
	}
	if failed != nil {
		return failed
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(out, result); err != nil {
		return classify(err)
	}
	return nil
}
