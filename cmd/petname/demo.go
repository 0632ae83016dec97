package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func (a *app) demoVerb() *cobra.Command {
	var nodes int
	var keep string
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run a demonstration on this machine",
		Long: `Start a network of DHT nodes on loopback, make a home for each of three people,
alice, bob and carol, and run the commands step by step. Nothing leaves this
machine. The exit status is 1 if a step fails.`,
		Example: `  petname demo
  petname demo --keep homes
  petname --home homes/carol show alice`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if nodes < 3 || nodes > 200 {
				return usage("--nodes %d: must be between 3 and 200", nodes)
			}
			if !a.json {
				fmt.Fprintf(a.stdout, "Three people, %d DHT nodes, one machine. Real keys, real sockets.\n", nodes)
			}
			return a.runDemo(a.ctx, keep, func(d *demo) []demoStep { return d.storySteps(nodes) })
		},
	}
	cmd.Flags().IntVar(&nodes, "nodes", 20, "how many DHT nodes")
	cmd.Flags().StringVar(&keep, "keep", "", "keep the homes in this `folder`, as alice, bob and carol")
	return cmd
}

// step is the result of a step of the demonstration.
type step struct {
	Name    string  `json:"name"`
	OK      bool    `json:"ok"`
	Took    float64 `json:"took"`    // seconds
	Command string  `json:"command"` // what a person would type; several a line each
	Detail  string  `json:"detail"`  // what happened, or what went wrong
}

// runDemo runs the steps up to the first one that fails, in a temporary folder or in
// the folder keep.
func (a *app) runDemo(ctx context.Context, keep string, story func(d *demo) []demoStep) (err error) {
	dir := keep
	if dir == "" {
		if dir, err = os.MkdirTemp("", "petname-demo-"); err != nil {
			return classify(err)
		}
		defer os.RemoveAll(dir)
	} else if err := emptyDir(dir); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	d := &demo{app: a, ctx: ctx, dir: dir}
	defer func() { d.network.close() }()
	for i, s := range story(d) {
		began := time.Now()
		d.commands = nil
		detail, err := s.do()
		done := step{Name: s.name, OK: err == nil, Took: time.Since(began).Seconds(), Command: strings.Join(d.commands, "\n"), Detail: detail}
		if err != nil {
			done.Detail = err.Error()
		}
		d.steps = append(d.steps, done)
		a.printStep(i+1, done)
		if err != nil {
			break // the next steps depend on this one
		}
	}
	return d.end(keep)
}

// printStep prints the result of a step.
func (a *app) printStep(n int, s step) {
	if a.json {
		return
	}
	mark := ""
	if !s.OK {
		mark = "FAILED: "
	}
	fmt.Fprintf(a.stdout, "\n%2d. %s%s (%s)\n", n, mark, s.Name, secondsText(s.Took))
	for _, c := range strings.Split(s.Command, "\n") {
		if c != "" {
			fmt.Fprintf(a.stdout, "      %s\n", c)
		}
	}
	for _, line := range strings.Split(s.Detail, "\n") {
		fmt.Fprintf(a.stdout, "    %s\n", line)
	}
}

// end prints the sum of the steps, and returns the failure of the last one. keep is the folder
// with the homes; "": they are removed.
func (d *demo) end(keep string) error {
	var failed error
	total := 0.0
	for _, s := range d.steps {
		total += s.Took
		if !s.OK {
			failed = &failure{Code: "demo", Exit: exitFailure, Message: "step failed: " + s.Name + ": " + s.Detail}
		}
	}
	if d.ctx.Err() != nil && d.app.ctx.Err() != nil { // interrupted, and not out of time
		failed = classify(context.Canceled)
	}
	err := d.app.printResult(struct {
		Steps []step `json:"steps"`
	}{d.steps}, failed, true, func(w *bufio.Writer) {
		if failed == nil {
			fmt.Fprintf(w, "\nAll %d steps held, in %s.\n", len(d.steps), secondsText(total))
		}
	})
	if keep != "" {
		d.app.hint("\nthe homes can be used like any other:\n  petname --home %s list", shellPath(filepath.Join(keep, "carol")))
	}
	return err
}

func emptyDir(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		err = os.MkdirAll(dir, 0o700)
	}
	if err != nil {
		return classify(err)
	}
	if len(entries) > 0 {
		return &failure{Code: "exists", Exit: exitConflict, Message: fmt.Sprintf("--keep %q: the folder is not empty", dir)}
	}
	return nil
}

// demo is the state of a running demonstration.
type demo struct {
	app      *app
	ctx      context.Context
	dir      string
	network  demoNetwork
	steps    []step
	commands []string // of the current step
}

// petname runs a verb in the home of a person, adds the command line to the current
// step, and decodes the JSON result. It returns the exit status and the content of
// stderr.
// demoTimeout bounds one request of the demo: all nodes share one machine, which may
// be busy.
const demoTimeout = 15 * time.Second

// run runs one command.
func (d *demo) run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	a := &app{ctx: ctx, stdin: strings.NewReader(""), stdout: stdout, stderr: stderr, timeout: demoTimeout}
	return a.run(args)
}

func (d *demo) petname(person string, result any, args ...string) (exit int, message string) {
	d.commands = append(d.commands, "petname --home "+person+" "+typed(args))
	var stdout, stderr bytes.Buffer
	full := append([]string{"--home", filepath.Join(d.dir, person), "--json", "--no-input"}, args...)
	exit = d.run(d.ctx, full, &stdout, &stderr)
	if result != nil && stdout.Len() > 0 {
		if err := json.Unmarshal(stdout.Bytes(), result); err != nil {
			return exitFailure, err.Error()
		}
	}
	var failed struct{ Error failure }
	if json.Unmarshal(stderr.Bytes(), &failed) == nil {
		message = failed.Error.Message
	} else {
		message = strings.TrimSpace(stderr.String())
	}
	return exit, message
}

// mustRun is petname for a verb that must succeed.
func (d *demo) mustRun(person string, result any, args ...string) error {
	if exit, message := d.petname(person, result, args...); exit != 0 {
		return fmt.Errorf("%s: %s ended with status %d: %s", person, args[0], exit, message)
	}
	return nil
}

// typed returns the command line as a user types it, with base names for files.
func typed(args []string) string {
	words := make([]string, len(args))
	for i, arg := range args {
		if filepath.IsAbs(arg) && strings.HasSuffix(arg, ".record") {
			arg = filepath.Base(arg)
		}
		words[i] = shellWord(arg)
	}
	return strings.Join(words, " ")
}
