package name

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Names that differ by spaces alone look alike, and so do those that differ by what looks alike
// besides. The space beside a number is seen; a number that is read as a word stands for one.
func TestNamesThatDifferBySpacesLookAlike(t *testing.T) {
	for _, c := range []struct {
		known, typed string
		alike        bool
	}{
		{"李明", "李 明", true}, {"山田 太郎", "山田太郎", true}, {"mary ann", "maryann", true}, {"Mary Ann Lee", "Maryann Lee", true}, {"maryann", "m a r y a n n", true},
		{"ana ❤", "ana❤", true}, {"דנה כהן", "דנהכהן", true}, {"Lev Vera", "Levvera", true}, {"bob smith", "808 smith", true}, {"bob smith", "b0bsmith", true},
		{"Anna Maria", "АnnaMaria", true}, {"José Luis", "Joseluis", true}, {"no name", "noname", true},
		{"bob 2", "bob2", false}, {"bob2", "bob 2", false}, {"ana0", "ana 0", false}, {"ana 0", "ana0", false}, {"ana8", "ana 8", false}, {"ana 12", "ana 1 2", false},
		{"mary ann", "mary ane", false}, {"Hà Vi", "HạVi", false}, {"bob 2", "Bob 2.", true}, {"12 דנה", "דנה 12", true},
	} {
		require.Equal(t, c.alike, Alike(LooksOfNew(mustName(c.typed)), Looks(mustName(c.known))), "%q %q", c.known, c.typed)
	}
	require.Equal(t, "me", ReservedFor(LooksOfNew(mustName("m e"))))
}
