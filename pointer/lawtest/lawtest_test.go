package lawtest

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestDraws prints what two laws draw, for the test below.
func TestDraws(t *testing.T) {
	var direct []uint64
	rapid.Check(t, func(rt *rapid.T) { direct = append(direct, rapid.Uint64().Draw(rt, "n")) })
	var through []uint64
	Check(t, 7, func(rt *rapid.T) { through = append(through, rapid.Uint64().Draw(rt, "n")) })
	fmt.Println("drawn:", len(direct), len(through), direct[:5], through[:5])
	require.Equal(t, direct[:5], through[:5], "one seed for both")
	again := 0
	rapid.Check(t, func(*rapid.T) { again++ })
	require.Len(t, direct, again, "the number of a law is for that law alone")
}

func TestSeedsAndNumbers(t *testing.T) {
	// draws runs TestDraws in a process of its own and returns the numbers of
	// histories of both laws, and the first draws.
	draws := func(env string, args ...string) (direct, through int, values string) {
		cmd := exec.Command(os.Args[0], append([]string{"-test.run=^TestDraws$", "-test.v"}, args...)...)
		cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool {
			return strings.HasPrefix(v, "RAPID_") || strings.HasPrefix(v, "PETNAME_TEST_LONG=")
		})
		if env != "" {
			cmd.Env = append(cmd.Env, env)
		}
		out, err := cmd.CombinedOutput()
		if !strings.HasSuffix(strings.ToLower(env+strings.Join(args, "")), "seed=0") { // a new seed each time fails
			require.NoError(t, err, "%s", out)
		}
		_, line, ok := strings.Cut(string(out), "drawn: ")
		require.True(t, ok, "%s", out)
		line, _, _ = strings.Cut(line, "\n")
		_, err = fmt.Sscan(line, &direct, &through)
		require.NoError(t, err)
		return direct, through, line[strings.Index(line, "["):]
	}
	direct, through, usual := draws("")
	require.Equal(t, 40, direct)
	require.Equal(t, 7, through)
	direct, through, long := draws("PETNAME_TEST_LONG=1")
	require.Equal(t, 100, direct)
	require.Equal(t, 100, through)
	require.Equal(t, usual, long, "long runs have the same seed")

	direct, through, _ = draws("", "-rapid.checks=12")
	require.Equal(t, 12, direct)
	require.Equal(t, 12, through, "the flag is stronger than the number of a law")
	_, through, _ = draws("RAPID_CHECKS=13")
	require.Equal(t, 13, through)

	_, _, flagged := draws("", "-rapid.seed=3")
	require.NotEqual(t, usual, flagged)
	_, _, variable := draws("RAPID_SEED=3")
	require.Equal(t, flagged, variable)
	_, _, one := draws("RAPID_SEED=0")
	_, _, other := draws("RAPID_SEED=0")
	require.NotEqual(t, one, other, "a new seed each time")
	_, _, one = draws("", "-rapid.seed=0")
	_, _, other = draws("", "-rapid.seed=0")
	require.NotEqual(t, one, other)
}
