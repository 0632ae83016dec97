// Package mutual introduces two parties to each other by an introducer that is a
// contact of both, with the consent of both. Neither party learns the pointer of the
// other before both consented, and the introducer cannot read what they exchange.
//
// The introducer starts a session with [Start]. Each party opens its request with
// [Receive], consents with [Invitee.Accept], and proves its identity with
// [Invitee.Authenticate]:
//
//	first, second := mutual.Party{Pointer: bob, Suggested: "Bob W"}, mutual.Party{Pointer: carol}
//	i, out, err := mutual.Start(now, random, identity, first, second, end)
//	…
//	v, err := mutual.Receive(now, self, from, request)
//	out, err := v.Accept(now, random, identity, details)
//	out, err = v.Handle(now, from, message)        // for each message; send what it returns
//	if v.NeedsKey() {
//		out, err = v.Authenticate(now, random, identity)
//	}
//	…
//	summary, err := mutual.Verify(v.Transcript())  // when v is Active
//
// [Introducer] and [Invitee] are state machines without I/O or a clock. All messages
// go between the introducer and one party, on a channel that authenticates the sender
// and preserves the order, such as one of package drop. A caller stores the State
// durably before it sends the messages. The result of a session is evidence; a petname
// is chosen by the owner of the book.
//
// # Messages
//
// A message is canonical CBOR (RFC 8949 §4.2.1; accepted bytes re-encode to the same
// bytes), a map with
//
//	1: kind
//	2: session, 32 random bytes
//	3: side, 1 or 2: of the recipient (REQUEST) or of the sender
//
// and, by its kind:
//
//	1 REQUEST   introducer → party   4: expires, 5: made (ms since 1970), 6: by, 7: to,
//	                                 8: hidden, ?9: suggested name, ?10: note, 21: signature
//	2 ACCEPT    party → introducer   4: expires, 6: by, 7: to, 11: sha2-256 of the REQUEST,
//	                                 12: nonce, 13: ephemeral X25519 key,
//	                                 14: hash of the payload, 21: signature
//	3 DECLINE   party → introducer → peer
//	4 REVEAL    introducer → party   15: salt, 16: pointer of the peer, 17: its ACCEPT
//	5 AUTH      party → introducer → peer   18: nonce (12 bytes) ‖ sealed [payload, proof]
//	6 ACTIVATE  party → introducer → peer   19: MAC
//	7 ABORT     any, forwarded       20: reason
//
// The peer is the other party; 6 and 7 are pointers.
//
// All hashes are sha2-256 of a domain string and a list in canonical CBOR:
//
//	hidden     = H("petnames/mutual/pointer/v1\0" ‖ [session, side, salt, pointer of the peer])
//	payload    = [salt, commitment or null, [[KEM id, key]…], nickname, [address…]]
//	signature  over "petnames/mutual/request/v1\0" or "petnames/mutual/accept/v1\0" ‖
//	           the message without it
//	transcript = H("petnames/mutual/transcript/v1\0" ‖ [session, expires, introducer,
//	           pointer 1, ACCEPT 1, pointer 2, ACCEPT 2])
//	keys       = HKDF-SHA256(X25519(ephemeral keys), salt transcript, info)   (RFC 5869)
//	info       = "petnames/mutual/seal/v1\0" ‖ side, or "petnames/mutual/activate/v1\0" ‖ side
//	header     = [session, expires]
//	proof      = signature over "petnames/mutual/auth/v1\0" ‖ [side, transcript]
//	sealed     = AES-256-GCM, additional data [header, side, transcript]
//	MAC        = HMAC-SHA256 over [header, side, transcript, H(AUTH 1), H(AUTH 2)]
//
// A zero X25519 secret is refused.
//
// A REQUEST contains a commitment to the pointer that it is about, so the introducer
// needs no second signature: its REVEAL opens the commitment. The introducer forwards
// an ACCEPT only after both consented: a signature identifies its signer to a verifier
// that tries known keys. DECLINE and ABORT are not signed: an attacker that could forge
// them could as well drop messages.
//
// # States
//
//	invitee         receives              then               new phase      sends
//	-               REQUEST               (asks the owner)   Invited
//	Invited                               owner accepts      Accepted       ACCEPT
//	Accepted        REVEAL                                   Revealed
//	Revealed        AUTH                                     Revealed
//	Revealed                              has the key        Authenticated  AUTH; also ACTIVATE
//	                                                         if the peer's AUTH was received
//	Authenticated   AUTH                                     Authenticated  ACTIVATE
//	Authenticated   ACTIVATE, after AUTH                     Active
//
//	introducer      receives              new phase          sends
//	-               (starts)              Invited            REQUEST to each
//	Invited         ACCEPT                Invited
//	Invited         the second ACCEPT     Revealed           REVEAL to each
//	Revealed        AUTH of each          Revealed           forwards it
//	Revealed        ACTIVATE, after both AUTH   Revealed     forwards it
//	Revealed        the second ACTIVATE   Active             forwards it
//
// In every phase except Active, the session ends (Ended) by a DECLINE, an ABORT, the
// refusal of the owner or the withdrawal of the introducer, and when it expires. Any
// other message of the session, and one that does not verify, ends it with an ABORT. A
// message that was handled before, byte for byte, changes nothing; nor does a message
// of another session or sender, or one that is malformed. At the end all secrets are
// erased, and all data of the peer except the transcript. The only timeout is the end
// of the session, which the introducer signs: at most 90 days after the request. A
// request need not be remembered for longer.
//
// # What each part prevents
//
//	the hidden pointer          learning the pointer, or verifying guesses of it, before both
//	                            consented; an introducer that reveals another pointer
//	the signed REQUEST          an introducer that later denies the pointer, the name or the note
//	the signed ACCEPT, with     a contact without consent; a consent of another session, request,
//	the REQUEST's hash          side or introducer; an ephemeral key of the introducer
//	the payload's hash in it    other addresses or sealing keys than were consented to
//	nonce, ephemeral key        replay of an old session, even with the same session ID
//	the sealed AUTH             an introducer that reads or replaces what the parties exchange
//	the proof                   a party that claims the pointer of another; a pointer that was
//	                            replaced for one party
//	ACTIVATE                    half-open contacts: a peer that has not verified this party
//	sides in every hash         messages that are reflected to their sender
//	session, end in every MAC   messages of another session, or after their end
//
// Each of these is attacked by a test.
//
// # Limits
//
//   - An introducer that invents both keys (a man in the middle) is not detected by the
//     protocol. It has to sign the pointers: when a party learns the true key, the
//     transcript (see [Verify]) proves what the introducer signed to any verifier. It does
//     not prove which key is the true one.
//   - The introducer knows both pointers and which party consented, and can stop the
//     session at any time. If it drops the last ACTIVATE, one party is Active and the other
//     is not: every protocol has a last message. The peer of the party that is Active has
//     consented and has verified it.
//   - A transcript can be shown to others: there is no deniability.
//   - The key agreement is not post-quantum: an attacker that records an AUTH and breaks
//     X25519 later can read the payload.
//   - When an identity rotates its key during a session, it has to be introduced again.
//
// Sources: Briar's introduction client (its roles, its six kinds of message and its MACs
// over a transcript; there the introducer reveals the pointers at once, and the session
// ID is not random); SIGMA (Krawczyk, 2003) for signatures and MACs over both ephemeral
// keys; RFC 7748, RFC 5869, RFC 2104.
package mutual
