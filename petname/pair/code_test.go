package pair

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/petnames-go/petnames/pointer"
)

func drawCode(t *rapid.T) Code {
	c, err := NewCode(newRandom(rapid.Byte().Draw(t, "seed")))
	require.NoError(t, err)
	return c
}

func TestCodeIsParsedInAllSpellings(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawCode(t)
		var typed strings.Builder
		between := rapid.SampledFrom([]string{" ", "-", "_", " - ", "\t", "\u2013", "\u00a0", "--"})
		for i, part := range strings.Split(c.Secret(), "-") {
			if i > 0 {
				typed.WriteString(between.Draw(t, "between"))
				if len(part) > 4 {
					part = part[:rapid.IntRange(4, len(part)).Draw(t, "letters")]
				}
			}
			if rapid.Bool().Draw(t, "upper") {
				part = strings.ToUpper(part)
			}
			typed.WriteString(part)
		}
		got, err := ParseCode(" " + typed.String() + "\n")
		require.NoError(t, err)
		require.Equal(t, c, got)
	})
}

func TestCodeWithinATextIsParsed(t *testing.T) {
	want := Code{number: 742}
	for i, word := range []string{"tunnel", "orbit", "candy"} {
		n, _ := pointer.FindWord(word)
		switch i {
		case 0:
			want.first = uint16(n)
		default:
			want.secret[i-1] = uint16(n)
		}
	}
	for _, text := range []string{
		"petname pair 742-tunnel-orbit-candy",
		"742.tunnel.orbit.candy", "742.tunnel.orbit.candy.", "no.742.tunnel.orbit.candy",
		"'petname pair 742-tunnel-orbit-candy'",
		"petname pair 742-tunnel-orbit-candy --as ana2",
		"code: 742-tunnel-orbit-candy",
		"code:742-tunnel-orbit-candy.",
		"My code is 742 tunnel orbit candy.",
		"742,tunnel,orbit,candy", "742, tunnel, orbit, candy", "the code: 742,tunnel,orbit,candy.",
		"no. 742 tunnel orbit candy", "no.742-tunnel-orbit-candy", "№ 742 tunnel orbit candy", "# 742-tunnel-orbit-candy", "#742 tunnel orbit candy",
		"742 1)tunnel 2)orbit 3)candy", "1. 742\n2. tunnel\n3. orbit\n4. candy\n", "1)742 2)tunnel 3)orbit 4)candy",
		"742-tunnel-orbit-candy\n-- \nAna", "742 tunnel orbit candy\n--\nAna, room 12",
		"742-tunnel-orbit-candy 742-TUNN-orbit-candy",
		"`742-tunnel-orbit-candy` (ten minutes)",
		"742\u2212tunnel\u2212orbit\u2212candy",
		"742-tunnel-orbit-candy, that is: 742 tunnel orbit candy", "my 742-tunnel-orbit-candy (by 12 today)", "my device: 742-tunnel-orbit-candy", "742-tunnel-orbit-candy from 9 to 10 minutes",
		"٧٤٢ tunnel orbit candy", "７４２-tunnel-orbit-candy", "७४२ tunnel orbit candy", "𝟳𝟰𝟮-tunnel-orbit-candy",
	} {
		got, err := ParseCode(text)
		require.NoError(t, err, "%q", text)
		require.Equal(t, want, got, "%q", text)
	}
	// A guess is used up by an attempt: a text that can mean two codes is refused.
	for _, text := range []string{
		"742-tunnel-orbit-candy 743-tunnel-orbit-candy",
		"742-tunnel-orbit-candy or 742-tunnel-orbit-cand-candy or 742-tunnel-candy-orbit",
		"the code is 742 tunnel orbit lava, not 742-tunnel-orbit-candy",
		"the code is 742 tunnel orbitt lava, not 742-tunnel-orbit-candy",
		"742-tunnel-orbit-candy expired, use 743 tunnel orbit candy",
		"Old code 742-tunnel-orbit-candy expired, use No. 74: tunnel orbit candy",
		"743 tunnel orbit candy expired: 742 tunnel orbit candy",
		"743: tunnel, orbit, candy expired: 742 tunnel orbit candy",
		"device 743 tunnel orbit candy or 742-tunnel-orbit-candy", "device-742-tunnel-orbit-candy, no: 743 tunnel orbit candy",
		"my code is=743 tunnel orbit candy, or was it 742-tunnel-orbit-candy", "743 tunnel-orbit-candy or 742-tunnel-orbit-candy",
		"743 1)tunnel 2)orbit 3)candy or 742-tunnel-orbit-candy", "77. tunnel orbit candy or 742-tunnel-orbit-candy", "743 tunnel orbit\nor 742-tunnel-orbit-candy",
		"742 743 tunnel orbit candy",
		"742 tunnel orbit candy lava",
		"742 1)tunnel 2)orbit 3)candyy",
		"tunnel orbit candy",
		"petname pair 742-tunnel-orbit",
	} {
		c, err := ParseCode(text)
		require.Error(t, err, "%q", text)
		require.Zero(t, c, "%q", text)
	}
}

