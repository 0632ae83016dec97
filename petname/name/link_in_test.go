package name

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/pointer"
)

// A bare pointer is no link, whatever is beside it, so that a path behind it is not dropped.
func TestOnlyALinkIsALinkInAText(t *testing.T) {
	const key = "k51qzi5uqu5dj14f9vvbpgm71vgojks1ptxr1ucs1z2ojs8omwb4s0wbkjpnnr"
	p, err := pointer.Parse(key)
	require.NoError(t, err)
	want := pointer.Link{Pointer: p}
	for _, text := range []string{want.String(), "My link: " + want.String() + ".", strings.ToUpper("see " + want.String())} {
		got, ok := LinkIn(text)
		require.True(t, ok, text)
		require.Equal(t, want, got)
	}
	for _, text := range []string{"Petnames folder: /ipns/" + key + "/x", "petname publish /ipns/" + key + "/x", "petname whois " + key, key, "petname: /ipns/" + key + "/x", want.String()[:70]} {
		_, ok := LinkIn(text)
		require.False(t, ok, text)
	}
	_, err = Parse("petname whois " + key) // it reads as a command
	require.Error(t, err)
}
