package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
)

func (a *app) recordVerb() *cobra.Command {
	cmd := &cobra.Command{
		Use:        "record",
		SuggestFor: []string{"export", "inspect", "put"},
		Short:      "Export, inspect and store signed records",
		Long: `Write, print and store signed records. A record verifies wherever it comes from:
it can be copied as a file, and stored in the network without its owner's key.`,
		Example: `  petname record export -o mine.record
  petname record inspect mine.record
  petname record put bobs.record`,
		Args: cobra.NoArgs,
		RunE: a.helpOnly,
	}
	cmd.AddCommand(a.recordExportVerb(), a.recordInspectVerb(), a.recordPutVerb())
	return cmd
}

func (a *app) recordExportVerb() *cobra.Command {
	var file string
	var force bool
	cmd := &cobra.Command{
		Use:   "export [NAME|POINTER] -o FILE",
		Short: "Write the newest record that this home holds to a file",
		Long: `Write your newest record, or that of a contact, as its owner signed it. With
-o - the record alone is on standard output; with --json, in the object.`,
		Example: `  petname record export -o mine.record
  petname record export bob -o bob.record
  petname record export -o - > mine.record`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: a.completeNames,
		RunE: func(_ *cobra.Command, args []string) error {
			if file == "" {
				return usage("-o FILE is missing: the file to write").With("petname record export " + argWords(args) + "-o FILE")
			}
			if info, err := os.Stat(file); err == nil && info.IsDir() {
				return usage("-o %q: give the name of a file to write", file)
			}
			if file == "-" && !a.json && isTerminal(a.stdout) {
				return usage("-o -: a record is not text, and would be interpreted by the terminal").With("petname record export " + argWords(args) + "-o FILE")
			}
			if err := checkNewFile(file); err != nil && !force {
				return usage("%v", err).With("--force replaces it")
			}
			var request exportArgs
			if len(args) == 1 {
				request.Name = args[0]
			}
			var out recordInfo
			if err := a.call("export", request, &out); err != nil {
				return err
			}
			write := a.writeNew
			if force && file != "-" {
				write = writeFile
			}
			if err := write(file, out.Bytes); err != nil {
				return classify(err)
			}
			if file != "-" {
				out.Bytes = nil
			} else if !a.json {
				return nil
			}
			return a.printResult(out, nil, true, func(w *bufio.Writer) { printRecord(w, a.style(), out) })
		},
	}
	cmd.Flags().StringVarP(&file, "output", "o", "", "the new `file` to write; - for standard output")
	cmd.Flags().BoolVar(&force, "force", false, "replace the file if it exists")
	return cmd
}

// argWords returns arguments as they are typed, each followed by a space.
func argWords(args []string) string {
	var words strings.Builder
	for _, arg := range args {
		words.WriteString(shellWord(arg) + " ")
	}
	return words.String()
}

func (a *app) recordInspectVerb() *cobra.Command {
	var request inspectArgs
	cmd := &cobra.Command{
		Use:   "inspect FILE",
		Short: "Print what a record contains, and whether it verifies",
		Long: `Verify a record against --pointer, or the key that it contains, or else against
your own pointer and those of your contacts. The exit status is 6 if it does not
verify or has expired, and 2 if --pointer is needed.`,
		Example: `  petname record inspect bob.record
  petname record inspect some.record --pointer k51qzi5uqu5d…`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			var err error
			if request.Record, err = a.readRecord(args[0]); err != nil {
				return err
			}
			var out *recordInfo
			err = a.call("inspect", request, &out)
			var e *failure
			if errors.As(err, &e) && e.Code == "no_home" {
				// A record can be inspected without a home.
				if out, err = inspectWithoutHome(request); err != nil {
					err = classify(err)
				}
			}
			return a.printRecordResult(out, err)
		},
	}
	cmd.Flags().StringVar(&request.Pointer, "pointer", "", "the owner of the record: a `pointer` or a name")
	completeFlag(cmd, "pointer", a.completeMoreNames)
	return cmd
}

// printRecordResult prints the result of a verb about a record, which may be nil.
func (a *app) printRecordResult(out *recordInfo, err error) error {
	if out == nil {
		return err
	}
	return a.printResult(out, err, true, func(w *bufio.Writer) { printRecord(w, a.style(), *out) })
}

