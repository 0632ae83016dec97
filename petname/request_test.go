package petname

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/petname/introduce"
	"github.com/petnames-go/petnames/pointer/lawtest"
)

// knocks returns a contact request.
func contactRequest(t testing.TB, who string, change ...func(*introduce.Introduction)) []byte {
	t.Helper()
	return introduced(t, who, "me", who, append([]func(*introduce.Introduction){func(i *introduce.Introduction) {
		i.Expires = epoch.Add(MaxRequestLifetime)
		i.Note = "from the market"
	}}, change...)...)
}

func hasPaid(introduce.Introduction) error { return nil }

func TestAContactRequestIsListedApartAndNamesNothing(t *testing.T) {
	b := newTestBook(t)
	signed := contactRequest(t, "sam")
	asked := 0
	id, fresh, err := b.receiveStrangerBytes(signed, "doorstep", func(i introduce.Introduction) error {
		asked++
		require.Equal(t, pointerOf("sam"), i.By)
		return nil
	})
	require.NoError(t, err)
	require.True(t, fresh)
	require.Equal(t, 1, asked)
	waiting := inbox(t, b)
	require.Len(t, waiting, 1)
	s := waiting[0]
	require.Equal(t, Suggestion{ID: id, Kind: ContactRequest, Pointer: pointerOf("sam"), By: pointerOf("sam"), Next: commitment("sam"), Suggested: "sam",
		Note: "from the market", Channel: "doorstep", At: s.At, Expires: epoch.Add(MaxRequestLifetime), Evidence: signed, State: Pending}, s)
	n, err := b.Count()
	require.NoError(t, err)
	require.Zero(t, n)

	c, err := b.Accept(id, mustName("sam from the market"), Acceptance{})
	require.NoError(t, err)
	require.Equal(t, "stranger", c.Provenance[0].Kind)
	require.Equal(t, commitment("sam"), c.Next)

	// A contact needs no stamp, and its request is refused.
	_, _, err = b.receiveStrangerBytes(contactRequest(t, "sam"), "doorstep", mustNotBeAsked(t))
	require.ErrorAs(t, err, new(*NamedError))
}

func mustNotBeAsked(t testing.TB) func(introduce.Introduction) error {
	return func(introduce.Introduction) error {
		require.Fail(t, "was checked for payment, which costs")
		return nil
	}
}

// All checks that do not need the proof of work precede it.
func TestTheStampIsVerifiedLast(t *testing.T) {
	b := newTestBook(t)
	mustAdd(t, b, "alice", "alice")
	declined := contactRequest(t, "dan")
	id, _, err := b.receiveStrangerBytes(declined, "doorstep", hasPaid)
	require.NoError(t, err)
	_, err = b.Decline(id, true)
	require.NoError(t, err)
	tampered := contactRequest(t, "sam")
	tampered[len(tampered)-1] ^= 1
	for name, c := range map[string]struct {
		signed []byte
		check  func(error) bool
	}{
		"garbage":                   {[]byte("garbage"), is(introduce.ErrInvalid)},
		"tampered with":             {tampered, is(introduce.ErrInvalid)},
		"to somebody else":          {introduced(t, "sam", "carol", "sam", func(i *introduce.Introduction) { i.Expires = epoch.Add(time.Hour) }), is(ErrWrongRecipient)},
		"about somebody else":       {introduced(t, "sam", "me", "bob", func(i *introduce.Introduction) { i.Expires = epoch.Add(time.Hour) }), is(ErrUnknownSender)},
		"by a contact about others": {introduced(t, "alice", "me", "bob", func(i *introduce.Introduction) { i.Expires = epoch.Add(time.Hour) }), is(ErrUnknownSender)},
		"by a contact":              {contactRequest(t, "alice"), func(err error) bool { return errors.As(err, new(*NamedError)) }},
		"good for too long":         {contactRequest(t, "sam", func(i *introduce.Introduction) { i.Expires = epoch.AddDate(0, 6, 0) }), is(introduce.ErrInvalid)},
		"expired": {contactRequest(t, "sam", func(i *introduce.Introduction) { i.Expires = epoch.Add(time.Second) }),
			func(err error) bool { return errors.As(err, new(*introduce.ExpiredError)) }},
		"declined before":   {declined, func(err error) bool { return err == nil }},
		"declined for ever": {contactRequest(t, "dan"), is(ErrMuted)},
	} {
		_, fresh, err := b.receiveStrangerBytes(c.signed, "doorstep", mustNotBeAsked(t))
		require.True(t, c.check(err), "%s: %v", name, err)
		require.False(t, fresh, name)
	}
	require.Empty(t, inbox(t, b))
	unpaid := errors.New("not paid")
	_, _, err = b.receiveStrangerBytes(contactRequest(t, "sam"), "doorstep", func(introduce.Introduction) error { return unpaid })
	require.ErrorIs(t, err, unpaid)
	require.Empty(t, inbox(t, b))
	// Receive refuses contact requests, with or without a stamp.
	_, _, err = b.receiveBytes(contactRequest(t, "sam"), "file")
	require.ErrorIs(t, err, ErrUnknownSender)
	_, i := opened(contactRequest(t, "sam"))
	_, _, err = b.Suggest(Suggestion{Kind: ContactRequest, Pointer: i.About, By: i.By, Next: i.Next, Suggested: i.Suggested, Note: i.Note, Expires: i.Expires,
		Channel: "doorstep", Evidence: contactRequest(t, "sam")})
	require.ErrorIs(t, err, ErrUnknownSender)
}

