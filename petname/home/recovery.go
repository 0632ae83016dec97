package home

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"filippo.io/age"
	"filippo.io/age/armor"

	"github.com/petnames-go/petnames/pointer"
)

// A recovery file has what continues an identity after its home is lost. It is
// written while the current key exists, and is always encrypted with a passphrase
// (age-encryption.org/v1, scrypt):
//
//	# petname recovery 2
//	# pointer: k51…        the pointer of the current key
//	# next: k…             its commitment to the next key
//	-----BEGIN AGE ENCRYPTED FILE-----
//
// The encrypted text repeats these three lines, and continues:
//
//	# succession: …        base64, chain from the first key to the next; both signed the last step
//	# last: …              base64, the last record of the current key
//	# former: …            base64, the last record of a key before it: up to 7 lines, oldest first
//	PETNAME-SECRET-KEY-1…  the next key
//	PETNAME-SECRET-KEY-1…  the key after the next
//
// The last record has sequence [pointer.MaxSequence], names the next key as
// successor and has no value: it is signed ahead of time, when the last value is
// not known. It is encrypted, since its publication ends the current key.
//
// Version 1 has the next key alone, under "# petname recovery 1" and a line with the
// pointer of the current key that no signature covers.
const (
	recoveryMagic  = "# petname recovery 2"
	recoveryMagic1 = "# petname recovery 1\n"
	recoveryOf1    = "# the next key after %s: keep it away from this computer\n"

	// maxRecovery bounds a recovery file, in bytes. The longest chain and 8 last
	// records of 10 KiB are encoded twice: in base64, and in the armor of age.
	maxRecovery = 4 * maxKeyFile

	lastTTL      = 5 * time.Minute
	maxCardSteps = 8
	maxFormer    = maxCardSteps - 1 // records in a recovery file, beside the last record of its key

	formerField = "# former: "
)

// recovery is the content of a recovery file. [readRecovery] has verified that its
// parts belong together.
type recovery struct {
	old   pointer.Pointer // of the current key; not authenticated in version 1
	next  *pointer.Key
	after *pointer.Key         // nil: version 1
	chain []pointer.Succession // from the first key to next; nil: version 1
	last  *pointer.Record      // of old; nil: version 1

	former []pointer.Record // last records of the keys before old, oldest first
}

// LastExpiry returns the end of the validity of the last record of a key: 20 years after
// now, or after newest, the date of the newest entry of the book, or after the first
// version, whichever is last. So a clock that was never set makes no record that has
// ended. A newest that is over 80 years after the first version does not count.
func LastExpiry(now, newest time.Time) time.Time {
	from := now
	for _, t := range []time.Time{newest, plausible} {
		if t.After(from) && t.Before(plausible.AddDate(80, 0, 0)) {
			from = t
		}
	}
	return from.UTC().AddDate(20, 0, 0).Truncate(time.Second)
}

// CardSteps returns the steps of a succession chain that a card has room for: the
// newest 8. Followers that are further behind are led on by the last records of the
// keys between.
func CardSteps(chain []pointer.Succession) []pointer.Succession {
	return chain[max(0, len(chain)-maxCardSteps):]
}

// recoveryKeys are the keys of a new recovery file.
type recoveryKeys struct {
	current, next, after *pointer.Key
	chain                []pointer.Succession // from the first key to current
	nickname             string               // for the last record; "": none
	former               []pointer.Record     // last records of the keys before current; others are ignored
}

// formerOf returns the last records among some records that have a place in a recovery
// file after a chain: of the newest keys, oldest first, one of each.
func formerOf(chain []pointer.Succession, records []pointer.Record) []pointer.Record {
	var found []pointer.Record
	for _, step := range chain[max(0, len(chain)-maxFormer):] {
		i := slices.IndexFunc(records, func(r pointer.Record) bool { return r.Pointer() == step.Old && isLast(chain, r) })
		if i >= 0 {
			found = append(found, records[i])
		}
	}
	return found
}

// format signs the step and the last record, and returns the content of the file.
func (k recoveryKeys) format(expires time.Time, passphrase string, work int) ([]byte, error) {
	commitments := make([]pointer.Commitment, 2) // to next, to after
	for i, key := range []*pointer.Key{k.next, k.after} {
		var err error
		if commitments[i], err = pointer.Commit(key.Public()); err != nil {
			return nil, err
		}
	}
	step, err := pointer.Succeed(k.current.Pointer(), k.next, commitments[1], k.current)
	if err != nil {
		return nil, err
	}
	chain := append(k.chain[:len(k.chain):len(k.chain)], step)
	encoded, err := pointer.EncodeSuccession(chain)
	if err != nil {
		return nil, err
	}
	card := pointer.Card{Nickname: k.nickname, Next: commitments[0], Succession: CardSteps(chain), Successor: k.next.Pointer()}
	last, err := pointer.Sign(k.current, pointer.Fields{Sequence: pointer.MaxSequence, Expires: expires, TTL: lastTTL, Card: &card})
	if err != nil {
		return nil, err
	}
	header := recoveryHeader(k.current.Pointer(), commitments[0])
	body := header + successionField + base64.StdEncoding.EncodeToString(encoded) + "\n" +
		lastField + base64.StdEncoding.EncodeToString(last.Bytes()) + "\n"
	for _, r := range formerOf(k.chain, k.former) {
		body += formerField + base64.StdEncoding.EncodeToString(r.Bytes()) + "\n"
	}
	body += k.next.Secret() + "\n" + k.after.Secret() + "\n"
	locked, err := encrypt([]byte(body), passphrase, work)
	if err != nil {
		return nil, err
	}
	return append([]byte(header), locked...), nil
}

