package pointer

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestSecretRoundTrips(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "seed")
		key, err := NewKey(bytes.NewReader(seed))
		require.NoError(t, err)
		for _, s := range []string{key.Secret(), " " + key.Secret() + "\r\n"} {
			again, err := ParseKey(s)
			require.NoError(t, err)
			require.Equal(t, key.Secret(), again.Secret())
			require.Equal(t, key.Pointer(), again.Pointer())
			require.Equal(t, ed25519.NewKeyFromSeed(seed).Public(), again.Public())
		}
	})
}

func TestSecretKeepsItsFormat(t *testing.T) {
	require.Equal(t, "PETNAME-SECRET-KEY-1AEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEASEQVP3A", testKey(1).Secret())
}

func TestEveryOneCharacterChangeOfASecretIsRefused(t *testing.T) {
	s := secretKey(t).Secret()
	tried := 0
	refuse := func(changed string, at int) {
		if strings.TrimSpace(changed) == s {
			return
		}
		tried++
		if _, err := ParseKey(changed); err == nil {
			t.Fatalf("a change at %d is accepted", at)
		}
	}
	for at := range len(s) + 1 {
		for c := range 128 {
			refuse(s[:at]+string(rune(c))+s[at:], at)
			if at < len(s) {
				refuse(s[:at]+string(rune(c))+s[at+1:], at)
			}
		}
		refuse(s[:at], at)
		if at < len(s) {
			refuse(s[:at]+s[at+1:], at)
		}
		if at+1 < len(s) {
			refuse(s[:at]+s[at+1:at+2]+s[at:at+1]+s[at+2:], at)
		}
	}
	require.Greater(t, tried, 15_000)
	for _, c := range []string{"", secretPrefix, strings.ToLower(s), s + s, "PETNAME-SECRET-KEY-2" + s[len(secretPrefix):], strings.Repeat("A", 1<<20), secretPrefix + strings.Repeat("A", 1<<20)} {
		_, err := ParseKey(c)
		require.Error(t, err)
	}
}

// secretKey has a seed that stands in nothing else by chance.
func secretKey(t testing.TB) *Key {
	seed := sha256.Sum256([]byte("a secret of the tests"))
	key, err := NewKey(bytes.NewReader(seed[:]))
	require.NoError(t, err)
	return key
}

// requireNoSecret fails when s shows eight bytes of the secret in a row, in
// any of the ways that fmt and the encoders write bytes.
func requireNoSecret(t testing.TB, key *Key, s, how string) {
	t.Helper()
	seed := key.private.key.Seed()
	low := strings.ToLower(s)
	for at := 0; at+8 <= len(seed); at++ {
		part := seed[at : at+8]
		require.NotContains(t, s, string(part), how)
		require.NotContains(t, low, hex.EncodeToString(part), how)
		require.NotContains(t, low, fmt.Sprintf("% x", part), how)
		require.NotContains(t, low, strings.Trim(fmt.Sprintf("%#v", part), "[]byte{}"), how)
		require.NotContains(t, s, strings.Trim(fmt.Sprint(part), "[]"), how)
		require.NotContains(t, s, strings.Trim(fmt.Sprintf("%q", part), `"`), how)
		require.NotContains(t, low, strings.Trim(fmt.Sprintf("%b", part), "[]"), how)
		require.NotContains(t, low, strings.Trim(fmt.Sprintf("%o", part), "[]"), how)
	}
	require.NotContains(t, s, base64.StdEncoding.EncodeToString(seed)[:20], how)
	require.NotContains(t, s, key.Secret()[len(secretPrefix):][:12], how)
	require.NotContains(t, s, secretPrefix, how)
}

type holder struct {
	Key *Key
	key *Key
}

type valueHolder struct {
	Key Key
	key Key
}

func TestNoVerbOfFmtPrintsASecret(t *testing.T) {
	key := secretKey(t)
	for _, shape := range []any{
		key, *key, &key, holder{key, key}, &holder{key, key}, valueHolder{*key, *key}, &valueHolder{*key, *key},
		[]*Key{key}, []Key{*key}, [1]Key{*key}, map[string]*Key{"k": key}, map[string]Key{"k": *key}, map[*Key]int{key: 1},
		[]any{key, *key, holder{key, key}, valueHolder{*key, *key}}, struct{ any }{*key}, struct{ S crypto.Signer }{key},
		map[string]any{"k": []valueHolder{{*key, *key}}}, signerKey{Signer: key}, fmt.Errorf("with %v", key), errors.Join(fmt.Errorf("%+v", *key)),
	} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%X", "% x", "%q", "%d", "%b", "%o", "%t", "%c", "%U", "%e", "%p", "%T", "%w", "%10.3v", "%-20s"} {
			requireNoSecret(t, key, fmt.Sprintf(verb, shape), fmt.Sprintf("%s of %T", verb, shape))
		}
		requireNoSecret(t, key, fmt.Sprintln(shape), "Sprintln")
	}
	require.Equal(t, "key of "+key.Pointer().String(), fmt.Sprint(key))
	require.Equal(t, "key of "+key.Pointer().String(), fmt.Sprintf("%#x", *key))
	require.NotPanics(t, func() { _ = fmt.Sprintf("%v %x %s", (*Key)(nil), Key{}, new(Key)) })
}

