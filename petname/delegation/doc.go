// Package delegation proves at both ends of a stream between two peers which
// pointers they speak for. It does no input or output.
//
// An identity signs that a peer key speaks for its pointer: a [Delegation]. It is of
// use on a connection of which the transport has authenticated the peer keys of both ends,
// such as one of libp2p, and is shown to no other party. The caller sends a hello, and
// the callee answers it:
//
//	d, err := delegation.Sign(identity, peer, epoch, now, now.Add(delegation.MaxLifetime))
//	…
//	hello, w, err := delegation.Call{Own: d, To: alice, Sealing: card.Sealing, Peer: remote, Protocol: "example.org/chat/1"}.Hello()
//	answer := …                                // of the callee
//	state, callee, err := w.Open(answer)
//	err = callee.Check(now, card.Epoch)
//
// and the callee:
//
//	h, err := delegation.OpenHello(keys, local, remote, hello)
//	err = h.By.Check(now, epoch)               // of the caller's newest card
//	answer, err := h.Answer(d, delegation.Accepted)
//
// # Formats
//
// All items are canonical CBOR (RFC 8949, §4.2.1; CDDL of RFC 8610). Pointers are
// multihashes, and so are peer keys: the multihash of a peer key is its peer ID.
//
//	delegation = [signature: bytes .size 64, body: bytes .cbor body]
//	body = [
//	  version: 1,
//	  by: pointer, peer: pointer,
//	  epoch: uint,
//	  made: uint, expires: uint,     ; s since 1970
//	]
//
// The signature is by the key of the pointer, over "petnames/delegation/v1\0" ‖ body.
//
//	hello = seal of [version: 1, delegation: bytes, to: pointer, protocol: text, secret: bytes .size 32, record: bytes]
//
// The seal is one of package seal to a key of the callee's card, of 1024, 2048 or
// 14336 bytes, with info "petnames/stream/hello/v1\0" ‖ the caller's peer key ‖ the
// callee's. The record is empty, or the caller's newest one, by which a callee that
// knows an earlier pointer of the caller follows it to the present one.
//
//	answer = [version: 1, state: uint, delegation: bytes, proof: bytes .size 32]
//	proof  = HMAC-SHA256(secret, "petnames/stream/answer/v1\0" ‖ state (1 byte) ‖ sha2-256 of hello)
//
// # Security properties
//
//   - A caller shows its pointer to the holder of the callee's sealing key alone, and on
//     the connection between these two peers alone: a hello that was passed on, or
//     reflected, does not open. A callee that does not open it learns neither the
//     pointer of the caller nor the protocol.
//   - A callee answers only after it has opened a hello, and may leave it unanswered:
//     so a party that does not speak for a contact learns nothing of the pointer behind a
//     peer.
//   - A thief of a peer key is refused when the delegation expires, and before that by
//     each party that knows a card with a higher epoch, which the removal of a device
//     publishes.
//   - An answer proves two keys: that of the peer, which the identity has named, and
//     the sealing key.
//
// What is sent on the stream is as secret as the connection. There is no deniability
// of a delegation: a party can show it to others, which proves that the pointer
// used the peer key.
package delegation
