// Package drop is a store-and-forward channel between two parties in any
// [dht.Store]. Messages arrive although the parties are never online at the same
// time, and the stored bytes reveal neither the parties nor the messages.
//
// Call [Open], then [Channel.Send] and [Channel.Put], and [Channel.Poll] to
// receive:
//
//	c, err := drop.Open(self, party, nil)       // or with the stored state
//	err = c.Send([]byte("…"))
//	save(c.State())                             // durable, before Put
//	if c.Due(now) {
//		_, err = c.Put(ctx, store, now)
//	}
//	…
//	result, err := c.Poll(ctx, store, now)
//	for _, m := range result.Messages {
//		process(m)                          // durable, once for each m.ID
//		err = c.Done(m)
//	}
//	save(c.State())                             // and Put again: it acknowledges
//
// A node polls at intervals (jittered for each channel, so that its channels
// cannot be linked by time), and calls Put whenever [Channel.Due] reports true.
// A record that arrives on a direct stream can be read as well: put it into a
// [dht.Memory] and poll that. See [Channel.Outgoing].
//
// Two parties have one channel for each purpose: [Self.Purpose]. The empty one belongs to
// the agents (package petname/exchange), for introductions and pairings. An application
// that opens a channel with the keys of a home uses a purpose of its own; one that has an
// agent sends messages by the agent.
//
// Several devices with the keys of one party may read the messages of a channel, each with
// a state of its own. One of them sends, or none: two senders would replace each other's
// records. If none sends, each may put records, which acknowledge alone: the sender's
// position moves forward, in whatever order they arrive. A message that one device
// acknowledged is [PollResult.Lost] to the others, so the devices exchange what they
// received by other means, before the acknowledgement: see [Channel.Acknowledges].
//
// # The record
//
// Each direction has one IPNS record in each [Epoch], under a key of its own
// that both parties derive:
//
//	secret = X25519(one's sealing key, the other's)       all zeroes are refused (RFC 7748, §6.1)
//	seed   = HKDF-SHA256(secret, salt "petnames/drop/record/v1", info)    (RFC 5869)
//	info   = canonical CBOR [from, to, from's X25519 key, to's X25519 key, epoch number, ? purpose]
//	key    = Ed25519 key of the seed
//
// The record expires at the end of the next epoch, until when it is polled. It
// holds all unacknowledged messages in order, as far as they fit; the others
// wait. Its sequence is the time in milliseconds since 1970, or the last sequence
// under this key + 1 if that is greater. Its payload, of 2048, 4608 or 9920
// bytes, is sealed with HPKE (RFC 9180, base mode, HKDF-SHA256,
// ChaCha20-Poly1305) to the recipient's MLKEM768X25519 key (draft-ietf-hpke-pq)
// if the card has one, else to the X25519 key:
//
//	payload = 1 (1 byte) ‖ KEM id (2 bytes) ‖ encapsulated key ‖ ciphertext
//	info    = "petnames/drop/seal/v1\0" ‖ the record's pointer
//	aad     = 1 ‖ KEM id ‖ sequence (8 bytes)
//	plain   = length (2 bytes) ‖ signed ‖ zeroes
//
// The sealed content is canonical CBOR (RFC 8949, §4.2.1; CDDL of RFC 8610):
//
//	signed = [signature: bytes .size 64, batch: bytes .cbor batch]
//	batch = [
//	  version: 1,
//	  from: pointer, to: pointer,
//	  channel: bytes .size 32,      ; both pointers and the purpose, unless it is empty, hashed
//	  at: pointer,                  ; the record's: so the keys, the direction and the epoch
//	  sequence: uint,               ; the record's
//	  made: int,                    ; ms since 1970
//	  base: position,               ; of the last acknowledged message, which the messages follow
//	  messages: [* bytes .size (1..8192)],
//	  ack: position,                ; of the last processed message of the other direction
//	]
//	pointer = bytes
//	position = [counter: uint, chain: bytes .size 32]
//
// The signature is by the sender's identity key, over
// "petnames/drop/letter/v1\0" ‖ sha2-256 of the batch. The chain starts as the
// sha2-256 of "petnames/drop/stream/v1\0" ‖ channel ‖ from. Each message advances
// it to the sha2-256 of "petnames/drop/message/v1\0" ‖ chain ‖ counter (8 bytes) ‖
// message. So an acknowledgement identifies the received messages, and not only
// their number: if a party restored an old state, and reused numbers, both
// parties detect it, and the messages queued since are sent under new numbers.
//
// # Guarantees
//
//   - Only the other party can make messages that Poll returns: not the stores,
//     and not the recipient itself, though both parties can sign the record. A
//     batch is valid in one record only: it cannot be reflected, nor moved to
//     another channel, epoch or direction.
//   - Every message is delivered, in order, as long as both parties poll and put
//     from time to time: at least once, and exactly once to a caller that
//     processes each ID once. Old records neither repeat nor undo anything. A
//     party that restores an old state may receive or send messages again, and
//     learns how many it cannot receive: [PollResult.Lost].
//   - The stored bytes name neither party. Records of one channel in two epochs
//     or two directions share no key. Payloads have one of the three sizes.
//
// # Limits
//
//   - There is no forward secrecy until a sealing key is erased, which a home
//     does 30 days after the key was replaced: a thief of the key can read all
//     stored payloads that were sealed to it. There is no deniability: the
//     recipient can show a signed batch to others.
//   - The keys of records are not post-quantum. An attacker that breaks X25519
//     can find and block a channel's records, and read what is sealed to a card
//     without the hybrid key.
//   - The other party, or a thief of one of the two X25519 keys, can block the
//     record of either direction until the epoch ends, by the highest sequence.
//   - A record can be recognised as one of this package. Queried peers learn an
//     IP address and the time. An observer of a large part of the network can
//     link records that are put at the same moment.
//   - While the identity key is locked, messages are read but not acknowledged.
//     A party whose clock is wrong by more than an epoch finds no records.
//   - The caller has to apply a card with new sealing keys, by [Channel.Rekey].
//     Until then the parties may poll different pointers, and unacknowledged
//     messages wait.
package drop