// recoveryHeader returns the lines of a recovery file before the encrypted text.
func recoveryHeader(current pointer.Pointer, next pointer.Commitment) string {
	return fmt.Sprintf("%s\n# pointer: %s\n# next: %s\n", recoveryMagic, current, next)
}

// readRecovery reads a recovery file, and verifies that each field agrees with the
// keys in it.
func readRecovery(name, passphrase string) (recovery, error) {
	text, err := readTextUpTo(name, maxRecovery)
	if err != nil {
		return recovery{}, fmt.Errorf("recovery file: %w", err)
	}
	r, err := parseRecovery(text, passphrase)
	if errors.Is(err, ErrLocked) {
		return recovery{}, err
	}
	if err != nil {
		return recovery{}, fmt.Errorf("recovery file %q: %w", name, err)
	}
	return r, nil
}

// parseRecovery parses the text of a recovery file: as it is, or else as [copiedRecovery] finds it
// within another text.
func parseRecovery(text, passphrase string) (recovery, error) {
	r, err := parseRecoveryFile(text, passphrase)
	if err == nil || errors.Is(err, ErrLocked) || errors.Is(err, ErrPassphrase) {
		return r, err
	}
	copied, cerr := copiedRecovery(text)
	switch {
	case cerr != nil:
		return recovery{}, cerr
	case copied == "" || copied == text:
		return recovery{}, err
	}
	return parseRecoveryFile(copied, passphrase)
}

// parseRecoveryFile parses a text that is a recovery file.
func parseRecoveryFile(text, passphrase string) (recovery, error) {
	at := strings.Index(text, armor.Header)
	header := text[:max(at, 0)]
	of1, version1 := strings.CutPrefix(header, recoveryMagic1)
	if !version1 && !strings.HasPrefix(header, recoveryMagic+"\n") {
		return recovery{}, errors.New("is not one of this version, or damaged")
	}
	if passphrase == "" {
		return recovery{}, ErrLocked
	}
	plain, err := decryptUpTo([]byte(text[at:]), passphrase, maxRecovery)
	if err != nil {
		return recovery{}, err
	}
	if version1 {
		return parseRecovery1(of1, string(plain))
	}
	r, inside, err := parseRecoveryBody(string(plain))
	if err != nil {
		return recovery{}, err
	}
	if inside != header {
		return recovery{}, errors.New("the lines before the encrypted text are not those inside it: altered")
	}
	return r, nil
}

// parseRecovery1 parses version 1: of is the line that states the current pointer.
func parseRecovery1(of, plain string) (r recovery, err error) {
	before, _, _ := strings.Cut(recoveryOf1, "%s")
	text, _, _ := strings.Cut(strings.TrimPrefix(of, before), ":")
	if of != fmt.Sprintf(recoveryOf1, text) {
		return recovery{}, errors.New("line 2 does not state the pointer of the key before: damaged")
	}
	if r.old, err = pointer.Parse(text); err != nil {
		return recovery{}, fmt.Errorf("line 2: %w: damaged", err)
	}
	r.next, err = pointer.ParseKey(plain)
	return r, err
}

