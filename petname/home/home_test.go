package home

import (
	"bytes"
	"crypto/hpke"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"filippo.io/age/armor"
	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/pointer"
)

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

func TestCreate(t *testing.T) {
	h := create(t, CreateOptions{Nickname: "Alice"})
	require.Equal(t, []string{deviceFile, identityFile, ledgerFile, peerFile, recordsDir, sealingFile}, files(t, h.Dir))
	require.Empty(t, h.CheckFiles())
	id, err := h.Identity()
	require.NoError(t, err)
	require.False(t, id.Locked)
	require.False(t, id.NextElsewhere)
	require.Equal(t, "in this home", id.Recovery())
	key, err := id.Key("")
	require.NoError(t, err)
	require.Equal(t, id.Pointer, key.Pointer())
	again, err := Open(h.Dir)
	require.NoError(t, err)
	require.Equal(t, h, again)
	book, err := h.Book(petname.Options{})
	require.NoError(t, err)
	require.Equal(t, id.Pointer, book.Identity())
	require.NoError(t, book.Close())
	peer, err := h.PeerKey()
	require.NoError(t, err)
	require.NotEmpty(t, peer)
	// all keys are different ones
	text := string(read(t, h.path(identityFile)))
	keys := strings.Split(strings.TrimSpace(text[strings.Index(text, "PETNAME-SECRET"):]), "\n")
	require.Len(t, keys, 2)
	require.NotEqual(t, keys[0], keys[1])
	require.NotContains(t, text, strings.TrimSpace(string(read(t, h.path(deviceFile)))))
	next, err := pointer.ParseKey(keys[1])
	require.NoError(t, err)
	require.True(t, id.Next.Opens(next.Public()))
	_, err = Create(h.Dir, CreateOptions{})
	require.ErrorIs(t, err, ErrExists)
}

// Only the recovery file has the next key, which matches the commitment of id.
func TestRecovery(t *testing.T) {
	file := filepath.Join(t.TempDir(), "next.key")
	h := create(t, CreateOptions{Passphrase: "horse", Recovery: file})
	id, err := h.Identity()
	require.NoError(t, err)
	require.True(t, id.Locked)
	require.True(t, id.NextElsewhere)
	info, err := os.Stat(file)
	require.NoError(t, err)
	if runtime.GOOS != "windows" {
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	}
	unlock := func(b []byte) string { // by age itself, as the age command would
		identity, err := age.NewScryptIdentity("horse")
		require.NoError(t, err)
		r, err := age.Decrypt(armor.NewReader(bytes.NewReader(b[bytes.Index(b, []byte(armor.Header)):])), identity)
		require.NoError(t, err)
		var plain bytes.Buffer
		_, err = plain.ReadFrom(r)
		require.NoError(t, err)
		return plain.String()
	}
	recovery := read(t, file)
	require.NotContains(t, string(recovery), "PETNAME-SECRET-KEY")
	lines := strings.Split(strings.TrimSpace(unlock(recovery)), "\n")
	secret, after := lines[len(lines)-2], lines[len(lines)-1]
	next, err := pointer.ParseKey(secret)
	require.NoError(t, err)
	require.True(t, id.Next.Opens(next.Public()))
	require.NotEqual(t, id.Pointer, next.Pointer())
	for _, name := range []string{identityFile, deviceFile, peerFile, sealingFile, ledgerFile} {
		b := read(t, h.path(name))
		require.NotContains(t, string(b), strings.TrimSpace(secret), name)
		require.NotContains(t, string(b), after, name)
		if name == identityFile {
			require.NotContains(t, string(b), "PETNAME-SECRET-KEY")
			require.NotContains(t, unlock(b), strings.TrimSpace(secret))
			require.NotContains(t, unlock(b), after)
		}
	}
	_, err = id.Key("")
	require.ErrorIs(t, err, ErrLocked)
	_, err = id.Key("cow")
	require.ErrorIs(t, err, ErrPassphrase)
	key, err := id.Key("horse")
	require.NoError(t, err)
	require.Equal(t, id.Pointer, key.Pointer())
}