// The check above can fail: the secret itself, in each of these ways, does.
func TestRequireNoSecretSeesSecrets(t *testing.T) {
	key := secretKey(t)
	for _, verb := range []string{"%v", "%#v", "%s", "%x", "%X", "% x", "%q", "%d", "%b", "%o"} {
		require.True(t, fails(func(f testing.TB) { requireNoSecret(f, key, fmt.Sprintf(verb, *key.private.key), "") }), verb)
	}
	require.True(t, fails(func(f testing.TB) { requireNoSecret(f, key, key.Secret(), "") }))
	require.True(t, fails(func(f testing.TB) {
		b, err := json.Marshal(*key.private.key)
		require.NoError(t, err)
		requireNoSecret(f, key, string(b), "")
	}))
}

// failing is a testing.TB that remembers that it failed.
type failing struct {
	testing.TB
	failed bool
}

func (f *failing) Helper()               {}
func (f *failing) Name() string          { return "" }
func (f *failing) Errorf(string, ...any) { f.failed = true }
func (f *failing) FailNow()              { f.failed = true }

func fails(check func(testing.TB)) bool {
	var f failing
	check(&f)
	return f.failed
}

func TestSecretsAreNotMarshalled(t *testing.T) {
	key := secretKey(t)
	for _, shape := range []any{key, *key, holder{Key: key}, valueHolder{Key: *key}, map[string]any{"k": *key}, map[Key]int{*key: 1}} {
		b, err := json.Marshal(shape)
		require.Error(t, err)
		requireNoSecret(t, key, string(b)+err.Error(), fmt.Sprintf("JSON of %T", shape))
	}
	b, err := xml.Marshal(valueHolder{Key: *key})
	require.Error(t, err)
	requireNoSecret(t, key, string(b)+err.Error(), "XML")
}

func TestErrorsOfParseKeyRepeatNothing(t *testing.T) {
	key := secretKey(t)
	s := key.Secret()
	for _, changed := range []string{s[:len(s)-1], s[1:], s + "A", strings.ToLower(s), s[:40] + s[41:42] + s[40:41] + s[42:], s[len(secretPrefix):], s[:30] + "!" + s[31:]} {
		_, err := ParseKey(changed)
		require.Error(t, err)
		for at := 0; at+6 <= len(s)-len(secretPrefix); at++ {
			require.NotContains(t, strings.ToUpper(err.Error()), s[len(secretPrefix):][at:at+6])
		}
	}
}

func TestKeySignsAsCryptoSignerSays(t *testing.T) {
	key := secretKey(t)
	public := key.Public().(ed25519.PublicKey)
	message := []byte("message")
	sig, err := key.Sign(nil, message, crypto.Hash(0))
	require.NoError(t, err)
	require.True(t, ed25519.Verify(public, message, sig))
	_, err = key.Sign(nil, message, crypto.SHA256)
	require.Error(t, err, "Ed25519 signs messages, not digests")
	digest := sha512of(message)
	sig, err = key.Sign(nil, digest, &ed25519.Options{Hash: crypto.SHA512})
	require.NoError(t, err)
	require.NoError(t, ed25519.VerifyWithOptions(public, digest, sig, &ed25519.Options{Hash: crypto.SHA512}))

	clear(public)
	require.NotEqual(t, public, key.Public(), "Public gives a copy")
	again, err := ParseKey(key.Secret())
	require.NoError(t, err)
	require.Equal(t, key.Public(), again.Public())
}

func sha512of(b []byte) []byte {
	h := crypto.SHA512.New()
	h.Write(b)
	return h.Sum(nil)
}

func TestZeroKeySignsNothing(t *testing.T) {
	for _, key := range []*Key{nil, new(Key)} {
		_, err := key.Sign(nil, []byte("m"), crypto.Hash(0))
		require.Error(t, err)
		require.Empty(t, key.Secret())
		_, err = Commit(key.Public())
		require.Error(t, err)
		_, err = FromPublicKey(key.Public())
		require.Error(t, err)
		require.True(t, key.Pointer().IsZero())
		_, err = Succeed(testKey(1).Pointer(), key, Commitment{}, nil)
		require.Error(t, err)
	}
}

func TestNewKeyNeedsItsWholeSeed(t *testing.T) {
	_, err := NewKey(bytes.NewReader(make([]byte, 31)))
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	a, err := NewKey(nil)
	require.NoError(t, err)
	b, err := NewKey(nil)
	require.NoError(t, err)
	require.NotEqual(t, a.Pointer(), b.Pointer())
}

func FuzzParseKey(f *testing.F) {
	f.Add(testKey(1).Secret())
	f.Add(secretPrefix)
	f.Fuzz(func(t *testing.T, s string) {
		key, err := ParseKey(s)
		if err != nil {
			require.Nil(t, key)
			return
		}
		require.Equal(t, strings.TrimSpace(s), key.Secret(), "a secret has one spelling")
	})
}
