package main

import (
	"bufio"
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/petname/agent"
)

// Changes that the network does not hold for a device are counted, beside the messages that wait.
func TestSyncCountsTheChangesThatAreNotStored(t *testing.T) {
	for _, unsent := range []int{0, 1, 3} {
		one := syncedWith{ID: "x", Name: "tablet", By: agent.ByDrop, Waiting: 1, Unsent: unsent}
		var text strings.Builder
		w := bufio.NewWriter(&text)
		(&app{}).printSynced(w, synced{With: []syncedWith{one}})
		require.NoError(t, w.Flush())
		want := "  not stored    " + countText(unsent, "change") + ": sync again after the next sync of the device\n"
		require.Equal(t, unsent > 0, strings.Contains(text.String(), want), text.String())
		b, err := json.Marshal(one)
		require.NoError(t, err)
		require.Equal(t, unsent > 0, strings.Contains(string(b), `"unsent":`+strconv.Itoa(unsent)), string(b))
	}
}

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
