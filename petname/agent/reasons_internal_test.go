package agent

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
)

// A reason for people has the petname of a contact, and the pointer of an unknown party.
func TestReasonsNameContacts(t *testing.T) {
	known, err := pointer.NewKey(nil)
	require.NoError(t, err)
	unknown, err := pointer.NewKey(nil)
	require.NoError(t, err)
	bob, err := name.Parse("bob")
	require.NoError(t, err)
	got := withNames("offer by "+known.Pointer().String()+" and "+unknown.Pointer().String()+", k"+known.Pointer().String(), func(p pointer.Pointer) name.Name {
		if p == known.Pointer() {
			return bob
		}
		return name.Name{}
	})
	require.Equal(t, `offer by "bob" and `+unknown.Pointer().String()+", k"+known.Pointer().String(), got)
}
