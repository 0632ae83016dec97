package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/petnames-go/petnames/cmd/petname/internal/socket"
	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/petname/agent/libp2p"
	"github.com/petnames-go/petnames/petname/home"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer/paste"
)

// app is one invocation of the command.
type app struct {
	ctx     context.Context
	stdin   io.Reader
	stdout  io.Writer
	stderr  io.Writer
	timeout time.Duration    // of one request to a peer of the DHT; 0: the default
	now     func() time.Time // nil: the system's clock
	work    int              // work factor of scrypt for new keys, log2; 0: the default of age

	args           []string // of the command line
	home           string
	json           bool
	quiet          bool
	noInput        bool
	passphraseFile string

	helpErr error // of the output of help: cobra has no result for it

	notice string // of the home that was opened; empty: none
}

// clock returns the time by the clock of the home.
func (a *app) clock() time.Time {
	if a.now == nil {
		return time.Now().Round(0)
	}
	return a.now()
}

// bookTimeout is how long a verb waits for another process to close the book.
const bookTimeout = 5 * time.Second

func (a *app) run(args []string) int {
	a.args = args
	root := a.root()
	root.SetArgs(markPasted(args))
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	cmd, err := root, error(nil)
	if paste.HasSecret(strings.Join(args, " ")) { // no verb takes one, and the messages of all verbs quote
		err = usage("an argument has a private key: keep that to yourself, and use the public key")
	} else {
		cmd, err = root.ExecuteContextC(a.ctx)
	}
	if err == nil && a.helpErr != nil {
		err = classify(a.helpErr)
	}
	if err == nil {
		return 0
	}
	// Other errors are errors of cobra about the command line. Cobra may have failed
	// before it read --json.
	if i := slices.Index(args, "--json"); i >= 0 && !slices.Contains(args[:i], "--") {
		a.json = true
	}
	var e *failure
	if !errors.As(err, &e) {
		e = usage("%v", err).With(cmd.CommandPath() + " --help")
	}
	a.printError(e)
	return e.Exit
}

func (a *app) root() *cobra.Command {
	version := false
	root := &cobra.Command{
		Use:   "petname",
		Short: "Names that you choose for public keys",
		Long: `petname keeps the names that you choose for the keys of other people, publishes
what your key points to, and resolves names over networks that need no trust.

A home is the folder of one identity: its keys, settings and book. The book has
a name for each contact. A pointer is the hash of a contact's public key.

Exit status: 0 done, 1 failure, 2 usage or malformed input, 3 not found,
4 locked, 5 a person must choose, 6 verification failed, 7 network (worth
retrying), 8 conflict, 130 interrupted.`,
		Example: `  petname demo
  petname init --nickname "Alice L"
  petname join lan
  petname id
  petname add bob 'petname:k51…'
  petname resolve bob`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if version {
				return a.printVersion()
			}
			return a.helpOnly(cmd, args)
		},
	}
	root.Flags().BoolVar(&version, "version", false, "print the version, as the verb version does")
	f := root.PersistentFlags()
	f.StringVar(&a.home, "home", "", "the `folder` of the identity (default: $PETNAME_HOME, or the platform's data folder)")
	f.BoolVar(&a.json, "json", false, "print one JSON object")
	f.BoolVarP(&a.quiet, "quiet", "q", false, "no hints and no progress; of resolve, id, init, publish, show and key rotate the value alone")
	f.BoolVar(&a.noInput, "no-input", false, "ask for nothing on the terminal")
	f.StringVar(&a.passphraseFile, "passphrase-file", "", "`file` whose first line unlocks the identity key")
	root.CompletionOptions.DisableDefaultCmd = true
	a.setHelp(root)
	group := func(title string, verbs ...*cobra.Command) {
		root.AddGroup(&cobra.Group{ID: title, Title: title})
		for _, v := range verbs {
			v.GroupID = title
		}
		root.AddCommand(verbs...)
	}
	group("First steps:", a.demoVerb(), a.initVerb(), a.recoverVerb(), a.joinVerb(), a.publishVerb(), a.idVerb())
	group("Your book:", a.addVerb(), a.resolveVerb(), a.confirmVerb(), a.listVerb(), a.findVerb(), a.showVerb(), a.whoisVerb(), a.whyVerb(),
		a.renameVerb(), a.chooseVerb(), a.rmVerb(), a.undoVerb(), a.logVerb())
	group("Pairing and introductions:", a.inviteVerb(), a.pairVerb(), a.inboxVerb(), a.acceptVerb(), a.declineVerb(), a.introduceVerb(), a.retractVerb(),
		a.shareVerb(), a.unshareVerb(), a.knockVerb(), a.disputeVerb(), a.denyVerb(), a.evidenceVerb())
	group("Several devices:", a.deviceVerb(), a.syncVerb())
	group("Nodes and records:", a.nodeVerb(), a.keepVerb(), a.unkeepVerb(), a.recordVerb())
	group("Maintenance:", a.keyVerb(), a.doctorVerb(), a.completionVerb(), a.versionVerb())
	root.SetHelpCommand(a.helpVerb())
	root.SetHelpCommandGroupID("Maintenance:")
	checkUsage(root)
	return root
}

