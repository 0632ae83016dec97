package ledger

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// statementForgeries apply to admissions and removals.
var statementForgeries = []struct {
	name  string
	forge func(l *Ledger, s *statement)
}{
	{"for another book", func(_ *Ledger, s *statement) { s.book[0] ^= 1 }},
	{"for 15 bytes of a book", func(_ *Ledger, s *statement) { s.book = s.book[:15] }},
	{"by another identity", func(_ *Ledger, s *statement) {
		s.key, s.identity = testKey("mallory"), pointerBytes("mallory")
	}},
	{"in another identity's name", func(_ *Ledger, s *statement) { s.identity = pointerBytes("mallory") }},
	{"signed by another identity", func(_ *Ledger, s *statement) { s.key = testKey("mallory") }},
	{"signed by a device", func(_ *Ledger, s *statement) { s.key = testKey("one") }},
	{"a bit of the signature changed", func(_ *Ledger, s *statement) { s.sign = flipBit }},
	{"no signature", func(_ *Ledger, s *statement) { s.sign = func([]byte) []byte { return nil } }},
	{"signed without the domain", func(_ *Ledger, s *statement) { s.domain = "" }},
	{"signed for the other domain", func(_ *Ledger, s *statement) {
		s.domain = map[bool]string{false: "petnames/ledger/remove/v1\x00", true: "petnames/ledger/admit/v1\x00"}[s.removal]
	}},
	{"31 bytes of a device", func(_ *Ledger, s *statement) { s.device = s.device[:31] }},
	{"33 bytes of a device", func(_ *Ledger, s *statement) { s.device = append(bytes.Clone(s.device), 0) }},
	{"a sixth element", func(_ *Ledger, s *statement) { s.more = true }},
}

func pointerBytes(name string) []byte {
	// The identity multihash of the libp2p encoding of an Ed25519 key.
	return append([]byte{0x00, 36, 0x08, 0x01, 0x12, 32}, publicKey(name)...)
}

func TestAStatementThatIsWrongInOneThingIsRefused(t *testing.T) {
	a := scene(t)
	entry := func(kind uint64, body []byte) []byte {
		d := drafted(t, a, "two", body)
		d.kind = kind
		return d.wire()
	}
	for name, s := range map[string]func() statement{
		"admission": func() statement { return admits(t, a, "five") },
		"removal":   func() statement { return removes(t, a, "four", 1) },
	} {
		kind := map[string]uint64{"admission": 2, "removal": 3}[name]
		for _, f := range statementForgeries {
			s := s()
			f.forge(a, &s)
			t.Run(name+": "+f.name, func(t *testing.T) { keeps(t, a, ErrRefused, entry(kind, s.body())) })
		}
		t.Run(name+": heads that are not minimal", func(t *testing.T) {
			s := s()
			for i := range s.encode(nil, -1).heads {
				s.wide = i
				require.True(t, s.encode(nil, i).widened)
				keeps(t, a, ErrRefused, entry(kind, s.body()))
			}
		})
		t.Run(name+": a byte behind it", func(t *testing.T) {
			s := s()
			keeps(t, a, ErrRefused, entry(kind, append(s.body(), 0)))
		})
		t.Run(name+": not there", func(t *testing.T) {
			s := s()
			d := drafted(t, a, "two", s.body())
			d.kind, d.noBody = kind, true
			keeps(t, a, ErrRefused, d.wire())
		})
		t.Run(name+": in an entry of the other kind", func(t *testing.T) {
			s := s()
			keeps(t, a, ErrRefused, entry(5-kind, s.body()))
		})
		t.Run(name+": in a genesis", func(t *testing.T) {
			s := s()
			keeps(t, a, ErrRefused, entry(1, s.body()))
		})
	}
	admission := func(change func(s *statement)) []byte {
		s := admits(t, a, "five")
		change(&s)
		return entry(2, s.body())
	}
	removal := func(change func(s *statement)) []byte {
		s := removes(t, a, "four", 1)
		change(&s)
		return entry(3, s.body())
	}
	keeps(t, a, ErrRefused, admission(func(s *statement) { s.name = strings.Repeat("n", 65) }))
	keeps(t, a, ErrRefused, admission(func(s *statement) { s.name = "\xff" }))
	keeps(t, a, ErrRefused, removal(func(s *statement) { s.last = 1<<62 + 1 }))
	keeps(t, a, ErrRefused, removal(func(s *statement) { s.device = publicKey("five") }))

	// A refused batch leaves nothing of a device that the batch admitted.
	good := admission(func(*statement) {})
	keeps(t, a, ErrRefused, good, []byte{0})
	_, _, err := a.Entry(ID{deviceID("five"), 1})
	require.Error(t, err)
	require.NotEmpty(t, missing(t, a, []Head{{Device: deviceID("five"), Number: 1}}))

	n, err := a.Merge(seq(admission(func(s *statement) { s.name = strings.Repeat("n", 64) })))
	require.NoError(t, err)
	require.Equal(t, 1, n)
	n, err = a.Merge(seq(removal(func(s *statement) { s.last = 1 << 62 })))
	require.NoError(t, err)
	require.Equal(t, 1, n)
	verified(t, a)
}

