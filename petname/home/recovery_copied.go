package home

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"

	"filippo.io/age/armor"

	"github.com/petnames-go/petnames/pointer/paste"
)

// copiedFile matches a recovery file in a text that passed through other programs: the lines
// may be indented, folded or joined, and the hyphens replaced by dashes.
var copiedFile = sync.OnceValue(func() *regexp.Regexp {
	const dashes = `\s*\p{Pd}+\s*`
	return regexp.MustCompile(`(?s)#\s*petname\s+recovery\s+(?:` +
		`2\s*#\s*pointer:\s*(\S+)\s*#\s*next:\s*(\S+)` +
		`|1\s*#\s*the\s+next\s+key\s+after\s+(\S+):\s*keep\s+it\s+away\s+from\s+this\s+computer)` +
		dashes + `BEGIN\s+AGE\s+ENCRYPTED\s+FILE` + dashes + `(.*?)` + dashes + `END\s+AGE\s+ENCRYPTED\s+FILE` + dashes)
})

// maxCopied bounds the copies of a recovery file in one text.
const maxCopied = 8

// copiedRecovery returns the recovery file in a text that has other text around it, such as that
// of a mail, or what other programs add to its lines: see package paste. It returns "" if there is
// none, and an error if there are different ones. The lines before the encrypted text are compared
// with those inside it by the caller, as in any recovery file.
func copiedRecovery(text string) (string, error) {
	var found string
	for i, m := range copiedFile().FindAllStringSubmatch(string(paste.Lines([]byte(text))), maxCopied+1) {
		one, ok := rewrittenRecovery(m)
		switch {
		case !ok:
		case i == maxCopied, found != "" && one != found:
			return "", errors.New("has several recovery files: leave only the newest in it")
		default:
			found = one
		}
	}
	return found, nil
}

// rewrittenRecovery returns a match of copiedFile as it was before it was copied. It reports false
// if the encrypted text is damaged.
func rewrittenRecovery(m []string) (string, bool) {
	header := fmt.Sprintf("%s\n# pointer: %s\n# next: %s\n", recoveryMagic, m[1], m[2])
	if m[3] != "" {
		header = recoveryMagic1 + fmt.Sprintf(recoveryOf1, m[3])
	}
	// A single padding character before a line break reads as a soft one of quoted-printable.
	encoded := strings.TrimRight(strings.Join(strings.Fields(m[4]), ""), "=")
	locked, err := base64.RawStdEncoding.Strict().DecodeString(encoded)
	if err != nil {
		return "", false
	}
	var out bytes.Buffer
	w := armor.NewWriter(&out)
	_, err = w.Write(locked)
	err = errors.Join(err, w.Close())
	return header + out.String(), err == nil
}
