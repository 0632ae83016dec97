package name

import (
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/rivo/uniseg"
)

// EmojiVersion is the version of the emoji data (UTS #51) in this file.
const EmojiVersion = "17.0"

const (
	textSelector  = '\ufe0e'
	emojiSelector = '\ufe0f'
	joiner        = '\u200d'
	keycap        = '\u20e3'
	blackFlag     = '\U0001f3f4'
	tagBase       = '\U000e0000' // plus an ASCII character
	tagEnd        = '\U000e007f'
)

// emojiVariants are the characters with a text form and an emoji form, which a
// variation selector chooses (emoji-variation-sequences.txt), without #, * and
// the digits.
var emojiVariants = sync.OnceValue(func() map[rune]bool {
	all := make(map[rune]bool)
	for _, r := range "©®‼⁉™ℹ↔↕↖↗↘↙↩↪⌚⌛⌨⏏⏩⏪⏭⏮⏯⏱⏲⏳⏸⏹⏺Ⓜ▪▫▶◀◻◼◽◾☀☁☂☃☄☎☑☔☕☘☝☠☢☣☦☪☮☯☸☹☺♀♂♈♉♊♋♌♍♎♏♐♑♒♓♟♠♣♥♦♨♻♾♿⚒⚓⚔⚕⚖⚗⚙⚛⚜⚠⚡⚧⚪⚫⚰⚱⚽⚾⛄⛅⛈⛏⛑⛓⛔⛩⛪⛰⛱⛲⛳⛴⛵⛷⛸⛹⛺⛽✂✈✉✌✍✏✒✔✖✝✡✳✴❄❇❓❗❣❤➡⤴⤵⬅⬆⬇⬛⬜⭐⭕〰〽㊗㊙" +
		"🀄🅰🅱🅾🅿🈂🈚🈯🈷🌍🌎🌏🌕🌜🌡🌤🌥🌦🌧🌨🌩🌪🌫🌬🌶🍸🍽🎓🎖🎗🎙🎚🎛🎞🎟🎧🎬🎭🎮🏂🏄🏆🏊🏋🏌🏍🏎🏔🏕🏖🏗🏘🏙🏚🏛🏜🏝🏞🏟🏠🏭🏳🏵🏷🐈🐕🐟🐦🐿👁👂👆👇👈👉👍👎👓👪👽💣💰💳💻💿📋📚📟📤📥📦📪📫📬📭📷📹📺📻📽🔈🔍🔒🔓🕉🕊🕐🕑🕒🕓🕔🕕🕖🕗🕘🕙🕚🕛🕜🕝🕞🕟🕠🕡🕢🕣🕤🕥🕦🕧🕯🕰🕳🕴🕵🕶🕷🕸🕹🖇🖊🖋🖌🖍🖐🖥🖨🖱🖲🖼🗂🗃🗄🗑🗒🗓🗜🗝🗞🗡🗣🗨🗯🗳🗺😐🚇🚍🚑🚔🚘🚭🚲🚹🚺🚼🛋🛍🛎🛏🛠🛡🛢🛣🛤🛥🛩🛰🛳" {
		all[r] = true
	}
	return all
})

// joined are the joiner sequences of emoji-zwj-sequences.txt, without selectors
// and skin tones: each emoji of the first word, joined to each further word. In
// these, + stands for the joiner.
var joined = []string{
	"👨👩🧑 ⚕ ⚖ ✈ 🌾 🍳 🍼 🎓 🎤 🎨 🏫 🏭 💻 💼 🔧 🔬 🚀 🚒 🦰 🦱 🦲 🦳 🦯 🦯+➡ 🦼 🦼+➡ 🦽 🦽+➡",
	"⛹🏃🏄🏊🏋🏌👮👯👰👱👳👷💁💂💆💇🕵🙅🙆🙇🙋🙍🙎🚣🚴🚵🚶🤦🤵🤷🤸🤹🤼🤽🤾🦸🦹🧍🧎🧏🧔🧖🧗🧘🧙🧚🧛🧜🧝🧞🧟 ♀ ♂",
	"🏃🚶🧎 ➡ ♀+➡ ♂+➡",
	"👨👩 ❤+👨 ❤+💋+👨 🤝+👨 👦 👦+👦 👧 👧+👦 👧+👧 👩+👦 👩+👦+👦 👩+👧 👩+👧+👦 👩+👧+👧",
	"👨 👨+👦 👨+👦+👦 👨+👧 👨+👧+👦 👨+👧+👧 🐰+👨 🫯+👨",
	"👩 ❤+👩 ❤+💋+👩 🤝+👩 🐰+👩 🫯+👩",
	"🧑 🤝+🧑 ❤+🧑 ❤+💋+🧑 🧑+🧒 🧑+🧒+🧒 🧒 🧒+🧒 🐰+🧑 🫯+🧑 🎄 🩰",
	"🫱 🫲", "⛓ 💥", "❤ 🔥 🩹", "🐦 🔥 ⬛", "🐈 ⬛", "🐕 🦺", "🐻 ❄", "🍄 🟫", "🍋 🟩", "🏳 ⚧ 🌈", "🏴 ☠", "👁 🗨", "😮 💨", "😵 💫", "😶 🌫", "🙂 ↔ ↕",
}

