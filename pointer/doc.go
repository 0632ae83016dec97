// Package pointer has the names that certify themselves, and what is signed
// under them.
//
// A [Pointer] is the multihash of a public key. Whoever holds the private key
// can sign a [Record] for it (an IPNS record as Kubo, Helia and boxo read and
// write them), and anyone can check the record against the pointer alone,
// wherever it came from: [Open] parses and verifies in one step, and nothing
// else makes a Record of foreign bytes. Inside the record travels a [Card]:
// what the owner says about itself; or, in records that two parties leave for
// each other, an opaque [Record.Payload].
//
//	key, err := pointer.NewKey(nil)
//	record, err := pointer.Sign(key, pointer.Fields{Value: "/ipfs/bafkqaaa", Sequence: 1, Expires: end, TTL: 5 * time.Minute})
//	…
//	record, err = pointer.Open(key.Pointer(), bytes, time.Now())
//
// Pointers are handed around as a [Link], which has a checksum and the
// [Commitment] to the owner's next key, and compared by [Words]. A card's
// [Succession] is believed when it opens the commitment that was pinned when
// the pointer was first learnt: see [Follow].
//
// This package does no I/O, reads no clock and keeps no names: what a pointer
// is called is a question to somebody's book, package petname.
//
// Sources: the IPNS record specification (specs.ipfs.tech/ipns/ipns-record),
// libp2p's peer ID specification, RFC 8949 for CBOR, RFC 8032 for Ed25519,
// BIP-39 for the words.
package pointer
