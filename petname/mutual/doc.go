// Package mutual introduces two people to each other by somebody whom both know,
// and with the consent of both: before that neither gets to know the other's
// pointer, and the introducer never gets to know what they tell each other.
//
//	i, out, err := mutual.Start(now, random, identity, mutual.Party{Pointer: bob, Suggested: "Bob W"}, mutual.Party{Pointer: carol}, end)
//	…                                              // each is asked
//	v, err := mutual.Receive(now, me, from, request)
//	out, err := v.Accept(now, random, identity, payload)
//	out, err = v.Handle(now, from, message)        // and so on, what comes back is sent
//	if v.NeedsKey() {
//		out, err = v.Authenticate(now, random, identity)
//	}
//	…
//	summary, err := mutual.Verify(v.Transcript())  // when v is Active
//
// It is three state machines without I/O or a clock. All messages go between the
// introducer and one of the two, on a channel that says who sent them, and keeps
// their order; package drop is one. A caller stores the State first, and sends
// afterwards. What comes of a session is evidence, and names nobody.
//
// # Messages
//
// A message is canonical CBOR (RFC 8949 §4.2.1; what is accepted re-encodes to
// the same bytes), a map with
//
//	1: kind   2: session, 32 random bytes   3: side, 1 or 2: whom it is to (REQUEST), or whose it is
//
// and, by its kind:
//
//	1 REQUEST    introducer → each   4: expires, 5: made (ms since 1970), 6: by, 7: to (pointers),
//	                                 8: hidden, ?9: suggested name, ?10: note, 21: signature
//	2 ACCEPT     each → introducer   4: expires, 6: by, 7: to (the introducer), 11: sha2-256 of the REQUEST, 12: nonce,
//	                                 13: ephemeral X25519 key, 14: hash of the payload, 21: signature
//	3 DECLINE    each → introducer → the other
//	4 REVEAL     introducer → each   15: salt, 16: the other's pointer, 17: the other's ACCEPT
//	5 AUTH       each → introducer → the other   18: nonce (12 bytes) ‖ sealed [payload, proof]
//	6 ACTIVATE   each → introducer → the other   19: MAC
//	7 ABORT      anybody, passed on  20: reason
//
// with, all hashes being sha2-256 of a domain and a CBOR list, and every list
// below in canonical CBOR:
//
//	hidden     = H("petnames/mutual/pointer/v1\0" ‖ [session, side, salt, the other's pointer])
//	payload    = [salt, commitment or null, [[KEM id, key]…], nickname, [address…]]
//	signatures over "petnames/mutual/request/v1\0" or "petnames/mutual/accept/v1\0" ‖ the message without it
//	transcript = H("petnames/mutual/transcript/v1\0" ‖ [session, expires, introducer,
//	               pointer 1, ACCEPT 1, pointer 2, ACCEPT 2])
//	keys       = HKDF-SHA256(X25519(ephemeral keys), salt transcript, info)   (RFC 5869; a zero secret is refused)
//	             info "petnames/mutual/seal/v1\0" ‖ side, or "petnames/mutual/activate/v1\0" ‖ side
//	header     = [session, expires]
//	proof      = the identity's signature over "petnames/mutual/auth/v1\0" ‖ [side, transcript]
//	sealed     = AES-256-GCM, additional data [header, side, transcript]
//	MAC        = HMAC-SHA256 over [header, side, transcript, H(AUTH 1), H(AUTH 2)]
//
// What a REQUEST is about stands hidden in it, so the introducer needs no second
// signature: its REVEAL opens the first. The ACCEPT of the other, signed by its
// identity, isn't passed on before both consented: a signature gives away whose
// it is to who tries the keys that it knows. DECLINE and ABORT aren't signed:
// whoever could forge them could as well pass on nothing.
//
// # States
//
//	invitee          takes               and then            goes to         sends
//	-                REQUEST             (asks the user)     Invited
//	Invited                              the user accepts    Accepted        ACCEPT
//	Accepted         REVEAL                                  Revealed
//	Revealed                             has the key         Authenticated   AUTH, and ACTIVATE if the other's AUTH came
//	Revealed         AUTH                                    Revealed
//	Authenticated    AUTH                                    Authenticated   ACTIVATE
//	Authenticated    ACTIVATE, after AUTH                    Active
//
//	introducer       takes               goes to             sends
//	-                (starts)            Invited             REQUEST to each
//	Invited          ACCEPT              Invited
//	Invited          the second ACCEPT   Revealed            REVEAL to each
//	Revealed         AUTH of each        Revealed            passed on
//	Revealed         ACTIVATE of each, once both AUTH came; Active after the second; passed on
//
// From all of them but Active: DECLINE, ABORT, the user's no (or the introducer's
// withdrawal) and the end of the session lead to Ended; so does every other
// message of the session, and one that doesn't verify, with an ABORT. A message
// that was handled before, byte for byte, changes nothing; nor does one of
// another session, from another sender, or that is no message. At the end all
// secrets are erased, and what was learnt but for the transcript. There is no
// other timeout than the session's end, which the introducer signs: at most
// [MaxLife] after the request. So a request need not be remembered longer.
//
// # What each step prevents
//
//	the hidden pointer            learning who is meant, or trying guesses, before both consented;
//	                              an introducer that changes its mind about whom it meant
//	the signed REQUEST            an introducer that later denies whom it named, or how
//	the ACCEPT, signed, with the  adding somebody without consent; a consent taken from another session, request,
//	REQUEST's hash                side or introducer; an ephemeral key put by the introducer
//	the payload's hash in it      other addresses or sealing keys than were consented to
//	the nonce, the ephemeral key  replay of an old session, even under its old id
//	the sealed AUTH               an introducer that reads or replaces what they tell each other
//	the proof                     an invitee that claims another's pointer; a pointer swapped on one side
//	ACTIVATE                      having somebody who hasn't verified me: half-open contacts
//	sides in every hash           messages that are turned around to who sent them
//	session and end in every MAC  messages of another session, or kept alive beyond their end
//
// Each of these is attacked by a test.
//
// # What doesn't hold
//
//   - An introducer that makes up both keys, one for each, isn't noticed by what
//     it passes on. It had to sign whom it meant: as soon as one of the two knows
//     the true key, the transcript (see [Verify]) proves to anybody what it said.
//     It proves what was said; that the other key is the true one is for the one
//     to know who met its owner.
//   - The introducer knows both pointers, knows who consented, and can stop it at
//     any time. If it does so between the two last messages, one of the two is
//     Active and the other isn't: of any protocol somebody sends the last message.
//     Who is Active then has somebody who consented and verified them.
//   - A transcript can be shown around by who has it: there is no deniability.
//   - The keys that were agreed aren't post-quantum: who records an AUTH, and
//     breaks X25519 later, reads the payload.
//   - An identity that goes over to its next key during a session has to be
//     introduced again.
//
// Sources: Briar's introduction client (its roles, its six kinds of message and
// its transcript's MACs; there the introducer shows the pointers at once, and
// the session's id is no random one); SIGMA (Krawczyk, 2003) for signatures and
// MACs over both ephemeral keys; RFC 7748, RFC 5869, RFC 2104.
package mutual
