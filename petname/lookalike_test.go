package petname

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
)

// A name that only looks like another contact's is refused, and accepted if the
// owner confirms it; the ledger records the confirmation.
func TestALookalikeIsReportedAndCanBeConfirmed(t *testing.T) {
	for _, pair := range [][2]string{
		{"sybil", "syb1l"},   // alike in upper case alone
		{"paypal", "paypaI"}, // as typed alone
		{"Il", "lI"},
		{"paypal", "pаypal"}, // Cyrillic а
		{"Morgan", "rnorgan"},
		{"alice", "alіce"},  // Cyrillic і
		{"bob", "b\u03bfb"}, // Greek ο
		{"O'Neil", "0'Neil"},
		{"alice", "alice\u201a"}, // what is hardly seen at the end, by other signs
		{"alice", "alice\u2010"},
		{"alice", "\u2022alice"},
		{"alice", "alice\u22c5"},
		{"alice", "alice\u02cd"},
		{"Sam", "$am"}, {"adam", "@dam"}, {"euro", "€uro"}, {"bill", "b!ll"}, {"alice", "a!ice"}, {"bill", "@b!ll"}, // signs for letters
		{"adam", "@dam!"}, {"b!ll", "bill"}, {"Bob", "🅱ob"}, {"sam", "\uff04am"},
		{"alice", "alice'"}, {"alice'", "alice!"}, {"alice", "@alice"}, {"alice", "alice!\""}, {"alice", "alice \u2026"}, // and at the ends
		{"לוי", "לו'"}, // an apostrophe is a yod at times
		{"kate", "ĸate"}, {"weiß", "weiB"},
		{"Bob ❤", "Bob ♥"}, {"Bob ❤", "Bob 💙"}, {"Bob 👍", "Bob 👍🏽"}, {"Bob ☎", "Bob 📞"},
		{"日新", "曰新"}, {"于洋", "千洋"}, {"末吉", "未吉"}, {"武士", "武土"}, {"知己", "知已"}, {"巳", "已"}, {"入江", "人江"}, {"戊", "戌"}, {"戍", "戌"}, {"高橋", "髙橋"},
		{"bob", "ʙᴏʙ"}, {"Bob", "ßob"}, {"Robert", "Roßert"}, {"peter", "peteɾ"}, {"mom", "nnom"}, {"Mom", "nnom"}, {"Anna", "Ama"}, {"Dana", "Daria"}, {"straße", "strasse"}, {"strasse", "straße"}, {"Weiss", "weiB"}, {"李明", "李朋"}, {"Bob 🇩🇪", "Bob DE"},
	} {
		b := newTestBook(t)
		must(b.Add(mustName(pair[0]), pointer.Link{Pointer: pointerOf("honest")}, Source{}))
		alike := mustName(pair[1])
		for refused, err := range map[string]error{
			"add":    second(b.Add(alike, pointer.Link{Pointer: pointerOf("sly")}, Source{})),
			"addall": addAll(b, []Naming{{Name: alike, Link: pointer.Link{Pointer: pointerOf("sly")}}}),
		} {
			var like *LookalikeError
			require.True(t, errors.As(err, &like), "%s of %q beside %q: %v", refused, pair[1], pair[0], err)
			require.NotEmpty(t, like.Like)
			require.Equal(t, pointerOf("honest"), like.Like[0].Contact.ID)
			require.Equal(t, likeName, like.Like[0].Kind)
			_, err = b.byName(alike)
			require.ErrorIs(t, err, ErrNotFound)
		}
		// The same contact may have the name: it cannot be mistaken for
		// another.
		must(b.Rename(pointerOf("honest"), alike, Source{Lookalike: name.MixedScripts(alike.String()) != nil}))
		must(b.Rename(pointerOf("honest"), mustName(pair[0]), Source{}))

		must(b.Add(mustName("somebody"), pointer.Link{Pointer: pointerOf("sly")}, Source{}))
		_, err := b.Rename(pointerOf("sly"), alike, Source{})
		var like *LookalikeError
		require.True(t, errors.As(err, &like), "rename to %q beside %q: %v", pair[1], pair[0], err)
		must(b.Rename(pointerOf("sly"), alike, Source{Lookalike: true}))
		require.Equal(t, alike, must(b.byName(alike)).Name)
		var last Event
		for ev, err := range b.Log() {
			require.NoError(t, err)
			last = ev
		}
		require.True(t, last.Lookalike)

		// A name that is gone looks like nothing any more.
		must(b.Remove(pointerOf("honest")))
		must(b.Remove(pointerOf("sly")))
		must(b.Add(mustName(pair[0]), pointer.Link{Pointer: pointerOf("third")}, Source{}))
	}
}

