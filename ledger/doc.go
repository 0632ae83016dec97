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
//	exchanged entry   = [bytes .cbor entry, body: bytes / null]   ; null if the body was dropped
//	admission, genesis body = [book: bytes .size 16, identity: bytes, device: bytes .size 32,
//	                           name: text, signature: bytes]
//	removal body      = [book: bytes .size 16, identity: bytes, device: bytes .size 32,
//	                     last: uint, signature: bytes]
//
// The signature of a statement is the identity's, over
// "petnames/ledger/admit/v1\0" or "petnames/ledger/remove/v1\0" and the
// statement with an empty signature. The hash covers the book's id, so an entry
// is valid in its own book only. The clock is for display. It increases from entry
// to entry of a device, or returns by more than 24 hours when a clock that ran
// ahead was corrected. The field seen, and not the clock, distinguishes concurrent
// entries from later ones: see Entry.Saw.
//
// # Guarantees
//
// If Append, Update or Merge return nil, a power cut loses nothing of their
// changes; otherwise none of them is visible, now or later. Foreign entries are
// verified completely before any part of them is visible. Two entries with one
// number are stored as evidence (Forks), and only the first counts. A damaged
// byte is reported as a *DamagedError when it is read, and is not returned.
//
// It is not guaranteed that a device's file was not replaced by an older copy.
// Writing to both makes a fork, which the other devices detect.
package ledger
