package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// checkUsage replaces the errors of cobra about the arguments and flags of a verb and
// of the verbs below it.
func checkUsage(c *cobra.Command) {
	check := c.Args
	if check == nil {
		check = cobra.ArbitraryArgs // the default of a command below another one
	}
	c.Args = func(c *cobra.Command, args []string) error {
		unmarkPasted(c, args)
		err := check(c, args)
		var own *failure
		switch {
		case err == nil:
			return emptyFlag(c)
		case errors.As(err, &own):
			return own
		}
		return wrongArguments(c, args)
	}
	c.SetFlagErrorFunc(wrongFlag)
	for _, sub := range c.Commands() {
		checkUsage(sub)
	}
}

// emptyFlag returns the failure for a flag whose value is empty, as a variable of a shell can be:
// it is not the same as none. Free texts can be empty.
func emptyFlag(c *cobra.Command) (err error) {
	c.Flags().Visit(func(f *pflag.Flag) {
		if f.Value.String() == "" && !slices.Contains([]string{"nickname", "note", "purpose"}, f.Name) {
			err = usage("--%s is empty", f.Name).With(c.CommandPath() + " --help")
		}
	})
	return err
}

// pastedMark is put before an argument that begins with the hyphens of an armored key, so
// that it is not read as a flag. [unmarkPasted] removes it.
const pastedMark = "\n"

// markPasted returns the arguments of the command line, of which those before "--" are
// marked that begin as an armored key does. No flag begins with as many hyphens.
func markPasted(args []string) []string {
	marked := slices.Clone(args)
	for i, arg := range marked {
		if arg == "--" {
			break
		}
		if strings.HasPrefix(arg, "-----") || strings.HasPrefix(arg, "---- ") || arg == "----" {
			marked[i] = pastedMark + arg
		}
	}
	return marked
}

// unmarkPasted removes the marks of markPasted, from the values of flags too.
func unmarkPasted(c *cobra.Command, args []string) {
	for i, arg := range args {
		if strings.HasPrefix(arg, pastedMark+"----") {
			args[i] = arg[len(pastedMark):]
		}
	}
	c.Flags().Visit(func(f *pflag.Flag) {
		if value := f.Value.String(); f.Value.Type() == "string" && strings.HasPrefix(value, pastedMark+"----") {
			_ = f.Value.Set(value[len(pastedMark):]) // a string takes any text
		}
	})
}

// wrongArguments returns the failure for a number of arguments that a verb does not
// take, or for a verb that does not exist, with the verbs that are spelled alike.
func wrongArguments(c *cobra.Command, args []string) error {
	use := strings.TrimSuffix(c.UseLine(), " [flags]")
	help := c.CommandPath() + " --help"
	switch {
	case c.HasSubCommands() && len(args) > 0:
		c.SuggestionsMinimumDistance = 2
		var near []string
		for _, verb := range c.SuggestionsFor(args[0]) {
			near = append(near, c.CommandPath()+" "+verb+" --help")
		}
		if near == nil {
			near = []string{help}
		}
		return usage("unknown command %q", args[0]).With(strings.Join(near[:min(len(near), maxSteps)], "\n"))
	}
	if missing := missingArguments(c.Use, len(args)); missing != "" {
		return usage("%s missing; the usage is\n%s", missing, use).With(help)
	}
	return usage("wrong number of arguments, %d; the usage is\n%s", len(args), use).With(help)
}

// missingArguments names the arguments of a usage that are needed beyond the first n,
// with the verb of the sentence, such as "NAME and LINK are"; "" if none is.
func missingArguments(use string, n int) string {
	var needed []string
	for _, word := range strings.Fields(use)[1:] {
		if strings.HasPrefix(word, "[") || strings.HasPrefix(word, "-") {
			break
		}
		needed = append(needed, word)
	}
	switch missing := needed[min(n, len(needed)):]; len(missing) {
	case 0:
		return ""
	case 1:
		return missing[0] + " is"
	default:
		return strings.Join(missing, " and ") + " are"
	}
}

// wrongFlag returns the failure for a flag that a verb does not have, or for its value.
func wrongFlag(c *cobra.Command, err error) error {
	var (
		unknown *pflag.NotExistError
		invalid *pflag.InvalidValueError
		missing *pflag.ValueRequiredError
	)
	var syntax *pflag.InvalidSyntaxError
	message := err.Error()
	switch {
	case errors.As(err, &syntax):
		message = "bad flag syntax: " + flagName(syntax.GetSpecifiedFlag())
	case errors.As(err, &unknown):
		dashes := "--"
		if unknown.GetSpecifiedShortnames() != "" {
			dashes = "-"
		}
		message = fmt.Sprintf("unknown flag %s%s", dashes, flagName(unknown.GetSpecifiedName()))
	case errors.As(err, &missing):
		message = fmt.Sprintf("--%s needs a value", missing.GetFlag().Name)
	case errors.As(err, &invalid):
		flag := invalid.GetFlag()
		kind := map[string]string{"int": "a number", "duration": "a duration, such as 90s, 10m or 48h", "bool": "true or false"}[flag.Value.Type()]
		switch {
		case errors.Is(err, errTooLong):
			message = fmt.Sprintf("--%s %q: %v", flag.Name, invalid.GetValue(), errTooLong)
		case kind != "":
			message = fmt.Sprintf("--%s %q: is not %s", flag.Name, invalid.GetValue(), kind)
		}
	}
	return usage("%s", message).With(c.CommandPath() + " --help")
}

// flagName returns the part of an argument that can be the name of a flag: at most 32
// letters, digits and hyphens. What follows, such as pasted text, is not quoted.
func flagName(s string) string {
	end := strings.IndexFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-')
	})
	if end < 0 {
		end = len(s)
	}
	return s[:min(end, 32)]
}
