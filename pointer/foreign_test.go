package pointer

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	ic "github.com/libp2p/go-libp2p/core/crypto"
	"github.com/stretchr/testify/require"
)

// rfc8032 is the public key of the first test of RFC 8032 §7.1.
const rfc8032 = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"

func pointerOfHex(t testing.TB, key string) Pointer {
	b, err := hex.DecodeString(key)
	require.NoError(t, err)
	p, err := FromPublicKey(ed25519.PublicKey(b))
	require.NoError(t, err)
	return p
}

// The keys of the specifications are read in the forms of the specifications.
func TestKeysOfOtherSystems(t *testing.T) {
	for text, key := range map[string]string{
		// RFC 8037, appendix A.2: the key of RFC 8032.
		`{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`: rfc8032,
		// RFC 8410 §10.1.
		"-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n": "19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1",
		// did:dht, test vector 1: the identifier and the key in its document.
		"did:dht:cyuoqaf7itop8ohww4yn5ojg13qaq83r9zihgqntc5i9zwrfdfoo":                    "60270760bdac60d3c394a6802dc126965d871f24fdebc3385166ebfbd0851961",
		`{"kty":"OKP","crv":"Ed25519","x":"YCcHYL2sYNPDlKaALcEmll2HHyT968M4UWbr-9CFGWE"}`: "60270760bdac60d3c394a6802dc126965d871f24fdebc3385166ebfbd0851961",
	} {
		p, err := Parse(text)
		require.NoError(t, err, text)
		require.Equal(t, pointerOfHex(t, key), p, text)
	}
	// did:key §A.2, a key of secp256k1.
	p, err := Parse("did:key:zQ3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBme")
	require.NoError(t, err)
	did, err := p.As(FormDIDKey)
	require.NoError(t, err)
	require.Equal(t, "did:key:zQ3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBme", did)
	for _, f := range []Form{FormSSH, FormPkarr} {
		_, err := p.As(f)
		require.ErrorContains(t, err, string(f))
	}
	_, err = p.As("pgp")
	require.ErrorContains(t, err, `"pgp"`)
	_, err = Pointer{}.As(FormPeer)
	require.Error(t, err)
}

// Every form that is printed is read back, with what people have around it.
func TestFormsAreReadBack(t *testing.T) {
	p := pointerOfHex(t, rfc8032)
	for _, f := range Forms() {
		text, err := p.As(f)
		require.NoError(t, err)
		for _, s := range []string{text, " " + text + "\n", "<" + text + ">", text + ".", "\ufeff" + text} {
			if f == FormSSH && s[0] == '<' {
				continue // the brackets of a line of a file are part of its fields
			}
			got, err := Parse(s)
			require.NoError(t, err, "%s: %q", f, s)
			require.Equal(t, p, got, "%s: %q", f, s)
		}
	}
	peer, _ := p.As(FormPeer)
	did, _ := p.As(FormDIDKey)
	ssh, _ := p.As(FormSSH)
	pkarr, _ := p.As(FormPkarr)
	k51 := p.String()
	for _, s := range []string{
		ssh + " alice@example", did + "#" + strings.TrimPrefix(did, "did:key:"), "did:dht:" + pkarr, "did:dht:" + pkarr + "#0", "pk:" + pkarr, "pk://" + pkarr + "/x",
		"/p2p/" + peer, "/ip4/192.0.2.1/tcp/4001/p2p/" + peer, "/ip4/192.0.2.1/tcp/4001/p2p/" + k51, "/dns4/a.example/udp/4001/quic-v1/p2p/12D3KooWB9j2rJm8bBm1fvQVBhV1eYLXgEZ7hWTnTbbiqGVeEYsF/p2p-circuit/p2p/" + peer,
		"/ip4/192.0.2.1/tcp/4001/ipfs/" + peer,
		"/ipns/" + k51, "/ipns/" + k51 + "/", "/ipns/" + k51 + "//", "/ipns/" + peer + "/a/b.txt", "ipns://" + k51, "IPNS://" + k51 + "/a?b#c", "dnslink=/ipns/" + k51, "dnslink=/ipns/" + k51 + "/a",
		"https://ipfs.example/ipns/" + k51, "http://127.0.0.1:8080/ipns/" + k51 + "/a?x=1#y", "https://" + k51 + ".ipns.dweb.example/", "https://" + k51 + ".ipns.localhost:8080/a/b",
		strings.ToUpper(k51),
	} {
		got, err := Parse(s)
		require.NoError(t, err, s)
		require.Equal(t, p, got, s)
	}
}

