// Package pointer has self-certifying names, and the records and cards that are
// signed under them. Start with [Parse] for a pointer, [Open] for the bytes of
// a record, and [NewKey] and [Sign] for a record of one's own:
//
//	key, err := pointer.NewKey(nil)
//	fields := pointer.Fields{Value: "/ipfs/bafkqaaa", Sequence: 1, Expires: end, TTL: time.Minute}
//	record, err := pointer.Sign(key, fields)
//	…
//	record, err = pointer.Open(key.Pointer(), bytes, time.Now())
//
// A [Pointer] is the multihash of a public key. The holder of the private key
// can sign a [Record] for it: an IPNS record as Kubo, Helia and boxo read and
// write them. Every recipient can verify the record with the pointer alone,
// whatever its source. [Open] parses and verifies in one step, and no other
// function makes a Record of foreign bytes. A record contains a [Card], the
// owner's statement about itself, or an opaque [Record.Payload], in records
// that two parties exchange.
//
// People exchange pointers as a [Link], which has a checksum and the
// [Commitment] to the owner's next key, and compare them by [Words]. A
// [Succession] in a card is proven if it opens the commitment that was pinned
// when the pointer was first known: see [Follow].
//
// This package does no I/O, reads no clock and stores nothing. Petnames are in
// package petname.
//
// Sources: the IPNS record specification (specs.ipfs.tech/ipns/ipns-record),
// libp2p's peer ID specification, RFC 8949 for CBOR, RFC 8032 for Ed25519,
// BIP-39 for the words.
package pointer