// parseRecoveryBody parses and verifies the encrypted text of version 2. It also
// returns the header that belongs to it. Its errors contain no secrets.
func parseRecoveryBody(text string) (r recovery, header string, err error) {
	fail := func(format string, args ...any) (recovery, string, error) {
		return recovery{}, "", fmt.Errorf(format+": damaged or altered", args...)
	}
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	// The optional lines "# former:" stand between line 5 and the two keys: cut them out.
	var former []string
	for len(lines) > 7 && len(former) < maxFormer && strings.HasPrefix(lines[5], formerField) {
		former = append(former, lines[5])
		lines = slices.Delete(lines, 5, 6)
	}
	if len(lines) != 7 || lines[0] != recoveryMagic {
		return fail("the encrypted text does not have 7 lines and at most %d lines of former keys", maxFormer)
	}
	fields := make([]string, 4)
	for i, prefix := range []string{"# pointer: ", "# next: ", successionField, lastField} {
		var ok bool
		if fields[i], ok = strings.CutPrefix(lines[i+1], prefix); !ok {
			return fail("encrypted line %d does not start with %q", i+2, prefix)
		}
	}
	// 1. The keys.
	if r.next, err = pointer.ParseKey(lines[5]); err != nil {
		return fail("the next key: %w", err)
	}
	if r.after, err = pointer.ParseKey(lines[6]); err != nil {
		return fail("the key after the next: %w", err)
	}
	// 2. The commitment, and the step. parseSuccession verifies the signatures; that of the old
	// key is optional there, and required here.
	if r.old, err = pointer.Parse(fields[0]); err != nil {
		return fail("%w", err)
	}
	commitment, err := pointer.ParseCommitment(fields[1])
	if err != nil {
		return fail("%w", err)
	}
	if !commitment.Opens(r.next.Public()) {
		return fail("the next key is not the one that its line commits to")
	}
	if r.chain, err = parseSuccession(lines[3], r.next.Pointer()); err != nil {
		return fail("%w", err)
	}
	step := r.chain[len(r.chain)-1]
	switch {
	case step.Old != r.old:
		return fail("its succession step is from %s, and the file is of %s", step.Old, r.old)
	case step.OldSignature == nil:
		return fail("%s has not signed the succession step", r.old)
	case !step.Next.Opens(r.after.Public()):
		return fail("the succession step does not commit to the key after the next")
	}
	// 3. The last record. It may have expired.
	b, err := base64.StdEncoding.Strict().DecodeString(fields[3])
	if err != nil {
		return fail("the last record is not base64")
	}
	last, _, err := pointer.OpenExpired(r.old, b, time.Now())
	if err != nil {
		return fail("the last record: %w", err)
	}
	card, _ := last.Card()
	switch {
	case card.Successor != r.next.Pointer():
		return fail("the last record does not name %s as successor", r.next.Pointer())
	case card.Next != commitment:
		return fail("the last record has another commitment")
	case last.Sequence() != pointer.MaxSequence:
		return fail("the last record has sequence %d", last.Sequence())
	case !sameSteps(card.Succession, CardSteps(r.chain)):
		return fail("the last record has another succession")
	}
	r.last = &last
	// 4. The last records of the keys before.
	if r.former, err = parseFormer(former, r.chain[:len(r.chain)-1]); err != nil {
		return fail("%w", err)
	}
	return r, recoveryHeader(r.old, commitment), nil
}

// parseFormer parses the lines with the last records of former keys, oldest first, and
// verifies that each leads to the next key of the chain.
func parseFormer(lines []string, chain []pointer.Succession) ([]pointer.Record, error) {
	var former []pointer.Record
	for _, line := range lines {
		b, err := base64.StdEncoding.Strict().DecodeString(strings.TrimPrefix(line, formerField))
		if err != nil {
			return nil, errors.New("the last record of a former key is not base64")
		}
		r, err := openFormer(b, chain)
		if err != nil {
			return nil, err
		}
		chain = chain[stepFrom(chain, r.Pointer())+1:]
		former = append(former, r)
	}
	return former, nil
}

// openFormer verifies the last record of one of the former keys of a chain.
func openFormer(b []byte, chain []pointer.Succession) (pointer.Record, error) {
	for _, step := range chain {
		if r, _, err := pointer.OpenExpired(step.Old, b, plausible); err == nil && isLast(chain, r) {
			return r, nil
		}
	}
	return pointer.Record{}, errors.New("a record in it is not the last one of a former key, or not in order")
}

// sameSteps reports whether two chains have the same encoding.
func sameSteps(a, b []pointer.Succession) bool {
	x, err := pointer.EncodeSuccession(a)
	y, yerr := pointer.EncodeSuccession(b)
	return err == nil && yerr == nil && bytes.Equal(x, y)
}

// encrypt encrypts with a passphrase; work is the work factor of scrypt, log2, or 0
// for the default of age.
func encrypt(plain []byte, passphrase string, work int) ([]byte, error) {
	passphrase, err := newPassphrase(passphrase)
	if err != nil {
		return nil, err
	}
	recipient, err := age.NewScryptRecipient(passphrase)
	if err != nil {
		return nil, err
	}
	if work != 0 {
		recipient.SetWorkFactor(work)
	}
	var out bytes.Buffer
	a := armor.NewWriter(&out)
	w, err := age.Encrypt(a, recipient)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(plain); err != nil {
		return nil, err
	}
	if err := errors.Join(w.Close(), a.Close()); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// decryptUpTo decrypts at most a number of bytes with a passphrase in any of its forms.
// It fails with [ErrPassphrase] when none is right.
func decryptUpTo(locked []byte, passphrase string, most int64) ([]byte, error) {
	for _, form := range passphraseForms(passphrase) {
		identity, err := age.NewScryptIdentity(form)
		if err != nil {
			return nil, err
		}
		r, err := age.Decrypt(armor.NewReader(bytes.NewReader(locked)), identity)
		if errors.As(err, new(*age.NoIdentityMatchError)) {
			continue
		}
		if err != nil {
			return nil, err
		}
		return io.ReadAll(io.LimitReader(r, most))
	}
	return nil, ErrPassphrase
}

// workFactor returns the work factor of scrypt, log2, of what encrypt returned, or 0 if it
// states none.
func workFactor(armored []byte) int {
	var version, salt string
	var work int
	if _, err := fmt.Fscanf(armor.NewReader(bytes.NewReader(armored)), "%s\n-> scrypt %s %d\n", &version, &salt, &work); err != nil {
		return 0
	}
	return work
}
