package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/ipfs/go-cid"
	"github.com/spf13/cobra"

	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/paste"
)

// maxStdin is the maximum size of a link or of a message from a file, in bytes of UTF-8.
const maxStdin = 64 << 10

func (a *app) addVerb() *cobra.Command {
	var request addArgs
	cmd := &cobra.Command{
		Use:   "add NAME POINTER|LINK|-",
		Short: "Add a contact: a name that you choose for a pointer",
		Long: `Add a contact to your book: a name that you choose for a pointer. A link
(petname id prints one) is better than a bare pointer: it has a checksum, and
the commitment to the next key. It may be within another text, such as a mail.
With - it is read from standard input. Adding the same contact again changes
nothing. A name that looks like another one needs
a confirmation on the terminal; without a terminal the exit status is 5.`,
		Example: `  petname add bob 'petname:k51…?c=…&s=…'
  petname add "Aunt Mary" k51qzi5uqu5d…
  petname add bob - < bobs-link.txt
  petname add bob - --replace-pin < bobs-link.txt`,
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(_ *cobra.Command, args []string) error {
			request.Name, request.Target, request.Channel = args[0], args[1], "argument"
			if args[1] == "-" {
				text, err := a.readStdinText("a link")
				if err != nil {
					return err
				}
				request.Target, request.Channel = strings.TrimSpace(text), "stdin"
			}
			var c contact
			err := a.call("add", request, &c)
			if a.confirmLookalike(err) {
				request.Lookalike = true
				err = a.call("add", request, &c)
			}
			err = a.printResult(c, err, err == nil, func(w *bufio.Writer) {
				fmt.Fprintln(w, contactLine(a.style(), c))
				if c.MovedFrom != "" {
					printCopied(w, "MOVED from", c.MovedFrom)
				}
			})
			if id := bareHash(request.Target); err == nil && id != "" {
				a.warn("%s was read as the peer ID of a key; a CID of content, version 0, looks the same. If it names content, revert this with petname undo. This states that a peer is meant:\n  petname add %s /p2p/%s", id, shellWord(c.Name), id)
			}
			if err == nil && c.Next == "" && len(c.Provenance) > 0 && c.Provenance[0].Kind == "typed" {
				a.hint("a bare pointer has no checksum: compare its words, which are shown by\n  petname show %s", shellWord(c.Name))
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&request.ReplacePin, "replace-pin", false, "the next key in the link is right, whatever is on record (petname undo reverts it)")
	cmd.Flags().BoolVar(&request.Lookalike, "allow-lookalike", false, "use the name although it looks like another; the log records that")
	return cmd
}

// bareHash returns a sha2-256 multihash in base58 that is entered without /ipns/ or /p2p/: a
// peer ID, of a key that is not in it, and a CID of content have the same form. It returns ""
// for another text.
func bareHash(target string) string {
	target = paste.Token(target)
	if c, err := cid.Decode(target); err != nil || c.Version() != 0 {
		return ""
	}
	return target
}

// confirmLookalike asks whether to use a name that looks like another.
func (a *app) confirmLookalike(err error) bool {
	return a.confirm(err, "lookalike", ".\nUse it anyway? Type yes: ")
}

// confirm asks a question on the terminal after a failure with the given code, behind
// the message of the failure. Only the line "yes" confirms. After another answer the
// message, which was shown, is replaced.
func (a *app) confirm(err error, code, question string) bool {
	var e *failure
	if !errors.As(err, &e) || e.Code != code || a.json || a.noInput || !isTerminal(a.stdin) || !isTerminal(a.stderr) {
		return false
	}
	_ = writeRows(a.stderr, cleanLines(e.Message)+question, terminalWidth(a.stderr))
	if a.answered(func() string {
		if readYes(a.stdin) {
			return "yes"
		}
		return ""
	}) == "yes" {
		return true
	}
	if err := a.ctx.Err(); err != nil {
		*e = *classify(err)
		return false
	}
	e.Message = "not confirmed"
	return false
}

// readYes reports whether the next line is "yes". An unterminated line at the end of
// the input does not count.
func readYes(r io.Reader) bool {
	answer, err := bufio.NewReader(io.LimitReader(r, 100)).ReadString('\n')
	return err == nil && strings.TrimSpace(answer) == "yes"
}

// addArgs are the arguments of add.
type addArgs struct {
	Name      string `json:"name"`
	Target    string `json:"target"`    // a pointer or a link
	Channel   string `json:"channel"`   // "argument" or "stdin"
	Lookalike bool   `json:"lookalike"` // the user confirmed the name after a warning

	ReplacePin bool `json:"replace_pin"` // as in petname.Source
}

func (v *verbs) add(_ context.Context, a addArgs) (*contact, error) {
	const wanted = "link of a contact"
	if f := secretFor(a.Target, wanted, a.Name); f != nil {
		return nil, f
	}
	_, err := name.Parse(a.Name)
	if _, lerr := pointer.ParseLink(a.Target); err != nil || lerr != nil { // the other way round; a name can have the form of a code
		if f := secretFor(a.Name, wanted, a.Target); f != nil {
			return nil, f
		}
	}
	if err != nil {
		if _, lerr := pointer.ParseLink(a.Name); lerr != nil {
			return nil, err
		}
		if _, err := name.Parse(a.Target); err != nil {
			return nil, usage("%v; before it is a link or a pointer, and no name", err).With("petname add NAME LINK")
		}
		a.Name, a.Target = a.Target, a.Name // no name is a link, so the order is known
	}
	link, err := parseTarget(a.Target)
	if err != nil {
		return nil, err
	}
	before, berr := v.agent.ByPointer(link.Pointer)
	c, err := v.agent.Add(a.Name, link, petname.Source{Channel: a.Channel, Lookalike: a.Lookalike, ReplacePin: a.ReplacePin})
	if err != nil {
		if f := classify(err); f.Next == settleNext {
			if c, cerr := v.agent.ByPointer(link.Pointer); cerr != nil || c.Name.IsZero() { // there is no contact to confirm
				err = f.With("ask the owner for the link over another channel, then\npetname add " + shellWord(a.Name) + " LINK --replace-pin")
			}
		}
		return v.conflictingContact(err, link.Pointer), v.withNewerKey(err, a, link)
	}
	out, err := v.withLookalikes(c)
	if err == nil && berr == nil && !before.Name.IsZero() && before.Pointer != c.Pointer {
		out.MovedFrom = before.Pointer.String()
	}
	return out, err
}

// withNewerKey adds to the error for a name in use how to find out, or to decide, that
// the pointer is a newer key of the contact.
func (v *verbs) withNewerKey(err error, a addArgs, link pointer.Link) error {
	var taken *petname.TakenError
	if !errors.As(err, &taken) {
		return err
	}
	c, cerr := v.agent.ByPointer(taken.Contact)
	word := shellWord(taken.Name.String())
	switch {
	case cerr != nil:
		return err
	case c.Unproven == link.Pointer:
		return classify(err).With("if its owner says that this is its newer key:\npetname confirm " + word + " --successor " + link.Pointer.String())
	case a.ReplacePin:
		return classify(err).With("if its owner says that this is its newer key, one after the other\npetname rm " + word + "\npetname add " + word + " LINK")
	case link.Pointer.IsZero():
		return err
	}
	f := classify(err)
	return f.With("if its owner says that this is its newer key, the second or else the third moves it there:\n" + f.Next + "\npetname resolve " +
		link.Pointer.String() + "\npetname confirm " + word + " --successor " + link.Pointer.String())
}

// looksLikeWords reports whether a text is meant as twelve words, of which one may be
// missing or too many.
func looksLikeWords(text string) bool {
	fields := strings.Fields(text)
	letters := func(r rune) bool { return r < 'A' || r > 'z' || r > 'Z' && r < 'a' }
	return len(fields) > 9 && len(fields) < 15 && !slices.ContainsFunc(fields, func(f string) bool { return strings.ContainsFunc(f, letters) || len(f) > 8 })
}

// parseTarget parses a link or a pointer. For twelve words it returns an error that
// explains their use.
func parseTarget(text string) (pointer.Link, error) {
	link, err := pointer.ParseLink(text)
	if err == nil {
		return link, nil
	}
	if _, werr := pointer.ParseWords(text); werr == nil || looksLikeWords(text) {
		if werr != nil {
			return pointer.Link{}, usage("%v", werr)
		}
		return pointer.Link{}, usage("twelve words are for comparing: they can't be turned back into a pointer").
			With("ask for the link, which petname id prints, and compare its words:\npetname whois LINK")
	}
	if f := secretFor(text, "link of a contact", ""); f != nil {
		return pointer.Link{}, f
	}
	next := shownNext(text)
	if next == "" {
		next = "ask the owner for the link, which petname id prints"
	}
	return pointer.Link{}, usage("%v", err).With(next)
}