func TestCodesFillTheirRange(t *testing.T) {
	random := newRandom(1)
	numbers := map[uint16]bool{}
	for range 20_000 {
		c, err := NewCode(random)
		require.NoError(t, err)
		require.True(t, c.number >= 1 && c.number <= maxNumber)
		numbers[c.number] = true
	}
	require.Len(t, numbers, maxNumber)
}

func TestErrorsOfInvalidCodesDoNotContainTheSecret(t *testing.T) {
	for s, wants := range map[string]string{
		"":                             "has 0 parts",
		"742-tunnel-orbit":             "has 3 parts",
		"742-tunnel-orbit-candy-candy": "has 5 parts",
		"0-tunnel-orbit-candy":         `number "0"`,
		"1000-tunnel-orbit-candy":      `number "1000"`,
		"99999999999-tun-orbit-candy":  `number "99999999999"`,
		"orbit-candy-742-tunnel":       "does not begin with a number",
		"٧٧٧٧-tunnel-orbit-candy":      `number "7777"`,
		"742-743":                      "is a number without its three words",
		"496555":                       "is a number without its three words",
		"742-tunnell-orbit-candy":      `word 1, "tunnell"`,
		"742-tunnel-orbitt-candy":      "word 2 is",
		"742-tunnel-orbit-candyy":      "word 3 is",
		"742-tunnel-orb-candy":         "word 2 is",
		strings.Repeat("742-", 100):    "is 400 bytes long",
	} {
		c, err := ParseCode(s)
		require.ErrorContains(t, err, wants, s)
		require.Zero(t, c, s)
		require.NotContains(t, strings.ReplaceAll(err.Error(), "742-tunnel-orbit-candy", ""), "orbit", s)
		require.NotContains(t, strings.ReplaceAll(err.Error(), "742-tunnel-orbit-candy", ""), "candy", s)
	}
}

func TestPrintingACodeDoesNotShowItsSecret(t *testing.T) {
	c, err := ParseCode("742 tunnel zebra candy")
	require.NoError(t, err)
	for _, s := range []string{
		fmt.Sprint(c), fmt.Sprint(&c), fmt.Sprintf("%v %+v %#v %s %q %d %x", c, c, c, c, c, c, c), fmt.Sprintf("%v", []Code{c}),
		fmt.Sprintf("%+v", struct{ C Code }{c}),
	} {
		require.Contains(t, s, "742-tunnel")
		require.NotContains(t, s, "zebra")
		require.NotContains(t, s, "candy")
		require.NotContains(t, s, fmt.Sprint(c.secret[0]))
	}
	_, err = json.Marshal(c)
	require.Error(t, err)
	require.Equal(t, "742-tunnel-zebra-candy", c.Secret())
	require.Equal(t, "(no code)", Code{}.String())
	require.Empty(t, Code{}.Secret())
}

// The mailboxes and keys that the network learns are equal for every secret with the same
// public half.
func TestSlotDoesNotDependOnTheSecret(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawCode(t)
		other := c
		other.secret = [2]uint16{uint16(rapid.IntRange(0, 2047).Draw(t, "w")), uint16(rapid.IntRange(0, 2047).Draw(t, "w"))}
		at := time.Unix(rapid.Int64Range(0, 1<<33).Draw(t, "at"), 0)
		require.Equal(t, c.slot(at), other.slot(at))
		for _, mailbox := range []string{mailboxOffer, mailboxAcceptance, mailboxAnswer} {
			require.Equal(t, c.slot(at).mailboxKey(mailbox).Pointer(), other.slot(at).mailboxKey(mailbox).Pointer())
		}
		place := fmt.Sprintf("%d-%s", c.number, pointer.Word(int(c.first)))
		id := fmt.Sprintf("\x15petnames/pair/slot/v1%c%s\x08", len(place), place)
		require.Equal(t, binary.BigEndian.AppendUint64([]byte(id), uint64(at.Unix()/600)), c.slot(at).id())
		require.Equal(t, c.nameplate(), other.nameplate())
	})
}

func TestBothSidesFindOneSlotWithClocksApart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawCode(t)
		offered := time.Unix(rapid.Int64Range(0, 1<<33).Draw(t, "offered"), 0)
		after := time.Duration(rapid.Int64Range(0, int64(CodeLife)).Draw(t, "after"))
		skew := time.Duration(rapid.Int64Range(-int64(maxSkew), int64(maxSkew)).Draw(t, "skew"))
		slots := c.slotsNear(offered.Add(after + skew))
		require.Contains(t, slots, c.slot(offered))
		require.LessOrEqual(t, len(slots), 3)
	})
}

func FuzzParseCode(f *testing.F) {
	for _, s := range []string{"742-tunnel-orbit-candy", "1 ABAN aban_aban", "999-zoo-zoo-zoo", "0-zoo-zoo-zoo", "07-zoo-zoo-zoo", "٧-zoo-zoo-zoo"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c, err := ParseCode(s)
		if err != nil {
			require.Zero(t, c)
			require.Less(t, len(err.Error()), 2*maxCodeText+200)
			return
		}
		again, err := ParseCode(c.Secret())
		require.NoError(t, err)
		require.Equal(t, c, again)
	})
}