func (a *app) recordPutVerb() *cobra.Command {
	var request inspectArgs
	cmd := &cobra.Command{
		Use:   "put FILE",
		Short: "Store a record of any owner in the network",
		Long: `Verify a record and store it in the joined network. No key is needed: the record
of a contact can be stored again until it expires.`,
		Example: `  petname record put bob.record`,
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			var err error
			if request.Record, err = a.readRecord(args[0]); err != nil {
				return err
			}
			var out *recordInfo
			err = a.call("put", request, &out)
			return a.printRecordResult(out, err)
		},
	}
	cmd.Flags().StringVar(&request.Pointer, "pointer", "", "the owner of the record: a `pointer` or a name")
	completeFlag(cmd, "pointer", a.completeMoreNames)
	return cmd
}

func (a *app) readRecord(name string) ([]byte, error) { return a.readUpTo(name, pointer.MaxRecord+1) }

// printRecord prints whether a record is valid, what it states, and where it was
// stored.
func printRecord(w *bufio.Writer, s name.Style, r recordInfo) {
	if r.Valid {
		fmt.Fprintf(w, "valid, %d bytes\n", r.Size)
	} else {
		fmt.Fprintf(w, "NOT VALID: %s (%d bytes)\n", name.Clean(r.Reason), r.Size)
	}
	if r.Pointer != "" {
		printField(w, "pointer", r.Pointer)
	}
	if r.Expires == nil { // without its pointer a record cannot be opened
		return
	}
	if r.Nickname != "" {
		printField(w, "calls itself", nickname(s, r.Nickname, r.Pointer))
	}
	printCopied(w, "points to", contentPath(r.Value))
	printField(w, "record", fmt.Sprintf("sequence %d, until %s, TTL %s", r.Sequence, r.Expires.Local().Format(time.DateTime), secondsText(r.TTL)))
	if r.Receipt != nil {
		printField(w, "stored", fmt.Sprintf("by %d of %s asked (%d refused, %d unreachable)",
			r.Receipt.Stored, peersText(r.Receipt.Asked), r.Receipt.Refused, r.Receipt.Unreachable))
	}
}

// recordInfo is the result of the record verbs. Times are in UTC, the TTL in
// seconds.
type recordInfo struct {
	Pointer  string     `json:"pointer"`
	Value    string     `json:"value"`
	Sequence uint64     `json:"sequence"`
	Expires  *time.Time `json:"expires"`
	TTL      float64    `json:"ttl"`
	Size     int        `json:"size"`
	Valid    bool       `json:"valid"`
	Reason   string     `json:"reason"` // why it is not valid
	Nickname string     `json:"nickname,omitempty"`

	Bytes   []byte      `json:"bytes,omitempty"`   // only of export to standard output, and from the node to the command
	Receipt *putReceipt `json:"receipt,omitempty"` // only of put
}

// putReceipt counts the peers of a put.
type putReceipt struct {
	Asked       int `json:"asked"`
	Stored      int `json:"stored"`
	Refused     int `json:"refused"`
	Unreachable int `json:"unreachable"`
}

func asRecordInfo(r pointer.Record) *recordInfo {
	expires := r.Expires()
	info := &recordInfo{Pointer: r.Pointer().String(), Value: r.Value(), Sequence: r.Sequence(), Expires: &expires,
		TTL: r.TTL().Seconds(), Size: len(r.Bytes()), Valid: true}
	if c, ok := r.Card(); ok {
		info.Nickname = name.Clean(c.Nickname)
	}
	return info
}

// exportArgs are the arguments of record export.
type exportArgs struct {
	Name string `json:"name"` // a name or a pointer; empty: the owner's
}

// export returns the newest record that the home holds.
func (v *verbs) export(_ context.Context, a exportArgs) (*recordInfo, error) {
	p := v.agent.Pointer()
	if a.Name != "" {
		var err error
		if p, err = v.pointerOf(a.Name); err != nil {
			return nil, err
		}
	}
	r, expired, err := v.agent.Held(p)
	if a.Name == "" && errors.As(err, new(*agent.NoRecordError)) {
		return nil, &failure{Code: "not_found", Exit: exitNotFound, Message: "you have not published a record yet", Next: "petname publish"}
	}
	if err != nil {
		return nil, err
	}
	info := asRecordInfo(r)
	if expired {
		info.Valid, info.Reason = false, "expired"
	}
	info.Bytes = r.Bytes()
	return info, nil
}

