// Package ledger keeps a book as signed, hash-chained logs, one for each device
// of its owner, and the state that a Fold of the logs gives, in one bbolt file.
//
//	l, err := ledger.Create("ledger.db", ledger.Genesis{Identity: id, Device: dev, DeviceName: "laptop"}, fold, ledger.Options{})
//	…
//	entries, err := l.Update(func(tx *ledger.Tx) error {
//		if v, err := tx.View().Get("names", []byte("alice")); err != nil || v != nil {
//			return cmp.Or(err, errTaken)
//		}
//		_, err := tx.Append(body)
//		return err
//	})
//
// Beside the view, which is made of the entries alone, the file has device-local
// tables: rows that one device keeps for itself, that no entry holds and no sync
// sends. Tx.Local changes them in the transaction of the entries, with the same
// checksums; a rebuild of the view leaves them as they are.
//
// It knows entries, devices and hashes; what a body says is the Fold's business.
// It opens no network: Heads, Missing and Merge move entries between the devices
// of a book over any stream, file or drop.
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
//	hash      = sha2-256("petnames/ledger/entry/v1\0" ‖ book id ‖ the entry with an empty signature)
//	signature = Ed25519 by the device, over "petnames/ledger/signature/v1\0" ‖ hash
//
//	travelling entry  = [bytes .cbor entry, body: bytes / null]   ; null when it was dropped
//	admission, genesis body = [book: bytes .size 16, identity: bytes, device: bytes .size 32, name: text, signature: bytes]
//	removal body      = [book: bytes .size 16, identity: bytes, device: bytes .size 32, last: uint, signature: bytes]
//
// The signature of a statement is the identity's, over "petnames/ledger/admit/v1\0"
// or "petnames/ledger/remove/v1\0" and the statement with an empty signature. The
// hash covers the book's id, so an entry is good in its own book only. The clock
// is for display; what tells concurrent from after is seen: Entry.Saw.
//
// # What holds
//
// When Append, Update or Merge return nil, a power cut loses nothing of what
// they did; otherwise nothing of it is visible, now or later. Foreign entries are
// verified to the last byte before anything of them is visible. Two entries with
// one number are kept as evidence (Forks), and only the first counts. A damaged
// byte becomes a *DamagedError when it is met, and is not served.
//
// Not held: that a device's file is not replaced by an older copy of itself.
// Writing to both makes a fork, which the other devices will show.
package ledger