// joinedSequences has the sequences of joined.
var joinedSequences = sync.OnceValue(func() map[string]bool {
	all := make(map[string]bool)
	for _, line := range joined {
		words := strings.Fields(line)
		for _, first := range words[0] {
			for _, rest := range words[1:] {
				all[string(first)+string(joiner)+strings.ReplaceAll(rest, "+", string(joiner))] = true
			}
		}
	}
	return all
})

// flagTags are the tag sequences that emoji-sequences.txt lists, after the black
// flag: England, Scotland and Wales. Other tags are invisible.
var flagTags = strings.Fields("gbeng gbsct gbwls")

// maxSequence is the length of the longest sequence, in characters: a kiss of
// two people with skin tones.
const maxSequence = 10

// emojiSequence returns the length in bytes of the emoji sequence at the start of
// a text, 0 for none. A sequence is an emoji and one or more characters that are
// invisible or enclosing without it: selectors, joiners, tags, a keycap. A single
// emoji, one with a skin tone, and a flag of two letters are not sequences here,
// because nothing in them is invisible.
func emojiSequence(s string) int {
	first, size := utf8.DecodeRuneInString(s)
	// The first emoji that is not in ASCII is ©, U+00A9.
	if first >= 0x80 && first < 0xa9 || first < 0x80 && !isKeycapBase(first) || size == len(s) {
		return 0
	}
	switch next := firstRune(s[size:]); {
	case next == emojiSelector, next == keycap, next == textSelector, next == joiner, skinTone(next), next > tagBase && next < tagEnd:
	default:
		return 0
	}
	var runes []rune
	for _, r := range s {
		if runes = append(runes, r); len(runes) == maxSequence {
			break
		}
	}
	return len(string(runes[:sequenceOf(runes)]))
}

// sequenceOf is emojiSequence in characters.
func sequenceOf(s []rune) int {
	if isKeycapBase(s[0]) {
		switch {
		case s[1] == keycap:
			return 2
		case s[1] == emojiSelector && len(s) > 2 && s[2] == keycap:
			return 3
		}
		return 0
	}
	if s[0] == blackFlag {
		for _, letters := range flagTags {
			if tags := tagged(letters); len(s) > len(tags) && slices.Equal(s[1:1+len(tags)], tags) {
				return 1 + len(tags)
			}
		}
	}
	if emojiVariants()[s[0]] && s[1] == textSelector {
		return 2
	}
	n := emojiElement(s)
	found := 0
	if n == 2 && s[1] == emojiSelector {
		found = 2
	}
	shape := string(s[0])
	for n > 0 && n+1 < len(s) && s[n] == joiner {
		size := emojiElement(s[n+1:])
		if size == 0 {
			break
		}
		shape += string([]rune{joiner, s[n+1]})
		if n += 1 + size; joinedSequences()[shape] {
			found = n
		}
	}
	return found
}

// emojiElement returns the number of characters of an element of a joiner
// sequence: an emoji and its skin tone or selector.
func emojiElement(s []rune) int {
	switch {
	case !unicode.IsGraphic(s[0]) || skinTone(s[0]) || !unicode.Is(unicode.S, s[0]) && !emojiVariants()[s[0]]:
		return 0
	case len(s) > 1 && (skinTone(s[1]) || s[1] == emojiSelector && emojiVariants()[s[0]]):
		return 2
	}
	return 1
}

func isKeycapBase(r rune) bool { return r >= '0' && r <= '9' || r == '#' || r == '*' }

// tagged returns letters as tags, with the end of tags.
func tagged(letters string) []rune {
	var tags []rune
	for _, r := range letters {
		tags = append(tags, tagBase+r)
	}
	return append(tags, tagEnd)
}

