package pair

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/pointer"
)

// A guess of a code is used up by an attempt: a code that can be a part of the one that was
// meant is refused.
func TestACodeThatIsCutOffIsRefused(t *testing.T) {
	for _, text := range []string{
		"petname pair 442-height-boss-you\nth", "442 height boss you th", "Code: 172-lazy-rocket-cat…", "172 lazy rocket cat ...", "172-lazy-rocket-cat […]",
		"742-tunnel-orbit-can dy", "742-tunnel-orbit-can-\ndy", "742-tunnel-orbit-can\n> dy", "742-tunnel-orbit-can\r\n>> dy\r\n", "742-tunnel-orbit-can...", "742-tunnel-orbit-can [...]",
		"742-tunnel-orbit-can<wbr>dy", "742-tunnel-orbit-can&lt;br/&gt;dy", "742-tunnel-orbit-can<br class=\"a\">\ndy", "742-tunnel-orbit-can|dy", "742-tunnel-orbit-can'dy", "742-tunnel-orbit-can\n| dy",
		"742-tunnel-orbit-can_dy", "742-tunnel-orbit-can.\ndy", "742-TUNNEL-ORBIT-CAN\nDY", "742-tunnel-orbit-can</b>dy", "742-tunnel-orbit-can\" \"dy", "742-tunnel-orbit-can d",
		"it is 742 tunnel orbit can…", "device-742-tunnel-orbit-can dy", "device-742-tunnel-orbit-can…", "742-tunnel-orbit-can . . .", "742-tunnel-orbit-can</span><span>...</span>",
		"7\n42-tunnel-orbit-candy", "7 42-tunnel-orbit-candy", "74\n2-tunnel-orbit-candy", "petname pair 7\n42-tunnel-orbit-candy", "my code: 7-\n42-tunnel-orbit-candy", "code 7.\n42-tunnel-orbit-candy",
		"7<br>42-tunnel-orbit-candy", "7\n> 42-tunnel-orbit-candy", "a device-7\n42-tunnel-orbit-candy", "code 7\n4\n2-tunnel-orbit-candy", "٧\n٤٢-tunnel-orbit-candy",
	} {
		c, err := ParseCode(text)
		require.Error(t, err, "%q", text)
		require.Zero(t, c, "%q", text)
		require.NotContains(t, strings.ReplaceAll(err.Error(), "tunnel-orbit-candy", ""), "orbit", "%q", text)
	}
	for _, text := range []string{
		"742-tunnel-orbit-can", "my code is 742-tunnel-orbit-can.", "742-tunnel-orbit-candy please", "742-tunnel-orbit-can please", "742-tunnel-orbit-can and then", "742-tunnel-orbit-cand\ny",
		"[14:02] 742-tunnel-orbit-candy", "1. 42\n2. tunnel\n3. orbit\n4. candy", "<b>742-tunnel-orbit-candy</b>", "> 742-tunnel-orbit-candy\n> \n> Ana", "742-tunnel-orbit-can!",
		"742-tunnel-orbit-can, dear Ana... call me", "... 742-tunnel-orbit-can",
	} {
		_, err := ParseCode(text)
		require.NoError(t, err, "%q", text)
	}
}

// Each word of the list that begins with a shorter one is refused at each break of it.
func TestNoWordThatIsFoldedIsReadAsAShorterOne(t *testing.T) {
	broken := 0
	for i := range 2048 {
		word := pointer.Word(i)
		for at := 1; at < len(word); at++ {
			if _, ok := pointer.FindWord(word[:at]); !ok {
				continue
			}
			short, _ := pointer.FindWord(word[:at])
			for _, between := range []string{" ", "\n", "-\n", "\n> ", "<wbr>", "'"} {
				c, err := ParseCode("7-zoo-zoo-" + word[:at] + between + word[at:])
				if short != i {
					broken++
					require.Error(t, err, "%q", word)
				} else if err == nil {
					require.EqualValues(t, i, c.secret[1])
				}
			}
		}
	}
	require.Greater(t, broken, 100*6)
}
