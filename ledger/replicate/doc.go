// Package replicate exchanges the entries of a book between two devices of its owner: over
// a connection, or in messages that something else carries.
//
// Over a connection, one device calls [Dial] and the other [Accept]. Both return when each
// has merged what the other one had:
//
//	result, err := replicate.Dial(ctx, l, device, conn, peer, replicate.Options{})
//	…
//	fmt.Println(result.Received, "new,", result.Sent, "sent")
//
// After an error what was merged stays merged, and the next call continues there. A device
// that is admitted and has no ledger yet calls [Fetch] in the place of Dial, with a file,
// and makes its ledger of the file:
//
//	result, err := replicate.Fetch(ctx, book, device, conn, peer, file, replicate.Options{})
//	…
//	l, err := ledger.Join(path, identity, device, entries(replicate.Read(file)), fold, ledger.Options{})
//
// Without a connection each device has a [Peer] for each other one, stored by the caller in
// the transaction of the channel that carries the messages:
//
//	for _, m := range received {
//		if err := p.Incoming(l, m); err != nil && !replicate.IsRefused(err) {
//			return err              // of the ledger: the message is processed again later
//		}
//	}
//	if nothingUnderWay {
//		p.Acknowledged()                  // after Incoming of what was received before
//		messages, err = p.Outgoing(l)     // none if the other device has everything
//	} else {
//		message, err = p.Further(l, room) // what was written since; nil: nothing
//	}
//	save(p, messages)                     // or the one message, in one transaction
//
// Two copies of one device, which have the same key, have no session and no messages with
// each other ([ErrSelf]). They exchange entries through a third device, or a folder. What the
// third one states shows that there is another copy before the entries arrive
// ([Peer.UnknownOwn]).
//
// # Security
//
// A connection is encrypted and authenticated by Noise_IK_25519_ChaChaPoly_SHA256 (Noise
// Protocol Framework, revision 34). The static keys are the X25519 forms of the devices'
// Ed25519 keys (RFC 7748, §4.1). The dialling device knows the other one's key. The
// accepting device admits only devices that count in its book and are not removed: it
// closes all other connections without an answer, so that their devices learn nothing. It
// sends only its half of the handshake before the dialling device has shown that it is no
// replay. The session of a device ends when the book removes the device.
//
// Messages have no protection of their own: the channel encrypts and authenticates them.
//
// A device of the book can be stolen, so that what it sends is hostile until verified. Each
// entry is verified by the ledger, as [ledger.Ledger.MergePart] describes. Bounds, each of
// one call: the handshake, with the first message of the peer, takes at most 30 s, and the
// rest what the context allows; 1024 heads; side data of 64 KiB; messages of 192 KiB;
// 256 MiB to receive, over which the call fails, and 192 MiB of entries to send, over which
// the rest is for the next call ([Result.More]). Entries that build on others that did not
// come before them are counted, and not kept. A call uses less than 10 MiB of memory, with
// what the ledger uses to merge 1 MiB of entries. Nothing is logged.
//
// # Format of a connection
//
//	handshake = record of Noise_IK message 1 ‖ record of message 2, both with no payload
//	prologue  = "petnames/sync/1\0" ‖ book id
//	record    = length of the rest, 2 bytes, big endian ‖ Noise message
//
// The plain texts of the records of one direction, after the handshake, are one stream of
// CBOR byte strings. Each has one item in canonical CBOR (CDDL of RFC 8610):
//
//	hello   = [1, version: 1,
//	           heads: [* [device: bytes .size 32, number: uint, hash: bytes .size 32]],
//	           same: bytes,            ; bit i (lowest first): head i of the peer's hello is one as well
//	           ask: bool,              ; in messages: the other device is to send a round
//	           side: bytes]
//	entries = [2, state: 0 / 1 / 2,    ; 0: others follow; 1: the last; 2: the last of this call, there are more
//	           [* bytes .cbor exchanged-entry]]
//	done    = [3, digest: bytes .size (0 / 16)]
//
// Each direction has a hello, entries until a state that is not 0, and a done, which
// acknowledges that all entries of the other direction are merged. The digest is the start
// of [ledger.Ledger.Digest]. The accepting device sends its hello after it has received the
// other one. What follows the hellos flows in both directions at the same time.
//
// # Format of messages
//
// A round is a hello and entries of one device, about 512 KiB at most, as a stream of byte
// strings as above, cut into at most 128 messages of at most 8192 bytes:
//
//	message = [version: 1, channel: bytes .size 16, round: bytes .size 8,
//	           number: uint,           ; of the message in its round, from 0
//	           data: bytes]
//
// The channel is the start of sha2-256("petnames/sync/messages/v1\0" ‖ book id ‖ sender's
// device id ‖ recipient's), the round that of sha2-256 of the stream. A round with ask set
// is answered by one of the other device, which states its heads. The messages of a round follow
// those of the round before, whether these are acknowledged or not. See [Peer].
//
// # Format of bundles
//
// A bundle is what one device wrote in its own log, for a device that may regard it as removed: at
// most 8 messages of at most 8192 bytes. See [MergeBundle].
//
//	bundle = [version: 1, channel: bytes .size 16, more: bool, [+ bytes .cbor exchanged-entry]]
//
// The channel is the start of sha2-256("petnames/sync/bundle/v1\0" ‖ book id ‖ sender's device id ‖
// recipient's); more is set in all messages but the last.
package replicate
