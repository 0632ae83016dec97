package pointer

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var cardWithDevices = Card{Nickname: "A", Devices: []DeviceTag{{0, 0, 0, 0, 0, 0, 0, 1}, {0xff, 2}}}

const cardWithDevicesHex = "a3 01 01 02 6141 0c 82 48 0000000000000001 48 ff02000000000000"

func TestTagsOfDevicesKeepTheirWireFormat(t *testing.T) {
	b, err := cardWithDevices.Encode()
	require.NoError(t, err)
	require.Equal(t, unhex(t, cardWithDevicesHex), b)
	parsed, err := ParseCard(b)
	require.NoError(t, err)
	require.Equal(t, cardWithDevices, parsed)
	require.Equal(t, "ff02000000000000", parsed.Devices[1].String())

	key := testKey(1)
	made, err := Sign(key, Fields{Expires: testEnd, Card: &cardWithDevices})
	require.NoError(t, err)
	card, _ := made.Card()
	clear(card.Devices)
	card, _ = made.Card()
	require.Equal(t, cardWithDevices.Devices, card.Devices, "the caller shares nothing with the record")
}

// Attack: a card lists more tags than readers poll, one that stands for no channel of a device,
// or the same set in two encodings.
func TestHostileTagsOfDevicesAreRefused(t *testing.T) {
	many := func(n int) []DeviceTag {
		all := make([]DeviceTag, n)
		for i := range all {
			all[i] = DeviceTag{byte(i >> 8), byte(i), 1}
		}
		return all
	}
	for why, tags := range map[string][]DeviceTag{
		"17":                  many(MaxDevices + 1),
		"10,000":              many(10_000),
		"the zero tag":        {{}},
		"zero and another":    {{}, {1}},
		"twice":               {{1}, {1}},
		"in descending order": {{2}, {1}},
	} {
		_, err := Card{Devices: tags}.Encode()
		require.ErrorContains(t, err, "card: ", why)
	}
	b, err := Card{Devices: many(MaxDevices)}.Encode()
	require.NoError(t, err)
	_, err = ParseCard(b)
	require.NoError(t, err)

	tag := func(n string) string { return "48 00000000000000" + n }
	for why, text := range map[string]string{
		"empty":         "80",
		"null":          "f6",
		"bytes":         tag("01"),
		"17":            "91" + strings.Repeat(tag("01"), 17),
		"10,000":        "992710" + strings.Repeat(tag("01"), 10_000),
		"zero":          "81" + tag("00"),
		"twice":         "82" + tag("01") + tag("01"),
		"unsorted":      "82" + tag("02") + tag("01"),
		"of no byte":    "81 40",
		"of 7 bytes":    "81 47 00000000000001",
		"of 9 bytes":    "81 49 000000000000000001",
		"as text":       "81 68 3131313131313131",
		"as numbers":    "81 88 00 00 00 00 00 00 00 01",
		"null in it":    "82 " + tag("01") + "f6",
		"indefinite":    "9f" + tag("01") + "ff",
		"a longer head": "81 5808 0000000000000001",
	} {
		c, err := ParseCard(unhex(t, "a2 01 01 0c "+text))
		require.ErrorContains(t, err, "card: ", why)
		require.Zero(t, c, why)
	}
}