// dir returns the folder of the home.
func (a *app) dir() (string, error) {
	if a.home != "" {
		return a.home, nil
	}
	dir, err := home.Default()
	if err != nil {
		return "", classify(err)
	}
	return dir, nil
}

// call runs a verb on the home: in its node, if one is running, and otherwise in this
// process. It decodes the result of the verb, if there is one, into result, also if
// the verb failed.
func (a *app) call(verb string, args any, result any) error {
	dir, err := a.dir()
	if err != nil {
		return err
	}
	if _, err := home.Open(dir); err != nil {
		return classify(err)
	}
	raw, err := json.Marshal(args)
	if err != nil {
		return classify(err)
	}
	out, failed, err := a.dispatch(dir, verb, raw)
	if err != nil {
		return classify(err)
	}
	if out != nil {
		if err := json.Unmarshal(out, result); err != nil {
			return classify(err)
		}
	}
	if failed != nil {
		return failed
	}
	return nil
}

// dispatch runs a verb in the node of the home or in this process. It tries both in
// turn for at most bookTimeout, because a node may be starting or stopping.
func (a *app) dispatch(dir, verb string, raw json.RawMessage) (json.RawMessage, *failure, error) {
	for deadline := time.Now().Add(bookTimeout); ; {
		out, notice, failed, err := socket.Call(a.ctx, dir, programVersion(), verb, raw)
		if !errors.Is(err, socket.ErrNoNode) {
			a.warnNotice(notice)
			return out, failed, err
		}
		untrusted := errors.Is(err, socket.ErrUntrusted)
		noNode := err
		out, failed, err = a.callLocal(dir, verb, raw)
		if errors.Is(err, ledger.ErrInUse) && untrusted { // by a node that is not to be talked to
			return nil, nil, untrustedSocket(noNode)
		}
		if !errors.Is(err, ledger.ErrInUse) || time.Now().After(deadline) || a.ctx.Err() != nil {
			return out, failed, err
		}
	}
}

// untrustedSocket returns the failure for a home with a socket that is not trusted: a node may
// be running, and is not talked to.
func untrustedSocket(err error) *failure {
	reason := strings.TrimPrefix(err.Error(), socket.ErrNoNode.Error()+": ")
	return &failure{Code: "in_use", Exit: exitNetwork, Message: "a node of this home may be running, and is not asked: " + reason,
		Next: "make the folder of the socket private, or end the node, and try again"}
}

// withOpenHome calls fn with a function that runs verbs as [app.call] does. Without a
// node, all verbs run on one open home, so that background work of the first verb
// continues during the others.
func (a *app) withOpenHome(fn func(do func(verb string, args, result any) error) error) error {
	dir, err := a.dir()
	if err != nil {
		return err
	}
	if _, err := home.Open(dir); err != nil {
		return classify(err)
	}
	_, _, _, err = socket.Call(a.ctx, dir, programVersion(), "id", json.RawMessage("{}"))
	if err == nil {
		return fn(a.call)
	}
	if !errors.Is(err, socket.ErrNoNode) {
		return classify(err)
	}
	v, err := a.openHome(dir, bookTimeout)
	if err != nil {
		return classify(err)
	}
	a.warnNotice(noticeOf(v.agent))
	err = fn(func(verb string, args, result any) error {
		raw, err := json.Marshal(args)
		if err != nil {
			return classify(err)
		}
		out, failed := v.do(a.ctx, verb, raw)
		if out != nil {
			if err := json.Unmarshal(out, result); err != nil {
				return classify(err)
			}
		}
		if failed != nil {
			return failed
		}
		return nil
	})
	if cerr := v.agent.Close(); cerr != nil && err == nil {
		err = classify(cerr)
	}
	return err
}

