package pair

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/pointer"
)

func deviceSelf(t require.TestingT, seed byte, nickname string) Self {
	self := newSelf(t, seed, nickname)
	self.Device = true
	return self
}

// An invitation of a device is of another form than one of a contact, and neither side
// accepts it in the place of the other.
func TestAnInvitationOfADevicePairsNoContact(t *testing.T) {
	clock := newClock()
	alice, disk := deviceSelf(t, 1, "Alice"), &savedStates{}
	terms := Terms{Expires: start.Add(10 * time.Minute), Device: true, Networks: []string{"/ip4/192.0.2.1/tcp/4001", strings.Repeat("x", maxNetwork+1), ""}}
	inviter, err := Invite(context.Background(), alice, terms, disk.save)
	require.NoError(t, err)
	inv := inviter.Invitation()
	require.Equal(t, []string{"/ip4/192.0.2.1/tcp/4001"}, inv.Networks)
	require.True(t, strings.HasPrefix(inv.Link(), "petname-device:"))
	require.True(t, strings.HasPrefix(inv.Compact(), "PETNAME:D."))
	for _, text := range []string{inv.Link(), inv.Compact()} {
		ticket, err := ParseTicket(text, clock.now())
		require.NoError(t, err)
		require.True(t, ticket.Device)
		_, err = AcceptTicket(newSelf(t, 2, "Bob"), ticket)
		require.ErrorIs(t, err, ErrDevice)
		_, err = AcceptTicket(deviceSelf(t, 2, "phone"), ticket)
		require.NoError(t, err)
	}
	for _, scheme := range []string{"PETNAME-DEVICE:", "Petname-Device:", "Join: Petname-device:"} {
		_, err = ParseTicket(scheme+strings.TrimPrefix(inv.Link(), devicePrefix), clock.now())
		require.NoError(t, err, scheme)
	}
	_, err = ParseTicket(linkPrefix+strings.TrimPrefix(inv.Link(), devicePrefix), clock.now())
	require.ErrorContains(t, err, "petname-device:", "the text cannot be turned into an invitation of a contact")
	_, err = ResumeInviter(newSelf(t, 1, "Alice"), disk.state, disk.save)
	require.ErrorIs(t, err, ErrDevice)
	_, err = ResumeInviter(alice, disk.state, disk.save)
	require.NoError(t, err)

	_, err = Invite(context.Background(), newSelf(t, 1, "Alice"), terms, disk.save)
	require.ErrorIs(t, err, ErrDevice)
	_, err = Invite(context.Background(), alice, Terms{Expires: terms.Expires}, disk.save)
	require.ErrorIs(t, err, ErrNoDevice)

	p := newLinkScenario(t, Terms{})
	ticket, err := ParseTicket(p.inviter.Invitation().Link(), clock.now())
	require.NoError(t, err)
	_, err = AcceptTicket(deviceSelf(t, 2, "phone"), ticket)
	require.ErrorIs(t, err, ErrNoDevice)
}

// A compact form of a device leads to an invitation of a device only.
func TestACompactFormOfADeviceFindsNoInvitationOfAContact(t *testing.T) {
	p := newLinkScenario(t, Terms{})
	p.stepInviter(t)
	inv := p.inviter.Invitation()
	text := compactDevicePrefix + strings.TrimPrefix(inv.Compact(), compactPrefix)
	ticket, err := ParseTicket(text, p.clock.now())
	require.NoError(t, err)
	x, err := AcceptTicket(deviceSelf(t, 2, "phone"), ticket)
	require.NoError(t, err)
	require.ErrorIs(t, p.stepInvitee(t, x).err, ErrTampered)
}

// The code of a device has mailboxes of its own.
func TestACodeOfADeviceHasItsOwnMailboxes(t *testing.T) {
	plain := mustCode(t, "742-tunnel-orbit-candy")
	code := plain.ForDevice()
	require.Equal(t, "device-742-tunnel-orbit-candy", code.Secret())
	require.Equal(t, "device-742-tunnel-…", code.String())
	require.Equal(t, code, mustCode(t, " Device 742 tunnel orbit candy"))
	require.NotEqual(t, plain, code)
	seen := map[pointer.Pointer]bool{}
	for _, c := range []Code{plain, code} {
		s := c.slot(start)
		for _, m := range []mailbox{s.mailbox(mailboxOffer), s.mailbox(mailboxAcceptance), s.mailbox(mailboxAnswer), c.noticeMailbox()} {
			require.False(t, seen[m.key.Pointer()])
			seen[m.key.Pointer()] = true
		}
	}
	used := func(context.Context, string, time.Time) error { return nil }
	_, err := InviteByCode(newSelf(t, 1, "Alice"), code, used)
	require.ErrorIs(t, err, ErrDevice)
	_, err = AcceptCode(deviceSelf(t, 1, "Alice"), plain, used)
	require.ErrorIs(t, err, ErrNoDevice)
	_, err = AcceptCode(deviceSelf(t, 1, "Alice"), code, used)
	require.NoError(t, err)
}
