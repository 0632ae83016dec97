package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"

	"github.com/petnames-go/petnames/cmd/petname/internal/socket"
	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/petname/home"
	"github.com/petnames-go/petnames/petname/introduce"
	"github.com/petnames-go/petnames/petname/mutual"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/petname/pair"
	"github.com/petnames-go/petnames/pointer"
)

// The exit statuses of the command.
const (
	exitFailure     = 1
	exitUsage       = 2 // usage or malformed input
	exitNotFound    = 3
	exitLocked      = 4
	exitChoose      = 5 // a person must choose
	exitUnverified  = 6 // signature, expired, rollback, fork, duplicity
	exitNetwork     = 7 // network or timeout, worth retrying
	exitConflict    = 8 // name taken, contact already named, own pointer, init twice
	exitInterrupted = 130
)

// failure is the error type of all verbs: a stable code for programs, and a message
// and the next step for people.
type failure = socket.Failure

// usage returns the failure of malformed input.
func usage(format string, args ...any) *failure {
	return &failure{Code: "usage", Message: fmt.Sprintf(format, args...), Exit: exitUsage}
}

// classify returns the failure for any error. It is the table of codes, messages,
// next steps and exit statuses.
func classify(err error) *failure {
	if err == nil {
		return nil
	}
	var (
		own       *failure
		argument  *agent.ArgumentError
		address   *agent.AddressError
		mismatch  *agent.MismatchError
		header    *home.HeaderError
		next      *agent.NextError
		lacking   *home.IncompleteError
		unsaved   *agent.UnsavedError
		replaced  *agent.SupersededError
		norecord  *agent.NoRecordError
		nickless  *agent.NoNicknameError
		nocard    *agent.NoCardError
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
	e := &failure{Code: "failure", Message: err.Error(), Exit: exitFailure}
	set := func(code string, exit int, next string) *failure {
		e.Code, e.Exit, e.Next = code, exit, next
		return e
	}
	switch {
	case errors.As(err, &own):
		return own
	case errors.Is(err, syscall.ENOSPC):
		// Writes are atomic: nothing is damaged.
		var at *fs.PathError
		if errors.As(err, &at) {
			e.Message = at.Error()
		}
		if errors.As(err, &unsaved) {
			e.Message = (&agent.UnsavedError{Sequence: unsaved.Sequence, Err: errors.New(e.Message)}).Error()
		}
		return set("disk_full", exitFailure, "make room on the disk and try again")
	case errors.Is(err, ledger.ErrReadOnly), errors.Is(err, syscall.EROFS):
		return set("read_only", exitFailure, "copy the home to where it can be written, and give that with --home")
	case errors.As(err, &argument):
		next := map[string]string{"path": "a content path starts with /ipfs/ or /ipns/"}[argument.Name]
		return set("usage", exitUsage, next)
	case errors.As(err, &address):
		if rest, ok := strings.CutPrefix(address.Reason, address.Kind+" address "); ok { // of a flag of node
			e.Message = "--" + address.Kind + " " + rest
		}
		next := map[string]string{
			"router": "one looks like http://127.0.0.1:8080, as petname node --http prints it",
			"peer":   "one looks like /ip4/127.0.0.1/tcp/4001/p2p/12D3Koo…, as petname node prints it",
			"listen": "petname node --listen /ip4/127.0.0.1/tcp/0",
		}[address.Kind]
		return set("usage", exitUsage, next)
	case errors.As(err, &mismatch):
		return set("damaged", exitFailure, "put the files that belong together back into "+mismatch.Dir)
	case errors.As(err, &header):
		return set("damaged", exitFailure, header.Next())
	case errors.As(err, &next):
		return set("damaged", exitFailure, "petname doctor --passphrase-file FILE, which compares it with the keys")
	case errors.As(err, &replaced):
		return set("superseded", exitChoose, "petname publish PATH, with the path that is to stand")
	case errors.As(err, &lacking):
		switch {
		case errors.Is(err, home.ErrExists):
			return set("home_exists", exitConflict, lacking.Next())
		case errors.Is(err, fs.ErrExist):
			return set("exists", exitConflict, lacking.Next())
		case errors.Is(err, home.ErrNoHome):
			return set("no_home", exitNotFound, lacking.Next())
		}
		return set("damaged", exitFailure, lacking.Next())
	case errors.As(err, &norecord):
		return set("not_found", exitNotFound, "petname resolve "+norecord.Pointer.String())
	case errors.As(err, &nickless), errors.Is(err, agent.ErrSameContact):
		return set("usage", exitUsage, "")
	case errors.As(err, &nocard):
		return set("no_card", exitNotFound, "ask them to publish, or pair with them; an introduction can go as a file, too: -o FILE")
	case errors.Is(err, agent.ErrNotJoined):
		e.Message = agent.ErrNotJoined.Error()
		return set("not_joined", exitNetwork, "petname join --help")
	case errors.As(err, &name):
		return set("bad_name", exitUsage, "")
	case errors.As(err, &taken):
		return set("name_taken", exitConflict, "petname show "+shellWord(taken.Name.String()))
	case errors.As(err, &alike):
		return set("lookalike", exitChoose, "choose another name, or give it all the same with --allow-lookalike")
	case errors.As(err, &named):
		return set("already_named", exitConflict, "petname rename "+shellWord(named.Name.String())+" NEW")
	case errors.As(err, &conflict):
		return set("conflict", exitConflict, "petname rename POINTER NEW, or petname rm POINTER, for one of them")
	case errors.As(err, &duplicity):
		return set("duplicity", exitUnverified, "ask the owner, over another way, for the link")
	case errors.As(err, &successor):
		return set("succession", exitUnverified, "ask the owner, over another way, for the link")
	case errors.As(err, &rollback):
		return set("rollback", exitUnverified, "try again, or ask the owner to publish")
	case errors.As(err, &expired):
		return set("expired", exitUnverified, "ask the owner to publish again")
	case errors.Is(err, dht.ErrRejected), errors.Is(err, pointer.ErrInvalid):
		return set("invalid", exitUnverified, "")
	case errors.As(err, &damaged):
		return set("damaged", exitFailure, "petname doctor")
	case errors.As(err, &short), errors.Is(err, dht.ErrUnreachable), errors.Is(err, context.DeadlineExceeded):
		return set("network", exitNetwork, "check the network and try again: petname doctor")
	case errors.Is(err, context.Canceled):
		e.Message = "interrupted"
		return set("interrupted", exitInterrupted, "")
	case errors.As(err, &stale):
		return set("expired", exitUnverified, "ask who introduced them to do it again")
	case errors.Is(err, introduce.ErrInvalid), errors.Is(err, mutual.ErrInvalid):
		return set("invalid", exitUnverified, "ask who sent it to send it again")
	case errors.Is(err, petname.ErrUnknownSender):
		return set("stranger", exitUnverified, "petname add NAME LINK, for who says it, if you know them")
	case errors.Is(err, petname.ErrWrongRecipient):
		return set("not_for_me", exitUnverified, "ask who introduces them to do it for you")
	case errors.Is(err, petname.ErrMuted):
		return set("muted", exitConflict, "petname add NAME LINK, if you know better now")
	case errors.Is(err, petname.ErrInboxFull):
		return set("inbox_full", exitConflict, "petname inbox")
	case errors.Is(err, petname.ErrDecided):
		return set("decided", exitConflict, "petname inbox")
	case errors.Is(err, agent.ErrMalformed):
		return set("usage", exitUsage, "petname pair --help")
	case errors.Is(err, pair.ErrOccupied):
		return set("occupied", exitConflict, "petname invite")
	case errors.Is(err, pair.ErrWrongCode):
		return set("wrong_code", exitUnverified, "petname invite")
	case errors.Is(err, pair.ErrCodeUsed):
		return set("code_used", exitUnverified, "petname invite")
	case errors.Is(err, pair.ErrTampered):
		return set("tampered", exitUnverified, "petname invite")
	case errors.Is(err, pair.ErrTimeout):
		return set("timeout", exitNetwork, "petname invite")
	case errors.Is(err, pair.ErrSelf):
		return set("own_pointer", exitConflict, "hand it to somebody else")
	case errors.As(err, &refused):
		return set("refused", exitUnverified, "ask for a new invitation")
	case errors.Is(err, pair.ErrExpired):
		return set("expired", exitUnverified, "ask for a new invitation")
	case errors.Is(err, agent.ErrNotInvited):
		return set("not_found", exitNotFound, "petname invite")
	case errors.Is(err, agent.ErrMaxRequests):
		return set("too_many", exitConflict, "petname knock --stop POINTER")
	case errors.Is(err, agent.ErrNoSealing):
		return set("no_sealing", exitNotFound, "ask them to publish again, or give it to them as a file: -o FILE")
	case errors.Is(err, petname.ErrChanged):
		return set("conflict", exitConflict, "petname log")
	case errors.Is(err, petname.ErrOwnPointer):
		return set("own_pointer", exitConflict, "petname id")
	case errors.Is(err, petname.ErrNotFound), errors.Is(err, dht.ErrNotFound), errors.Is(err, petname.ErrNothingToUndo):
		return set("not_found", exitNotFound, "")
	case errors.Is(err, home.ErrNoHome):
		return set("no_home", exitNotFound, "petname init")
	case errors.Is(err, home.ErrExists):
		return set("home_exists", exitConflict, "petname id")
	case errors.Is(err, home.ErrLocked):
		return set("locked", exitLocked, "give the passphrase with --passphrase-file, or on a terminal")
	case errors.Is(err, home.ErrNextElsewhere):
		return set("locked", exitLocked, "petname key rotate --next FILE --recovery NEWFILE --passphrase-file FILE")
	case errors.Is(err, home.ErrNextWrong):
		return set("wrong_key", exitUnverified, "give the recovery file that was written last")
	case errors.Is(err, home.ErrPassphrase):
		return set("wrong_passphrase", exitLocked, "")
	case errors.Is(err, ledger.ErrInUse):
		return set("in_use", exitNetwork, "wait for the other petname to end, and try again")
	case errors.Is(err, dht.ErrOlder):
		return set("older", exitUnverified, "")
	case errors.Is(err, home.ErrRecoveryInHome):
		return set("usage", exitUsage, "petname init --recovery FILE --passphrase-file FILE")
	case errors.Is(err, fs.ErrExist):
		return set("exists", exitConflict, "")
	}
	return e
}

// shellWord quotes a word for a POSIX shell where it needs it.
func shellWord(s string) string {
	plain := s != "" && strings.IndexFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:@%+=,", r))
	}) < 0
	if plain {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
