package home

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/pointer/lawtest"
)

func TestMain(m *testing.M) { os.Exit(lawtest.Main(m)) }

const fast = 2 // scrypt's work factor in tests: no secret is at stake

func create(t *testing.T, p CreateOptions) Home {
	if p.Passphrase != "" {
		p.WorkFactor = fast
	}
	h, err := Create(filepath.Join(t.TempDir(), "home"), p)
	require.NoError(t, err)
	return h
}

func read(t *testing.T, name string) []byte {
	b, err := os.ReadFile(name)
	require.NoError(t, err)
	return b
}

// files lists a folder.
func files(t *testing.T, dir string) []string {
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestCheckFiles(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no modes")
	}
	h := create(t, CreateOptions{})
	require.NoError(t, os.Chmod(h.path(deviceFile), 0o640))
	require.NoError(t, os.Remove(h.path(peerFile)))
	require.NoError(t, os.Chmod(h.Dir, 0o777))
	problems := errors.Join(h.CheckFiles()...).Error()
	require.Contains(t, problems, "device.key")
	require.Contains(t, problems, "0640")
	require.Contains(t, problems, "peer.key")
	require.Contains(t, problems, "can be written to by others")
	require.Len(t, h.CheckFiles(), 3)

	h = create(t, CreateOptions{})
	for mode, problems := range map[os.FileMode]int{0o700: 0, 0o755: 0, 0o770: 1, 0o720: 1, 0o702: 1} {
		require.NoError(t, os.Chmod(h.Dir, mode))
		require.Len(t, h.CheckFiles(), problems, "%#o", mode)
	}
	for _, name := range []string{identityFile, deviceFile, peerFile, sealingFile, ledgerFile} {
		for mode, problems := range map[os.FileMode]int{0o600: 0, 0o400: 0, 0o640: 1, 0o604: 1, 0o620: 1, 0o601: 1} {
			require.NoError(t, os.Chmod(h.Dir, 0o700))
			require.NoError(t, os.Chmod(h.path(name), mode))
			require.Len(t, h.CheckFiles(), problems, "%s %#o", name, mode)
		}
		require.NoError(t, os.Chmod(h.path(name), 0o600))
	}
}

func TestDefault(t *testing.T) {
	t.Setenv("PETNAME_HOME", "/x")
	dir, err := Default()
	require.NoError(t, err)
	require.Equal(t, "/x", dir)
	if runtime.GOOS != "linux" {
		return
	}
	t.Setenv("PETNAME_HOME", "")
	t.Setenv("XDG_DATA_HOME", "/data")
	dir, err = Default()
	require.NoError(t, err)
	require.Equal(t, "/data/petname", dir)
	t.Setenv("XDG_DATA_HOME", "relative") // which the specification says to ignore
	t.Setenv("HOME", "/h")
	dir, err = Default()
	require.NoError(t, err)
	require.Equal(t, "/h/.local/share/petname", dir)
	t.Setenv("HOME", "")
	_, err = Default()
	require.ErrorContains(t, err, "--home")
}

func TestPassphrase(t *testing.T) {
	name := filepath.Join(t.TempDir(), "pass")
	for text, want := range map[string]string{"a\n": "a", "a\r\nb": "a", " a b \n": " a b ", "a": "a"} {
		require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
		got, err := ReadPassphrase(name)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	for _, text := range []string{"", "\n", "\r\n", "\nsecret", strings.Repeat("x", maxKeyFile+1)} {
		require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
		_, err := ReadPassphrase(name)
		require.Error(t, err)
		require.NotContains(t, err.Error(), "secret")
	}
}

func TestConfig(t *testing.T) {
	h := create(t, CreateOptions{})
	c, err := h.Config()
	require.NoError(t, err)
	require.Equal(t, Config{Network: "off"}, c)
	want := Config{Network: "peers", Bootstrap: []string{"/ip4/127.0.0.1/tcp/1/p2p/\"x\n"}}
	require.NoError(t, h.SetConfig(want))
	c, err = h.Config()
	require.NoError(t, err)
	require.Equal(t, want, c)
	want = Config{Network: "off", Bootstrap: []string{}, Routers: []string{"http://127.0.0.1:8080", "https://router.example"}, ContactRequests: true, RequestSolutions: 3}
	require.NoError(t, h.SetConfig(want))
	c, err = h.Config()
	require.NoError(t, err)
	require.Equal(t, want, c)
	require.NotContains(t, strings.Join(files(t, h.Dir), " "), "config.toml-")
	for text, message := range map[string]string{
		"network = \"lan":                      "config.toml",
		"network = 1":                          "config.toml",
		"network = \"world\"":                  `"world" is none of`,
		"netwrok = \"lan\"":                    `unknown key "netwrok"`,
		"[a.b]\nc = 1":                         "unknown key",
		"network = \"lan\"\nbootstrap = \"x\"": "config.toml",
		"routers = [\"nonsense\"]":             "neither http",
		"strangers = 1":                        "config.toml",
		"stranger_puzzles = 65":                "not from 0 to 64",
	} {
		require.NoError(t, os.WriteFile(h.path(configFile), []byte(text), 0o600))
		_, err := h.Config()
		require.ErrorContains(t, err, message, text)
	}
}

// A book opens beside an identity key that is damaged or belongs to another
// book. Naming needs no identity key, and the verbs that need one report the
// problem.
func TestABookOpensWithoutItsIdentity(t *testing.T) {
	h, other := create(t, CreateOptions{}), create(t, CreateOptions{})
	r, err := other.Rotate(RotateOptions{})
	require.NoError(t, err)
	require.NoError(t, r.Commit(nil))
	for _, b := range [][]byte{read(t, other.path(identityFile)), []byte("damaged")} {
		require.NoError(t, os.WriteFile(h.path(identityFile), b, 0o600))
		book, err := h.Book(petname.Options{})
		require.NoError(t, err)
		require.NoError(t, book.Close())
	}
}