func TestAGenesisThatIsWrongInOneThingCreatesNoBook(t *testing.T) {
	a, _ := newBook(t)
	genesis := func(change func(d *draft), say func(s *statement)) []byte {
		s := admits(t, a, "one")
		if say != nil {
			say(&s)
		}
		d := drafted(t, a, "one", s.body())
		d.kind, d.number, d.prev, d.seen = 1, 1, nil, nil
		if change != nil {
			change(d)
		}
		return d.wire()
	}
	try := func(w []byte, device string) error {
		l, err := Join(filepath.Join(t.TempDir(), "j.db"), identityPointer(t), testKey(device), seq(w), multi{}, testOptions())
		if err == nil {
			require.Equal(t, a.Book(), l.Book())
			require.NoError(t, l.Close())
		}
		return err
	}
	require.NoError(t, try(genesis(nil, nil), "one"))
	other := genesis(func(d *draft) { d.device, d.key = publicKey("two"), testKey("two") }, nil)
	require.ErrorIs(t, try(other, "two"), ErrRefused, "by another device than it admits")
	for name, w := range map[string][]byte{
		"signed by another device": genesis(func(d *draft) { d.key = testKey("two") }, nil),
		"an application's entry":   genesis(func(d *draft) { d.kind = 4 }, nil),
		"an admission":             genesis(func(d *draft) { d.kind = 2 }, nil),
		"number 2":                 genesis(func(d *draft) { d.number, d.prev = 2, make([]byte, 32) }, nil),
		"with an entry before it":  genesis(func(d *draft) { d.prev = make([]byte, 32) }, nil),
		"that saw something":       genesis(func(d *draft) { d.seen = []draftHead{{publicKey("two"), 1, make([]byte, 32), false}} }, nil),
		"hashed for another book":  genesis(func(d *draft) { d.book[0] ^= 1 }, nil),
		"with another body's hash": genesis(func(d *draft) { d.bodyHash[0] ^= 1 }, nil),
		"without its body":         genesis(func(d *draft) { d.noBody = true }, nil),
		"of another identity": genesis(nil, func(s *statement) {
			s.key, s.identity = testKey("mallory"), pointerBytes("mallory")
		}),
		"signed by another identity": genesis(nil, func(s *statement) { s.key = testKey("mallory") }),
		"for a removal's domain":     genesis(nil, func(s *statement) { s.domain = "petnames/ledger/remove/v1\x00" }),
		"of 15 bytes of a book":      genesis(nil, func(s *statement) { s.book = s.book[:15] }),
		"with a name too long":       genesis(nil, func(s *statement) { s.name = strings.Repeat("n", 65) }),
	} {
		require.ErrorIs(t, try(w, "one"), ErrRefused, name)
	}
}
