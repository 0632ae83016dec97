package name

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Each of the reserved words is one that somebody could be called by, and few
// honest names read as one.
func TestTheReservedWordsAreNames(t *testing.T) {
	for _, word := range reserved {
		_, err := Parse(word)
		require.NoError(t, err)
		require.NotEmpty(t, ReservedFor(LooksOf(word)), word)
		require.NotEmpty(t, ReservedFor(LooksOf(strings.ToUpper(word)+".")), word)
	}
	for _, honest := range []string{"Mel", "Amy", "Yolanda", "Admir", "Noah", "Anda Popescu", "Sen Gupta", "Ben", "Rooty", "Yousef", "Ming", "나영", "私市", "Я-на"} {
		require.Empty(t, ReservedFor(LooksOf(honest)), honest)
	}
}
