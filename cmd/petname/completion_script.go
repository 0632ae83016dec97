package main

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"unicode"

	"github.com/spf13/cobra"
)

// A scriptEdit is a change of a script that cobra writes.
type scriptEdit struct{ old, new string }

// scriptEdits are the changes to cobra's scripts, by shell, which keep a petname
// from being run as a command. zsh quotes what it inserts, and needs none.
var scriptEdits = sync.OnceValue(func() map[string][]scriptEdit {
	return map[string][]scriptEdit{
		// Of several completions bash inserts the common prefix as it is, so each of
		// them is quoted, and not only a single one.
		"bash": {
			// The function is of the package bash-completion, which can be missing: one line
			// states that, once. The words that bash itself makes are not used: what it splits
			// at quotation marks would be evaluated.
			{"    _get_comp_words_by_ref \"$@\" cur prev words cword\n", `    if ! declare -F _get_comp_words_by_ref >/dev/null; then
        [[ -n ${__petname_warned-} ]] || echo "petname: completion needs the package bash-completion, loaded before" >&2
        __petname_warned=1
        return 1
    fi
    _get_comp_words_by_ref "$@" cur prev words cword
`},
			{`COMPREPLY+=("$compline")`, `COMPREPLY+=("$comp${compline:${#compname}}")`},
			{`printf -v comp "%q" "${compline%%$tab*}" &>/dev/null || comp=$(printf "%q" "${compline%%$tab*}")`, `compname=${compline%%$tab*}
        printf -v comp "%q" "$compname" &>/dev/null || comp=$(printf "%q" "$compname")`},
			{"        comp=${compline%%$tab*}\n        if ((${#comp}>longest)); then", "        if ((${#comp}>longest)); then"},
			{`COMPREPLY[0]=$(printf "%q" "${COMPREPLY[0]%%$tab*}")`, `COMPREPLY[0]=${COMPREPLY[0]%%$tab*}`},
			{`        if (( ${#COMPREPLY[@]} == 1 )); then
            COMPREPLY[0]=$(printf "%q" "${COMPREPLY[0]}")
        fi`, `        if (( ${#COMPREPLY[@]} > 0 )); then
            IFS=$'\n' read -ra COMPREPLY -d '' < <(printf "%q\n" "${COMPREPLY[@]}")
        fi`},
			{"    local compline\n", "    local compline compname\n"},
		},
		// fish returns the arguments without their quotes; they must not be evaluated
		// again.
		"fish": {
			{`    set -l results (eval $requestComp 2> /dev/null)`, `    set -l typed (string unescape -- (commandline -ct); or commandline -ct)
    set -l results (PETNAME_ACTIVE_HELP=0 command $args[1] __complete $args[2..-1] "$typed" 2> /dev/null)`},
		},
		// PowerShell has more quotation marks than the script escapes, and no common
		// way of quoting: names with signs are not offered there.
		"powershell": {
			{"    ${env:PETNAME_ACTIVE_HELP}=0\n", "    ${env:PETNAME_ACTIVE_HELP}=0\n    ${env:" + completionShell + "}='powershell'\n"},
		},
	}
})

// completionShell is the environment variable with the shell for which names are
// completed.
const completionShell = "PETNAME_COMPLETION_SHELL"

// completionScript returns the script of a shell.
func completionScript(root *cobra.Command, shell string) (string, error) {
	var out bytes.Buffer
	var err error
	switch shell {
	case "bash":
		err = root.GenBashCompletionV2(&out, true)
	case "zsh":
		err = root.GenZshCompletion(&out)
	case "fish":
		err = root.GenFishCompletion(&out, true)
	case "powershell":
		err = root.GenPowerShellCompletionWithDesc(&out)
	}
	if err != nil {
		return "", err
	}
	script := out.String()
	for _, edit := range scriptEdits()[shell] {
		if strings.Count(script, edit.old) != 1 {
			return "", fmt.Errorf("the script of cobra for %s has %d times %q", shell, strings.Count(script, edit.old), edit.old)
		}
		script = strings.Replace(script, edit.old, edit.new, 1)
	}
	return script, nil
}

// plainWord reports whether no shell reads a sign of a name: it has letters, digits,
// spaces, pictures, and the signs - _ . and + alone, and starts with none of these.
func plainWord(name string) bool {
	for i, r := range name {
		switch {
		case r == ' ', unicode.In(r, unicode.L, unicode.M, unicode.N, unicode.So), r == '\u200d':
		case i > 0 && strings.ContainsRune("-_.+", r):
		default:
			return false
		}
	}
	return true
}
