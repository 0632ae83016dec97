// Package ledger stores a book as signed, hash-chained logs, one for each
// device of its owner, and the view that a [Fold] derives from the logs, in one
// bbolt file. Start with Create or Open, change the book in an Update, and read
// it in a Read:
//
//	// id and dev are Ed25519 keys of the owner and of this device, each a crypto.Signer.
//	// fold is the application's Fold: it writes each application entry to the view.
//	genesis := ledger.Genesis{Identity: id, Device: dev, DeviceName: "laptop"}
//	l, err := ledger.Create("ledger.db", genesis, fold, ledger.Options{})
//	…
//	entries, err := l.Update(func(tx *ledger.Tx) error {
//		if v, err := tx.View().Get("names", []byte("alice")); err != nil || v != nil {
//			return cmp.Or(err, errTaken)
//		}
//		_, err := tx.Append(body)
//		return err
//	})
//
// Beside the view, which is derived from the entries alone, the file has
// device-local tables: rows that are in no entry and that no sync sends.
// Tx.Local changes them in the transaction of the entries, with the same
// checksums. A rebuild of the view does not change them.
//
// The package reads entries, devices and hashes. Only the Fold reads the bodies
// of application entries. The package opens no network connection: Heads,
// Missing and Merge exchange entries between the devices of a book over any
// stream, file or message channel.
//
// # Entries
//
// An entry, in canonical CBOR (RFC 8949 §4.2.1; what is accepted re-encodes to
// the same bytes), by its CDDL (RFC 8610):
//
//	entry = [
//	  version:   1,
//	  device:    bytes .size 32,       ; its Ed25519 public key
//	  number:    uint,                 ; from 1, no gaps
//	  kind:      1 / 2 / 3 / 4,        ; genesis, admission, removal, application's
//	  prev:      bytes .size (0 / 32), ; hash of the device's entry before; empty for the first
//	  seen:      [* [device: bytes .size 32, number: uint, hash: bytes .size 32]],
//	                                   ; other devices' heads that are new since prev, by device
//	  clock:     uint,                 ; hybrid logical clock: ms since 1970 << 16 | counter
//	  length:    0..65536,             ; of the body, in bytes
//	  body:      bytes .size 32,       ; its sha2-256 hash
//	  signature: bytes .size 64,
//	]
//
//	hash      = sha2-256("petnames/ledger/entry/v1\0" ‖ book id ‖ the entry without signature)
//	signature = Ed25519 by the device, over "petnames/ledger/signature/v1\0" ‖ hash
//
//	exchanged entry = [bytes .cbor entry, body: bytes / null]   ; null if the body was dropped
//	admission 1, genesis body = [book: bytes .size 16, identity: bytes, device: bytes .size 32,
//	                             name: text, signature: bytes]
//	admission 2 = [2, book: bytes .size 16, steps: bytes,
//	               by: bytes .size 32, number: uint,   ; of the entry whose body it is
//	               device: bytes .size 32, name: text, signature: bytes]
//	removal 1   = [book: bytes .size 16, identity: bytes, device: bytes .size 32, last: uint,
//	               signature: bytes]   ; read, and not written any more
//	removal 2   = [2, book: bytes .size 16, steps: bytes, by: bytes .size 32, number: uint,
//	               device: bytes .size 32, last: uint,
//	               hash: bytes .size (0 / 32),   ; of the entry last; empty if last is 0
//	               signature: bytes]
//
// The signature of a statement is by the book's identity, over
// "petnames/ledger/admit/v1\0", "petnames/ledger/remove/v1\0", or the same with v2, and
// the statement with an empty signature. In version 2 the identity is the key to which the
// steps lead from the identity of the genesis: as pointer.EncodeSuccession encodes them,
// each signed by both of its keys; empty: none. A thief of one of the keys can sign steps to keys
// of its own: set the succession that the owner has verified with Ledger.Follow, and only a
// statement stands with steps that are on it or open its commitment to the next key. The hash
// covers the book's id, so an entry is valid in its own book only. The clock is for display. It
// increases from entry to entry of a device, or returns by more than 24 hours when a clock that ran
// ahead was corrected. The field seen, and not the clock, distinguishes concurrent entries from
// later ones: see Entry.Saw.
//
// # Guarantees
//
// If Append, Update or Merge return nil, a power cut loses nothing of their
// changes; otherwise none of them is visible, now or later. Foreign entries are
// verified completely before any part of them is visible. A damaged
// byte is reported as a *DamagedError when it is read, and is not returned.
//
// The view is a function of the set of stored entries, and their bodies. Two entries of a
// device that follow on one entry are a fork (Forks): all branches are stored, and the one
// with the smaller hash at the first difference counts, on every device. Of a removed
// device the branch counts that its removal names, up to the entry that it names. The
// entries of a device count if a statement that stands admitted it; a fork undoes no
// statement. So the view of two devices is the same if they have the same entries and follow the
// same succession. A device cannot take back with a fork what it wrote before a removal; until
// then its holder can, and the fork is evidence.
//
// The bounds of what a device may store elsewhere (branches, entries after its removal) are
// such that what counts is stored. A device of the book can withhold bodies of entries that
// it passes on; they are stored when another one has them.
//
// It is not guaranteed that a device's file was not replaced by an older copy.
// Writing to both makes a fork, which every device detects. On the copy whose branch does not
// count each write returns a *ForkError; it can write again under a new device key, and enter
// anew what Chain and Uncounted yield. MergedOwn shows a copy that wrote alone.
package ledger
