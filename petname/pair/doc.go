// Package pair pairs two identities: each side ends with the pointer, the commitment
// and the addresses of the other, proven by both keys, without a server and without
// trust in the network that carries the messages.
//
// A spoken [Code], "742-tunnel-orbit-candy", is for the telephone:
//
//	alice, err := pair.InviteByCode(self, code, markUsed)  // speaks the code
//	bob, err := pair.AcceptCode(self, code, markUsed)      // enters it
//
// An [Invitation] is for channels that carry text, as a link or a QR code:
//
//	inviter, err := pair.Invite(ctx, self, pair.Terms{Expires: end}, save)
//	text := inviter.Invitation().Link()                    // or Compact, for package qr
//	…
//	ticket, err := pair.ParseTicket(text, now)
//	invitee, err := pair.AcceptTicket(self, ticket)
//
// Each side is a [Stepper]: a step reads a [dht.Store], writes what is due, and
// returns. [Run] steps one side to its end; an application can also step many sides
// in turn. The sides exchange messages as records of a store, in mailboxes whose keys
// both derive from a shared secret. So either side may start first, and neither needs
// to be reachable. A direct connection is another store. This package knows no book:
// the caller decides what a pairing means.
//
// # Mailboxes are untrusted
//
// A party that knows the input of a mailbox's key can write into it and replace its message.
// For a code this is its public half (a number and a word, which a peer that stores the
// records can find by trying all); for an invitation its secret, which every holder of
// the invitation knows. So a mailbox proves nothing. A writer can make a pairing fail,
// with an error on both sides (on one side, if it replaces the last message: the other
// side has then verified its peer, and no peer has verified it). A writer cannot make a
// side pair with any other than the holder of the code's secret, or of the inviter's
// key.
//
// # Spoken code
//
// The slot is the number, the first word, and the ten minutes in which the offer was
// made. The secret, the last two words (22 bits), is input of CPace alone. The inviter
// (A) is the initiator of CPace; the channel identifier has the slot and the roles; the
// associated data of a side is a commitment to its identity. H(take) is the hash of the
// acceptance, the message in mailbox "take":
//
//	mailbox  message or check                                   prevents
//	offer    A: share Ya, commitment cA = H(blind, identity of A)
//	         A first reads the mailboxes, which must be empty   two pairings in one slot
//	         B marks the code as used, durably                  a second guess against B
//	take     B: share Yb, cB, tag, sealed {identity, blind, signature}
//	         A marks the code as used, durably                  a second guess against A
//	         A verifies the tag                                 a peer without the words
//	         A opens cB and verifies the signature              a peer with another's identity
//	answer   A: H(take), tag, sealed {identity, blind, signature}; H(take): no
//	         B verifies H(take), tag, commitment, signature     an answer to another peer; as above
//
// A message is valid for 24 hours longer than its sender uses it, so that clocks may
// differ: those of the sides, and of the peers that store it. If no acceptance comes at
// once, A also puts a notice with the period of the offer into a mailbox that the number
// and the first word alone determine. B reads it where it finds no offer near its own
// time, even if it has ended by B's clock, and uses the slot of that period; if that is
// over 24 hours away, B puts its own time into that slot, and both fail and name both
// times. If no peer stores the offer, since A's clock is far behind theirs, A puts a notice
// that lasts 50 years instead, for the same purpose. A forged notice leads B to no slot that
// a forger could not fill otherwise.
//
// A tag is HMAC-SHA-512 of the sender's own share and commitment, under a key from the
// ISK of CPace, as in the draft. The seal is AES-256-GCM under HKDF-SHA-512 of the ISK,
// salted by the session ID, with a key for each side. The session ID is the draft's
// sid_output, H(Ya, cA, Yb, cB). A signature is by the identity key, over a domain, the
// role of the signer, the slot and the session ID.
//
// Each of these attacks is a test:
//
//   - Guessing. An attacker without the words can test one guess against A and one
//     against B: 2 in 4,194,304 for a pairing. Each side marks its code as used first, so
//     neither a restart nor a repeated entry allows another. The messages contain nothing
//     to test guesses on later, and the shares may be published.
//   - Reflection. A's messages, returned to A as B's, have A's share and commitment, which
//     is refused, and a tag and a seal under other keys than those expected of B. A pairing
//     of an identity with itself is refused.
//   - Role confusion. Offer and acceptance differ in kind; the transcript has the inviter's part
//     first; the role is in the key of the seal and in the signature.
//   - Identity misbinding and unknown key share. An attacker that knows the words and pairs
//     with A and with B at once has a different session with each. A signature is over one
//     session, whose transcript commits to both identities, and the proof is sealed under
//     a key of that session. So B's proof cannot be used in A's session, and a side cannot
//     commit to one identity and show another. This is the rule of SIGMA, that a side
//     proves knowledge of its own identity by a MAC under the session's key. The commitment
//     is in the place of the MAC, inside the key exchange, so each signature also names
//     the identity of the peer.
//   - Tampering. A message that was changed, or is of another session, changes the session
//     or fails to open. The first message in the mailbox is the only one that is read, a
//     malformed one too.
//
// Observers learn that a pairing takes place. The identities are sealed.
//
// # Invitation
//
// An invitation is the inviter's signature over its pointer, commitment and addresses, a
// secret of 128 bits, an X25519 key of the invitation, its end, uses, purpose and
// recipient. A compact form has the inviter's key and the secret; the invitation itself
// is in a mailbox derived from the secret, sealed under the secret, and is verified
// against both.
//
//	mailbox     message or check                               prevents
//	invitation  A: sealed: the signed invitation               another invitation in its place
//	take 0…n    B: ephemeral X25519 key e, sealed {identity, nonce, signature}
//	            A opens the seal                               a peer without the secret
//	            A verifies the signature                       a peer with another's identity
//	            A checks recipient, time, uses                 a forwarded, late or second use
//	            A saves the use, durably                       a second use after a crash
//	taken       A: sealed {status, identity, signature}        a forged answer
//	            B verifies seal, signature, identity           another inviter
//
// The seals are AES-256-GCM under HKDF-SHA-512 of secret ‖ X25519(e, key of the
// invitation), salted by the hash of the invitation and e, so that other holders of the
// invitation cannot read the identity of the invitee. B signs its role, the inviter, the
// hash of the invitation, e, nonce and identity; A signs its role, the hash of what B
// signed and of that signature, status and identity. So both signatures cover the secret
// and both identities, and are valid for one invitation and one acceptance only. The
// mailbox of an answer is derived from the message that it answers.
//
// Any holder of an invitation without recipient can accept it first. [Event].Accepted
// names the invitee; the owner confirms it before the pairing counts. [Terms].For
// refuses all others. The same identity may accept an invitation again, as after a
// restart, and counts once. There is one more mailbox than there are uses, so that a
// late invitee receives a refusal.
//
// # Evidence
//
// [Paired].Transcript has both signatures and all that they cover, and no secret. Anyone
// can verify it with [ParseTranscript] at any later time.
//
// # Sources
//
// draft-irtf-cfrg-cpace for CPace-RISTR255-SHA512 and its confirmation; RFC 9496
// for ristretto255; Krawczyk, "SIGMA: the 'SIGn-and-MAc' approach to
// authenticated Diffie-Hellman and its use in the IKE protocols" (2003); RFC
// 5869 for HKDF; RFC 7748 for X25519; RFC 8949 §4.2.1 for the canonical CBOR;
// magic-wormhole for the nameplate and the words of a code; ISO/IEC 18004 for the
// alphabet of the compact form.
package pair
