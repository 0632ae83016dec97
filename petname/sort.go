package petname

import (
	"bytes"
	"cmp"
	"slices"

	"golang.org/x/text/collate"
	"golang.org/x/text/language"

	"github.com/petnames-go/petnames/petname/name"
)

// SortByName sorts contacts as people look them up: by letters first, then by
// marks, then by case, and numbers by their value. The order is the root collation
// of CLDR, which is the same for all languages. Contacts in conflict over their
// names are sorted by the first of them.
func SortByName(contacts []Contact) {
	type entry struct {
		collation, key []byte
		contact        Contact
	}
	order := collate.New(language.Und, collate.Numeric)
	var buf collate.Buffer
	all := make([]entry, len(contacts))
	for i, c := range contacts {
		names := []name.Name{c.Name}
		if c.Name.IsZero() && c.Conflict != nil && len(c.Conflict.Names) > 0 {
			names = c.Conflict.Names
		}
		for j, n := range names {
			collation := order.KeyFromString(&buf, n.String())
			if j == 0 || bytes.Compare(collation, all[i].collation) < 0 {
				all[i] = entry{bytes.Clone(collation), []byte(n.Key()), c}
			}
			buf.Reset()
		}
	}
	slices.SortFunc(all, func(a, b entry) int {
		return cmp.Or(bytes.Compare(a.collation, b.collation), bytes.Compare(a.key, b.key), bytes.Compare(a.contact.ID.Bytes(), b.contact.ID.Bytes()))
	})
	for i := range all {
		contacts[i] = all[i].contact
	}
}
