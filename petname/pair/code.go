package pair

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/petnames-go/petnames/pointer"
)

// Code is a short code to be spoken, "742-tunnel-orbit-candy": a number from 1 to 999
// and three words of the BIP-39 English list. The number and the first word are the
// nameplate, which is public: both sides derive their mailboxes from it. The last two
// words, 22 bits, are the secret; only [Code.Secret] returns it.
//
// A code of a device is "device-742-tunnel-orbit-candy": see [Code.ForDevice].
//
// Code is comparable; the zero value is invalid. fmt prints the nameplate alone.
type Code struct {
	number uint16 // 1 to 999
	first  uint16
	secret [2]uint16
	device bool
}

const (
	maxNumber   = 999
	codeLength  = 4   // parts
	maxCodeText = 256 // bytes

	// deviceWord begins the code of a device.
	deviceWord = "device"
)

// NewCode returns a code that is drawn from random; nil means crypto/rand.
func NewCode(random io.Reader) (Code, error) {
	random = randomOr(random)
	for {
		var b [8]byte
		if _, err := io.ReadFull(random, b[:]); err != nil {
			return Code{}, fmt.Errorf("drawing a code: %w", err)
		}
		c := Code{
			number: binary.BigEndian.Uint16(b[:])&1023 + 1,
			first:  binary.BigEndian.Uint16(b[2:]) & 2047,
			secret: [2]uint16{binary.BigEndian.Uint16(b[4:]) & 2047, binary.BigEndian.Uint16(b[6:]) & 2047},
		}
		if c.number <= maxNumber {
			return c, nil
		}
	}
}

// Secret returns the whole code, to be spoken. Any holder of it can pair.
func (c Code) Secret() string {
	if c.IsZero() {
		return ""
	}
	return c.nameplate() + "-" + pointer.Word(int(c.secret[0])) + "-" + pointer.Word(int(c.secret[1]))
}

// String returns the code without its secret words, "742-tunnel-…".
func (c Code) String() string {
	if c.IsZero() {
		return "(no code)"
	}
	return c.nameplate() + "-…"
}

// IsZero reports whether c is the invalid zero value.
func (c Code) IsZero() bool { return c.number == 0 }

// Format prints String for every verb of fmt, so that the secret is not printed.
func (c Code) Format(f fmt.State, _ rune) { io.WriteString(f, c.String()) }

// MarshalText returns an error, so that no secret is written to JSON or a log by accident.
func (c Code) MarshalText() ([]byte, error) {
	return nil, errors.New("a code is not marshalled; use Secret")
}

// nameplate returns the public half of a code, "742-tunnel".
func (c Code) nameplate() string {
	prefix := ""
	if c.device {
		prefix = deviceWord + "-"
	}
	return prefix + strconv.Itoa(int(c.number)) + "-" + pointer.Word(int(c.first))
}

// ForDevice returns the code with the same number and words that admits a device: its
// mailboxes are others. [Self].Device is true at both sides of it.
func (c Code) ForDevice() Code {
	c.device = !c.IsZero()
	return c
}

// IsForDevice reports whether the code admits a device.
func (c Code) IsForDevice() bool { return c.device }

// password returns the password-related string of CPace.
func (c Code) password() []byte {
	return []byte(pointer.Word(int(c.secret[0])) + " " + pointer.Word(int(c.secret[1])))
}

const (
	// periodLength is the length of a period: every period has mailboxes of its own.
	periodLength = 10 * time.Minute

	// CodeLife is how long a code is valid, from its offer.
	CodeLife = periodLength

	// maxSkew bounds the difference between the clocks of two sides that find each
	// other without the notice of the inviter.
	maxSkew = 2 * time.Minute

	// clockTolerance bounds the difference between the clocks of the two sides, and of
	// either and the peers that store the messages: a message is valid for so long
	// after its sender ceases to use it.
	clockTolerance = 24 * time.Hour

	// noticeLife is the validity of the notice of an inviter whose offer no peer stores,
	// since its clock is far behind. Peers drop it 48 hours after they received it.
	noticeLife = 50 * 365 * 24 * time.Hour
)

// endNear returns the end of a code, or CodeLife from now if that is earlier: the clock was
// set back since.
func endNear(end, now time.Time) time.Time {
	if latest := now.Add(CodeLife); end.After(latest) {
		return latest
	}
	return end
}

// slot is a nameplate in a period. Both sides of a code derive their mailboxes from
// it. It does not contain the secret.
type slot struct {
	nameplate string
	period    int64 // number of the period since 1970
}

// slot returns the slot of the code at a time.
func (c Code) slot(t time.Time) slot { return slot{c.nameplate(), periodOf(t)} }

// periodOf returns the number of the period of a time.
func periodOf(t time.Time) int64 {
	seconds, length := t.Unix(), int64(periodLength/time.Second)
	period := seconds / length
	if seconds%length < 0 {
		period--
	}
	return period
}

// slotsNear returns the slots in which a valid offer may be, the oldest first: two or
// three.
func (c Code) slotsNear(now time.Time) []slot {
	var slots []slot
	for period := periodOf(now.Add(-CodeLife - maxSkew)); period <= periodOf(now.Add(maxSkew)); period++ {
		slots = append(slots, slot{c.nameplate(), period})
	}
	return slots
}

// noticed returns the slot of an offer from the notice of the inviter. Beside
// [ErrClocks], if the clocks of the two sides differ by more than clockTolerance, it
// returns the slot, too; ok is false for a malformed notice.
func (c Code) noticed(message []byte, now time.Time) (s slot, ok bool, err error) {
	period, err := parseNotice(message)
	if err != nil {
		return slot{}, false, nil
	}
	s = slot{c.nameplate(), period}
	if made := periodStart(period); made.Sub(now).Abs() > clockTolerance {
		return s, true, fmt.Errorf("%w: the inviter's shows %s, and this machine's %s", ErrClocks, clockText(made), clockText(now))
	}
	return s, true, nil
}

// periodStart returns the begin of a period.
func periodStart(period int64) time.Time {
	return time.Unix(period*int64(periodLength/time.Second), 0)
}

func clockText(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// noticeMailbox returns the mailbox of the inviter's notice, which does not depend on the
// time.
func (c Code) noticeMailbox() mailbox {
	m := newMailbox(lvCat([]byte("petnames/pair/notice/v1"), []byte(c.nameplate())), nil, "petnames/pair/code/v1 notice")
	m.ended = true
	return m
}

// id returns the encoding of a slot in keys and signatures.
func (s slot) id() []byte {
	return lvCat([]byte("petnames/pair/slot/v1"), []byte(s.nameplate), binary.BigEndian.AppendUint64(nil, uint64(s.period)))
}
