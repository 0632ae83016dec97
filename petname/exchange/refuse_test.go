package exchange

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/pointer"
)

// A message that this home could not store is an error of the home, and not one of the
// messages that were refused.
func TestAMessageThatIsNotStoredIsNotRefused(t *testing.T) {
	for _, cause := range []error{ledger.ErrNotWritten, ledger.ErrUnsure, ledger.ErrReadOnly, &ledger.DamagedError{Err: fmt.Errorf("damage")}} {
		var r Report
		r.refuse(pointer.Pointer{}, fmt.Errorf("receiving: %w", cause))
		require.Empty(t, r.Refused)
		require.Len(t, r.Errs, 1)
		require.ErrorIs(t, r.Errs[0], cause)
	}
	var r Report
	r.refuse(pointer.Pointer{}, petname.ErrUnknownSender)
	r.refuse(pointer.Pointer{}, nil)
	require.Len(t, r.Refused, 1)
	require.Empty(t, r.Errs)
}
