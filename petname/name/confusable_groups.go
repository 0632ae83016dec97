package name

import (
	"slices"
	"strings"
	"sync"
)

// The rest of this file is this program's own data beside that of UTS #39:
// characters that readers confuse and for which that data has nothing, or
// something else. Each group has its reason. For a character in no group the
// data of UTS #39 is used.

// signLetters has signs that are read as letters in a word; the data has
// letters for letters. A sign at the start or the end of a name is hardly
// noticed, and the name is compared without it too: see endSigns.
func signLetters() map[rune]rune {
	return map[rune]rune{
		'$': 's', '§': 's', '@': 'a', '!': 'l', '¡': 'l', '€': 'e', 'Ꞓ': 'e', 'ꞓ': 'e', '£': 'l', '¥': 'y', '₿': 'b', '+': 't',
		'©': 'c', '®': 'r', '°': 'o', '¤': 'o', '√': 'v', '∂': 'd', '∆': 'a', '∀': 'a', '∃': 'e', '❗': 'l', '❕': 'l', '💲': 's', '➕': 't', '│': 'l', '┃': 'l',
	}
}

// endSigns are hardly noticed at the ends of a name, and sometimes stand for a
// letter: a name with them is compared with them and without. So are check marks,
// which read as a confirmation of the name before them.
const endSigns = "✓✔☑✅🗸🗹⍻√'\"!¡?¿*^~|@#°`´¨…❗❕❓❔ǃ\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u2032\u2033\u2034\u2035\u02b9\u02ba\u02bb\u02bc\u02bd\u02be\u02bf\u02c8\u02ca\u02cb\u02ee\u055a\ua78c\u203c\u2020\u2021"

// confusableGroups has groups of characters with the same drawing, or that
// differ in a stroke that is not visible at the size of a terminal's letters.
// Each string is a group; the first character represents it.
var confusableGroups = []string{
	// The data has к and κ as ĸ, but not as k.
	"kĸ",

	// Strokes that end a little earlier or later (日 and 曰, 未 and 末), or a gap
	// that closes (己, 已, 巳). Without those that a reader distinguishes at once
	// and in which names differ: 大 太 犬, 王 玉, 田 由 甲 申, 木 本.
	"日曰", "千干于", "未末", "土士", "己已巳", "人入", "戊戌戍戎", "刀刁", "天夭", "且旦", "毋毌母", "冶治", "冼洗", "侯候", "祟崇", "汨汩", "茶荼", "祗祇衹", "壺壼",
	"市巿", "柿杮", "口囗", "肓盲", "兔免", "烏鳥", "乌鸟", "睛晴", "戈弋", "贝见", "貝見", "沪泸", "丐丏", "亳毫", "斂歛", "傅傳",
	// One character in the forms of two countries, which fonts draw alike.
	// Those that NFKC unifies are not listed.
	"户戶戸", "吴吳呉", "黄黃", "内內", "吕呂", "真眞", "青靑", "清淸请", "静靜", "高髙", "崎﨑", "德徳", "曾曽", "黑黒", "步歩", "每毎", "强強", "温溫", "横橫", "晚晩",
	"彦彥", "悦悅", "尚尙", "即卽", "既旣", "姬姫", "富冨", "柳栁抑", "槙槇", "凛凜", "遥遙", "瑶瑤", "薰薫", "默黙", "录彔", "说説說", "绿緑綠", "产產産", "郎郞", "鄉郷鄕", "颜顔顏", "税稅", "锐鋭銳",

	// Signs with a text form and an emoji form, or a heavy form, or a filled
	// one: the font chooses, and colour is not part of a look.
	"❤♥♡❥💙💚💛💜🖤🤍🤎🧡🩵🩶🩷🎔", "★☆⭐🌟✩✪✫✬✭✮✯✰⋆", "☀☼🌞🔆🔅", "☺🙂☻😊", "☹🙁", "✓✔☑✅🗸", "✗✘✕✖❌❎☓🗙🗴", "●⚫⬤🔴🔵🟠🟡🟢🟣🟤", "○⚪◯⭕", "■⬛◼◾▪🟥🟦🟧🟨🟩🟪🟫", "□⬜◻◽▫",
	"▲△🔺🔼", "▼▽🔻🔽", "▶►▷⏵", "◀◄◁⏴", "◆◇♦♢⬥⬦🔶🔷🔸🔹", "♠♤", "♣♧☘🍀", "☎☏📞✆🕿", "✉📧🖂", "☂☔🌂", "⚡🗲↯", "❀✿🌸❁✾", "☠💀🕱", "♪♫♩♬🎵🎶", "⌛⏳", "☾☽🌙🌛🌜", "✈🛪🛩",
	"🔑🗝", "🏠⌂🏡", "☝👆", "👍🖒", "👎🖓", "✌🖔", "🔔🕭", "🔊🕪", "✏✎🖉", "❄❅❆", "✦✧",
}

// ownPrototypes returns the prototypes of this program's own data. A character
// that is not a key is its own prototype.
var ownPrototypes = sync.OnceValue(func() map[rune]rune {
	all := make(map[rune]rune)
	for from, to := range signLetters() {
		all[from] = to
	}
	for _, group := range slices.Concat(confusableGroups, letterForms, strings.Fields(hanGroups)) {
		first := firstRune(group)
		for _, r := range strings.TrimPrefix(group, string(first)) {
			all[r] = first
		}
	}
	// Letters in a filled circle or square, of which NFKC decomposes the empty ones,
	// and of flags, which some systems draw as letters.
	for i := rune(0); i < 26; i++ {
		all['🅐'+i], all['🅰'+i], all['🇦'+i] = 'a'+i, 'a'+i, 'a'+i
	}
	return all
})

// skinTone reports whether r colours the emoji before it. Colour is not part of
// a look.
func skinTone(r rune) bool { return r >= '\U0001f3fb' && r <= '\U0001f3ff' }
