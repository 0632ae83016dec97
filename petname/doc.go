// Package petname is one person's book of names: who is called what by me, how
// I came to know, and where a path of names leads.
//
// A [Book] has a [name.Name] for each [Contact] and a contact for each name, and
// keeps every change in a signed ledger. Only the user's own act binds a name:
// [Book.Add], [Book.Rename]. [Book.Resolve] walks a path such as "alice/bob"
// over records that verify:
//
//	book, err := petname.Create("ledger.db", identity, device, petname.Options{})
//	…
//	alice, err := name.Parse("alice")
//	link, err := pointer.ParseLink("petname:k51…?c=…&s=…")
//	contact, err := book.Add(alice, link, petname.Source{})
//	resolution, err := book.Resolve(ctx, &dht.Resolver{Stores: stores}, "alice/bob", dht.LevelAny)
//
// Package [name] has the rules for names and for the display of foreign text.
// [Render] and [Unrender] put petnames in the place of pointers in a chat, and
// back.
//
// A name that could be taken for another one, for what somebody else calls
// itself, or for a word such as "me", and one that mixes scripts, is refused
// with a [*LookalikeError] until the user has been told ([Source]). Names look
// alike by UTS #39's skeletons, and by what it is silent on: digits beside
// letters, vv and w, cl and d, marks that one of the two has and the other not.
//
// Sources: Stiegler, "An Introduction to Petname Systems" (2005); Ferdous,
// Jøsang, Singh, Borgaonkar, "Security Usability of Petname Systems" (2009);
// Ellison et al., RFC 2693 (SPKI/SDSI), for local names and paths of them;
// RFC 8266 for comparing names.
package petname
