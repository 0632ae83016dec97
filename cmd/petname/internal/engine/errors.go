package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/home"
	"github.com/petnames-go/petnames/petname/introduce"
	"github.com/petnames-go/petnames/petname/mutual"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/petname/pair"
	"github.com/petnames-go/petnames/petname/peer"
	"github.com/petnames-go/petnames/pointer"
)

// The exit statuses of the command.
const (
	ExitFailure     = 1
	ExitUsage       = 2 // usage or malformed input
	ExitNotFound    = 3
	ExitLocked      = 4
	ExitChoose      = 5 // a person must choose
	ExitUnverified  = 6 // signature, expired, rollback, fork, duplicity
	ExitNetwork     = 7 // network or timeout, worth retrying
	ExitConflict    = 8 // name taken, contact already named, own pointer, init twice
	ExitInterrupted = 130
)

// Error is how every verb fails: a stable code for programs, a message and the
// next step for people.
type Error struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Next    string `json:"next"` // a command to copy, or a sentence; may be empty
	Exit    int    `json:"-"`
}

func (e *Error) Error() string { return e.Message }

// Usage is malformed input.
func Usage(format string, args ...any) *Error {
	return &Error{Code: "usage", Message: fmt.Sprintf(format, args...), Exit: ExitUsage}
}

// With gives the error another next step.
func (e *Error) With(next string) *Error {
	e.Next = next
	return e
}

