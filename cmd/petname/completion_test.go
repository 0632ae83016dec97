package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The scripts are cobra's with the edits, whatever version of cobra is linked: an
// edit that has no place fails. The external tests run the scripts in the shells;
// PowerShell is not in Debian, so its script is tested by its text alone.
func TestCompletionScriptsHaveTheEdits(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		script := verb(t.TempDir(), "completion", shell)
		require.Zero(t, script.exit, script.stderr)
		for _, edit := range scriptEdits()[shell] {
			require.Contains(t, script.stdout, edit.new, shell)
		}
	}
	bash := verb(t.TempDir(), "completion", "bash").stdout
	require.NotContains(t, bash, `COMPREPLY+=("$compline")`, "unquoted")
	require.NotContains(t, verb(t.TempDir(), "completion", "fish").stdout, "(eval ")
	powershell := verb(t.TempDir(), "completion", "powershell").stdout
	require.Less(t, strings.Index(powershell, "${env:"+completionShell+"}='powershell'"), strings.Index(powershell, "Invoke-Expression"))
}

// In PowerShell no name is offered that has a sign which a shell could read. In the
// other shells, whose scripts quote, all are; a name that reads as a mark of the
// scripts is offered in none.
func TestNamesWithSignsAreNotOfferedInPowerShell(t *testing.T) {
	home := t.TempDir() + "/home"
	require.Zero(t, verb(home, "init").exit)
	plain := []string{"Aunt Mary", "José", "李明", "bob-2", "Dr. Who", "a_b", "Bob ❤", "👩\u200d💻", "שלום", "Zoë+Tom"}
	signs := []string{"$(x)", "`x`", "a;b", "a&b", "a|b", "O'Brien", "O’Brien", "“x” y", "a\"b", "Bob (work)", "{x}", "@x", "#x", "a,b", "<x", ">x", "%x", "!x", "*", "x~", "=x", "a\\b", "a:b", "[x]", "x^y", "‘$x"}
	for _, text := range append(append([]string{"_activeHelp_ x"}, plain...), signs...) {
		added := verb(home, "add", "--allow-lookalike", "--", text, newPointer(t))
		if text == "“x” y" {
			require.NotZero(t, added.exit)
			continue
		}
		require.Zero(t, added.exit, added.stderr)
	}
	offered := func() (names []string) {
		for line := range strings.Lines(verb(home, "__complete", "show", "").stdout) {
			if text, _, found := strings.Cut(line, "\t"); found {
				names = append(names, text)
			}
		}
		return names
	}
	require.Len(t, offered(), len(plain)+len(signs)-1)
	require.NotContains(t, offered(), "_activeHelp_ x")
	t.Setenv(completionShell, "powershell")
	require.ElementsMatch(t, plain, offered())
}