// openHome opens the home in this process.
func (a *app) openHome(dir string, wait time.Duration) (*verbs, error) {
	ag, err := agent.Open(a.ctx, dir, agent.Options{Transport: libp2p.New(libp2p.Options{Timeout: a.timeout}), JoinTimeout: 2 * a.timeout, Wait: wait, Now: a.now})
	if err != nil {
		return nil, err
	}
	return &verbs{agent: ag, progress: a.workProgress(), work: a.work}, nil
}

// callLocal runs a verb in this process.
func (a *app) callLocal(dir, verb string, raw json.RawMessage) (json.RawMessage, *failure, error) {
	v, err := a.openHome(dir, bookTimeout/10)
	if err != nil {
		return nil, nil, err
	}
	a.warnNotice(noticeOf(v.agent))
	out, failed := v.do(a.ctx, verb, raw)
	if err := v.agent.Close(); err != nil && failed == nil {
		failed = classify(err)
	}
	return out, failed, nil
}

// noticeOf returns the notice of an open agent; empty: none.
func noticeOf(ag *agent.Agent) string {
	err := ag.Notice()
	if err == nil {
		return ""
	}
	text := err.Error()
	if e := (*agent.UncountedError)(nil); errors.As(err, &e) {
		for _, b := range e.Branches {
			for _, line := range repairNext(b) {
				if strings.HasPrefix(strings.TrimSpace(line), "petname ") {
					line = "  " + line
				}
				text += "\n" + line
			}
		}
	}
	return text
}

// warnNotice prints the notice of the home, once, and keeps it for the object of --json.
func (a *app) warnNotice(notice string) {
	text := name.Clean(notice)
	if text == "" || text == a.notice {
		return
	}
	a.warn("%s", notice)
	a.notice = text
}

// passphrase returns the passphrase of the identity key, from --passphrase-file or
// from the terminal. It is empty when the key is not locked or there is no terminal.
func (a *app) passphrase() (string, error) {
	if a.passphraseFile != "" {
		p, err := home.ReadPassphrase(a.passphraseFile)
		if err != nil {
			return "", usage("%v", err)
		}
		return p, nil
	}
	dir, err := a.dir()
	if err != nil {
		return "", err
	}
	h, err := home.Open(dir)
	if err != nil {
		return "", classify(err)
	}
	id, err := h.Identity()
	if err != nil {
		return "", classify(err)
	}
	if !id.Locked {
		return "", nil
	}
	return a.askPassphrase(id.Pointer.Short())
}

// recoveryPassphrase returns the passphrase of a recovery file, likewise.
func (a *app) recoveryPassphrase(file string) (string, error) {
	if a.passphraseFile == "" {
		if _, err := os.Stat(file); err != nil {
			return "", nil // without a question: reading it states what is wrong
		}
		return a.askPassphrase(name.Clean(file))
	}
	p, err := home.ReadPassphrase(a.passphraseFile)
	if err != nil {
		return "", usage("%v", err)
	}
	return p, nil
}

// askPassphrase asks for a passphrase on the terminal; without one, it is empty.
func (a *app) askPassphrase(of string) (string, error) {
	if a.noInput || !isTerminal(a.stdin) || !isTerminal(a.stderr) {
		return "", nil
	}
	fmt.Fprintf(a.stderr, "passphrase of %s: ", of)
	b, err := term.ReadPassword(int(a.stdin.(*os.File).Fd()))
	fmt.Fprintln(a.stderr)
	if err != nil {
		return "", classify(err)
	}
	if !utf8.Valid(b) {
		return "", usage("the passphrase is not UTF-8 text: set the terminal to UTF-8")
	}
	return string(b), nil
}

// programVersion returns the version of the module and, for a build from a checkout,
// the hash of the commit.
func programVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	v := info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 && !strings.Contains(v, s.Value[:12]) {
			v += " " + s.Value[:12]
		}
	}
	return v
}
