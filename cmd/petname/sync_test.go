package main

import (
	"bufio"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/petname/agent"
)

// A device that may regard this one as removed is named, with what reaches it.
func TestSyncNamesADeviceThatAcknowledgesNothing(t *testing.T) {
	for _, lacks := range []bool{false, true} {
		var text strings.Builder
		w := bufio.NewWriter(&text)
		(&app{}).printSynced(w, synced{With: []syncedWith{{ID: "x", Name: "tablet", By: agent.ByDrop, Waiting: 1, Unacknowledged: lacks}}})
		require.NoError(t, w.Flush())
		require.Equal(t, lacks, strings.Contains(text.String(), "NOT ACKNOWLEDGED"))
		require.Equal(t, lacks, strings.Contains(text.String(), " petname sync --dir FOLDER"))
	}
}