func is(target error) func(error) bool { return func(err error) bool { return errors.Is(err, target) } }

func TestContactRequestsHaveABoundOfTheirOwn(t *testing.T) {
	now := epoch
	options := testOptions()
	options.Now = func() time.Time { return now }
	b, err := Create(filepath.Join(lawtest.FastDir(t), "ledger.db"), testKey("me"), testKey("one"), options)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	mustAdd(t, b, "alice", "alice")
	// Half of them say that they are good for an hour only.
	for i := range MaxInboxFrom {
		life := MaxRequestLifetime
		if i%2 == 0 {
			life = time.Hour
		}
		_, fresh, err := b.receiveStrangerBytes(contactRequest(t, fmt.Sprint("stranger ", i), func(x *introduce.Introduction) { x.Expires = epoch.Add(life) }), "doorstep", hasPaid)
		require.NoError(t, err)
		require.True(t, fresh)
	}
	more := contactRequest(t, "one more")
	_, _, err = b.receiveStrangerBytes(more, "doorstep", mustNotBeAsked(t))
	require.ErrorIs(t, err, ErrInboxFull)
	receive(t, b, introduced(t, "alice", "me", "bob")) // contacts are not affected

	// A short life makes no room sooner than in a week.
	now = epoch.Add(requestSlotTime - time.Hour)
	require.Len(t, inbox(t, b), MaxInboxFrom/2+1)
	_, _, err = b.receiveStrangerBytes(more, "doorstep", mustNotBeAsked(t))
	require.ErrorIs(t, err, ErrInboxFull)
	now = epoch.Add(requestSlotTime + time.Hour)
	_, fresh, err := b.receiveStrangerBytes(more, "doorstep", hasPaid)
	require.NoError(t, err)
	require.True(t, fresh)

	// Suggestions of contacts do not count as contact requests.
	for i := range MaxInboxFrom - 1 {
		receive(t, b, introduced(t, "alice", "me", fmt.Sprint("friend ", i)))
	}
	_, fresh, err = b.receiveStrangerBytes(contactRequest(t, "and another"), "doorstep", hasPaid)
	require.NoError(t, err)
	require.True(t, fresh)
}

// A declined request frees its slot, and a sender has one slot.
func TestOneContactRequestOfASenderIsPendingAtATime(t *testing.T) {
	b := newTestBook(t)
	id, _, err := b.receiveStrangerBytes(contactRequest(t, "sam"), "doorstep", hasPaid)
	require.NoError(t, err)
	second := contactRequest(t, "sam", func(i *introduce.Introduction) { i.Note = "again" })
	_, _, err = b.receiveStrangerBytes(second, "doorstep", mustNotBeAsked(t))
	require.ErrorIs(t, err, ErrInboxFull)
	_, err = b.Decline(id, false)
	require.NoError(t, err)
	_, fresh, err := b.receiveStrangerBytes(second, "doorstep", hasPaid)
	require.NoError(t, err)
	require.True(t, fresh)
}