// Names that people really have side by side are not taken for each other.
func TestHonestNamesAreAccepted(t *testing.T) {
	b := newTestBook(t)
	for i, name := range []string{"name2", "name3", "name5", "name6", "name8", "name9", "Bob 6", "Bob 8", "B6", "B8", "B9", "r2d2", "r2d3", "Ann", "Anna", "Anne", "Jan", "Jon", "John", "Joan", "Maria", "Mario", "Иван", "Иванна", "李明", "محمد", "احمد", "Δήμος", "สมชาย", "राम", "רם",
		"Groß", "Grob", "Strauß", "Straub", "Bob ❤", "Bob ☀", "C", "C++", "Ann+Tom", "大", "太", "王", "玉", "冯伟", "马伟", "3 (a)", "3 (b)", "Lan", "Ian", "Arne", "Wanda"} {
		_, err := b.Add(mustName(name), pointer.Link{Pointer: pointerOf(string(rune('a' + i)))}, Source{})
		require.NoError(t, err, name)
	}
}

// Many nicknames that look like a petname do not hide it: each of them is
// reported as similar to that petname, and so is a similar name.
func TestManyLookalikesHideNoName(t *testing.T) {
	b := newTestBook(t)
	must(b.Add(mustName("alice"), pointer.Link{Pointer: pointerOf("honest")}, Source{}))
	const crowd = 2*maxLooks + 1
	var namings []Naming
	for i := range crowd {
		seed := fmt.Sprint("crowd ", i)
		namings = append(namings, Naming{mustName(seed), pointer.Link{Pointer: pointerOf(seed), Nickname: "a1ice"}, Source{Lookalike: true}})
	}
	require.NoError(t, addAll(b, namings))
	for i := range crowd {
		like := must(lookalikes(b, "a1ice", pointerOf(fmt.Sprint("crowd ", i))))
		require.Equal(t, likeName, like[0].Kind)
		require.Equal(t, "alice", like[0].Text)
		require.LessOrEqual(t, len(like), maxLike)
		require.Equal(t, []string{"alice"}, must(b.NamesLike("a1ice", pointerOf(fmt.Sprint("crowd ", i)))))
	}
	_, err := b.Add(mustName("aIice"), pointer.Link{Pointer: pointerOf("sly")}, Source{})
	var like *LookalikeError
	require.ErrorAs(t, err, &like)
	require.Equal(t, pointerOf("honest"), like.Like[0].Contact.ID)
}

func second[T any](_ T, err error) error { return err }

// looksTable counts the rows of the table of looks.
func looksTable(t *testing.T, b *Book) (n int) {
	require.NoError(t, b.ledger.Read(func(v *ledger.View) (err error) {
		n, err = v.Count(tableLooks)
		return err
	}))
	return n
}

// The nicknames of a removed contact are no reasons, are not read for a new
// name, and count again when the contact is named again.
func TestRemovedContactsAreNotCompared(t *testing.T) {
	b := newTestBook(t)
	const crowd = 300
	before := looksTable(t, b)
	var namings []Naming
	for i := range crowd {
		seed := fmt.Sprint("crowd ", i)
		namings = append(namings, Naming{mustName(seed), pointer.Link{Pointer: pointerOf(seed), Nickname: "a1ice"}, Source{Lookalike: true}})
	}
	require.NoError(t, addAll(b, namings))
	require.Greater(t, looksTable(t, b), before+crowd)
	for i := range crowd {
		must(b.Remove(pointerOf(fmt.Sprint("crowd ", i))))
	}
	require.Equal(t, before, looksTable(t, b), "no rows are left of them")
	require.Empty(t, must(lookalikes(b, "alice", pointerOf("x"))))

	must(b.Undo()) // of the last removal
	like := must(lookalikes(b, "alice", pointerOf("x")))
	require.Len(t, like, 1)
	require.Equal(t, likeNickname, like[0].Kind)
	must(b.Remove(pointerOf(fmt.Sprint("crowd ", crowd-1))))
	require.Equal(t, before, looksTable(t, b))
	must(b.Add(mustName("somebody"), pointer.Link{Pointer: pointerOf("crowd 0")}, Source{})) // a bare pointer, and it says nothing new
	require.Len(t, must(lookalikes(b, "alice", pointerOf("x"))), 1)
	must(b.Undo())
	require.Equal(t, before, looksTable(t, b))
	view := dump(t, b)
	require.NoError(t, b.Ledger().Rebuild())
	require.Equal(t, view, dump(t, b))
}