// RSA and ECDSA keys have the pointer that libp2p computes for them.
func TestKeysWithoutInlineForm(t *testing.T) {
	random := rand.NewChaCha8([32]byte{3})
	seeded := &rsa.PublicKey{N: new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 2048), big.NewInt(1)), E: 65537} // no prime is looked for
	der, err := x509.MarshalPKIXPublicKey(seeded)
	require.NoError(t, err)
	rsaPublic, err := ic.UnmarshalRsaPublicKey(der)
	require.NoError(t, err)
	want, err := fromPublicKey(rsaPublic)
	require.NoError(t, err)
	text := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	got, err := Parse(text)
	require.NoError(t, err)
	require.Equal(t, want, got)
	jwk, err := json.Marshal(map[string]string{"kty": "RSA", "n": base64.RawURLEncoding.EncodeToString(seeded.N.Bytes()), "e": "AQAB"})
	require.NoError(t, err)
	got, err = Parse(string(jwk))
	require.NoError(t, err)
	require.Equal(t, want, got)
	_, err = want.As(FormSSH)
	require.ErrorContains(t, err, "only the hash")
	peer, err := want.As(FormPeer)
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(peer, "Qm"))

	key, err := ecdsa.GenerateKey(elliptic.P256(), random)
	require.NoError(t, err)
	der, err = x509.MarshalPKIXPublicKey(&key.PublicKey)
	require.NoError(t, err)
	pub, err := ic.UnmarshalECDSAPublicKey(der)
	require.NoError(t, err)
	want, err = fromPublicKey(pub)
	require.NoError(t, err)
	got, err = Parse(string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})))
	require.NoError(t, err)
	require.Equal(t, want, got)
	point, err := key.PublicKey.Bytes()
	require.NoError(t, err)
	coordinate := func(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
	jwk, err = json.Marshal(map[string]string{"kty": "EC", "crv": "P-256", "x": coordinate(point[1:33]), "y": coordinate(point[33:])})
	require.NoError(t, err)
	got, err = Parse(string(jwk))
	require.NoError(t, err)
	require.Equal(t, want, got)
}

// What is refused is described as what it looks like; a private key is never quoted.
func TestWhatIsNoPointerIsDescribed(t *testing.T) {
	p := pointerOfHex(t, rfc8032)
	k51 := p.String()
	for text, want := range map[string]string{
		"ssh-rsa AAAAB3NzaC1yc2E= x":               "SSH key of type",
		"ssh-ed25519":                              "without its key",
		"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGm9": "cut short",
		"alice@example.org":                        "e-mail address",
		"https://example.org/alice":                "web address",
		"https://bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy.ipfs.dweb.link/ipns/k51qzi5uqu5dj14f9vvbpgm71vgojks1ptxr1ucs1z2ojs8omwb4s0wbkjpnnr": "the address of content",
		"/ipns/example.org":   "domain name",
		"example.org":         "domain name",
		"/ipfs/bafkqaaa":      "address of content",
		"bafkqaaa":            "address of content",
		"did:web:example.org": "did:key and did:dht do",
		"did:key:z6LSeu9HkTHSfLLeUs2nnzUSNedgDUevfNQgQjQC23ZCit6F":        "encryption",
		"npub1sg6plzptd64u62a878hep2kev88swjh3tw00gjsfl8f237lmu63q0uf63m": "Nostr",
		"age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p":  "age key",
		"0xde0b295669a9fd93d5f28d9ec85e40f4cb697bae":                      "hexadecimal",
		"petname-invite:abc":           "petname pair",
		"/ip4/192.0.2.1/tcp/4001":      "path",
		"/p2p/" + k51 + "/p2p-circuit": "does not end with a peer ID",
		`{"kty":"oct"}`:                "JSON Web Key of a type",
		"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmQ\n-----END PGP PUBLIC KEY BLOCK-----\n": "PEM block of type",
	} {
		_, err := Parse(text)
		require.ErrorContains(t, err, want, text)
	}
	secret := "11qYAYKxCrfVS7TyWQHOg7hcvPapiMlrwIaaPcHURo"
	for _, text := range []string{
		"-----BEGIN PRIVATE KEY-----\n" + secret + "\n-----END PRIVATE KEY-----\n",
		"-----BEGIN OPENSSH PRIVATE KEY-----\n" + secret,
		`{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","d":"` + secret + `"}`,
		`{"kty":"OKP", "d" : "` + secret,
		"AGE-SECRET-KEY-1" + secret, secretPrefix + secret,
		"private: AGE-SECRET-KEY-1" + secret, "see\n-----BEGIN EC PRIVATE KEY-----\n" + secret, "petname:AGE-SECRET-KEY-1" + secret,
		"b3BlbnNzaC1rZXktdjE" + secret, `the key: {"kty":"RSA","p":"` + secret + `"}`,
	} {
		for _, read := range []func(string) error{
			func(s string) error { _, err := Parse(s); return err },
			func(s string) error { _, err := ParseLink(s); return err },
			func(s string) error { _, err := ParseWords(s); return err },
		} {
			err := read(text)
			require.ErrorContains(t, err, "private key", text)
			require.NotContains(t, err.Error(), secret[:12])
		}
	}
	require.Len(t, slices.Compact(slices.Sorted(slices.Values(Forms()))), 4)
}

