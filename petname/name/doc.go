// Package name has the rules for names that people read: what a petname may be,
// when two names are equal, when they could be mistaken for each other, and how
// names and other foreign text are displayed. Start with [Parse] for a petname,
// and with [Clean] or [Style] for foreign text.
//
// Three kinds of name never mix, neither in types nor on the screen ([Style]):
// petnames, which the owner of a book chose (a [Name]); edge names, paths that
// start at a petname (an [EdgeName]); and nicknames, which holders of keys
// chose for themselves (hostile text, a [Nickname]).
//
// Names look alike by the skeletons of UTS #39, and by rules for what it does
// not cover: digits beside letters, vv and w, cl and d, small capitals, Han
// characters that differ in a component, marks that only one of the two has.
// [Looks] returns the forms to compare, and [Alike] compares them.
//
// Sources: RFC 8266 (PRECIS Nickname profile) for comparing names; Unicode UTS
// #39 (confusables, mixed scripts), UAX #9 (bidirectional text), UAX #31 (joiners)
// and UTS #51 (emoji).
package name
