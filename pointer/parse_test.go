package pointer

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/ipfs/go-cid"
	ic "github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multibase"
	"github.com/multiformats/go-multihash"
	"github.com/stretchr/testify/require"
)

// The key of did:key's own specification (w3c-ccg.github.io/did-method-key,
// §1), in the spellings of other programs: Kubo prints the first two.
const (
	annDID = "did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK"
)

// spellings are all that people paste for one pointer.
func spellings(t testing.TB, p Pointer) map[string]string {
	c := cid.NewCidV1(cid.Libp2pKey, multihash.Multihash(p.Bytes()))
	all := map[string]string{
		"canonical":  p.String(),
		"peer ID":    multihash.Multihash(p.Bytes()).B58String(),
		"path":       "/ipns/" + p.String(),
		"path to ID": "/ipns/" + multihash.Multihash(p.Bytes()).B58String(),
		"URI":        "ipns://" + p.String(),
		"upper URI":  strings.ToUpper("ipns://" + p.String()),
		"upper case": strings.ToUpper(p.String()),
		"auto caps":  strings.ToUpper(p.String()[:1]) + p.String()[1:],
	}
	for enc, name := range multibase.EncodingToStr {
		if enc == multibase.Identity {
			continue
		}
		s, err := c.StringOfBase(enc)
		require.NoError(t, err)
		all[name] = s
	}
	if key, err := p.inlineKey(); err == nil {
		raw, err := key.Raw()
		require.NoError(t, err)
		s, err := multibase.Encode(multibase.Base58BTC, append([]byte{0xed, 0x01}, raw...))
		require.NoError(t, err)
		all["did:key"] = "did:key:" + s
	}
	return all
}

// pointersOfAllKinds: Ed25519 and secp256k1 inline, RSA by its hash.
func pointersOfAllKinds(t testing.TB) map[string]Pointer {
	rsa, _ := kubo(t, "kubo-rsa2048")
	// A secp256k1 key: the generator of the group, compressed (SEC 2, §2.4.1).
	point, err := hex.DecodeString("0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798")
	require.NoError(t, err)
	key, err := ic.UnmarshalSecp256k1PublicKey(point)
	require.NoError(t, err)
	id, err := peer.IDFromPublicKey(key)
	require.NoError(t, err)
	secp, err := FromBytes([]byte(id))
	require.NoError(t, err)
	return map[string]Pointer{"Ed25519": testKey(1).Pointer(), "RSA": rsa, "secp256k1": secp}
}

func TestEveryPastedFormParsesToOnePointer(t *testing.T) {
	for kind, p := range pointersOfAllKinds(t) {
		for name, s := range spellings(t, p) {
			for _, pasted := range []string{s, "  " + s + "\n", "\u00a0" + s + "\r\n\t"} {
				got, err := Parse(pasted)
				require.NoError(t, err, "%s, %s: %q", kind, name, pasted)
				require.Equal(t, p, got)
				require.Equal(t, p.String(), got.String())
			}
			if strings.Contains(name, "path") || strings.Contains(name, "URI") {
				got, err := Parse(s + "/")
				require.NoError(t, err, "%s, %s with a slash", kind, name)
				require.Equal(t, p, got)
			}
		}
	}
	ed := testKey(1).Pointer()
	require.Regexp(t, "^k51qzi5uqu5[0-9a-z]{51}$", ed.String())
	require.Regexp(t, "^12D3KooW", spellings(t, ed)["peer ID"])
	require.Regexp(t, "^Qm", spellings(t, pointersOfAllKinds(t)["RSA"])["peer ID"])
	require.Regexp(t, "^k2k4r8", pointersOfAllKinds(t)["RSA"].String())
}

func TestPublishedSpellingsOfOneKeyAgree(t *testing.T) {
	p, err := Parse(annDID)
	require.NoError(t, err)
	raw, err := hex.DecodeString("2e6fcce36701dc791488e0d0b1745cc1e33a4c1c9fcc41c63bd343dbbe0970e6")
	require.NoError(t, err)
	want, err := FromPublicKey(ed25519.PublicKey(raw))
	require.NoError(t, err)
	require.Equal(t, want, p)
	require.Equal(t, "0024080112202e6fcce36701dc791488e0d0b1745cc1e33a4c1c9fcc41c63bd343dbbe0970e6", hex.EncodeToString(p.Bytes()))
}

// inBase36 spells the bytes of a CID as Parse is given them.
func inBase36(t testing.TB, b []byte) string {
	s, err := multibase.Encode(multibase.Base36, b)
	require.NoError(t, err)
	return s
}

func unhex(t testing.TB, parts ...string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(strings.Join(parts, ""), " ", ""))
	require.NoError(t, err)
	return b
}

