package name

import (
	"strings"
	"sync"
)

// letterForms has letters of the Latin script that are read as a more frequent
// one, and for which UTS #39 has nothing, or another letter: small capitals,
// letters of phonetic alphabets, letters with a hook, a tail or a stroke, turned
// and open ones, and insular ones. Each string has the letter that is read first.
// (Unicode 15.0, by the names of the characters.)
var letterForms = []string{
	"aȺɐᴀᶏⱥⱯ", "bʙᴃᴯᵬᶀꞖꞗ", "cƈɕʗꞔꟄ𝼏𝼝", "dȡᴅᵭᶁᶑꝹꟇꟈ𝼥", "eƎǝɘɝɞʚᴇᶒᶓᶔⱸⱻꞫꬳꬴ", "fᶂꜰꝻꝼ", "gɢʛᵷᵹꝽꝾꝿꞠꞡꟐꟑꬶ𝼁𝼂", "hⱨɥʜʮʯⱵⱶꞍꞕꟵꟶ",
	"iᴉᵎᶖ𝼚", "jʝȷɟʄᴊ", "kⱪꝁʞᶄꝂꝃꝄꝅꞢꞣꞰ𝼃𝼐", "lȴɬʟᴌᶅⱠⱡꝈꝉꞀꞁꞎꞭꬷꬸꬹ𝼄𝼑𝼓𝼦", "mʍƜɰᴍᴟᶆꟺꬺ", "nȵɴᴻᶇꞐꞑꞤꞥꬻ𝼧", "oƆɔᴐᴒᴓᶗⱺꝌꝍ𝼛", "pᴘᵱᶈꝐꝑꝒꝓꝔꝕ",
	"qɋꝖꝗꝘꝙꞯ", "rʀɹɺɻɾɿʁᴚᵳᶉⱹꞂꞃꞦꞧꭆꭉꭋꭌꭨ𝼈𝼕𝼖𝼨", "sȿᶊẜⱾꞄꞅꞨꞩꟉꟊ𝼞𝼩", "tʈⱦȶʇᴛꞆꞇꞱ𝼉𝼍𝼪", "uᴝᶙꞸꞹ", "vⱱⱴꝞꝟ", "wⱲⱳꟂꟃ", "xᶍꭖꭗꭘꭙ",
	"yʎ𝼆", "zɀʑᶎⱫⱬⱿꟆ",
	"æᴁ", "œɶ",
}

// secondReadings replaces letters that UTS #39 has another letter for, which some
// fonts and readers take for this one.
var secondReadings = sync.OnceValue(func() *strings.Replacer {
	return strings.NewReplacer("ʋ", "v", "ᶌ", "v", "ꞓ", "c", "ↄ", "c", "∆", "δ")
})
