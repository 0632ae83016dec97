// Package name has the rules for names that people read: what a petname may be,
// when two names are the same, when they could be taken for each other, and how
// names and other foreign text are shown.
//
// [Parse] reads a petname and [Clean] makes foreign text fit to be shown. Three
// kinds of name never mix, neither in types nor on the screen ([Style]):
// petnames, which the owner of a book chose (a [Name]); edge names, paths that
// start at one (an [EdgeName]); and nicknames, which holders of keys chose for
// themselves (hostile text, a [Nickname]).
//
// Names look alike by the skeletons of UTS #39, and by what it does not cover:
// digits beside letters, vv and w, cl and d, marks that only one of the two has.
// [Looks] returns the forms to compare, and [Alike] compares them.
//
// Sources: RFC 8266 (PRECIS Nickname profile) for comparing names; Unicode UTS
// #39 (confusables, mixed scripts), UAX #9 (bidirectional text) and UAX #31
// (joiners).
package name