func requireRefused(t testing.TB, s, why string) {
	t.Helper()
	p, err := Parse(s)
	require.Error(t, err, "%s: %q", why, s)
	require.True(t, p.IsZero(), why)
	shown := s
	if len(shown) > maxQuoted {
		shown = shown[:maxQuoted]
	}
	require.Contains(t, err.Error(), fmt.Sprintf("%q", shown), "the input is quoted: %s", why)
	require.Less(t, len(err.Error()), 5*maxQuoted+200, "and bounded: %s", why)
	for _, r := range err.Error() {
		require.False(t, r < ' ' || r == 0x7f, "control characters are escaped: %s", why)
	}
}

func TestSpellingsCutShortAtAnyLengthAreRefused(t *testing.T) {
	for kind, p := range pointersOfAllKinds(t) {
		for name, s := range spellings(t, p) {
			for n := range len(s) {
				requireRefused(t, s[:n], kind+", "+name)
			}
		}
	}
}

func TestWhatIsNoPointerIsRefused(t *testing.T) {
	p := testKey(1).Pointer()
	text, key := p.String(), hex.EncodeToString(p.Bytes()[2:])
	content, err := cid.Decode("bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi")
	require.NoError(t, err)
	v0 := "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWKPbdG"
	v0bytes, err := multihash.FromB58String(v0)
	require.NoError(t, err)
	link := Link{Pointer: p, Nickname: "Ann"}.String()

	for why, s := range map[string]string{
		"empty":                            "",
		"white space":                      " \t\n",
		"a word":                           "alice",
		"prefix alone":                     "k",
		"path without a pointer":           "/ipns/",
		"URI without a pointer":            "ipns://",
		"did without a key":                "did:key:",
		"did without multibase":            "did:key:6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK",
		"did of another kind":              "did:web:example.org",
		"did of an X25519 key":             "did:key:z6LSbysY2xFMRpGMhb7tFTLMpeuPRaqaWM1yECx2AtzE3KCc",
		"did in another base":              "did:key:" + mustEncode(t, multibase.Base36, append([]byte{0xed, 1}, p.Bytes()[6:]...)),
		"dag-pb CIDv1":                     content.String(),
		"dag-pb CIDv1 in base36":           mustEncode(t, multibase.Base36, content.Bytes()),
		"raw CIDv1 of the key":             cid.NewCidV1(cid.Raw, multihash.Multihash(p.Bytes())).String(),
		"dag-pb CIDv1 of the key":          cid.NewCidV1(cid.DagProtobuf, multihash.Multihash(p.Bytes())).String(),
		"CIDv0 in a multibase":             mustEncode(t, multibase.Base58BTC, v0bytes),
		"CIDv0 as content":                 "/ipfs/" + v0,
		"content path":                     "/ipfs/" + text,
		"path below a pointer, bare":       text + "/blog",
		"slash behind a bare pointer":      text + "/",
		"path in a path":                   "/ipns//ipns/" + text,
		"URI in a path":                    "/ipns/ipns://" + text,
		"did in a path":                    "/ipns/" + annDID,
		"link in a path":                   "/ipns/" + link,
		"DNSLink":                          "/ipns/en.wikipedia-on-ipfs.org",
		"link":                             link,
		"link in upper case":               strings.ToUpper(link),
		"link's scheme alone":              "petname:" + text,
		"NUL behind":                       text + "\x00",
		"NUL before":                       "\x00" + text,
		"NUL inside":                       text[:20] + "\x00" + text[20:],
		"NULs":                             "\x00\x00\x00",
		"binary CID (multibase identity)":  "\x00" + string(append([]byte{1, 0x72}, p.Bytes()...)),
		"binary multihash":                 string(p.Bytes()),
		"terminal escapes":                 "\x1b[31m" + text,
		"escape in base58":                 "12D3Koo\x1b[31mW",
		"invalid UTF-8":                    "\xff\xfe",
		"line break inside":                text[:30] + "\n" + text[30:],
		"line break inside base32":         breakInside(cid.NewCidV1(cid.Libp2pKey, multihash.Multihash(p.Bytes())).String()),
		"line break inside base64":         breakInside(mustEncode(t, multibase.Base64, append([]byte{1, 0x72}, p.Bytes()...))),
		"Kelvin sign for k":                "\u212a" + text[1:],
		"full-width letters":               "\uff4b" + text[1:],
		"one letter too many":              text + "a",
		"one zero in front":                "k0" + text[1:],
		"huge":                             "k" + strings.Repeat("z", 1<<20),
		"huge base58":                      "1" + strings.Repeat("z", 1<<20),
		"huge escapes":                     strings.Repeat("\x1b", 1<<20),
		"just over the longest":            strings.Repeat("0", maxText+1),
		"multihash: code in two bytes":     inBase36(t, unhex(t, "0172", "8000 24", key)),
		"multihash: length in two bytes":   inBase36(t, unhex(t, "0172", "00 a400", key)),
		"multihash: length too small":      inBase36(t, unhex(t, "0172", "00 23", key)),
		"multihash: length too large":      inBase36(t, unhex(t, "0172", "00 25", key)),
		"multihash: sha2-256 of 31 bytes":  inBase36(t, unhex(t, "0172", "12 1f", strings.Repeat("ab", 31))),
		"multihash: sha2-256 of 33 bytes":  inBase36(t, unhex(t, "0172", "12 21", strings.Repeat("ab", 33))),
		"multihash: sha2-512":              inBase36(t, unhex(t, "0172", "13 40", strings.Repeat("ab", 64))),
		"multihash: sha1":                  inBase36(t, unhex(t, "0172", "11 14", strings.Repeat("ab", 20))),
		"multihash: blake3":                inBase36(t, unhex(t, "0172", "1e 20", strings.Repeat("ab", 32))),
		"multihash: of nothing":            inBase36(t, unhex(t, "0172", "00 00")),
		"CID: version in two bytes":        inBase36(t, unhex(t, "8100 72", "00 24", key)),
		"CID: codec in two bytes":          inBase36(t, unhex(t, "01 f200", "00 24", key)),
		"CID: version 2":                   inBase36(t, unhex(t, "02 72", "00 24", key)),
		"key: inline, 43 bytes":            inBase36(t, unhex(t, "0172", "00 2b", key, "1a05 0000000000")),
		"key: inline RSA":                  inBase36(t, unhex(t, "0172", "00 29", "0800 1225", strings.Repeat("01", 37))),
		"key: inline ECDSA":                inBase36(t, unhex(t, "0172", "00 24", "0803 1220", strings.Repeat("01", 32))),
		"key: of type 4":                   inBase36(t, unhex(t, "0172", "00 24", "0804", key[4:])),
		"key: of no type":                  inBase36(t, unhex(t, "0172", "00 22", key[4:])),
		"key: without data":                inBase36(t, unhex(t, "0172", "00 02", "0801")),
		"key: fields in the other order":   inBase36(t, unhex(t, "0172", "00 24", key[4:], "0801")),
		"key: type twice":                  inBase36(t, unhex(t, "0172", "00 26", "0801", key)),
		"key: type in two bytes":           inBase36(t, unhex(t, "0172", "00 25", "088100", key[4:])),
		"key: length in two bytes":         inBase36(t, unhex(t, "0172", "00 25", "0801 12a000", key[8:])),
		"key: unknown field":               inBase36(t, unhex(t, "0172", "00 26", key, "1800")),
		"key: 31 bytes":                    inBase36(t, unhex(t, "0172", "00 23", "0801 121f", key[8:70])),
		"key: 33 bytes":                    inBase36(t, unhex(t, "0172", "00 25", "0801 1221", key[8:], "00")),
		"key: secp256k1 off the curve":     inBase36(t, unhex(t, "0172", "00 25", "0802 1221 02", strings.Repeat("ff", 32))),
		"key: secp256k1 hybrid":            inBase36(t, unhex(t, "0172", "00 25", "0802 1221 06", "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798")),
		"key: Ed25519 not on the curve":    inBase36(t, unhex(t, "0172", "00 24", "0801 1220 02", strings.Repeat("00", 31))),
		"base64 with bits that nobody set": looseBits(t, p),
	} {
		requireRefused(t, s, why)
	}
	// A "Qm…" of content can't be told from one of an RSA key: Parse takes it,
	// and no record opens against it.
	_, err = Parse(v0)
	require.NoError(t, err)
}

