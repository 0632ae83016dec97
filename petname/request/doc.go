// Package doorstep is where somebody who is not in a book leaves a letter for
// its owner, in any [dht.Store]: all that the writer needs is the pointer, and
// the card with its sealing keys.
//
//	receipt, err := doorstep.Leave(ctx, store, them, card.Sealing, letter, now)
//	…
//	letters, err := doorstep.Look(ctx, store, me, keys, now)
//
// # The places
//
// A doorstep has [Slots] places in each seed's time (package postage: two
// hours). Each is an IPNS record under a key that everybody derives who knows
// whose doorstep it is:
//
//	seed = HKDF-SHA256(pointer, salt "petnames/doorstep/v1", info)      (RFC 5869)
//	info = canonical CBOR [seed number, place]
//	key  = Ed25519 key of the seed
//
// The record ends with the next seed's time, until when it is looked for. Its
// payload, always of 4096 bytes, is sealed to the card's key (package seal)
// with info "petnames/doorstep/seal/v1\0" ‖ the record's pointer, and extra
// its sequence (8 bytes). What is sealed is canonical CBOR:
//
//	letter = [1, stamp: bytes, statement: bytes]
//
// A writer begins at the place that the hash of its statement says, takes the
// first that is free, and if none is, writes over that one.
//
// # What holds
//
//   - Only the owner of the card's keys can read a letter, or see who wrote it.
//   - What is looked at in one go is bounded, whatever stores and writers do.
//
// # What doesn't
//
//   - A letter proves nothing: not who wrote it, nor that anybody worked for it.
//     The signed statement says the one, and the stamp the other.
//   - Everybody can write over a letter. Whoever puts records with the highest
//     sequence into all places shuts the door ([ErrBlocked]) until the next seed's
//     time, for the price of a few puts and no work. An invitation (package pair)
//     is the way round: its places are known to two.
//   - That somebody knocks at a door can be seen by all who care to look, and so
//     can be, by those peers that are asked, the IP address of who looks at a
//     doorstep: most likely its owner.
//   - It is no mailbox: after four hours a letter is gone. The writer has to
//     knock again, with a new stamp.
package request
