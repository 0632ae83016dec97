package introduce

import (
	"bytes"
	"crypto"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/pointer"
)

func encodeCanonical(t testing.TB, v any) []byte {
	t.Helper()
	mode, err := cbor.CoreDetEncOptions().EncMode()
	require.NoError(t, err)
	b, err := mode.Marshal(v)
	require.NoError(t, err)
	return b
}

func sign(t testing.TB, key *pointer.Key, message []byte) []byte {
	t.Helper()
	signature, err := key.Sign(nil, message, crypto.Hash(0))
	require.NoError(t, err)
	return signature
}

func openAs(kind Kind, b []byte, at time.Time) error {
	var err error
	switch kind {
	case KindIntroduction:
		_, err = openIntroduction(b, at)
	case KindRetraction:
		_, err = openRetraction(b)
	case KindEdges:
		_, err = openEdges(b)
	case KindQuestion:
		_, _, err = openQuestion(b)
	case KindDenial:
		_, err = openDenial(b)
	}
	return err
}

// Each of these statements is correctly signed by the key that it names, is
// canonical, and breaks one rule.
func TestSignedStatementsThatBreakARuleAreRefused(t *testing.T) {
	all := honest(t)
	made := now.UnixMilli()
	intro, edges := all[KindIntroduction], all[KindEdges]
	life := int64(MaxLife / time.Millisecond)
	p, next := bob.Pointer().Bytes(), commitment(dave).Bytes()
	hashed, err := hex.DecodeString("1220" + strings.Repeat("ab", 32))
	require.NoError(t, err)
	lowOrder := append([]byte{0x00, 0x24, 0x08, 0x01, 0x12, 0x20}, make([]byte, 32)...)
	step := func(old, next *pointer.Key) pointer.Succession {
		s, err := pointer.Succeed(old.Pointer(), next, pointer.Commitment{}, old)
		require.NoError(t, err)
		return s
	}
	chain := func(steps ...pointer.Succession) []byte {
		b, err := pointer.EncodeSuccession(steps)
		require.NoError(t, err)
		return b
	}
	unsigned := step(dave, bob)
	unsigned.NewSignature = bytes.Clone(unsigned.NewSignature)
	unsigned.NewSignature[0] ^= 1
	many := func(n int) map[string]any {
		edges := map[string]any{}
		for i := range n {
			edges[fmt.Sprint(i)] = []any{p, nil}
		}
		return edges
	}
	label := func(s string, edge ...any) fields { return edges.with(11, map[string]any{s: edge}) }
	type rule struct {
		kind Kind
		f    fields
		at   time.Time
	}
	rules := map[string]rule{
		"introduction without to":               {KindIntroduction, intro.with(3, nil), now},
		"introduction without id":               {KindIntroduction, intro.with(5, nil), now},
		"introduction without about":            {KindIntroduction, intro.with(6, nil), now},
		"introduction without end":              {KindIntroduction, intro.with(10, nil), now},
		"introduction with edges":               {KindIntroduction, intro.with(11, map[string]any{"bob": []any{p, nil}}), now},
		"introduction with a version":           {KindIntroduction, intro.with(12, 1), now},
		"introduction with a subject":           {KindIntroduction, intro.with(13, make([]byte, 32)), now},
		"introduction by a hash":                {KindIntroduction, intro.with(2, hashed), now},
		"introduction by nothing":               {KindIntroduction, intro.with(2, []byte{}), now},
		"introduction by a key of low order":    {KindIntroduction, intro.with(2, lowOrder), now},
		"introduction to a pointer cut short":   {KindIntroduction, intro.with(3, p[:len(p)-1]), now},
		"introduction about no key":             {KindIntroduction, intro.with(6, lowOrder), now},
		"next that shows the key":               {KindIntroduction, intro.with(7, p), now},
		"next cut short":                        {KindIntroduction, intro.with(7, next[:len(next)-1]), now},
		"id of 15 bytes":                        {KindIntroduction, intro.with(5, make([]byte, 15)), now},
		"id of 17 bytes":                        {KindIntroduction, intro.with(5, make([]byte, 17)), now},
		"made at no time":                       {KindIntroduction, intro.with(4, 0, 10, 1000), time.UnixMilli(1)},
		"made before all time":                  {KindIntroduction, intro.with(4, -1, 10, 1000), time.UnixMilli(1)},
		"made past the last time":               {KindIntroduction, intro.with(4, int64(1<<46+1), 10, int64(1<<46)), time.UnixMilli(1<<46 - 1000)},
		"ends before all time":                  {KindIntroduction, intro.with(10, -1), time.UnixMilli(-1000)},
		"ends past the last time":               {KindIntroduction, intro.with(4, int64(1<<46), 10, int64(1<<46+1)), time.UnixMilli(1<<46 - 1000)},
		"name of 65 bytes":                      {KindIntroduction, intro.with(8, strings.Repeat("x", 65)), now},
		"note of 513 bytes":                     {KindIntroduction, intro.with(9, strings.Repeat("x", 513)), now},
		"introduced to itself":                  {KindIntroduction, intro.with(3, p), now},
		"introduced to the introducer":          {KindIntroduction, intro.with(3, alice.Pointer().Bytes()), now},
		"good for over 366 days":                {KindIntroduction, intro.with(10, made+life+1), now},
		"made two days from now":                {KindIntroduction, intro.with(4, made+48*3600*1000, 10, made+48*3600*1000+life), now},
		"succession to another":                 {KindIntroduction, intro.with(14, chain(step(bob, dave))), now},
		"succession with a gap":                 {KindIntroduction, intro.with(14, chain(step(carol, dave), step(testKey("x"), bob))), now},
		"succession with a wrong signature":     {KindIntroduction, intro.with(14, chain(unsigned)), now},
		"succession that isn't one":             {KindIntroduction, intro.with(14, []byte{0x80}), now},
		"retraction without to":                 {KindRetraction, all[KindRetraction].with(3, nil), now},
		"retraction without id":                 {KindRetraction, all[KindRetraction].with(5, nil), now},
		"retraction of an id of 15 bytes":       {KindRetraction, all[KindRetraction].with(5, make([]byte, 15)), now},
		"retraction with a note":                {KindRetraction, all[KindRetraction].with(9, "sorry"), now},
		"retraction made at no time":            {KindRetraction, all[KindRetraction].with(4, 0), now},
		"edges without to":                      {KindEdges, edges.with(3, nil), now},
		"edges without version":                 {KindEdges, edges.with(12, nil), now},
		"edges of version 2^63":                 {KindEdges, edges.with(12, uint64(1<<63)), now},
		"65 edges":                              {KindEdges, edges.with(11, many(65)), now},
		"edges with an id":                      {KindEdges, edges.with(5, make([]byte, 16)), now},
		"label empty":                           {KindEdges, label("", p, nil), now},
		"label of 65 bytes":                     {KindEdges, label(strings.Repeat("x", 65), p, nil), now},
		"edge to no pointer":                    {KindEdges, label("bob", nil, nil), now},
		"edge to a key of low order":            {KindEdges, label("bob", lowOrder, nil), now},
		"edge that shows the next key":          {KindEdges, label("bob", p, p), now},
		"edge with an empty commitment":         {KindEdges, label("bob", p, []byte{}), now},
		"edge of three":                         {KindEdges, label("bob", p, nil, nil), now},
		"edge of one":                           {KindEdges, label("bob", p), now},
		"question without subject":              {KindQuestion, all[KindQuestion].with(13, nil), now},
		"question without to":                   {KindQuestion, all[KindQuestion].with(3, nil), now},
		"question about a retraction":           {KindQuestion, all[KindQuestion].with(13, all[KindRetraction].statement(t, alice)), now},
		"question about what another signed":    {KindQuestion, all[KindQuestion].with(13, intro.statement(t, dave)), now},
		"question about another's introduction": {KindQuestion, all[KindQuestion].with(13, intro.with(3, dave.Pointer().Bytes()).statement(t, alice)), now},
		"question with a name":                  {KindQuestion, all[KindQuestion].with(8, "Bob"), now},
		"denial without about":                  {KindDenial, all[KindDenial].with(6, nil), now},
		"denial without subject":                {KindDenial, all[KindDenial].with(13, nil), now},
		"denial of 31 bytes":                    {KindDenial, all[KindDenial].with(13, make([]byte, 31)), now},
		"denial of 33 bytes":                    {KindDenial, all[KindDenial].with(13, make([]byte, 33)), now},
		"denial to one":                         {KindDenial, all[KindDenial].with(3, p), now},
		"denial of itself":                      {KindDenial, all[KindDenial].with(6, dave.Pointer().Bytes()), now},
	}
	for kind := range all {
		for _, other := range []Kind{0, kind%5 + 1, 6, 255} {
			rules[fmt.Sprintf("kind %d as %d", kind, other)] = rule{kind, all[kind].with(1, int(other)), now}
		}
	}
	for name, r := range rules {
		err := openAs(r.kind, r.f.statement(t, signers[r.kind]), r.at)
		require.ErrorIs(t, err, ErrInvalid, name)
		require.Less(t, len(err.Error()), 600, name)
	}

	// A statement at the bounds is opened.
	for name, r := range map[string]rule{
		"name of 64 bytes":                {KindIntroduction, intro.with(8, strings.Repeat("x", 64)), now},
		"note of 512 bytes":               {KindIntroduction, intro.with(9, strings.Repeat("x", 512)), now},
		"nothing that may be missing":     {KindIntroduction, intro.with(7, nil, 8, nil, 9, nil), now},
		"good for 366 days":               {KindIntroduction, intro.with(10, made+life), now},
		"made a day from now":             {KindIntroduction, intro.with(4, made+24*3600*1000, 10, made+24*3600*1000+life), now},
		"made past all clocks, read anew": {KindIntroduction, intro.with(4, made+48*3600*1000, 10, made+48*3600*1000+life), time.Time{}},
		"made and ended at the last time": {KindIntroduction, intro.with(4, int64(1<<46), 10, int64(1<<46)), time.UnixMilli(1<<46 - 1000)},
		"succession of two":               {KindIntroduction, intro.with(14, chain(step(carol, dave), step(dave, bob))), now},
		"64 edges":                        {KindEdges, edges.with(11, many(64)), now},
		"no edges":                        {KindEdges, edges.with(11, nil), now},
		"edges of version 2^63-1":         {KindEdges, edges.with(12, uint64(1<<63-1)), now},
		"label of 64 bytes":               {KindEdges, label(strings.Repeat("x", 64), p, nil), now},
		"question with a note":            {KindQuestion, all[KindQuestion].with(9, "is it you?"), now},
	} {
		require.NoError(t, openAs(r.kind, r.f.statement(t, signers[r.kind]), r.at), name)
	}
}