// A text with a second key is refused, in whatever form and behind whatever mark it
// comes: the first key is not silently the one that is meant.
func TestTextWithASecondKeyIsRefused(t *testing.T) {
	p, other := pointerOfHex(t, rfc8032), pointerOfHex(t, "19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1")
	as := func(p Pointer, f Form) string {
		text, err := p.As(f)
		require.NoError(t, err)
		return text
	}
	forms := func(p Pointer) []string {
		raw, err := p.inlineKey()
		require.NoError(t, err)
		key, err := raw.Raw()
		require.NoError(t, err)
		der, err := x509.MarshalPKIXPublicKey(ed25519.PublicKey(key))
		require.NoError(t, err)
		block := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
		jwk := `{"kty":"OKP","crv":"Ed25519","x":"` + base64.RawURLEncoding.EncodeToString(key) + `"}`
		return []string{
			block, jwk, as(p, FormSSH), as(p, FormSSH) + " a@b", p.String(), as(p, FormPeer), as(p, FormDIDKey) + "#a", "did:dht:" + as(p, FormPkarr) + "#0",
			"pk:" + as(p, FormPkarr) + "/x", "https://gateway.example/ipns/" + p.String() + "/a", "https://gateway.example/ipns/" + p.String() + "?a",
			"/ipns/" + p.String() + "/a", "ipns://" + p.String() + "/a", "/ip4/192.0.2.1/tcp/4001/p2p/" + as(p, FormPeer), Link{Pointer: p}.String(),
		}
	}
	for _, first := range forms(p) {
		link, err := ParseLink(first)
		require.NoError(t, err, first)
		require.Equal(t, p, link.Pointer, first)
		for _, second := range append(forms(other), "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQ") {
			for _, text := range []string{first + "\n" + second, first + "\r\n\r\n" + second + "\n", first + " " + second, "\ufeff" + first + "\n> " + second} {
				_, err := ParseLink(text)
				require.Error(t, err, "%q", text)
				_, err = Parse(text)
				require.Error(t, err, "%q", text)
			}
		}
	}
	for _, text := range []string{
		as(p, FormSSH) + "\n" + as(other, FormSSH),
		as(p, FormSSH) + " a\n" + as(other, FormSSH) + " b\n",
		forms(p)[0] + forms(other)[0], forms(p)[0] + forms(p)[0],
		Link{Pointer: p}.String() + "\n" + Link{Pointer: other}.String(),
		`{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","\u0078":"YCcHYL2sYNPDlKaALcEmll2HHyT968M4UWbr-9CFGWE"}`,
	} {
		_, err := ParseLink(text)
		require.ErrorContains(t, err, "more than one key", "%q", text)
	}
	// A name of a member in capitals is another member.
	got, err := Parse(`{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","X":"YCcHYL2sYNPDlKaALcEmll2HHyT968M4UWbr-9CFGWE"}`)
	require.NoError(t, err)
	require.Equal(t, p, got)
	// Addresses of one peer, and the same key twice, are one key.
	peer := as(p, FormPeer)
	for _, text := range []string{"/ip4/192.0.2.1/tcp/1/p2p/" + peer + "\n/ip4/192.0.2.2/tcp/1/p2p/" + peer, as(p, FormSSH) + "\n" + as(p, FormSSH), as(p, FormSSH) + " AAAA " + peer} {
		got, err := Parse(text)
		require.NoError(t, err, "%q", text)
		require.Equal(t, p, got)
	}
}

// The one padding character of an Ed25519 key in PEM is not taken for a soft line break.
func TestAPEMKeyIsReadInAMail(t *testing.T) {
	const block = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----"
	want, err := Parse(block)
	require.NoError(t, err)
	for _, text := range []string{
		"> " + strings.ReplaceAll(block, "\n", "\n> "), "  " + strings.ReplaceAll(block, "\n", "\n  ") + "\n", strings.ReplaceAll(block, "\n", "\r\n> "), strings.ReplaceAll(block, "=", "=3D"),
		">> " + strings.ReplaceAll(strings.ReplaceAll(block, "=", "=3D"), "\n", "\n>> "), strings.ReplaceAll(block, "=", "&#61;"), "\ufeff" + strings.ReplaceAll(block, "E=\n", "E\u200b=\n"),
	} {
		got, err := Parse(text)
		require.NoError(t, err, "%q", text)
		require.Equal(t, want, got)
	}
	for _, text := range []string{strings.Replace(block, "ZuE=", "Zu=", 1), strings.Replace(block, "MCow", "MC=ow", 1), strings.Replace(block, "MCow", "MCo*w", 1)} {
		for _, text := range []string{text, "> " + strings.ReplaceAll(text, "\n", "\n> ")} {
			_, err := Parse(text)
			require.Error(t, err, "%q", text)
		}
	}
}
