package pair

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/pointer"
)

// compactInvitation returns an invitation with an address of the usual kind.
func compactInvitation(t require.TestingT) Invitation {
	self := newSelf(t, 1, "Alice")
	peer := newKey(t, 77).Pointer().Bytes()
	self.Identity.Addresses = [][]byte{
		bytes.Repeat([]byte{4}, 200),
		append([]byte{4, 203, 0, 113, 7, 0x91, 2, 0x0f, 0xa1, 0xcd, 3, 0xa5, 3, 0x26}, peer...), // /ip4/203.0.113.7/udp/4001/quic-v1/p2p/…
	}
	inv, _, err := self.invite(Terms{Expires: start.Add(time.Hour)})
	require.NoError(t, err)
	return inv
}

func TestCompactFormIsBounded(t *testing.T) {
	compact := compactInvitation(t).Compact()
	ticket, err := ParseTicket(compact, start)
	require.NoError(t, err)
	require.Len(t, ticket.Addresses, 1, "an address with its peer fits")
	require.LessOrEqual(t, len(compact), maxCompact)
	require.Empty(t, strings.Trim(compact, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"), "alphanumeric mode holds it")
	_, err = pointer.ParseLink(compact)
	require.Error(t, err, "it is not taken for a link to a pointer")
}
