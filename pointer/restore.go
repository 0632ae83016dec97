package pointer

import (
	"bytes"
	"errors"
)

// inlineEd25519 is the prefix of the multihash of every Ed25519 key: the
// identity code, its length, and the libp2p encoding's type and length.
var inlineEd25519 = []byte{0x00, 0x24, 0x08, 0x01, 0x12, 0x20}

// Restore reads the output of [Pointer.Bytes] from storage of this program with
// a checksum, such as the ledger's view. It checks the shape and omits the
// curve arithmetic of [FromBytes], which costs more than a look-up in an index.
// Never use it for bytes from elsewhere.
func Restore(mh []byte) (Pointer, error) {
	if len(mh) == len(inlineEd25519)+32 && bytes.HasPrefix(mh, inlineEd25519) {
		return Pointer{string(mh)}, nil
	}
	if len(mh) == 0 {
		return Pointer{}, errors.New("is empty")
	}
	return FromBytes(mh)
}