// The bound of a statement's length is separate: no field of these statements
// is too long.
func TestStatementsAreRefusedFromOneByteOverTheLimit(t *testing.T) {
	padded := func(padding int) []byte {
		edges := map[string]any{}
		for i := range maxEdges {
			label := fmt.Sprintf("%02d", i) + strings.Repeat("x", min(62, padding))
			padding -= len(label) - 2
			edges[label] = []any{bob.Pointer().Bytes(), commitment(dave).Bytes()}
		}
		require.Zero(t, padding)
		return honest(t)[KindEdges].with(11, edges).statement(t, alice)
	}
	padding := 2000
	for len(padded(padding)) < maxStatement {
		padding += max(1, (maxStatement-len(padded(padding)))/2) // the head of a longer label may be longer
	}
	require.Len(t, padded(padding), maxStatement)
	require.NoError(t, openAs(KindEdges, padded(padding), now))
	require.ErrorIs(t, openAs(KindEdges, padded(padding+1), now), ErrInvalid)
	_, err := kindOf(padded(padding))
	require.NoError(t, err)
	_, err = kindOf(padded(padding + 1))
	require.ErrorIs(t, err, ErrInvalid)
}

// Each of these statements is correct except for its signature.
func TestStatementsWithAnotherSignatureAreRefused(t *testing.T) {
	for kind, f := range honest(t) {
		unsigned := encodeCanonical(t, f)
		domain := []byte("petnames/statement/v1\x00")
		key := signers[kind]
		other := testKey("other")
		for name, signature := range map[string][]byte{
			"of another key":           sign(t, other, append(bytes.Clone(domain), unsigned...)),
			"without the domain":       sign(t, key, unsigned),
			"under another domain":     sign(t, key, append([]byte("petnames/statement/v2\x00"), unsigned...)),
			"over another statement":   sign(t, key, append(bytes.Clone(domain), encodeCanonical(t, f.with(4, now.UnixMilli()+1))...)),
			"over the signed one":      sign(t, key, append(bytes.Clone(domain), f.statement(t, key)...)),
			"over the hash":            sign(t, key, func() []byte { sum := Hash(append(bytes.Clone(domain), unsigned...)); return sum[:] }()),
			"cut by a byte":            sign(t, key, append(bytes.Clone(domain), unsigned...))[:63],
			"with a byte more":         append(sign(t, key, append(bytes.Clone(domain), unsigned...)), 0),
			"of zeroes":                make([]byte, 64),
			"absent":                   nil,
			"right, and so it is fine": sign(t, key, append(bytes.Clone(domain), unsigned...)),
		} {
			with := maps.Clone(f)
			if signature != nil {
				with[15] = signature
			}
			err := openAs(kind, encodeCanonical(t, with), now)
			if name == "right, and so it is fine" {
				require.NoError(t, err, kind)
				continue
			}
			require.ErrorIs(t, err, ErrInvalid, "kind %d: %s", kind, name)
		}
	}
}

