package home

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Deeply nested input is refused in little time, and ends no process.
func TestDeeplyNestedConfigIsRefused(t *testing.T) {
	dir := t.TempDir()
	h := Home{Dir: dir}
	for name, text := range map[string]string{
		"3 million [":            strings.Repeat("[", 3_000_000),
		"64 KiB of [":            "x = " + strings.Repeat("[", 60_000),
		"64 KiB of [ in a value": "network = \"off\"\nbootstrap = " + strings.Repeat("[", 60_000) + strings.Repeat("]", 4_000),
		"inline tables":          "x = " + strings.Repeat("{a=", 20_000),
		"dotted keys":            strings.Repeat("a.", 30_000) + "a = 1",
		"a dotted table":         "[" + strings.Repeat("a.", 30_000) + "a]",
		"UTF-16":                 "\xff\xfe" + strings.Repeat("[\x00", 60_000),
		"many tables":            strings.Repeat("[[x]]\n", 10_000),
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, configFile), []byte(text), 0o600))
		began := time.Now()
		_, err := h.Config()
		require.Error(t, err, name)
		require.Less(t, len(err.Error()), 600, name)
		require.Less(t, time.Since(began), 5*time.Second, name) // minutes without the bounds
	}
	require.ErrorIs(t, checkConfig(t, h, "x = "+strings.Repeat("[", maxNesting+1)), ErrConfig)
	require.ErrorContains(t, checkConfig(t, h, "x = "+strings.Repeat("{a = ", maxNesting+1)), "nested over 8 levels")
	require.ErrorContains(t, checkConfig(t, h, strings.Repeat("'a'.", maxDots+1)+"a = 1"), "key of over 9 parts")
	require.ErrorContains(t, checkConfig(t, h, "network = '"+strings.Repeat("a", maxTOMLToken)+"'"), "a string of over 4096")
	require.ErrorContains(t, checkConfig(t, h, strings.Repeat("a", maxTOMLToken+1)+" = 1"), "a word of over 4096")
}

// checkConfig returns the error of a config.toml.
func checkConfig(t *testing.T, h Home, text string) error {
	t.Helper()
	require.NoError(t, os.WriteFile(h.path(configFile), []byte(text), 0o600))
	_, err := h.Config()
	return err
}

// What a config.toml may contain, in strings and comments above all, is not taken for
// nesting.
func TestAnOrdinaryConfigIsNotTooDeep(t *testing.T) {
	h := Home{Dir: t.TempDir()}
	brackets := strings.Repeat("[{.", 200)
	for _, text := range []string{
		"# " + brackets + "\nnetwork = \"lan\" # " + brackets,
		"network = \"\"\"lan\"\"\"\n",
		"network = 'lan'\nbootstrap = []\n#",
		"network = \"lan\"\nrouters = [\n" + strings.Repeat("  \"http://[::1]:8080\", # it's [\n  'http://a.b.c.d.e.f.g.h.i.j.k.example',\n", 20) + "]",
	} {
		require.NoError(t, checkTOML(text), text)
		require.NoError(t, checkConfig(t, h, text), text)
		c, err := h.Config()
		require.NoError(t, err)
		require.Equal(t, "lan", c.Network)
		require.NoError(t, h.SetConfig(c))
		again, err := h.Config()
		require.NoError(t, err)
		require.Equal(t, c, again)
	}
	for text, want := range map[string]int{`"a"b`: 3, `"a\"b"c`: 6, `'a\'b`: 4, "\"a\nb": 2, "\"\"\"a\n\"b\"\"\"c": 10, `"""a`: 4, `""`: 2, `'`: 1, `"\`: 2} {
		require.Equal(t, want, stringLength(text), text)
	}
}
