// Package exchange is one person's running presence: it carries what people say to
// each other, and puts what others said into the inbox of the book.
//
//	p := exchange.Open(exchange.Config{Book: book, Records: resolver, Store: node, Me: me, Sealing: keys})
//	…
//	signed, err := introduce.Introduction{To: alice, About: bob, Suggested: "Bob W", Expires: end}.Sign(identity, nil, now)
//	sent, err := p.Send(ctx, identity, alice, signed)
//	report, err := p.Sync(ctx, identity)          // at Alice's: it is in her inbox
//
// People who meet, speak or write to each other pair by package pair:
//
//	invited, err := p.Invite(ctx, identity, exchange.Terms{Code: true, Terms: pair.Terms{Expires: end}})
//	s, err := p.Wait(ctx, invited.ID)
//	…
//	s, err := p.Pair(ctx, identity, code)         // at the other's
//
// Messages travel by package drop: sealed, in records of the network that
// nobody else can read or tell apart, and so also while the other is away. What
// is sent is durable before it is on its way, and stays until it is acknowledged;
// what comes is processed in order, and exactly once.
//
// Two people are introduced to each other, if both consent, by package mutual:
//
//	m, sent, err := p.IntroduceBoth(ctx, identity, mutual.Party{Pointer: bob}, mutual.Party{Pointer: carol}, time.Time{})
//	…                                             // at Bob's, after a Sync
//	m, sent, err = p.AcceptMutual(ctx, identity, suggestion.ID)
//
// All else of it happens in Sync: what was received, and what it makes a session
// say, are durable in one, and what needs the key waits for a Sync that has it.
// What comes of it is a suggestion again.
//
// When the identity's key has gone on, what was sent to the one before is still
// read, until it can't be found any more; what that one sent stands as long as the
// network keeps it. What a contact has not read by the time its own key goes on is
// sent to the next.
//
// Who isn't in somebody's book can knock at their door, for the price of some
// work: see [Peer.Knock] and package request.
//
// The identity's key is handed in with each call that signs, and not kept: a
// book without it can fetch, but neither send nor acknowledge.
package exchange
