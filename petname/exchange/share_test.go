package exchange

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/pointer"
)

// reads returns the labels of the edges that of shares with p.
func (p *person) reads(t testing.TB, of pointer.Pointer) (labels []string) {
	t.Helper()
	shared, err := p.book.EdgesFrom(of)
	require.NoError(t, err)
	for label := range shared.Edges {
		labels = append(labels, label)
	}
	return labels
}

// shares has Alice share an edge to Bob with Carol alone.
func shares(t testing.TB, alice, bob, carol *person) {
	t.Helper()
	label, err := petname.CheckLabel("choir")
	require.NoError(t, err)
	_, err = alice.book.ShareWith(pointerOf("carol"), pointerOf("bob"), label)
	require.NoError(t, err)
	_, err = alice.ShareWith(context.Background(), alice.key, pointerOf("carol"))
	require.NoError(t, err)
	carol.fetch(t)
	require.Equal(t, []string{"choir"}, carol.reads(t, pointerOf("alice")))
}

func TestEveryRemovalOfAnEdgeIsSentToItsAudience(t *testing.T) {
	for what, change := range map[string]func(*petname.Book) error{
		"undo":    func(b *petname.Book) error { _, err := b.Undo(); return err },
		"removal": func(b *petname.Book) error { _, err := b.Remove(pointerOf("bob")); return err },
		"a crash before it was sent": func(b *petname.Book) error {
			label, err := petname.CheckLabel("choir")
			if err == nil {
				_, err = b.UnshareWith(pointerOf("carol"), label)
			}
			return err
		},
	} {
		t.Run(what, func(t *testing.T) {
			alice, bob, carol := three(t)
			shares(t, alice, bob, carol)
			require.NoError(t, change(alice.book))
			alice.fetch(t)
			carol.fetch(t)
			require.Empty(t, carol.reads(t, pointerOf("alice")))
			require.Empty(t, alice.fetch(t).Waiting, "it is sent once")
		})
	}
}

func TestAClockThatWasSetBackDelaysNoUnsharing(t *testing.T) {
	alice, bob, carol := three(t)
	alice.clock.now = alice.clock.now.Add(24 * time.Hour)
	shares(t, alice, bob, carol)
	alice.clock.now = alice.clock.now.Add(-23 * time.Hour)
	label, err := petname.CheckLabel("choir")
	require.NoError(t, err)
	_, err = alice.book.UnshareWith(pointerOf("carol"), label)
	require.NoError(t, err)
	_, err = alice.ShareWith(context.Background(), alice.key, pointerOf("carol"))
	require.NoError(t, err)
	carol.fetch(t)
	require.Empty(t, carol.reads(t, pointerOf("alice")))
}

func TestSharedEdgesAreSentAgainByTheNextKey(t *testing.T) {
	alice, bob, carol := three(t)
	shares(t, alice, bob, carol)
	_, to, _ := alice.rotates(t)
	alice.fetch(t)
	carol.learnsRotation(t, alice)
	carol.fetch(t)
	require.Equal(t, []string{"choir"}, carol.reads(t, to))
}

func TestASharedEdgeFollowsTheRotationOfItsTarget(t *testing.T) {
	alice, bob, carol := three(t)
	shares(t, alice, bob, carol)
	_, to, _ := bob.rotates(t)
	alice.learnsRotation(t, bob)
	alice.fetch(t)
	carol.fetch(t)
	shared, err := carol.book.EdgesFrom(pointerOf("alice"))
	require.NoError(t, err)
	require.Equal(t, to, shared.Edges["choir"].Pointer)
}
