// Package petname is a book of petnames: the names that its owner chose for the
// pointers of contacts, where each name came from, and the resolution of paths
// of names. Start with [Create] or [Open]; [Book.Add] and [Book.Rename] name a
// contact, and [Book.Resolve] resolves a path such as "alice/bob" over verified
// records:
//
//	// identity and device are crypto.Signers, as pointer.NewKey returns them;
//	// package home stores both.
//	book, err := petname.Create("ledger.db", identity, device, petname.Options{})
//	…
//	alice, err := name.Parse("alice")
//	link, err := pointer.ParseLink("petname:k51…?c=…&s=…")
//	contact, err := book.Add(alice, link, petname.Source{})
//	resolution, err := book.Resolve(ctx, &dht.Resolver{Stores: stores}, "alice/bob", dht.LevelAny)
//
// A [Book] has a [name.Name] for each [Contact] and a contact for each name,
// and stores every change in a signed ledger. Only an act of the owner binds a
// name.
//
// Package [name] has the rules for names and for the display of foreign text.
// [Render] and [Unrender] convert between pointers on the wire and petnames on
// the screen of a chat.
//
// A name that could be mistaken for another name, for a contact's nickname or
// for a word such as "me", and a name that mixes scripts, is refused with a
// [*LookalikeError] until the owner confirms it ([Source]). Names are compared
// by the skeletons of UTS #39 and by rules for what it does not cover: digits
// beside letters, vv and w, cl and d, marks that only one of the two names has.
//
// Sources: Stiegler, "An Introduction to Petname Systems" (2005); Ferdous,
// Jøsang, Singh, Borgaonkar, "Security Usability of Petname Systems" (2009);
// Ellison et al., RFC 2693 (SPKI/SDSI), for local names and paths of them; RFC
// 8266 for comparing names.
package petname
