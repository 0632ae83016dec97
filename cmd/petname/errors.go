package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"syscall"

	"github.com/petnames-go/petnames/cmd/petname/internal/socket"
	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/ledger/durable"
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
// next steps and exit statuses. Of an error that wraps others, the first case that matches
// counts.
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
		file      *home.FileError
		next      *agent.NextError
		lacking   *home.IncompleteError
		unsaved   *agent.UnsavedError
		replaced  *agent.SupersededError
		norecord  *agent.NoRecordError
		unfollow  *agent.FollowError
		nickless  *agent.NoNicknameError
		nocard    *agent.NoCardError
		name      *name.Error
		taken     *petname.TakenError
		alike     *petname.LookalikeError
		device    *petname.DeviceNameError
		named     *petname.NamedError
		conflict  *petname.ConflictError
		duplicity *petname.DuplicityError
		differing *petname.ContradictionError
		recovery  *home.RecoveryFileError
		unnamed   *petname.UnnamedError
		successor *petname.SuccessionError
		moved     *agent.MovedError
		unmerged  *agent.UnmergedError
		rollback  *dht.RollbackError
		expired   *pointer.ExpiredError
		short     *dht.ShortError
		damaged   *ledger.DamagedError
		stale     *introduce.ExpiredError
		refused   *pair.RefusedError
		begun     *home.UnfinishedError
		removal   *agent.UnfinishedRemovalError
		copied    *agent.CopiedError
		clock     *agent.ClockError
		forked    *ledger.ForkError
		retry     *home.RetryError
		highest   *agent.SequenceError
		path      *fs.PathError
	)
	e := &failure{Code: "failure", Message: err.Error(), Exit: exitFailure}
	set := func(code string, exit int, next string) *failure {
		e.Code, e.Exit, e.Next = code, exit, next
		return e
	}
	switch {
	case errors.As(err, &own):
		return own
	case errors.Is(err, home.ErrNotRenewable):
		return set("usage", exitUsage, "put back a copy of the file, and delete nothing else")
	case errors.Is(err, home.ErrKeyWhole):
		return set("exists", exitConflict, "petname doctor")
	case errors.As(err, &begun): // before the cause: the pointer has changed
		next := "petname key rotate"
		if errors.Is(err, syscall.ENOSPC) {
			next = "make room on the disk; the rotation is then finished when the home is next used"
		} else if errors.As(err, &file) && home.LostKey(file) != "" {
			next = newKeyNext(file.Next(), home.LostKey(file))
		}
		return set("unfinished", exitFailure, next)
	case errors.As(err, &removal): // before the cause: the device is removed
		next := "petname device rm " + removal.Device.String()
		if errors.Is(err, syscall.ENOSPC) {
			next = "make room on the disk, then finish the removal:\n" + next
		}
		return set("unfinished", exitFailure, next)
	case errors.As(err, &copied) && copied.Successor.IsZero():
		return set("copied", exitConflict, "to rotate to a key that the other does not have:\n"+despiteCopy(copied.NextElsewhere)+"\npetname publish --despite-copy")
	case errors.As(err, &copied) && copied.Devices && copied.NextElsewhere:
		return set("copied", exitConflict, "to receive the key from the other device:\npetname sync\n# if no device has it any more, or it is the key of petname recover:\n"+despiteCopy(copied.NextElsewhere))
	case errors.As(err, &copied) && copied.Devices:
		return set("copied", exitConflict, "to receive the key from the other device:\npetname sync\n# if no device has it any more:\npetname key rotate --despite-copy")
	case errors.As(err, &copied):
		return set("copied", exitConflict, "use the home of "+copied.Successor.String()+"; if no copy has that key any more:\n"+despiteCopy(copied.NextElsewhere))
	case errors.As(err, &unmerged) && unmerged.Rotating:
		return set("unmerged", exitConflict, "to receive its changes, while it runs or after petname sync there:\npetname sync\n# if that device is lost, or a thief may have signed it:\n"+despiteCopy(unmerged.NextElsewhere)+"\npetname publish --despite-copy")
	case errors.As(err, &unmerged) && unmerged.RemovedHolder:
		return set("unmerged", exitConflict, "to receive its changes, while it runs or after petname sync there:\npetname sync\n# if that device is lost:\npetname publish --despite-copy\n# if a device that you removed may have the key, as another one handed it over:\n"+despiteCopy(unmerged.NextElsewhere)+"\npetname publish --despite-copy")
	case errors.As(err, &unmerged):
		return set("unmerged", exitConflict, "to receive its changes, while it runs or after petname sync there:\npetname sync\n# if that device is lost:\npetname publish --despite-copy")
	case errors.As(err, &forked):
		e.Message = forked.Error()
		return set("forked", exitConflict, rejoinNext)
	case errors.As(err, new(*ledger.RemovedError)):
		return set("removed", exitConflict, rejoinNext)
	case errors.As(err, new(*agent.DeviceClockError)):
		return set("clock", exitFailure, "set the clock that is wrong, then:\npetname sync")
	case errors.As(err, new(*agent.KeyHereError)):
		return set("identity_key", exitConflict, "petname device list")
	case errors.As(err, new(*agent.BranchError)):
		return set("forked", exitChoose, "petname device list")
	case errors.As(err, &highest):
		return set("no_sequence", exitFailure, "petname key rotate")
	case errors.As(err, &retry) && retry.Cut:
		return set("exists", exitConflict, "move it away, and recover into another folder")
	case errors.As(err, &retry):
		return set("exists", exitConflict, "use the home that was made of it; if none was made:\npetname recover "+shellPath(retry.Next))
	case errors.As(err, &clock):
		return set("clock", exitFailure, "set the clock of this machine; if it is right, an entry with its date ends this:\npetname publish")
	case errors.Is(err, agent.ErrNotLedOn):
		return set("not_led_on", exitNetwork, "hand out your new link:\npetname id")
	case errors.Is(err, home.ErrRecovery):
		return set("invalid", exitUnverified, "take another copy of the recovery file")
	case errors.Is(err, ledger.ErrUnsure): // before the cause: to try again could be a second change
		return set("unsure", exitFailure, "see whether it is, before you try again:\npetname log")
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
	case errors.As(err, &recovery) && errors.Is(recovery, syscall.EROFS):
		return set("read_only", exitFailure, "name a file on another medium with --recovery: that of "+shellPath(recovery.Path)+" cannot be written")
	case errors.Is(err, ledger.ErrReadOnly), errors.Is(err, syscall.EROFS):
		return set("read_only", exitFailure, "make the folder writable, or copy the home to where it can be written, give that with --home, and use the copy alone from then on: of two copies, the changes of one do not count")
	case errors.As(err, &argument):
		next := map[string]string{"path": pathNext, "own path": "with the path of content:\npetname publish /ipfs/CID"}[argument.Name]
		return set("usage", exitUsage, next)
	case errors.As(err, &address):
		if rest, ok := strings.CutPrefix(address.Reason, address.Kind+" address "); ok { // of a flag of node
			e.Message = "--" + address.Kind + " " + rest
		}
		next := map[string]string{
			"router": "one looks like http://127.0.0.1:8080, as petname node --http prints it",
			"peer":   "one looks like /ip4/127.0.0.1/tcp/4001/p2p/12D3Koo…, as petname node prints it",
			"listen": "petname node --listen /ip4/127.0.0.1/tcp/0",

			"peer ID": "the address ends as one that petname node prints, in /p2p/12D3Koo…",
		}[address.Kind]
		if meant := nearNetwork(address.Address); address.Kind == "peer" && meant != "" {
			next = "did you mean\npetname join " + meant
		} else if router := asRouter(address.Address); address.Kind == "peer" && router != "" {
			next = "for the router there:\npetname join " + shellWord(router)
		}
		return set("usage", exitUsage, next)
	case errors.As(err, &mismatch):
		return set("damaged", exitFailure, "put the files that belong together back into "+mismatch.Dir)
	case errors.As(err, &header):
		return set("damaged", exitFailure, header.Next())
	case errors.As(err, &next):
		return set("damaged", exitFailure, "to compare it with the keys:\npetname doctor --passphrase-file FILE")
	case errors.As(err, &replaced) && replaced.Foreign && replaced.Unsent.Sequence > 0: // else the key has been rotated
		return set("superseded", exitChoose, "with the path that is to stand:\npetname publish PATH\n# if no copy of this home of yours has signed the other one:\npetname key rotate")
	case errors.As(err, &replaced):
		return set("superseded", exitChoose, "with the path that is to stand:\npetname publish PATH")
	case errors.Is(err, home.ErrCreating):
		return set("in_use", exitNetwork, "wait until the other petname process has ended, and try again")
	case errors.As(err, &lacking) && lacking.Unfinished:
		next := "petname init"
		if lacking.From != "" {
			next = "petname recover " + shellPath(lacking.From)
		}
		return set("no_home", exitNotFound, "create it again:\n"+next)
	case errors.As(err, &lacking):
		switch {
		case errors.Is(err, home.ErrExists):
			return set("home_exists", exitConflict, lacking.Next())
		case errors.Is(err, fs.ErrExist):
			return set("exists", exitConflict, lacking.Next())
		case errors.Is(err, home.ErrNoHome):
			return set("no_home", exitNotFound, lacking.Next())
		case home.LostKey(lacking) != "":
			return set("damaged", exitFailure, newKeyNext(lacking.Next(), home.LostKey(lacking)))
		}
		return set("damaged", exitFailure, lacking.Next())
	case errors.As(err, &file) && home.LostKey(file) != "":
		return set("damaged", exitFailure, newKeyNext(file.Next(), home.LostKey(file)))
	case errors.As(err, &file):
		return set("damaged", exitFailure, file.Next())
	case errors.As(err, &unfollow):
		return set("not_followed", exitFailure, "petname resolve "+shellWord(unfollow.Path))
	case errors.As(err, &norecord):
		return set("not_found", exitNotFound, "petname resolve "+norecord.Pointer.String())
	case errors.As(err, &nickless), errors.Is(err, agent.ErrSameContact):
		return set("usage", exitUsage, "")
	case errors.As(err, &nocard):
		return set("no_card", exitNotFound, "ask the contact to publish, or pair with it; an introduction can also be written to a file: -o FILE")
	case errors.Is(err, agent.ErrNotJoined):
		e.Message = agent.ErrNotJoined.Error()
		return set("not_joined", exitNetwork, "petname join --help")
	case errors.As(err, &name):
		return set("bad_name", exitUsage, shownNext(name.Text))
	case errors.Is(err, petname.ErrPathTooLong):
		return set("usage", exitUsage, "")
	case errors.As(err, &taken):
		return set("name_taken", exitConflict, "petname show "+shellWord(taken.Name.String()))
	case errors.As(err, &alike):
		return set("lookalike", exitChoose, "choose another name, or use this one with --allow-lookalike")
	case errors.As(err, &device) && device.Taken():
		return set("name_taken", exitConflict, "choose another name:\npetname device list")
	case errors.As(err, &device):
		return set("lookalike", exitChoose, "choose another name:\npetname device list")
	case errors.As(err, &named):
		return set("already_named", exitConflict, "petname rename "+shellWord(named.Name.String())+" NEW")
	case errors.As(err, &conflict) && !conflict.Pointer.IsZero() && len(conflict.Contacts) == 1:
		next := "the link may be old or altered: ask its owner for the newest one over another channel"
		if name := conflict.Contacts[0].Name; !name.IsZero() {
			next += ", and compare its words with those of your contact:\npetname show " + shellWord(name.String()) +
				"\n# only if the newest link is of another party than your contact:\npetname rm " + shellWord(name.String())
		}
		return set("conflict", exitConflict, next)
	case errors.As(err, &conflict) && !conflict.Pointer.IsZero():
		next := "keep one of these contacts, and remove the other:"
		for _, c := range conflict.Contacts[:min(len(conflict.Contacts), 4)] {
			word := c.ID.String()
			if !c.Name.IsZero() {
				word = shellWord(c.Name.String())
			} else if c.Conflict == nil {
				continue // removed already, such as one that an undo would restore
			}
			next += "\npetname rm " + word
		}
		return set("conflict", exitConflict, next)
	case errors.As(err, &conflict):
		next := "to keep the name for one of the contacts, one of"
		if len(conflict.Contacts) == 0 {
			next += "\npetname choose NAME POINTER"
		}
		for _, c := range conflict.Choices() {
			next += "\npetname choose " + shellWord(c.Name.String()) + " " + c.Contact.String()
		}
		return set("conflict", exitConflict, next+"\n# or, to give one another name:\npetname rename POINTER NEW")
	case errors.As(err, &duplicity):
		return set("duplicity", exitUnverified, settleNext)
	case errors.As(err, &differing):
		return set("contradiction", exitUnverified, settleNext)
	case errors.As(err, &unnamed):
		return set("succession", exitUnverified, "compare the words of the pointer and this next key with its owner over another channel, then\npetname confirm "+unnamed.Pointer.String()+" --next "+unnamed.Next.String())
	case errors.Is(err, petname.ErrNoCommitment):
		return set("usage", exitUsage, "ask the owner for the link")
	case errors.Is(err, petname.ErrNothingToConfirm):
		return set("no_card", exitNotFound, "join a network, or ask the owner for the link, then\npetname add NAME LINK --replace-pin")
	case errors.As(err, &moved) && moved.Contact && !moved.Proven:
		return set("succession", exitUnverified, "ask the owner whether the successor is right; if it is:\npetname confirm "+moved.Pointer.String()+" --successor "+moved.Successor.String())
	case errors.As(err, &moved) && moved.Contact:
		return set("succession", exitUnverified, "petname show "+moved.Pointer.String())
	case errors.As(err, &moved):
		return set("succession", exitUnverified, "ask the owner for the link over another channel")
	case errors.As(err, &successor):
		return set("succession", exitUnverified, "ask the owner for the link over another channel")
	case errors.As(err, &rollback):
		return set("rollback", exitUnverified, "try again, or ask the owner to publish")
	case errors.As(err, &expired):
		return set("expired", exitUnverified, "ask the owner to publish again")
	case errors.Is(err, dht.ErrRejected), errors.Is(err, pointer.ErrInvalid):
		return set("invalid", exitUnverified, "")
	case errors.As(err, &damaged):
		return set("damaged", exitFailure, "petname doctor")
	case errors.Is(err, dht.ErrOlder): // also of peers that refused it, of which a put then reports too few
		e.Message = withoutTraces(e.Message)
		return set("older", exitUnverified, "")
	case errors.As(err, &short), errors.Is(err, dht.ErrUnreachable), errors.Is(err, context.DeadlineExceeded):
		e.Message = withoutTraces(e.Message)
		return set("network", exitNetwork, "check the network, and try again:\npetname doctor")
	case errors.Is(err, context.Canceled):
		e.Message = "interrupted"
		return set("interrupted", exitInterrupted, "")
	case errors.As(err, &stale):
		return set("expired", exitUnverified, "ask the introducer for a new introduction")
	case errors.Is(err, introduce.ErrInvalid), errors.Is(err, mutual.ErrInvalid):
		return set("invalid", exitUnverified, "ask the sender to send it again")
	case errors.Is(err, petname.ErrUnknownSender):
		return set("stranger", exitUnverified, "if you know the sender:\npetname add NAME LINK")
	case errors.Is(err, petname.ErrWrongRecipient):
		return set("not_for_me", exitUnverified, "ask the introducer for an introduction to you")
	case errors.Is(err, petname.ErrMuted):
		return set("muted", exitConflict, "to add the contact anyway:\npetname add NAME LINK")
	case errors.Is(err, petname.ErrInboxFull):
		return set("inbox_full", exitConflict, "petname inbox")
	case errors.Is(err, petname.ErrDecided):
		return set("decided", exitConflict, "petname inbox")
	case errors.Is(err, agent.ErrMalformed):
		return set("usage", exitUsage, "petname pair --help")
	case errors.Is(err, pair.ErrDevice):
		return set("usage", exitUsage, "on a new device of yours:\npetname device join CODE")
	case errors.Is(err, pair.ErrNoDevice):
		return set("usage", exitUsage, "to pair with a contact:\npetname pair CODE")
	case errors.Is(err, agent.ErrNoNetworks):
		return set("usage", exitUsage, "name the network, as petname device add prints it:\npetname device join CODE --join NETWORK")
	case errors.Is(err, agent.ErrNewerDevice):
		return set("newer", exitFailure, "install the newest version here")
	case errors.Is(err, agent.ErrNoDevices):
		return set("no_devices", exitNotFound, "petname device add")
	case errors.Is(err, petname.ErrDeviceRemoved):
		return set("removed", exitConflict, "petname device list")
	case errors.Is(err, home.ErrKeyElsewhere), errors.Is(err, petname.ErrNotHolder):
		return set("locked", exitLocked, "use a device of yours that has the identity key:\npetname device list")
	case errors.Is(err, agent.ErrPaired):
		return set("code_used", exitConflict, "petname inbox\npetname list")
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
	case errors.Is(err, pair.ErrClocks):
		return set("clock", exitFailure, "set the clock that is wrong, then:\npetname invite")
	case errors.Is(err, pair.ErrSelf):
		return set("own_pointer", exitConflict, "send it to another person")
	case errors.As(err, &refused):
		return set("refused", exitUnverified, "ask for a new invitation")
	case errors.Is(err, pair.ErrExpired):
		return set("expired", exitUnverified, "ask for a new invitation")
	case errors.Is(err, agent.ErrNoInvitation):
		return set("not_found", exitNotFound, "petname invite")
	case errors.Is(err, agent.ErrTooManyRequests):
		return set("too_many", exitConflict, "petname knock --stop POINTER")
	case errors.Is(err, agent.ErrNoSealing):
		return set("no_sealing", exitNotFound, "ask the contact to publish again, or write it to a file: -o FILE")
	case errors.Is(err, petname.ErrChanged):
		return set("conflict", exitConflict, "petname log")
	case errors.Is(err, petname.ErrOwnPointer):
		return set("own_pointer", exitConflict, "petname id")
	case errors.Is(err, petname.ErrNotFound):
		return set("not_found", exitNotFound, noContactNext)
	case errors.Is(err, petname.ErrAmbiguous):
		return set("ambiguous", exitChoose, "petname inbox")
	case errors.Is(err, petname.ErrNothingToUndo):
		return set("not_found", exitNotFound, "petname log")
	case errors.Is(err, dht.ErrNotFound):
		return set("not_found", exitNotFound, "ask the owner to publish, or try again later")
	case errors.Is(err, home.ErrNoHome):
		return set("no_home", exitNotFound, "petname init")
	case errors.Is(err, home.ErrExists):
		return set("home_exists", exitConflict, "petname id")
	case errors.Is(err, home.ErrLocked):
		return set("locked", exitLocked, "enter the passphrase on a terminal, or use --passphrase-file")
	case errors.Is(err, home.ErrNextElsewhere):
		return set("locked", exitLocked, "petname key rotate --next FILE --recovery NEWFILE --passphrase-file FILE")
	case errors.Is(err, home.ErrNextWrong):
		return set("wrong_key", exitUnverified, "use the recovery file that was written last")
	case errors.Is(err, home.ErrPassphrase):
		return set("wrong_passphrase", exitLocked, "enter it again, or correct the file of --passphrase-file")
	case errors.Is(err, home.ErrConfig):
		return set("failure", exitFailure, "correct the file, or remove it and join again:\npetname join --help")
	case errors.Is(err, ledger.ErrInUse):
		return set("in_use", exitNetwork, "wait until the other petname process has ended, and try again; one that waits may hold it: petname invite, pair, device add, or a node")
	case errors.Is(err, home.ErrRecoveryInHome):
		return set("usage", exitUsage, "choose a file on another medium, outside of the home")
	case errors.As(err, &unsaved), errors.As(err, new(*durable.KindError)):
		return set("failure", exitFailure, "petname doctor")
	case errors.Is(err, home.ErrNotEmpty):
		return set("exists", exitConflict, "choose another folder with --home, or move away what is in it")
	case errors.Is(err, fs.ErrExist):
		return set("exists", exitConflict, "choose the name of another file")
	case errors.As(err, &path) && errors.Is(path, fs.ErrPermission):
		return set("failure", exitFailure, "use the account of the owner of that file or folder, or correct its mode")
	case errors.Is(err, syscall.EADDRINUSE):
		return set("failure", exitFailure, "petname node --listen /ip4/127.0.0.1/tcp/0")
	case errors.Is(err, syscall.ENXIO):
		return set("failure", exitFailure, "start the process that reads the pipe first")
	}
	return e
}