// Each of these statements is correct and correctly signed, but in a
// non-canonical encoding. The signature covers the canonical form, which a lax
// CBOR decoder would reconstruct.
func TestStatementsHaveOneEncoding(t *testing.T) {
	for kind, f := range honest(t) {
		b := f.statement(t, signers[kind])
		require.NoError(t, openAs(kind, b, now))
		require.Equal(t, []byte{0xa0 | byte(len(f)+1), 1, byte(kind), 2, 0x58, 38}, b[:6])
		count := b[0]
		by, rest := b[3:3+3+38], b[3+3+38:] // key 2 with its value, and the rest
		splice := func(parts ...[]byte) []byte { return slices.Concat(parts...) }
		for name, spelling := range map[string][]byte{
			"a length in two bytes":    splice([]byte{0xb8, count & 31}, b[1:]),
			"a key in two bytes":       splice([]byte{count, 0x18, 1}, b[2:]),
			"a number in two bytes":    splice([]byte{count, 1, 0x18, byte(kind)}, b[3:]),
			"a string's length in 3":   splice(b[:3], []byte{2, 0x59, 0, 38}, by[3:], rest),
			"an indefinite map":        splice([]byte{0xbf}, b[1:], []byte{0xff}),
			"an indefinite string":     splice(b[:3], []byte{2, 0x5f}, by[1:], []byte{0xff}, rest),
			"keys out of order":        splice([]byte{count}, by, b[1:3], rest),
			"a key twice":              splice([]byte{count + 1}, b[1:3], b[1:3], by, rest),
			"a key of a later version": splice([]byte{count + 1}, b[1:], []byte{16, 0}),
			"a negative key":           splice([]byte{count + 1}, b[1:], []byte{0x20, 0}),
			"a text key":               splice([]byte{count + 1}, b[1:], []byte{0x61, 'x', 0}),
			"a tag around it":          splice([]byte{0xd9, 0xd9, 0xf7}, b),
			"a tag inside":             splice(b[:2], []byte{0xc1}, b[2:]),
			"the kind as a float":      splice(b[:2], []byte{0xf9, 0x3c, 0}, b[3:]),
			"by as text":               splice(b[:3], []byte{2, 0x78, 38}, by[3:], rest),
			"a byte behind it":         splice(b, []byte{0}),
			"itself behind it":         splice(b, b),
			"cut by a byte":            b[:len(b)-1],
			"an array":                 splice([]byte{0x80 | count&31}, b[1:]),
		} {
			require.ErrorIs(t, openAs(kind, spelling, now), ErrInvalid, "kind %d: %s", kind, name)
		}
		// An empty value is absent: a field with an empty value is another
		// encoding.
		for key, empty := range map[int]any{3: []byte{}, 5: []byte{}, 6: []byte{}, 7: []byte{}, 8: "", 9: "", 10: 0, 11: map[string]any{}, 12: 0, 13: []byte{}, 14: []byte{}} {
			if _, present := f[key]; present {
				continue
			}
			signature := f.with(15, sign(t, signers[kind], append([]byte("petnames/statement/v1\x00"), encodeCanonical(t, f)...)))
			for _, value := range []any{empty, nil} {
				signature[key] = value
				require.ErrorIs(t, openAs(kind, encodeCanonical(t, signature), now), ErrInvalid, "kind %d: %d is %v", kind, key, value)
			}
		}
	}
}