// A failed Create leaves no file, and changes no existing one.
func TestCreateFails(t *testing.T) {
	taken := filepath.Join(t.TempDir(), "taken")
	require.NoError(t, os.WriteFile(taken, []byte("mine"), 0o600))
	for name, p := range map[string]CreateOptions{
		"no passphrase": {Recovery: "x"},
		"taken":         {Recovery: taken, Passphrase: "p", WorkFactor: fast},
		"nowhere":       {Recovery: filepath.Join(taken, "x"), Passphrase: "p", WorkFactor: fast},
		"no folder":     {Recovery: filepath.Join(t.TempDir(), "no", "x"), Passphrase: "p", WorkFactor: fast},
		"nickname":      {Nickname: "a/b\x00"},
	} {
		root := t.TempDir()
		_, err := Create(filepath.Join(root, "a", "b"), p)
		require.Error(t, err, name)
		require.Empty(t, files(t, root), name)
		dir := filepath.Join(root, "empty")
		require.NoError(t, os.Mkdir(dir, 0o700))
		_, err = Create(dir, p)
		require.Error(t, err, name)
		require.Empty(t, files(t, dir), "%s: the folder that was there stays, empty", name)
	}
	require.Equal(t, "mine", string(read(t, taken)))
	dir := filepath.Join(t.TempDir(), "home")
	_, err := Create(dir, CreateOptions{Recovery: filepath.Join(dir, "next"), Passphrase: "p", WorkFactor: fast})
	require.ErrorIs(t, err, ErrRecoveryInHome)
	require.NoFileExists(t, filepath.Join(dir, "next"))
	used := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(used, "notes"), nil, 0o600))
	_, err = Create(used, CreateOptions{})
	require.ErrorIs(t, err, fs.ErrExist)
	require.Equal(t, []string{"notes"}, files(t, used))
	_, err = Create(filepath.Join(used, "notes"), CreateOptions{})
	require.ErrorContains(t, err, "is a file")
	require.NoError(t, os.Remove(filepath.Join(used, "notes")))
	require.NoError(t, os.Mkdir(filepath.Join(used, "lost+found"), 0o700))
	_, err = Create(used, CreateOptions{})
	require.NoError(t, err, "a file system of its own")
	cut := create(t, CreateOptions{})
	require.NoError(t, os.Remove(cut.path(identityFile)))
	_, err = Create(cut.Dir, CreateOptions{})
	require.ErrorContains(t, err, "cut short")
	_, err = Open(cut.Dir)
	require.ErrorIs(t, err, ErrNoHome)
}

