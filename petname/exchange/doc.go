// Package exchange moves messages between the owner of a book and its contacts, and
// puts their results into the inbox of the book. Open an [Exchange], send with
// [Exchange.Send], and call [Exchange.Sync] regularly to receive:
//
//	e := exchange.Open(exchange.Config{Book: book, Records: resolver, Store: node,
//		Identity: identity, Sealing: keys})
//	…
//	i := introduce.Introduction{To: alice, About: bob, Suggested: "Bob W", Expires: end}
//	signed, err := i.Sign(key, nil, now)
//	sent, err := e.Send(ctx, key, alice, signed)
//	report, err := e.Sync(ctx, key)               // at Alice: the introduction is in the inbox
//
// Two owners that are in contact over another medium pair by package pair:
//
//	terms := exchange.Terms{Code: true, Terms: pair.Terms{Expires: end}}
//	invitation, err := e.Invite(ctx, key, terms)
//	s, err := e.Wait(ctx, invitation.ID)
//	…
//	s, err := e.Pair(ctx, key, code)              // at the other owner
//
// Messages are sent by package drop: sealed, in records that only the two parties
// can read or link to each other, so that the parties need not be online at the same
// time. A message is durable before it is sent, and is stored until it is
// acknowledged. Received messages are processed in order, each exactly once.
//
// Two contacts are introduced to each other, with the consent of both, by package
// mutual:
//
//	m, sent, err := e.IntroduceBoth(ctx, key, mutual.Party{Pointer: bob},
//		mutual.Party{Pointer: carol}, time.Time{})
//	…                                             // at Bob, after a Sync
//	m, sent, err = e.AcceptMutual(ctx, key, suggestion.ID)
//
// Sync does the rest of such a session: a received message and the messages that it
// causes are durable in one transaction, and steps that need the identity's key wait
// for a Sync that has it. The result is a suggestion in the inbox.
//
// After a rotation of the identity's key, messages to the earlier key are read as
// long as their records can be found. Records of the earlier key stay valid as long
// as the network stores them. Messages that a contact has not acknowledged when its
// own key is rotated are sent to the next key, and return with the contact if the owner
// undoes that. Messages that cannot be sent, such as those to a removed contact, are
// stored until [Exchange.DropHeld]: see [Exchange.Held].
//
// The devices of an owner have one book, and an Exchange each. A device sends to a contact on a
// channel of its own, and reads those of all devices of the contact; an Exchange of the first
// device of the book uses the channel that contacts know without the owner's card. Statements,
// offers and decisions reach the other devices by the exchange of the book's entries, and so do
// messages of mutual introductions with a session on another device. [Config.Replicate] makes it
// rare that a device is lost with a message that it has acknowledged.
//
// An owner that is not in a book can send a contact request, with proof of work: see
// [Exchange.SendRequest] and package request.
//
// The identity's key is an argument of each call that signs, and is not stored.
// Without the key, Sync receives, and a later Sync with the key acknowledges and sends.
package exchange
