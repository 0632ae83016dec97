// Package drop is a store-and-forward channel between two people in any
// [dht.Store]: messages arrive although both are never online together, and
// whoever stores them learns neither who speaks nor what is said.
//
//	c, err := drop.Open(self, party, nil)       // or with the state that was stored last
//	err = c.Send([]byte("…"))
//	save(c.State())                             // durable, before Put
//	if c.Due(now) {
//		_, err = c.Put(ctx, store, now)
//	}
//	…
//	mail, err := c.Poll(ctx, store, now)
//	for _, m := range mail.Messages {
//		process(m)                          // durable, once for each m.ID
//		err = c.Done(m)
//	}
//	save(c.State())                             // and Put again: it acknowledges
//
// A node polls now and then (with its own jitter, so that its channels aren't
// seen to belong together), and puts whenever [Channel.Due] says so. What comes
// on a direct stream is a Store as well: see [Channel.Outgoing] and
// [Channel.Watch].
//
// # The record
//
// Each direction has one IPNS record in each [Epoch], under a key of its own
// that both parties derive:
//
//	secret = X25519(one's sealing key, the other's)       all zeroes are refused (RFC 7748, §6.1)
//	seed   = HKDF-SHA256(secret, salt "petnames/drop/record/v1", info)    (RFC 5869)
//	info   = canonical CBOR [from, to, from's X25519 key, to's X25519 key, epoch number]
//	key    = Ed25519 key of the seed
//
// It ends with the next epoch, until when it is polled for, and holds all
// messages that are not acknowledged, in order, as far as they fit; the others
// wait. Its sequence is the greater of the milliseconds since 1970 and the last
// one's under this key + 1. Its payload, of 2048, 4608 or 9920 bytes, is sealed with HPKE
// (RFC 9180, base mode, HKDF-SHA256, ChaCha20-Poly1305) to the recipient's
// MLKEM768X25519 key (draft-ietf-hpke-pq) if the card has one, else to the
// X25519 key:
//
//	payload = 1 (1 byte) ‖ KEM id (2 bytes) ‖ encapsulated key ‖ ciphertext
//	info    = "petnames/drop/seal/v1\0" ‖ the record's pointer
//	aad     = 1 ‖ KEM id ‖ sequence (8 bytes)
//	plain   = length (2 bytes) ‖ signed ‖ zeroes
//
// What is sealed is canonical CBOR (RFC 8949, §4.2.1; CDDL of RFC 8610):
//
//	signed = [signature: bytes .size 64, letter: bytes .cbor letter]
//	letter = [
//	  version: 1,
//	  from: pointer, to: pointer,
//	  channel: bytes .size 32,      ; both pointers, hashed
//	  at: pointer,                  ; the record's: so the keys, the direction and the epoch
//	  sequence: uint,               ; the record's
//	  made: int,                    ; ms since 1970
//	  base: mark,                   ; what the messages go on from: the last acknowledged
//	  messages: [* bytes .size (1..8192)],
//	  ack: mark,                    ; the last that was processed of the other direction
//	]
//	pointer = bytes
//	mark = [counter: uint, chain: bytes .size 32]
//
// The signature is the sender's identity's, over "petnames/drop/letter/v1\0" ‖
// sha2-256 of the letter. The chain starts as the sha2-256 of
// "petnames/drop/stream/v1\0" ‖ channel ‖ from, and goes on with each message
// as the sha2-256 of "petnames/drop/message/v1\0" ‖ chain ‖ counter (8 bytes) ‖
// message. So an acknowledgement says which messages came, and not only how
// many: a side that restored an old state, and counted up anew, is noticed, and
// what it queued since is sent under new numbers.
//
// # What holds
//
//   - Only the party makes messages that a Poll gives: not those who store the
//     record, and not the one that it is for, though both can sign the record.
//     A letter holds in one record only: it can't be reflected, nor put into
//     another channel, epoch or direction.
//   - Every message is delivered, in order, as long as both sides poll and put
//     now and then: at least once, and exactly once to a caller that processes
//     an ID once. Old records repeat nothing and take nothing back. A side that
//     restores an old state may get or send messages again, and is told of
//     those that it can't get: [Mail.Lost].
//   - The stored bytes name neither party; records of one channel, of two
//     epochs or two directions, share no key; sizes are the three.
//
// # What doesn't
//
//   - There is no forward secrecy until a sealing key is erased, which a home
//     does 30 days after it was replaced: who gets it before reads all that was
//     sealed to it, if somebody kept that. Nor is there deniability: the
//     recipient can show a signed letter around.
//   - The keys of records are not post-quantum: who breaks X25519 can find a
//     channel's records, and block them; and read what is sealed to a card
//     without the hybrid key.
//   - The other side, or who has one of the two X25519 keys, can block the
//     record of either direction until the epoch ends, by the highest sequence.
//   - That a record is one of this package's can be seen. Peers that are asked
//     see an IP address and when it asks; who sees a great part of the network
//     can link what is put at one moment.
//   - While the identity's key is locked, messages are read but not
//     acknowledged. A clock that is off by more than an epoch finds nothing.
//   - A card with new sealing keys has to be brought to the channel, by
//     [Channel.Rekey]. Until then the sides may look for each other in
//     different places, and what is unacknowledged waits.
package drop
