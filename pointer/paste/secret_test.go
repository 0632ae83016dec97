package paste

import (
	"html"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A private key is found at any place of a text, after other programs changed the text.
func TestPrivateKeysAreFoundAnywhere(t *testing.T) {
	body := strings.Repeat("11qYAYKxCrfVS7", 8)
	for _, secret := range []string{
		"-----BEGIN PRIVATE KEY-----\n" + body, "-----BEGIN OPENSSH PRIVATE KEY-----\n" + body, "-----BEGIN RSA PRIVATE KEY-----\n" + body,
		"-----BEGIN PGP PRIVATE KEY BLOCK-----\n" + body, "---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----\n" + body, body + "\n-----END PRIVATE KEY-----",
		"AGE-SECRET-KEY-1" + body, "age-secret-key-pq-1" + body, "PETNAME-SECRET-KEY-1" + body, "PETNAME-SEALING-KEY-1 0020 " + body, "PuTTY-User-Key-File-3: ssh-ed25519",
		`{"kty":"OKP","d":"` + body + `"}`, `"crv": "Ed25519", "d" : "` + body, `{"p":"` + body + `"`, `{'k': '` + body + `'}`,
		"b3BlbnNzaC1rZXktdjEAAAAA" + body, "MC4CAQAwBQYDK2VwBCIEI" + body, `"PrivKey": "CAESQ` + body,
	} {
		for _, text := range []string{
			secret, "my key: " + secret, "k51\n\n" + secret + "\nthanks", strings.ReplaceAll(secret, "\n", " "), strings.ReplaceAll(secret, " ", "\n> "),
			strings.ReplaceAll(secret, "-----", "\u2014\u2013"), strings.ReplaceAll(secret, `"`, `\"`), html.EscapeString(secret), strings.Join(strings.Split(secret, ""), "\u200b"), strings.Join(strings.Split(secret, ""), "\x00"),
		} {
			require.True(t, HasSecret(text), "%q", text)
		}
	}
	for _, text := range []string{
		"", "a private key", "alice", "-----BEGIN PUBLIC KEY-----\n" + body + "\n-----END PUBLIC KEY-----", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI" + body,
		`{"kty":"OKP","crv":"Ed25519","x":"` + body + `"}`, "age1" + body, "CAESI" + body, `the pair "d": "north"`,
	} {
		require.False(t, HasSecret(text), "%q", text)
	}
}
