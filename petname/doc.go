// Package petname is one person's book of names: who is called what by me, how
// I came to know, and where a path of names leads.
//
// A [Book] has a [Name] for each [Contact] and a contact for each name, and
// keeps every change in a signed ledger. Only the user's own act binds a name:
// [Book.Add], [Book.Rename]. [Book.Resolve] walks a path such as "alice/bob"
// over records that verify:
//
//	book, err := petname.Create("ledger.db", identity, device, petname.Options{})
//	…
//	name, err := petname.ParseName("alice")
//	link, err := pointer.ParseLink("petname:k51…?c=…&s=…")
//	contact, err := book.Add(name, link, petname.Source{})
//	resolution, err := book.Resolve(ctx, &dht.Resolver{Stores: stores}, "alice/bob", dht.LevelAny)
//
// Three kinds of name never mix: petnames (mine, a [Name]), edge names (a path
// from one of mine), and nicknames (what somebody calls itself: hostile text,
// shown by [Nickname] alone).
//
// Sources: Stiegler, "An Introduction to Petname Systems" (2005); Ferdous,
// Jøsang, Singh, Borgaonkar, "Security Usability of Petname Systems" (2009);
// Ellison et al., RFC 2693 (SPKI/SDSI), for local names and paths of them;
// RFC 8266 for comparing names.
package petname