// rejoinNext is the next step of a home that has to join again as a new device.
const rejoinNext = "make a code on another device of yours or on the other copy, by petname device add, and type it here:\npetname device join CODE --join NETWORK"

// newKeyNext returns the next step for a damaged or missing key file, where the other step
// needs a copy of it.
func newKeyNext(copied, file string) string {
	return copied + "; if there is no copy, this makes it anew:\npetname doctor --new-key " + file
}

// withoutTraces returns a message without the lines of libp2p about each address that
// was dialled.
func withoutTraces(message string) string {
	lines := strings.Split(message, "\n")
	lines = slices.DeleteFunc(lines, func(line string) bool { return strings.HasPrefix(line, "  * ") })
	return strings.Join(lines, "\n")
}

// shellWord quotes a word for a POSIX shell where it needs it.
func shellWord(s string) string {
	plain := s != "" && strings.IndexFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:@%+=,", r))
	}) < 0
	if plain {
		return s
	}
	if strings.ContainsAny(s, "\r\n") { // a suggested command is one line
		return dollarWord(s)
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// shellPath is shellWord for a path. One that would be taken for a flag begins with ./, and
// one that is not printed as it is, such as with control characters, is escaped byte by
// byte (dollar-single-quotes, POSIX.1-2024).
func shellPath(path string) string {
	if strings.HasPrefix(path, "-") {
		path = "./" + path
	}
	if name.Scrub(path, false) == path {
		return shellWord(path)
	}
	return dollarWord(path)
}

// dollarWord returns a text between dollar-single-quotes, on one line.
func dollarWord(path string) string {
	var b strings.Builder
	b.WriteString("$'")
	for i := range len(path) {
		if c := path[i]; c >= ' ' && c <= '~' && c != '\'' && c != '\\' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, `\%03o`, c)
		}
	}
	return b.String() + "'"
}

// despiteCopy returns the command that rotates although another copy has rotated the key, or
// another device has published what this one lacks.
func despiteCopy(nextElsewhere bool) string {
	if nextElsewhere {
		return "petname key rotate --despite-copy --next FILE --recovery NEWFILE --passphrase-file FILE"
	}
	return "petname key rotate --despite-copy"
}