// plainEmoji returns a text with its emoji sequences in the normal form for names:
// without selectors, so that ❤️ and ❤ are one name. The font chooses the form.
func plainEmoji(s string) string {
	return mapEmoji(s, func(r rune) rune {
		if r == emojiSelector || r == textSelector {
			return -1
		}
		return r
	})
}

// emojiKey returns a text with its emoji sequences in the form for comparison:
// without selectors and joiners, and with letters for tags. Devices without the
// picture of a sequence draw its parts, so the parts are the same name.
func emojiKey(s string) string {
	return mapEmoji(cutSelectors(s), func(r rune) rune {
		switch {
		case r == emojiSelector, r == textSelector, r == joiner, r == tagEnd:
			return -1
		case r > tagBase && r < tagEnd:
			return r - tagBase
		}
		return r
	})
}

// pictures are the emoji without a text form outside of the ranges in isEmoji.
const pictures = "✋✊⏰✨🃏⛎⏫⏬➕➖➗❔❕✅❌❎➰➿🆎🆑🆒🆓🆔🆕🆖🆗🆘🆙🆚🈁🈶🉐🈹🈲🉑🈸🈴🈳🈺🈵"

// isEmoji reports whether r is an emoji or a skin tone.
func isEmoji(r rune) bool {
	if r < 0x80 {
		return false
	}
	in := r >= 0x1f300 && r < 0x1f650 || r >= 0x1f680 && r < 0x1f700 || r >= 0x1f7e0 && r < 0x1f7f1 || r >= 0x1f90c && r < 0x1fa00 || r >= 0x1fa70 && r < 0x1fb00
	return skinTone(r) || emojiVariants()[r] || in && unicode.Is(unicode.So, r) || strings.ContainsRune(pictures, r)
}

// cutSelectors removes the emoji selectors that phones add to an emoji of which no text
// form exists: each one behind such an emoji, or its skin tone, that is no part of a
// sequence.
func cutSelectors(s string) string {
	if !strings.ContainsRune(s, emojiSelector) {
		return s
	}
	var b strings.Builder
	emoji := false // the character before is an emoji, alone or with a skin tone
	for len(s) > 0 {
		if n := emojiSequence(s); n > 0 {
			b.WriteString(s[:n])
			s, emoji = s[n:], false
			continue
		}
		r, size := utf8.DecodeRuneInString(s)
		if !emoji || r != emojiSelector || firstRune(s[size:]) == joiner {
			b.WriteString(s[:size])
		}
		s, emoji = s[size:], isEmoji(r) && (!skinTone(r) || emoji)
	}
	return b.String()
}

// mapEmoji maps the characters of the emoji sequences of a text.
func mapEmoji(s string, mapping func(rune) rune) string {
	if !strings.ContainsAny(s, "\ufe0e\ufe0f\u200d\U000e007f") {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		if n := emojiSequence(s); n > 0 {
			b.WriteString(strings.Map(mapping, s[:n]))
			s = s[n:]
			continue
		}
		_, size := utf8.DecodeRuneInString(s)
		b.WriteString(s[:size])
		s = s[size:]
	}
	return b.String()
}

// cutUnknownEmoji removes the joiners and tags of emoji sequences that later
// emoji data may have: joiners between two pictographs, and tags after a black
// flag. It reports whether there were any.
func cutUnknownEmoji(s string) (string, bool) {
	if !strings.ContainsAny(s, "\u200d\U000e007f") {
		return s, false
	}
	var b strings.Builder
	rest, state, cluster := s, -1, ""
	for rest != "" {
		cluster, rest, _, state = uniseg.FirstGraphemeClusterInString(rest, state)
		if known := emojiSequence(cluster); known < len(cluster) {
			cluster = cutJoiners(cluster)
		}
		b.WriteString(cluster)
	}
	return b.String(), b.Len() < len(s)
}

// cutJoiners is cutUnknownEmoji for one grapheme cluster. What follows a joiner
// in a cluster, other than a mark, is a pictograph (UAX #29, rule GB11).
func cutJoiners(cluster string) string {
	runes := []rune(cluster)
	if end := len(runes) - 1; runes[0] == blackFlag && end > 1 && runes[end] == tagEnd && !slices.ContainsFunc(runes[1:end], func(r rune) bool {
		return r < tagBase+'0' || r > tagBase+'9' && r < tagBase+'a' || r > tagBase+'z'
	}) {
		return string(blackFlag)
	}
	var out []rune
	for i, r := range runes {
		if r == joiner && i+1 < len(runes) && !unicode.In(runes[i+1], unicode.M, unicode.Cf) {
			continue
		}
		out = append(out, r)
	}
	return string(out)
}