// A path that looks like a pattern is a path.
func TestCreateQuotes(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no such names")
	}
	dir := filepath.Join(t.TempDir(), `a[b*?\`)
	_, err := Create(dir, CreateOptions{Nickname: "x/y\x00"})
	require.Error(t, err)
	require.NoDirExists(t, dir)
	_, err = Create(dir, CreateOptions{})
	require.NoError(t, err)
}

// Create refuses a folder that contains any file of keys, or a book, whatever
// else is missing. init changes nothing there.
func TestCreateNeverOverwritesKeys(t *testing.T) {
	whole := create(t, CreateOptions{})
	for _, name := range []string{identityFile, deviceFile, peerFile, sealingFile, ledgerFile, identityFile + ".part"} {
		dir := t.TempDir()
		lone := filepath.Join(dir, name)
		content := []byte("of an older version, or damaged")
		if name != identityFile+".part" {
			content = read(t, whole.path(name))
		}
		require.NoError(t, os.WriteFile(lone, content, 0o600))
		_, err := Create(dir, CreateOptions{})
		if name == identityFile {
			require.ErrorIs(t, err, ErrExists)
		} else {
			require.ErrorIs(t, err, fs.ErrExist, name)
		}
		require.Equal(t, []string{name}, files(t, dir))
		require.Equal(t, content, read(t, lone), name)
	}
	if runtime.GOOS == "windows" {
		return
	}
	dir := t.TempDir() // keys on a disk that is not mounted
	away := filepath.Join(t.TempDir(), "away")
	require.NoError(t, os.Symlink(away, filepath.Join(dir, identityFile)))
	_, err := Create(dir, CreateOptions{})
	require.ErrorIs(t, err, ErrExists)
	require.Equal(t, []string{identityFile}, files(t, dir))
	require.NoFileExists(t, away)
	_, err = Open(dir)
	require.NoError(t, err, "a home with an unreadable key")
}

// A recovery file replaces no other file, and is not written through a link to
// a missing file.
func TestARecoveryFileIsNeverOverAnother(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("links")
	}
	root := t.TempDir()
	link, away := filepath.Join(root, "link"), filepath.Join(root, "away")
	require.NoError(t, os.Symlink(away, link))
	_, err := Create(filepath.Join(root, "home"), CreateOptions{Recovery: link, Passphrase: "horse", WorkFactor: fast})
	require.ErrorIs(t, err, fs.ErrExist)
	require.Equal(t, []string{"link"}, files(t, root))
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

// secretWords returns the words that no error may contain.
func secretWords(b []byte) []string {
	var words []string
	for _, line := range strings.Split(string(b), "\n") {
		if rest, ok := strings.CutPrefix(line, "PETNAME-SECRET-KEY-1"); ok && len(rest) >= 32 {
			words = append(words, rest, rest[:16], rest[len(rest)-16:])
		}
	}
	for _, line := range strings.Split(string(b), "\n") {
		if rest, ok := strings.CutPrefix(line, sealingPrefix); ok && len(rest) >= 37 {
			words = append(words, rest[5:21], rest[len(rest)-16:])
		}
	}
	if block, _ := pem.Decode(b); block != nil && block.Type == pemType {
		words = append(words, strings.Split(string(b), "\n")[1])
	}
	// What stands in the open as well is no secret.
	return slices.DeleteFunc(words, func(w string) bool { return strings.Count(string(b), w) != 1 })
}

func quiet(t *testing.T, err error, words []string) {
	for _, w := range words {
		require.NotContains(t, err.Error(), w, "a secret in an error")
	}
}

// Key files truncated at every byte, and with every bit flipped: a clear error or the
// same key, never a panic, never the secret in the error, never another identity,
// device or sealing key.
func TestDamagedKeys(t *testing.T) {
	h := create(t, CreateOptions{})
	id, err := h.Identity()
	require.NoError(t, err)
	device, err := readKey(h.path(deviceFile))
	require.NoError(t, err)
	sealing, err := h.Sealing()
	require.NoError(t, err)
	for name, load := range map[string]func(b []byte) error{
		identityFile: func(b []byte) error {
			got, err := parseIdentity(b)
			if err != nil {
				return err
			}
			key, err := got.Key("")
			if err != nil {
				return err
			}
			if got.Pointer != id.Pointer || key.Pointer() != id.Pointer {
				t.Errorf("another identity came out")
			}
			return nil
		},
		deviceFile: func([]byte) error {
			key, err := readKey(h.path(deviceFile))
			if err == nil && key.Pointer() != device.Pointer() {
				t.Errorf("another device came out")
			}
			return err
		},
		peerFile: func([]byte) error {
			_, err := h.PeerKey() // another key may result: PKCS #8 has no checksum, and nothing signs with it
			return err
		},
		sealingFile: func(b []byte) error {
			got, err := parseSealing(string(b))
			if err == nil && !slices.EqualFunc(got.PublicKeys(), sealing.PublicKeys(), equalKeys) {
				t.Errorf("another sealing key came out")
			}
			return err
		},
	} {
		whole := read(t, h.path(name))
		words := secretWords(whole)
		require.NotEmpty(t, words)
		try := func(b []byte) error {
			if name == deviceFile || name == peerFile { // these files are read in place
				// A new file each time: truncating and rewriting a file flushes it.
				require.NoError(t, os.Remove(h.path(name)))
				require.NoError(t, os.WriteFile(h.path(name), b, 0o600))
			}
			err := load(b)
			if err != nil {
				quiet(t, err, words)
			}
			return err
		}
		require.NoError(t, try(whole))
		cut, second := 0, bytes.LastIndex(whole[:len(whole)-1], []byte("\n"))
		for n := range len(whole) - 1 {
			if try(whole[:n]) != nil {
				cut++
			} else {
				require.True(t, name == identityFile && n >= second, "%s cut at %d of %d is whole", name, n, len(whole))
			}
		}
		require.NotZero(t, cut)
		for i := range whole {
			for bit := range 8 {
				b := bytes.Clone(whole)
				b[i] ^= 1 << bit
				_ = try(b)
			}
		}
	}
}

func FuzzIdentity(f *testing.F) {
	current, err := pointer.NewKey(nil)
	require.NoError(f, err)
	next, err := pointer.NewKey(nil)
	require.NoError(f, err)
	step, err := pointer.Succeed(testPointer(f), current, pointer.Commitment{}, nil)
	require.NoError(f, err)
	chains := map[string][]pointer.Succession{"horse": {step}}
	for _, passphrase := range []string{"", "horse"} {
		b, err := secrets{current: current, next: next, nextElsewhere: passphrase != "", passphrase: passphrase, workFactor: fast, succession: chains[passphrase]}.format()
		require.NoError(f, err)
		f.Add(b)
		f.Add(b[:len(b)/2])
	}
	f.Add([]byte(identityMagic))
	f.Fuzz(func(t *testing.T, b []byte) {
		id, err := parseIdentity(b)
		if err != nil {
			quiet(t, err, secretWords(b))
			return
		}
		require.False(t, id.Pointer.IsZero())
		require.False(t, id.Next.IsZero())
		if id.Locked {
			return // age's own fuzzing has the rest, and scrypt's cost is the file's choice
		}
		if key, err := id.Key(""); err == nil {
			require.Equal(t, id.Pointer, key.Pointer())
		} else {
			quiet(t, err, secretWords(b))
		}
	})
}

func equalKeys(a, b pointer.SealingKey) bool { return a.KEM == b.KEM && bytes.Equal(a.Key, b.Key) }

// A home decrypts what is sealed to the keys in its card. Two homes have different keys.
func TestAHomeDecryptsWhatIsSealedToItsCard(t *testing.T) {
	h, other := create(t, CreateOptions{Passphrase: "horse"}), create(t, CreateOptions{})
	sealing, err := h.Sealing()
	require.NoError(t, err)
	strangers, err := other.Sealing()
	require.NoError(t, err)
	public := sealing.PublicKeys()
	require.Equal(t, []uint16{0x0020, 0x647a}, []uint16{public[0].KEM, public[1].KEM})
	for i, k := range public {
		kem, err := hpke.NewKEM(k.KEM)
		require.NoError(t, err)
		key, err := kem.NewPublicKey(k.Key)
		require.NoError(t, err)
		sealed, err := hpke.Seal(key, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), []byte("test"), []byte("hello"))
		require.NoError(t, err)
		opened, err := hpke.Open(sealing.Current[i], hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), []byte("test"), sealed)
		require.NoError(t, err)
		require.Equal(t, "hello", string(opened))
		_, err = hpke.Open(strangers.Current[i], hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), []byte("test"), sealed)
		require.Error(t, err)
	}
}

// Replaced keys decrypt messages for 30 days, and are erased then.
func TestReplacedSealingKeysAreErasedAfterTheirRetention(t *testing.T) {
	h := create(t, CreateOptions{})
	first, err := h.Sealing()
	require.NoError(t, err)
	now := first.Made.Add(time.Hour)
	same, err := h.RenewSealing(now, 2*time.Hour)
	require.NoError(t, err)
	require.True(t, slices.EqualFunc(first.PublicKeys(), same.PublicKeys(), equalKeys), "too young to be replaced")
	second, err := h.RenewSealing(now, time.Hour)
	require.NoError(t, err)
	require.False(t, slices.EqualFunc(first.PublicKeys(), second.PublicKeys(), equalKeys))
	read, err := h.Sealing()
	require.NoError(t, err)
	require.True(t, slices.EqualFunc(second.PublicKeys(), read.PublicKeys(), equalKeys))
	require.Equal(t, second.Made, read.Made)
	require.Len(t, read.PrivateKeys(), 4)
	require.True(t, read.PrivateKeys()[2].PublicKey() != nil && bytes.Equal(read.PrivateKeys()[2].PublicKey().Bytes(), first.PublicKeys()[0].Key))
	before, err := os.ReadFile(h.path(sealingFile))
	require.NoError(t, err)

	third, err := h.RenewSealing(now.Add(SealingRetention), 365*24*time.Hour)
	require.NoError(t, err)
	require.Len(t, third.PrivateKeys(), 2)
	after, err := os.ReadFile(h.path(sealingFile))
	require.NoError(t, err)
	private, err := first.Current[0].Bytes()
	require.NoError(t, err)
	line := sealingLine(first.Current[0].KEM())
	erased := base64.StdEncoding.EncodeToString(append(private, sealingSum(line, private)...))
	require.Contains(t, string(before), erased)
	require.NotContains(t, string(after), erased)
	// Every line counts: none can be left out, or come twice.
	lines := strings.SplitAfter(string(before), "\n")
	for i := range lines[:len(lines)-1] {
		_, err := parseSealing(strings.Join(slices.Delete(slices.Clone(lines), i, i+1), ""))
		require.Error(t, err, "without line %d", i+1)
		_, err = parseSealing(strings.Join(slices.Insert(slices.Clone(lines), i, lines[i]), ""))
		require.Error(t, err, "line %d twice", i+1)
	}
}

// Former keys are erased even if no new keys are created, as in a home that no longer
// publishes.
func TestReplacedSealingKeysAreErasedWithoutNewOnes(t *testing.T) {
	h := create(t, CreateOptions{})
	first, err := h.Sealing()
	require.NoError(t, err)
	second, err := h.RenewSealing(first.Made.Add(time.Hour), 0)
	require.NoError(t, err)
	kept, err := h.EraseSealing(first.Made.Add(SealingRetention))
	require.NoError(t, err)
	require.Len(t, kept.PrivateKeys(), 4)
	_, err = h.EraseSealing(first.Made.Add(SealingRetention + time.Hour))
	require.NoError(t, err)
	read, err := h.Sealing()
	require.NoError(t, err)
	require.Len(t, read.PrivateKeys(), 2)
	require.True(t, slices.EqualFunc(second.PublicKeys(), read.PublicKeys(), equalKeys))
}

// The file of sealing keys can be read after any number of replacements: the
// oldest keys are removed first.
func TestFormerSealingKeysAreBounded(t *testing.T) {
	h := create(t, CreateOptions{})
	s, err := h.Sealing()
	require.NoError(t, err)
	for i := range maxGenerations - 1 {
		s.former = append(s.former, formerSealing{s.Made.Add(-time.Duration(i) * time.Minute), s.Current})
	}
	b, err := s.format()
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(h.path(sealingFile), b, 0o600))
	full, err := h.Sealing()
	require.NoError(t, err)
	require.Len(t, full.PrivateKeys(), 2*maxGenerations)
	renewed, err := h.RenewSealing(s.Made.Add(time.Hour), 0)
	require.NoError(t, err)
	again, err := h.Sealing()
	require.NoError(t, err)
	require.Len(t, again.PrivateKeys(), 2*maxGenerations)
	require.Equal(t, renewed.PublicKeys(), again.PublicKeys())
	require.Equal(t, s.former[len(s.former)-2].replaced, again.former[len(again.former)-1].replaced)
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

// A home from before sealing keys existed receives them once, when they are
// needed, readable only by its owner.
func TestAnOlderHomeReceivesSealingKeys(t *testing.T) {
	h := create(t, CreateOptions{})
	require.NoError(t, os.Remove(h.path(sealingFile)))
	require.Empty(t, h.CheckFiles())
	made, err := h.Sealing()
	require.NoError(t, err)
	again, err := h.Sealing()
	require.NoError(t, err)
	require.Equal(t, made.PublicKeys(), again.PublicKeys())
	require.Empty(t, h.CheckFiles())
	require.NotContains(t, strings.Join(files(t, h.Dir), " "), "sealing.key-")
}

func testPointer(t testing.TB) pointer.Pointer {
	key, err := pointer.NewKey(nil)
	require.NoError(t, err)
	return key.Pointer()
}