// A contradiction concerns one key of one introduction. A denial that names the
// introduction by its hash, but another key, is no contradiction.
func TestDenialOfAnotherKeyIsNoContradiction(t *testing.T) {
	lie := signed(t, introduction())
	hash := Hash(lie)
	f := honest(t)[KindDenial].with(13, hash[:])
	_, err := OpenContradiction(lie, f.statement(t, dave))
	require.NoError(t, err)
	_, err = OpenContradiction(lie, f.with(6, carol.Pointer().Bytes()).statement(t, dave))
	require.ErrorIs(t, err, ErrInvalid)
}

// wrongSigner has the public key of one key and signs with a function.
type wrongSigner struct {
	*pointer.Key
	signature []byte
}

func (s wrongSigner) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return s.signature, nil
}

// If a foreign signer (an agent, hardware) returns a wrong signature or none,
// Sign returns no statement.
func TestSignatureOfAForeignSignerIsVerified(t *testing.T) {
	for name, signature := range map[string][]byte{"nothing": nil, "zeroes": make([]byte, 64)} {
		lying := wrongSigner{alice, signature}
		_, err := introduction().Sign(lying, nil, now)
		require.ErrorIs(t, err, ErrInvalid, name)
		_, err = Retraction{To: carol.Pointer(), ID: ID{1}}.Sign(lying, now)
		require.ErrorIs(t, err, ErrInvalid, name)
		_, err = Edges{To: carol.Pointer(), Version: 1}.Sign(lying, now)
		require.ErrorIs(t, err, ErrInvalid, name)
		_, err = Deny(subjectOf(t, signed(t, introduction())), wrongSigner{dave, signature}, now)
		require.ErrorIs(t, err, ErrInvalid, name)
	}
}