// Classify turns any error into an Error.
func Classify(err error) *Error {
	if err == nil {
		return nil
	}
	var (
		own       *Error
		name      *name.Error
		taken     *petname.TakenError
		alike     *petname.LookalikeError
		named     *petname.NamedError
		conflict  *petname.ConflictError
		duplicity *petname.DuplicityError
		successor *petname.SuccessionError
		rollback  *dht.RollbackError
		expired   *pointer.ExpiredError
		short     *dht.ShortError
		damaged   *ledger.DamagedError
		stale     *introduce.ExpiredError
		refused   *pair.RefusedError
	)
	e := &Error{Code: "failure", Message: err.Error(), Exit: ExitFailure}
	set := func(code string, exit int, next string) *Error {
		e.Code, e.Exit, e.Next = code, exit, next
		return e
	}
	switch {
	case errors.As(err, &own):
		return own
	case errors.Is(err, syscall.ENOSPC):
		// Nothing is damaged, whatever was being written: it is not there.
		var at *fs.PathError
		if errors.As(err, &at) {
			e.Message = at.Error()
		}
		return set("disk_full", ExitFailure, "make room on the disk and try again")
	case errors.As(err, &name):
		return set("bad_name", ExitUsage, "")
	case errors.As(err, &taken):
		return set("name_taken", ExitConflict, "petname show "+ShellWord(taken.Name.String()))
	case errors.As(err, &alike):
		return set("lookalike", ExitChoose, "choose another name, or give it all the same with --allow-lookalike")
	case errors.As(err, &named):
		return set("already_named", ExitConflict, "petname rename "+ShellWord(named.Name.String())+" NEW")
	case errors.As(err, &conflict):
		return set("conflict", ExitConflict, "petname rename POINTER NEW, or petname rm POINTER, for one of them")
	case errors.As(err, &duplicity):
		return set("duplicity", ExitUnverified, "ask the owner, over another way, for the link")
	case errors.As(err, &successor):
		return set("succession", ExitUnverified, "ask the owner, over another way, for the link")
	case errors.As(err, &rollback):
		return set("rollback", ExitUnverified, "try again, or ask the owner to publish")
	case errors.As(err, &expired):
		return set("expired", ExitUnverified, "ask the owner to publish again")
	case errors.Is(err, dht.ErrRejected), errors.Is(err, pointer.ErrInvalid):
		return set("invalid", ExitUnverified, "")
	case errors.As(err, &damaged):
		return set("damaged", ExitFailure, "petname doctor")
	case errors.As(err, &short), errors.Is(err, dht.ErrUnreachable), errors.Is(err, context.DeadlineExceeded):
		return set("network", ExitNetwork, "check the network and try again: petname doctor")
	case errors.Is(err, context.Canceled):
		e.Message = "interrupted"
		return set("interrupted", ExitInterrupted, "")
	case errors.As(err, &stale):
		return set("expired", ExitUnverified, "ask who introduced them to do it again")
	case errors.Is(err, introduce.ErrInvalid), errors.Is(err, mutual.ErrInvalid):
		return set("invalid", ExitUnverified, "ask who sent it to send it again")
	case errors.Is(err, petname.ErrStranger):
		return set("stranger", ExitUnverified, "petname add NAME LINK, for who says it, if you know them")
	case errors.Is(err, petname.ErrNotForMe):
		return set("not_for_me", ExitUnverified, "ask who introduces them to do it for you")
	case errors.Is(err, petname.ErrMuted):
		return set("muted", ExitConflict, "petname add NAME LINK, if you know better now")
	case errors.Is(err, petname.ErrInboxFull):
		return set("inbox_full", ExitConflict, "petname inbox")
	case errors.Is(err, petname.ErrDecided):
		return set("decided", ExitConflict, "petname inbox")
	case errors.Is(err, peer.ErrMalformed):
		return set("usage", ExitUsage, "petname pair --help")
	case errors.Is(err, pair.ErrOccupied):
		return set("occupied", ExitConflict, "petname invite")
	case errors.Is(err, pair.ErrWrongCode):
		return set("wrong_code", ExitUnverified, "petname invite")
	case errors.Is(err, pair.ErrBurnt):
		return set("code_used", ExitUnverified, "petname invite")
	case errors.Is(err, pair.ErrTampered):
		return set("tampered", ExitUnverified, "petname invite")
	case errors.Is(err, pair.ErrTimeout):
		return set("timeout", ExitNetwork, "petname invite")
	case errors.Is(err, pair.ErrSelf):
		return set("own_pointer", ExitConflict, "hand it to somebody else")
	case errors.As(err, &refused):
		return set("refused", ExitUnverified, "ask for a new invitation")
	case errors.Is(err, pair.ErrExpired):
		return set("expired", ExitUnverified, "ask for a new invitation")
	case errors.Is(err, peer.ErrNotOut):
		return set("not_found", ExitNotFound, "petname invite")
	case errors.Is(err, peer.ErrKnocks):
		return set("too_many", ExitConflict, "petname knock --stop POINTER")
	case errors.Is(err, peer.ErrNoSealing):
		return set("no_sealing", ExitNotFound, "ask them to publish again, or give it to them as a file: -o FILE")
	case errors.Is(err, petname.ErrChanged):
		return set("conflict", ExitConflict, "petname log")
	case errors.Is(err, petname.ErrOwnPointer):
		return set("own_pointer", ExitConflict, "petname id")
	case errors.Is(err, petname.ErrNotFound), errors.Is(err, dht.ErrNotFound), errors.Is(err, petname.ErrNothingToUndo):
		return set("not_found", ExitNotFound, "")
	case errors.Is(err, home.ErrNoHome):
		return set("no_home", ExitNotFound, "petname init")
	case errors.Is(err, home.ErrExists):
		return set("home_exists", ExitConflict, "petname id")
	case errors.Is(err, home.ErrLocked):
		return set("locked", ExitLocked, "give the passphrase with --passphrase-file, or on a terminal")
	case errors.Is(err, home.ErrNextElsewhere):
		return set("locked", ExitLocked, "petname key rotate --next FILE --recovery NEWFILE --passphrase-file FILE")
	case errors.Is(err, home.ErrNextWrong):
		return set("wrong_key", ExitUnverified, "give the recovery file that was written last")
	case errors.Is(err, home.ErrPassphrase):
		return set("wrong_passphrase", ExitLocked, "")
	case errors.Is(err, ledger.ErrInUse):
		return set("in_use", ExitNetwork, "wait for the other petname to end, and try again")
	case errors.Is(err, dht.ErrOlder):
		return set("older", ExitUnverified, "")
	case errors.Is(err, home.ErrInside):
		return set("usage", ExitUsage, "petname init --recovery FILE --passphrase-file FILE")
	case errors.Is(err, fs.ErrExist):
		return set("exists", ExitConflict, "")
	}
	return e
}

// ShellWord quotes a word for a POSIX shell where it needs it.
func ShellWord(s string) string {
	plain := s != "" && strings.IndexFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:@%+=,", r))
	}) < 0
	if plain {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
