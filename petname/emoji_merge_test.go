package petname

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/pointer"
)

// An older device wrote the parts of an emoji, because it knew no joiners, and a
// newer one the whole: that is one name, which both devices resolve. For two
// contacts it is a conflict.
func TestEmojiOfOlderDevicesMerge(t *testing.T) {
	a, b := twoDevices(t)
	must(a.Rename(pointerOf("a"), mustName("👩💻 ❤"), Source{}))
	must(b.Rename(pointerOf("a"), mustName("👩\u200d💻 ❤\ufe0f"), Source{}))
	syncBooks(t, a, b)
	for _, book := range []*Book{a, b} {
		for _, text := range []string{"👩💻 ❤", "👩\u200d💻 ❤", "👩\u200d💻 ❤\ufe0f"} {
			require.Equal(t, pointerOf("a"), must(book.Find(text)).ID, "%+q", text)
		}
	}
	require.Equal(t, dump(t, a), dump(t, b))

	must(a.Add(mustName("1⃣"), pointer.Link{Pointer: pointerOf("x")}, Source{}))
	must(b.Add(mustName("1\ufe0f⃣"), pointer.Link{Pointer: pointerOf("y")}, Source{}))
	syncBooks(t, a, b)
	_, err := a.Find("1⃣")
	require.ErrorAs(t, err, new(*ConflictError))
	require.Equal(t, dump(t, a), dump(t, b))
}

// A name with an emoji that only later data knows is listed, found by the text
// that was typed, and can be renamed; and so can a name with an arrow, which older
// versions accepted.
func TestNamesOfOtherVersionsStayUsable(t *testing.T) {
	for text, shown := range map[string]string{"Bob 🐙\u200d🔥": "Bob 🐙\\u{200D}🔥", "alice → bob": "alice → bob"} {
		b := newTestBook(t)
		p := pointerOf("other")
		require.NoError(t, b.update(func(tx *ledger.Tx) error {
			return appendAct(tx, act{Op: opName, Contact: p.Bytes(), Name: text, Fact: &wireFact{Kind: "typed", By: byOwner, Channel: "api"}})
		}))
		require.Equal(t, shown, contacts(t, b)[0].Name.String())
		require.Equal(t, p, must(b.Find(text)).ID)
		_, err := b.Find("Bob 🐙🔥")
		require.ErrorIs(t, err, ErrNotFound)
		must(b.Rename(p, mustName("Bob"), Source{}))
		require.Equal(t, p, must(b.Find("bob")).ID)
	}
}