// Open returns ErrInvalid for an unknown kind.
func TestUnknownKindsHaveNoOpener(t *testing.T) {
	f := honest(t)[KindRetraction]
	for _, kind := range []int{0, 6, 255} {
		_, err := kindOf(f.with(1, kind).statement(t, alice))
		require.ErrorIs(t, err, ErrInvalid, kind)
	}
	for _, b := range [][]byte{nil, {0xa0}, []byte("garbage"), {0xf6}} {
		_, err := kindOf(b)
		require.ErrorIs(t, err, ErrInvalid)
	}
}

func TestAllKindsOpenAsSigned(t *testing.T) {
	all := honest(t)
	intro := all[KindIntroduction].statement(t, alice)
	id := ID(bytes.Repeat([]byte{7}, 16))
	wantIntro := introduction()
	wantIntro.ID, wantIntro.By, wantIntro.Made = id, alice.Pointer(), now

	gotIntro, err := openIntroduction(intro, now)
	require.NoError(t, err)
	require.Equal(t, wantIntro, gotIntro)
	r, err := openRetraction(all[KindRetraction].statement(t, alice))
	require.NoError(t, err)
	require.Equal(t, Retraction{By: alice.Pointer(), To: carol.Pointer(), ID: id, Made: now}, r)
	q, about, err := openQuestion(all[KindQuestion].statement(t, carol))
	require.NoError(t, err)
	require.Equal(t, Question{By: carol.Pointer(), To: bob.Pointer(), Subject: subjectOf(t, intro), Made: now}, q)
	require.Equal(t, wantIntro, about)
	d, err := openDenial(all[KindDenial].statement(t, dave))
	require.NoError(t, err)
	require.Equal(t, Denial{By: dave.Pointer(), About: bob.Pointer(), Subject: Hash(intro), Made: now}, d)
}

// Dearmor reads a text within bounds, and skips blocks of other types.
func TestArmorIsReadWithinItsBounds(t *testing.T) {
	b := signed(t, introduction())
	block := string(Armor(b))
	fill := func(n int) []byte { return []byte(block + strings.Repeat("x", n-len(block))) }
	got, err := Dearmor(fill(maxArmored))
	require.NoError(t, err)
	require.Equal(t, [][]byte{b}, got)
	_, err = Dearmor(fill(maxArmored + 1))
	require.ErrorIs(t, err, ErrInvalid)
	eight := slices.Repeat([][]byte{{1}}, maxArmoredBlocks)
	got, err = Dearmor(Armor(eight...))
	require.NoError(t, err)
	require.Equal(t, eight, got)

	other := strings.ReplaceAll(block, "PETNAMES STATEMENT", "CERTIFICATE")
	got, err = Dearmor([]byte(other + block + other))
	require.NoError(t, err)
	require.Equal(t, [][]byte{b}, got, "blocks of another type are passed over")
	_, err = Dearmor([]byte(other))
	require.ErrorIs(t, err, ErrInvalid)
	headed := strings.Replace(block, "-----\n", "-----\nFrom: mallory\n\n", 1)
	_, err = Dearmor([]byte(headed))
	require.ErrorIs(t, err, ErrInvalid, "a block with an unsigned header is refused")
}
