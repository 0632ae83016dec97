package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/petnames-go/petnames/cmd/petname/internal/engine"
	"github.com/petnames-go/petnames/ledger/durable"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
)

func (a *app) recordVerb() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "record",
		Short: "Export, inspect and store signed records",
		Long: `Records verify by themselves: carry them as files, look into them, store them
for anyone.`,
		Example: `  petname record export -o mine.record
  petname record inspect mine.record
  petname record put bobs.record`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.recordExportVerb(), a.recordInspectVerb(), a.recordPutVerb())
	return cmd
}

func (a *app) recordExportVerb() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "export [NAME|POINTER] -o FILE",
		Short: "Write the newest record that this home holds to a file",
		Example: `  petname record export -o mine.record
  petname record export bob -o bob.record`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: a.completeNames,
		RunE: func(_ *cobra.Command, args []string) error {
			if file == "" {
				return engine.Usage("say where to: -o FILE")
			}
			if info, err := os.Stat(file); file == "-" || err == nil && info.IsDir() {
				return engine.Usage("-o %q: give the name of a file to write", file)
			}
			var request engine.ExportArgs
			if len(args) == 1 {
				request.Name = args[0]
			}
			var out engine.RecordInfo
			if err := a.ask("export", request, &out); err != nil {
				return err
			}
			if err := writeFile(file, out.Bytes); err != nil {
				return engine.Classify(err)
			}
			out.Bytes = nil
			return a.show(out, nil, true, func(w *bufio.Writer) { recordLines(w, a.style(), out) })
		},
	}
	cmd.Flags().StringVarP(&file, "output", "o", "", "the `file` to write")
	return cmd
}

// writeFile writes a whole file, durably, or leaves what was there.
func writeFile(name string, b []byte) error { return writeFileOn(nil, name, b) }

func writeFileOn(files durable.FS, name string, b []byte) error {
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() {
		return os.WriteFile(name, b, 0o600) // a device or a pipe: /dev/stdout
	}
	return durable.Replace(files, name, ".record-", time.Time{}, bytes.NewReader(b))
}

func (a *app) recordInspectVerb() *cobra.Command {
	var request engine.InspectArgs
	cmd := &cobra.Command{
		Use:   "inspect FILE",
		Short: "Say what a record says, and whether it verifies",
		Long: `Open a record: against --pointer, or the key inside it, or else your own pointer
and those of your contacts. Exit status 6 when it doesn't verify or has expired,
2 when it takes a --pointer to tell.`,
		Example: `  petname record inspect bob.record
  petname record inspect some.record --pointer k51qzi5uqu5d…`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			var err error
			if request.Record, err = a.readRecord(args[0]); err != nil {
				return err
			}
			var out *engine.RecordInfo
			err = a.ask("inspect", request, &out)
			var e *engine.Error
			if errors.As(err, &e) && e.Code == "no_home" {
				// A record needs no home to be looked at.
				if out, err = engine.InspectAlone(request); err != nil {
					err = engine.Classify(err)
				}
			}
			return a.record(out, err)
		},
	}
	cmd.Flags().StringVar(&request.Pointer, "pointer", "", "whose it should be: a `pointer` or a name")
	completeFlag(cmd, "pointer", a.completeMoreNames)
	return cmd
}

// record shows what is known of a record.
func (a *app) record(out *engine.RecordInfo, err error) error {
	if out == nil {
		return err
	}
	return a.show(out, err, true, func(w *bufio.Writer) { recordLines(w, a.style(), *out) })
}

func (a *app) recordPutVerb() *cobra.Command {
	var request engine.InspectArgs
	cmd := &cobra.Command{
		Use:   "put FILE",
		Short: "Store a record in the network, whoever signed it",
		Long: `Verify a record and store it in the network that was joined. No key is needed:
anyone can keep a friend's record alive until it expires.`,
		Example: `  petname record put bob.record`,
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			var err error
			if request.Record, err = a.readRecord(args[0]); err != nil {
				return err
			}
			var out *engine.RecordInfo
			err = a.ask("put", request, &out)
			return a.record(out, err)
		},
	}
	cmd.Flags().StringVar(&request.Pointer, "pointer", "", "whose it should be: a `pointer` or a name")
	completeFlag(cmd, "pointer", a.completeMoreNames)
	return cmd
}

func (a *app) readRecord(name string) ([]byte, error) { return a.readUpTo(name, pointer.MaxRecord+1) }

// readUpTo reads a file, or with - standard input, as far as so many bytes.
func (a *app) readUpTo(name string, most int) ([]byte, error) {
	var f io.Reader = a.stdin
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return nil, engine.Usage("%v", err)
		}
		defer file.Close()
		f = file
	}
	b, err := io.ReadAll(io.LimitReader(f, int64(most)))
	if err != nil {
		return nil, engine.Usage("%v", err)
	}
	return b, nil
}

func recordLines(w *bufio.Writer, s name.Style, r engine.RecordInfo) {
	if r.Valid {
		fmt.Fprintf(w, "valid, %d bytes\n", r.Size)
	} else {
		fmt.Fprintf(w, "NOT VALID: %s (%d bytes)\n", name.Clean(r.Reason), r.Size)
	}
	if r.Pointer != "" {
		field(w, "pointer", r.Pointer)
	}
	if r.Expires == nil {
		return
	}
	if r.Nickname != "" {
		field(w, "calls itself", nickname(s, r.Nickname, r.Pointer))
	}
	field(w, "points to", contentPath(r.Value))
	field(w, "record", fmt.Sprintf("sequence %d, until %s, TTL %s", r.Sequence, r.Expires.Local().Format(time.DateTime), seconds(r.TTL)))
	if r.Receipt != nil {
		field(w, "stored", fmt.Sprintf("by %d of %s asked (%d refused, %d unreachable)",
			r.Receipt.Stored, peers(r.Receipt.Asked), r.Receipt.Refused, r.Receipt.Unreachable))
	}
}
