// Package pair lets two people who meet, speak or write to each other end with
// each other's pointer, pinned commitment and addresses, proven by both keys,
// without a server, and without trust in whatever carries the messages.
//
// There are two ways. A spoken [Code], "742-tunnel-orbit-candy", is for the
// telephone:
//
//	alice, err := pair.InviteByCode(self, code, burn)    // who speaks it
//	bob, err := pair.AcceptCode(self, code, burn)       // who hears it
//
// An [Invitation], as a link or a QR code, is for everything that carries text:
//
//	offer, err := pair.Invite(ctx, self, pair.Terms{Expires: end}, save)
//	text := offer.Invitation().Link()                 // or Compact, which package qr draws
//	…
//	ticket, err := pair.ParseTicket(text, now)
//	take, err := pair.AcceptTicket(self, ticket)
//
// All four are a [Stepper]: a step looks into a [dht.Store], does what there is
// to do, and returns. A node runs many side by side by stepping each now and
// then; [Run] runs one to its end. All that the sides say to each other stands
// in records of a store, under pointers ("boxes") whose keys both derive from
// what both know, so either may start first, and neither has to be reachable. A
// direct connection is another store. This package knows nothing of books: what
// a pairing means there is its caller's.
//
// # Everything in a box is hostile
//
// Whoever knows as much as the box's key is derived from can write into it and
// write over what stands there. For a code that is its public half (a number
// and a word, which a peer that stores the records can find by trying all of
// them); for an invitation its secret, which everybody has whom it was
// forwarded to. So a box proves nothing. What such a writer can do is to make a
// pairing fail, and that ends in an error on both sides (on one side, when it
// hits the last message: the other has then verified its peer, and been
// verified by nobody). What it can't do is to make either side pair with
// another than the holder of the code's secret, or the inviter's key.
//
// # Spoken code
//
// The slot is the number, the first word, and the ten minutes in which the
// offer was made; the secret, the last two words (22 bits), enters CPace alone.
// The initiator of CPace is the inviter; its channel identifier has the slot and
// the roles; each side's associated data is a commitment to its identity:
//
//	box     message                                                   prevents
//	offer   A: share Ya, commitment cA = H(blind, identity of A)
//	        ← looks first: something is there                         two pairs in one slot, taken for each other
//	        ← B notes the code as used, durably, before it answers    a second guess against B
//	take    B: share Yb, cB, tag, sealed {identity, blind, signature}
//	        ← A notes the code as used, durably, before it looks      a second guess against A, also after a crash
//	        ← A checks the tag                                        a stranger without the words
//	        ← A opens cB and checks the signature                     an insider in another's name
//	answer  A: H(take), tag, sealed {identity, blind, signature}; or H(take) alone: it failed
//	        ← B checks H(take), tag, commitment, signature            another's take answered; the same, against B
//
// A tag is HMAC-SHA-512 of the sender's own share and commitment, under a key
// out of CPace's ISK, as the draft has it. The seal is AES-256-GCM under
// HKDF-SHA-512 of the ISK, salted by the session id, for each side another. The
// session is the draft's sid_output, H(Ya, cA, Yb, cB). A signature is by the
// identity key, over a domain, the signer's role, the slot and the session.
//
// Why this pairs the right two (each of these attacks is a test):
//
//   - Guessing. Whoever has not the words can test one guess against A, by its
//     take, and one against B, by an offer of its own: 2 in 4,194,304 in all for
//     one attempt of two people. Each side notes its part first, so neither
//     restarting nor retyping gives another. CPace leaves nothing in the messages
//     to try guesses on afterwards, and the shares may be published.
//   - Reflection. A's messages played back to A as B's have A's share and
//     commitment, which is refused, and A's tag and seal are under other keys
//     than those expected of B. A pairing with oneself is refused.
//   - Role confusion. Offer and take differ in kind; the transcript puts the
//     inviter's part first; the role is in the seal's key and in the signature.
//   - Identity misbinding and unknown key share. Somebody who knows the words,
//     and talks to A and to B at once, shares a session with each, and the two
//     differ. A signature is over one session, whose transcript commits to both
//     identities; the proof travels under a key of that session. So B's proof
//     can't be lent to A's session, nor can somebody commit to one identity and
//     show another. That is SIGMA's rule, that a side shows by a MAC under the
//     session's key that it knows which identity is its own, with the commitment
//     in the place of SIGMA's MAC: inside the key exchange, so that each
//     signature also names the peer's identity.
//   - Tampering. A message that was changed, or one out of another session,
//     changes the session or fails its seal. There is no second look: the first
//     message in the box is the one try, a malformed one too.
//
// What passers-by learn: that somebody pairs. Identities are under the seal.
//
// # Invitation
//
// An invitation is its inviter's signature over pointer, commitment, addresses,
// a secret of 128 bits, an X25519 key made for it, end, uses, purpose, and who
// it is for. A compact form has the inviter's key and the secret; the rest is
// storedMessage in a box that the secret leads to, sealed under the secret, and is held
// against both.
//
//	box         message                                                 prevents
//	invitation  A: sealed: the signed invitation                        another's or another invitation in its place
//	take 0…n    B: ephemeral X25519 key e, sealed {identity, nonce, signature}
//	            ← A checks the seal                                     somebody without the secret
//	            ← A checks the signature                                somebody in another's name
//	            ← A checks who, when, how often                         a forwarded, a late, a second use
//	            ← A saves the use, durably                              a second use after a crash
//	taken       A: sealed {status, identity, signature}                 a forged yes or no
//	            ← B checks the seal, the signature, the identity        another than the inviter
//
// The seals are AES-256-GCM under HKDF-SHA-512 of secret ‖ X25519(e, invitation's
// key), salted by the invitation's hash and e, so that others who hold the
// invitation can't read who took it. B signs its role, the inviter, the
// invitation's hash, e, nonce and identity; A signs its role, the hash of what B
// signed and of that signature, status and identity. So the secret and both
// identities are under both signatures; what B signed for another invitation, or
// A answered to another message, fits nowhere else. The box of an answer is
// derived from the message that it answers.
//
// The first of those who hold a bearer's invitation can't be told from the one
// whom it was meant for. [Event.Accepted] says who took it; it is for the inviting
// person to confirm that before it counts as pairing. [Terms.For] refuses all
// others. The same identity may take an invitation again, as after a restart, and
// counts once. There is one more box than there are uses, so that who comes late
// is told.
//
// # Evidence
//
// [Paired.Transcript] has both signatures and all that they are over, and no
// secret. [ParseTranscript] verifies it, years later and by anybody.
//
// # Sources
//
// draft-irtf-cfrg-cpace for CPace-RISTR255-SHA512 and its confirmation; RFC 9496
// for ristretto255; Krawczyk, "SIGMA: the 'SIGn-and-MAc' approach to
// authenticated Diffie-Hellman and its use in the IKE protocols" (2003); RFC
// 5869 for HKDF; RFC 7748 for X25519; RFC 8949 §4.2.1 for the canonical CBOR;
// magic-wormhole for the idea of a spoken place and secret; ISO/IEC 18004 for the
// alphabet of the compact form.
package pair
