// Package folder exchanges the entries of a book through a folder that something else
// carries between the devices of its owner: a memory stick, a network disk, Syncthing, or a
// folder of a cloud service. Each device calls [Sync] with the folder:
//
//	result, err := folder.Sync(l, device, dir, folder.Options{})
//	…
//	fmt.Println(result.Received, "new,", result.Sent, "sent")
//
// A call reads the files that are new since the last one, merges their entries, and
// writes one file of what the folder lacks. A file is written once, under a random name,
// and is never changed, so that two devices never write to one file, and that it makes no
// difference whether files arrive late, in another order, twice, or as the conflict copies
// of a synchronizing program. A file that has not arrived completely is read as far as it
// goes, and again when it has grown. The devices need not be on at the same time, and
// none of them needs the others' files to stay: what is missing is written again. So is what
// was written before a device was admitted, once, since that device cannot read it.
//
// # What the folder shows
//
// Files are encrypted for the devices that the book has when they are written, by their
// device keys. So the service that stores the folder does not read the book, and a removed
// device does not read what is written later. The service sees sizes, times, and the
// number of devices; it can withhold files, and delete them. Entries are signed by their
// devices and verified like any others; what else is in the folder is reported and left
// alone.
//
// A device of the book can be stolen, so that a file is hostile until its entries are
// verified. What a device wrote counts as being in the folder only if a file of its own has it:
// another file may name all devices, and open for one of them alone. A call reads at most 256 MiB
// ([Result.More]: another call reads the rest), new files first, and those last that it could not
// read before. Of one file it reads at most 24 MiB of entries that wait for others, are repeated,
// or are refused, and it keeps 1 MiB of entries that wait in memory. Those of a removed device
// after its end do not wait. A file with entries that wait is read again only when the ledger has
// others. Each such file is named in [Result.Problems].
//
// # Format
//
//	file  = "petnames sync 1\n" ‖ salt, 32 bytes ‖ count, 2 bytes ‖ count × slot ‖ frames
//	slot  = hint, 8 bytes ‖ sealed file key, 32 + 48 bytes
//	frame = length of the rest, 4 bytes, with the highest bit set in the last one
//	      ‖ AES-256-GCM of exchanged entries, each a CBOR byte string
//
// Numbers are big endian. The hint is the start of sha2-256("petnames/sync/hint/v1\0" ‖
// salt ‖ device id). The file key is sealed by HPKE (RFC 9180, base mode, DHKEM(X25519,
// HKDF-SHA256), HKDF-SHA256, AES-256-GCM; info "petnames/sync/key/v1\0" ‖ salt) to the
// X25519 form of the device's Ed25519 key. The key of the frames is HKDF-SHA256 of the
// file key, info "petnames/sync/frames/v1\0"; the nonce of a frame is its number; the
// additional data is its length field. A frame has at most 1 MiB.
package folder
