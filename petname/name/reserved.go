package name

import "sync"

// reserved has words that stand for a person without being a name, or that the
// program uses for itself. A contact with such a name could be mistaken for the
// owner.
var reserved = []string{
	"me", "myself", "you", "yourself", "self", "this is you", "no name", "nobody", "everybody", "everyone", "anyone", "unknown",
	"petname", "system", "admin", "administrator", "root", "support", "security",
	"ich", "du selbst", "moi", "moi-même", "toi", "yo mismo", "tú", "eu mesmo", "io stesso", "я", "ты", "вы", "я сам", "εγώ", "εσύ", "ben kendim", "sen",
	"我", "你", "您", "自己", "我自己", "私", "あなた", "自分", "나", "너", "당신", "أنا", "أنت", "نفسي", "אני", "אתה", "मैं", "तुम", "आप", "ฉัน", "คุณ", "tôi", "bạn", "saya", "anda",
}

// reservedLooks has the looks of the reserved words, by skeleton.
var reservedLooks = sync.OnceValue(func() map[string][]reservedLook {
	found := make(map[string][]reservedLook)
	for _, word := range reserved {
		for _, l := range LooksOf(word) {
			found[l.skeleton] = append(found[l.skeleton], reservedLook{word, l})
		}
	}
	return found
})

// reservedLook is a look of a reserved word.
type reservedLook struct {
	word string
	Look Look
}

// ReservedFor returns the reserved word that matches one of the looks; "" for
// none.
func ReservedFor(ls []Look) string {
	for _, l := range ls {
		for _, r := range reservedLooks()[l.skeleton] {
			if r.Look.matches(l) {
				return r.word
			}
		}
	}
	return ""
}