// inspectArgs are the arguments of record inspect and record put.
type inspectArgs struct {
	Record  []byte `json:"record"`
	Pointer string `json:"pointer"` // expected pointer or name; empty: try all that are known
}

// inspect verifies a record and returns its content, or why it is not valid.
func (v *verbs) inspect(_ context.Context, a inspectArgs) (*recordInfo, error) {
	_, info, err := v.openRecord(a)
	return info, err
}

func (v *verbs) openRecord(a inspectArgs) (pointer.Record, *recordInfo, error) {
	p, certain, err := expectedPointer(a, v.pointerOf)
	if err != nil {
		return pointer.Record{}, nil, err
	}
	if certain {
		return openRecordOf(a.Record, p)
	}
	candidates := []pointer.Pointer{v.agent.Pointer()}
	for c, err := range v.agent.Contacts() {
		if err != nil {
			return pointer.Record{}, nil, err
		}
		candidates = append(candidates, c.Pointer)
	}
	for _, p := range candidates {
		if r, _, err := pointer.OpenExpired(p, a.Record, time.Now()); err == nil {
			return openRecordOf(a.Record, r.Pointer())
		}
	}
	return pointer.Record{}, unverifiedRecord(a.Record), pointerNeeded(a.Record)
}

// inspectWithoutHome is inspect without a home: the pointer is in the arguments or
// in the record.
func inspectWithoutHome(a inspectArgs) (*recordInfo, error) {
	p, certain, err := expectedPointer(a, pointer.Parse)
	if err != nil {
		return nil, err
	}
	if !certain {
		return unverifiedRecord(a.Record), pointerNeeded(a.Record)
	}
	_, info, err := openRecordOf(a.Record, p)
	return info, err
}

// expectedPointer returns the pointer from the arguments or from the record. certain
// is false if neither has one.
func expectedPointer(a inspectArgs, find func(string) (pointer.Pointer, error)) (p pointer.Pointer, certain bool, err error) {
	if a.Pointer == "" {
		p, certain = pointer.Embedded(a.Record)
		return p, certain, nil
	}
	if p, err = find(a.Pointer); err != nil {
		if c := classify(err); c.Code == "bad_name" || c.Code == "failure" {
			return p, false, usage("--pointer %q: no pointer and no name: %v", a.Pointer, err)
		}
		return p, false, err
	}
	return p, true, nil
}

func openRecordOf(record []byte, p pointer.Pointer) (pointer.Record, *recordInfo, error) {
	r, expired, err := pointer.OpenExpired(p, record, time.Now())
	if err != nil {
		return pointer.Record{}, &recordInfo{Pointer: p.String(), Size: len(record), Reason: name.Clean(err.Error())}, err
	}
	info := asRecordInfo(r)
	if expired {
		info.Valid, info.Reason = false, "expired"
		return r, info, &pointer.ExpiredError{Record: r}
	}
	return r, info, nil
}

func unverifiedRecord(record []byte) *recordInfo {
	info := &recordInfo{Size: len(record), Reason: "pointer needed"}
	if err := pointer.Malformed(record); err != nil {
		info.Reason = name.Clean(err.Error())
	}
	return info
}

// pointerNeeded returns the error for a record that verifies with no known key: it is
// malformed, or its pointer must be given.
func pointerNeeded(record []byte) error {
	if err := pointer.Malformed(record); err != nil {
		return &failure{Code: "invalid", Exit: exitUnverified, Message: name.Clean(err.Error())}
	}
	return &failure{Code: "pointer_needed", Exit: exitUsage, Message: "the record verifies with no pointer that this home has",
		Next: "name its owner: --pointer k51…"}
}

// put verifies a record and stores it in the network. It needs no key.
func (v *verbs) put(ctx context.Context, a inspectArgs) (*recordInfo, error) {
	r, info, err := v.openRecord(a)
	if err != nil {
		return info, err
	}
	receipt, err := v.agent.PutRecord(ctx, r)
	if !errors.Is(err, agent.ErrNotJoined) {
		info.Receipt = &putReceipt{receipt.Asked, receipt.Stored, receipt.Refused, receipt.Unreachable}
	}
	return info, err
}