// A contact with thousands of similar nicknames costs a new name no more than a
// few reads, hides no other contact, and is reported once.
func TestOneContactWithManyNicknamesCostsLittle(t *testing.T) {
	b := newTestBook(t)
	must(b.Add(mustName("x1"), pointer.Link{Pointer: pointerOf("sly"), Nickname: "alice"}, Source{}))
	must(b.Add(mustName("x2"), pointer.Link{Pointer: pointerOf("honest"), Nickname: "alice"}, Source{}))
	const many = 800
	require.NoError(t, b.update(func(tx *ledger.Tx) error {
		for i := range many {
			nickname := []rune("àlice")
			for bit := range nickname {
				if i>>bit&1 == 1 {
					nickname[bit] -= 'a' - 'A'
				}
			}
			fact := wireFact{Kind: factCard, By: "me", Channel: "record", Nickname: string(nickname) + strings.Repeat(".", i/32)}
			if err := appendAct(tx, act{Op: opLearn, Contact: pointerOf("sly").Bytes(), Fact: &fact}); err != nil {
				return err
			}
		}
		return nil
	}))
	require.Greater(t, looksTable(t, b), many)
	for _, who := range []struct {
		own   string
		found int
	}{{"somebody", 2}, {"sly", 1}, {"honest", 1}} {
		require.NoError(t, b.ledger.Read(func(v *ledger.View) error {
			search := likeSearch{v: v, looks: name.LooksOfNew(mustName("alice")), own: pointerOf(who.own)}
			found, err := search.rows(rowNickname, likeNickname)
			require.NoError(t, err)
			require.Len(t, found, who.found, who.own)
			require.LessOrEqual(t, search.read, 16, who.own)

			// Not alike by their marks, and compared up to a bound.
			search = likeSearch{v: v, looks: name.LooksOfNew(mustName("álice")), own: pointerOf("somebody")}
			require.False(t, name.Alike(search.looks, name.LooksOf("àlice")))
			found, err = search.rows(rowNickname, likeNickname)
			require.Len(t, found, 2)
			require.Greater(t, search.read, maxLooksOfOne)
			require.LessOrEqual(t, search.read, len(search.looks)*(maxLooksOfOne+3))
			return err
		}))
	}
}

// The owner is asked about a name that differs from another by spaces or a check mark alone, and
// about one that reads as a path.
func TestNamesThatDifferInLittleAreAsked(t *testing.T) {
	b := newTestBook(t)
	for i, text := range []string{"李明", "山田 太郎", "mary ann", "ana"} {
		must(b.Add(mustName(text), link(fmt.Sprint("known ", i)), Source{}))
	}
	for text, kind := range map[string]string{
		"李 明": likeName, "山田太郎": likeName, "maryann": likeName, "ana✓": likeName, "ana ☑": likeName, "✅ ana": likeName, "ana ☑\ufe0f": likeName,
		"ana » bob": likePath, "ana > bob": likePath, "ana ≫ bob": likePath, "ana ⟩ bob": likePath, "eve>bob": likePath,
	} {
		_, err := b.Add(mustName(text), link("new"), Source{})
		var like *LookalikeError
		require.ErrorAs(t, err, &like, text)
		require.Equal(t, kind, like.Like[0].Kind, text)
	}
	_, err := b.Add(mustName("ana > bob"), link("new"), Source{})
	require.EqualError(t, err, `the name "ana > bob" could mislead you: it could be read as a path, because of ">" between words`)
	c, err := b.Add(mustName("ana > bob"), link("new"), Source{Lookalike: true})
	require.NoError(t, err, "the owner confirmed it")
	require.Equal(t, "ana > bob", c.Name.String())
	for i, text := range []string{"ana 2", "ana2", "Ann «Mary» Lee"} {
		must(b.Add(mustName(text), link(fmt.Sprint("more ", i)), Source{}))
	}
}
