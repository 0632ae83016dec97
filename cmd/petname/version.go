package main

import (
	"bufio"
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/petnames-go/petnames/petname/name"
)

func (a *app) versionVerb() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Long: `Print the version of this program, of Go, and of the Unicode tables that names
are compared with.`,
		Example: `  petname version`,
		Args:    cobra.NoArgs,
		RunE:    func(*cobra.Command, []string) error { return a.printVersion() },
	}
}

func (a *app) printVersion() error {
	out := struct {
		Version string `json:"version"`
		Go      string `json:"go"`
		Unicode string `json:"unicode"`
	}{programVersion(), runtime.Version(), name.UnicodeVersion}
	return a.printResult(out, nil, true, func(w *bufio.Writer) {
		fmt.Fprintf(w, "petname %s, %s, Unicode %s\n", out.Version, out.Go, out.Unicode)
	})
}
