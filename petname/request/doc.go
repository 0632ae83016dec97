// Package request carries contact requests: messages of unknown senders to the
// owner of a pointer, through any [dht.Store]. A sender needs the pointer and the
// sealing keys of its card, and attaches a proof of work to the request.
//
// The sender computes a stamp for its signed statement, and sends both:
//
//	c := request.Challenge{To: recipient, From: sender, Statement: sha256.Sum256(statement)}
//	stamp, err := request.MakeStamp(ctx, c, request.Difficulty{}, now, nil)
//	m := request.Message{Stamp: stamp, Statement: statement}
//	receipt, err := request.Send(ctx, store, recipient, card.Sealing, m, now)
//
// The recipient fetches its request mailbox, and verifies the statement and the
// stamp of each message:
//
//	messages, err := request.Fetch(ctx, store, recipient, keys, now)
//	v := request.NewVerifier(nil)
//	err = v.Verify(m.Stamp, c, request.Difficulty{})
//
// # Request mailbox
//
// A request mailbox has [Slots] slots in each epoch of two hours ([EpochLength]).
// Each slot is an IPNS record. Its key is derived from the pointer of the owner, so
// anyone can compute it:
//
//	seed = HKDF-SHA256(pointer, salt "petnames/doorstep/v1", info)      (RFC 5869)
//	info = canonical CBOR [epoch, slot]
//	key  = Ed25519 key of the seed
//
// The record expires at the end of the next epoch; until then the owner reads it.
// Its payload, always of 4096 bytes, is sealed to a key of the owner's card (package
// seal) with info "petnames/doorstep/seal/v1\0" ‖ pointer of the record, and extra
// sequence of the record (8 bytes). The plaintext is canonical CBOR:
//
//	message = [1, stamp: bytes, statement: bytes]
//
// A sender starts at the slot that the hash of the statement selects, and uses the
// first free slot. If no slot is free, it replaces the record of the first one that
// can be replaced.
//
// # Proof of work
//
// A stamp is a list of solutions. Solution i is a number for which the hash starts
// with the number of zero bits that the difficulty requires:
//
//	epoch = seconds since 1970 / 7200
//	salt  = sha2-256("petnames/postage/v1\0" ‖ canonical CBOR [to, from, statement's hash, epoch])
//	hash  = Argon2id(password: i (4 bytes) ‖ number (8 bytes), salt,
//	                 3 passes, 1 MiB, 1 lane, 32 bytes)              (RFC 9106)
//	stamp = canonical CBOR [1, epoch, [+ number: uint]]              (RFC 8949, §4.2.1)
//
// Several solutions instead of a harder one make the time for a stamp vary less. A
// stamp of the default difficulty takes some seconds of one processor to compute,
// and some milliseconds to verify.
//
// # Security properties
//
//   - Only the owner of the sealing keys can read a message and its sender.
//   - The number of records that Fetch reads and opens is bounded, whatever stores
//     and senders do.
//   - A stamp is valid for one statement, one sender and one recipient, in its epoch
//     and the next one. A solution is valid at its index alone. So a stamp cannot be
//     split, moved to another message or stored for later.
//   - A [Verifier] refuses a stamp that is malformed, too long, of another epoch, too
//     short or known before it computes a hash. It computes the hashes of at most
//     [VerifyRate] stamps in a second, one at a time, in one MiB. Nearly every invalid
//     stamp costs one hash.
//   - The memory of a Verifier is bounded. When it is full of accepted stamps it refuses
//     further ones with [ErrBusy]: it drops none that is still valid.
//
// # Limits
//
//   - A message that was fetched proves nothing. The signature of the statement proves
//     the sender, and the stamp proves the work: verify both.
//   - Anyone can replace a message. Records with the highest sequence in all slots block
//     the mailbox ([ErrBlocked]) until the next epoch, at the cost of a few puts and no
//     proof of work. An invitation (package pair) avoids this: its mailboxes are known
//     to its two parties alone.
//   - Peers that store the records can see that a pointer receives requests, and the IP
//     address that reads the mailbox, most likely that of its owner.
//   - A request mailbox holds a message for at most four hours. The sender sends it again,
//     with a new stamp.
//   - Epochs are predictable: stamps can be computed in advance for a later epoch. What
//     they can fill has to be bounded by other means.
//   - The time for a stamp depends on the processor, and an attacker may use the
//     processors of others. Proof of work limits the rate of requests; it does not prove
//     that a sender is honest.
package request