func mustEncode(t testing.TB, enc multibase.Encoding, b []byte) string {
	s, err := multibase.Encode(enc, b)
	require.NoError(t, err)
	return s
}

func breakInside(s string) string { return s[:30] + "\n" + s[30:] }

// looseBits changes the last letter of a base64 text in the bits that stand
// for nothing, where there are any.
func looseBits(t testing.TB, p Pointer) string {
	want := append([]byte{0x01, 0x72}, p.Bytes()...)
	s := mustEncode(t, multibase.Base64, want)
	for _, last := range "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789" {
		changed := s[:len(s)-1] + string(last)
		if _, b, err := multibase.Decode(changed); err == nil && bytes.Equal(b, want) && changed != s {
			return changed
		}
	}
	t.Fatal("no loose bits")
	return ""
}

func FuzzParse(f *testing.F) {
	for _, p := range pointersOfAllKinds(f) {
		for _, s := range spellings(f, p) {
			f.Add(s)
		}
	}
	f.Add("k51qzi5uqu5d\x00")
	f.Add("🚀")
	f.Fuzz(func(t *testing.T, s string) {
		p, err := Parse(s)
		if err != nil {
			require.True(t, p.IsZero())
			require.Less(t, len(err.Error()), 5*maxQuoted+200)
			return
		}
		again, err := Parse(p.String())
		require.NoError(t, err)
		require.Equal(t, p, again)
		fromBytes, err := FromBytes(p.Bytes())
		require.NoError(t, err)
		require.Equal(t, p, fromBytes)
	})
}
