package petname

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
)

// Contacts are sorted as in an address book, and not by code points: marks and
// case count after letters, numbers by value, scripts one after the other.
func TestContactsAreSortedAsPeopleLookThemUp(t *testing.T) {
	want := []string{"_x", "❤ Bob", "🐙", "2 Ann", "10 Ann", "Apfel", "Äpfel", "Bob", "bob 2", "Bob 10", "bob2", "bob10", "Emil", "Émile", "emma", "Lukas", "Łukasz", "Luz", "Oz", "Özil", "Straße", "Strasser", "Zoe", "Елена", "Ёлка", "Яна", "אבא", "あき", "李明"}
	b := newTestBook(t)
	for _, text := range want {
		must(b.Add(mustName(text), pointer.Link{Pointer: pointerOf(text)}, Source{Lookalike: true}))
	}
	listed := contacts(t, b)
	r := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		r.Shuffle(len(listed), func(i, j int) { listed[i], listed[j] = listed[j], listed[i] })
		SortByName(listed)
		var got []string
		for _, c := range listed {
			got = append(got, c.Name.String())
		}
		require.Equal(t, want, got)
	}
}

// A contact in conflict is listed where the first of its names is; the order of
// contacts with one name is that of their ids.
func TestContactsInConflictAreSorted(t *testing.T) {
	a, b := twoDevices(t)
	must(a.Rename(pointerOf("a"), mustName("bea"), Source{}))
	must(b.Rename(pointerOf("a"), mustName("zoe"), Source{}))
	must(a.Add(mustName("Ánn"), pointer.Link{Pointer: pointerOf("x")}, Source{}))
	must(a.Add(mustName("carl"), pointer.Link{Pointer: pointerOf("y")}, Source{}))
	syncBooks(t, a, b)
	for _, book := range []*Book{a, b} {
		all := contacts(t, book)
		slices.Reverse(all)
		SortByName(all)
		require.Len(t, all, 3)
		require.Equal(t, pointerOf("x"), all[0].ID)
		require.NotNil(t, all[1].Conflict)
		require.Equal(t, pointerOf("y"), all[2].ID)
	}
}

// A name is found without its marks, and a name without marks is found with them;
// nicknames too.
func TestSearchIgnoresMarks(t *testing.T) {
	b := newTestBook(t)
	must(b.Add(mustName("José"), link("a"), Source{}))
	must(b.Add(mustName("Zoe"), pointer.Link{Pointer: pointerOf("b"), Nickname: "Žofie ❤\ufe0f"}, Source{}))
	for text, want := range map[string]string{"jose": "José", "JOSÉ": "José", "ｊｏｓ": "José", "zoë": "Zoe", "zofie": "Zoe", "ŽOF": "Zoe", "❤": "Zoe", "❤\ufe0f": "Zoe", "osx": "", "\u0301": ""} {
		var found []string
		for c, err := range b.Search(text) {
			require.NoError(t, err)
			found = append(found, c.Name.String())
		}
		require.Equal(t, want, strings.Join(found, ","), text)
	}
}

// Listing and finding among 100,000 contacts, half of them with marks, against
// the same without an order and by the comparison keys.
//
//	go test -run - -bench ListAndFind -benchtime 1x ./petname
func BenchmarkListAndFind(b *testing.B) {
	n := benchSetting(b, "PETNAME_BENCH_NAMES", 100_000)
	book, err := Create(b.TempDir()+"/ledger.db", testKey("me"), testKey("one"), Options{})
	require.NoError(b, err)
	defer book.Close()
	for i := 0; i < n; {
		var batch []Naming
		for end := min(n, i+benchBatch); i < end; i++ {
			text, nickname := fmt.Sprintf("Friend %07d", i), fmt.Sprint("nick ", i)
			if i%2 == 1 {
				text, nickname = fmt.Sprintf("Frédéric %07d", i), fmt.Sprint("Ünal ", i)
			}
			batch = append(batch, Naming{mustName(text), pointer.Link{Pointer: benchPointer(i), Nickname: nickname}, Source{Lookalike: true}})
		}
		require.NoError(b, addAll(book, batch))
	}
	collect := func(keep func(c Contact) bool) (all []Contact) {
		for c, err := range book.Contacts() {
			if err != nil {
				b.Fatal(err)
			}
			if keep(c) {
				all = append(all, c)
			}
		}
		return all
	}
	byKey := func(text string) string {
		key, err := name.Key(text)
		return cmp.Or(key, fmt.Sprint(err))
	}
	for what, sides := range map[string][2]func() []Contact{
		"list": {
			func() []Contact {
				all := collect(func(Contact) bool { return true })
				SortByName(all)
				return all
			},
			func() []Contact { return collect(func(Contact) bool { return true }) },
		},
		"find": {
			func() (all []Contact) {
				for c, err := range book.Search("unal 99") {
					if err != nil {
						b.Fatal(err)
					}
					all = append(all, c)
				}
				SortByName(all)
				return all
			},
			func() []Contact {
				return collect(func(c Contact) bool {
					return strings.Contains(c.Name.Key(), "ünal 99") || strings.Contains(byKey(c.Nickname), "ünal 99")
				})
			},
		},
	} {
		b.Run(what, func(b *testing.B) {
			for range b.N {
				report(b, "new", "by-key", 5, n, func() time.Duration { return timed(func() { sides[0]() }) }, func() time.Duration { return timed(func() { sides[1]() }) })
			}
		})
	}
}
