package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/ledger/durable"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/petname/agent/libp2p"
	"github.com/petnames-go/petnames/petname/exchange"
	"github.com/petnames-go/petnames/petname/home"
	"github.com/petnames-go/petnames/petname/introduce"
	"github.com/petnames-go/petnames/petname/mutual"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/petname/pair"
	"github.com/petnames-go/petnames/pointer"
)

// Every error that classify recognizes has a code, an exit status and a next
// step, however deep it is wrapped. The table is complete.
func TestClassify(t *testing.T) {
	bob, err := name.Parse("bob's")
	require.NoError(t, err)
	_, badName := name.Parse("a/b")
	p := newKey(t).Pointer()
	tested := map[string]bool{}
	for _, test := range []struct {
		err  error
		code string
		exit int
		next string
	}{
		{badName, "bad_name", 2, ""},
		{&petname.TakenError{Name: bob}, "name_taken", 8, `petname show 'bob'\''s'`},
		{&petname.LookalikeError{}, "lookalike", 5, "choose another name, or use this one with --allow-lookalike"},
		{&petname.DeviceNameError{}, "name_taken", 8, "choose another name:\npetname device list"},
		{&petname.DeviceNameError{Name: "phone"}, "lookalike", 5, "choose another name:\npetname device list"},
		{&petname.NamedError{Name: bob}, "already_named", 8, `petname rename 'bob'\''s' NEW`},
		{&petname.ConflictError{Contacts: []petname.Contact{{Name: bob, ID: p}}, Pointer: p}, "conflict", 8, "the link may be old or altered: ask its owner for the newest one over another channel, and compare its words with those of your contact:\npetname show 'bob'\\''s'\n# only if the newest link is of another party than your contact:\npetname rm 'bob'\\''s'"},
		{&petname.ConflictError{Name: bob}, "conflict", 8, "to keep the name for one of the contacts, one of\npetname choose NAME POINTER\n# or, to give one another name:\npetname rename POINTER NEW"},
		{&petname.DuplicityError{}, "duplicity", 6, settleNext},
		{&petname.ContradictionError{}, "contradiction", 6, settleNext},
		{petname.ErrNoCommitment, "usage", 2, "ask the owner for the link"},
		{&petname.UnnamedError{Pointer: p}, "succession", 6, "compare the words of the pointer and this next key with its owner over another channel, then\npetname confirm " + p.String() + " --next " + pointer.Commitment{}.String()},
		{petname.ErrNothingToConfirm, "no_card", 3, "join a network, or ask the owner for the link, then\npetname add NAME LINK --replace-pin"},
		{&petname.SuccessionError{Err: errors.New("unsigned")}, "succession", 6, "ask the owner for the link over another channel"},
		{&dht.RollbackError{}, "rollback", 6, "try again, or ask the owner to publish"},
		{&pointer.ExpiredError{}, "expired", 6, "ask the owner to publish again"},
		{pair.ErrClocks, "clock", 1, "set the clock that is wrong, then:\npetname invite"},
		{dht.ErrRejected, "invalid", 6, ""},
		{pointer.ErrInvalid, "invalid", 6, ""},
		{dht.ErrOlder, "older", 6, ""},
		{fmt.Errorf("%w: %w", dht.ErrOlder, &dht.ShortError{}), "older", 6, ""},
		{&ledger.DamagedError{}, "damaged", 1, "petname doctor"},
		{&dht.ShortError{}, "network", 7, "check the network, and try again:\npetname doctor"},
		{dht.ErrUnreachable, "network", 7, "check the network, and try again:\npetname doctor"},
		{context.DeadlineExceeded, "network", 7, "check the network, and try again:\npetname doctor"},
		{context.Canceled, "interrupted", 130, ""},
		{&introduce.ExpiredError{}, "expired", 6, "ask the introducer for a new introduction"},
		{introduce.ErrInvalid, "invalid", 6, "ask the sender to send it again"},
		{mutual.ErrInvalid, "invalid", 6, "ask the sender to send it again"},
		{petname.ErrUnknownSender, "stranger", 6, "if you know the sender:\npetname add NAME LINK"},
		{petname.ErrWrongRecipient, "not_for_me", 6, "ask the introducer for an introduction to you"},
		{petname.ErrMuted, "muted", 8, "to add the contact anyway:\npetname add NAME LINK"},
		{petname.ErrInboxFull, "inbox_full", 8, "petname inbox"},
		{petname.ErrDecided, "decided", 8, "petname inbox"},
		{petname.ErrAmbiguous, "ambiguous", 5, "petname inbox"},
		{exchange.ErrMalformed, "usage", 2, "petname pair --help"},
		{exchange.ErrPaired, "code_used", 8, "petname inbox\npetname list"},
		{pair.ErrOccupied, "occupied", 8, "petname invite"},
		{pair.ErrWrongCode, "wrong_code", 6, "petname invite"},
		{pair.ErrCodeUsed, "code_used", 6, "petname invite"},
		{pair.ErrTampered, "tampered", 6, "petname invite"},
		{pair.ErrTimeout, "timeout", 7, "petname invite"},
		{pair.ErrSelf, "own_pointer", 8, "send it to another person"},
		{&pair.RefusedError{}, "refused", 6, "ask for a new invitation"},
		{pair.ErrExpired, "expired", 6, "ask for a new invitation"},
		{exchange.ErrNoInvitation, "not_found", 3, "petname invite"},
		{exchange.ErrNoSealing, "no_sealing", 3, "ask the contact to publish again, or write it to a file: -o FILE"},
		{petname.ErrChanged, "conflict", 8, "petname log"},
		{home.ErrNextElsewhere, "locked", 4, "petname key rotate --next FILE --recovery NEWFILE --passphrase-file FILE"},
		{home.ErrNextWrong, "wrong_key", 6, "use the recovery file that was written last"},
		{petname.ErrOwnPointer, "own_pointer", 8, "petname id"},
		{petname.ErrNotFound, "not_found", 3, "petname list\npetname find TEXT"},
		{dht.ErrNotFound, "not_found", 3, "ask the owner to publish, or try again later"},
		{petname.ErrNothingToUndo, "not_found", 3, "petname log"},
		{exchange.ErrTooManyRequests, "too_many", 8, "petname knock --stop POINTER"},
		{home.ErrNoHome, "no_home", 3, "petname init"},
		{home.ErrExists, "home_exists", 8, "petname id"},
		{home.ErrRecoveryInHome, "usage", 2, "choose a file on another medium, outside of the home"},
		{home.ErrLocked, "locked", 4, "enter the passphrase on a terminal, or use --passphrase-file"},
		{home.ErrPassphrase, "wrong_passphrase", 4, "enter it again, or correct the file of --passphrase-file"},
		{ledger.ErrInUse, "in_use", 7, "wait until the other petname process has ended, and try again; one that waits may hold it: petname invite, pair, device add, or a node"},
		{fs.ErrExist, "exists", 8, "choose the name of another file"},
		{home.ErrConfig, "failure", 1, "correct the file, or remove it and join again:\npetname join --help"},
		{&fs.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}, "disk_full", 1, "make room on the disk and try again"},
		{fmt.Errorf("%w: %w", ledger.ErrUnsure, syscall.ENOSPC), "unsure", 1, "see whether it is, before you try again:\npetname log"},
		{&home.UnfinishedError{Old: p, New: p, Err: errors.New("x")}, "unfinished", 1, "petname key rotate"},
		{&agent.UnfinishedRemovalError{Device: ledger.DeviceID{1}, Err: syscall.ENOSPC}, "unfinished", 1, "make room on the disk, then finish the removal:\npetname device rm " + ledger.DeviceID{1}.String()},
		{&agent.UnfinishedRemovalError{Device: ledger.DeviceID{1}, Err: errors.New("x")}, "unfinished", 1, "petname device rm " + ledger.DeviceID{1}.String()},
		{&home.UnfinishedError{Old: p, New: p, Err: syscall.ENOSPC}, "unfinished", 1, "make room on the disk; the rotation is then finished when the home is next used"},
		{&agent.SequenceError{}, "no_sequence", 1, "petname key rotate"},
		{&home.RetryError{File: "a", Next: "b", Cut: true}, "exists", 8, "move it away, and recover into another folder"},
		{&home.RetryError{File: "a", Next: "b"}, "exists", 8, "use the home that was made of it; if none was made:\npetname recover b"},
		{&agent.ClockError{}, "clock", 1, "set the clock of this machine; if it is right, an entry with its date ends this:\npetname publish"},
		{agent.ErrNotLedOn, "not_led_on", 7, "hand out your new link:\npetname id"},
		{&agent.UnsavedError{Sequence: 1, Err: fs.ErrExist}, "failure", 1, "petname doctor"},
		{&durable.KindError{Path: "x", Mode: fs.ModeNamedPipe}, "failure", 1, "petname doctor"},
		{&home.FileError{Path: "/h/device.key", Err: errors.New("x")}, "damaged", 1, "put back a copy of /h/device.key, and delete nothing else"},
		{&home.FileError{Path: "/h/sealing.key", Err: errors.New("x")}, "damaged", 1, "put back a copy of /h/sealing.key, and delete nothing else; if there is no copy, this makes it anew:\npetname doctor --new-key sealing.key"},
		{&home.UnfinishedError{Old: p, New: p, Err: &home.FileError{Path: "/h/sealing.key", Err: errors.New("x")}}, "unfinished", 1, "put back a copy of /h/sealing.key, and delete nothing else; if there is no copy, this makes it anew:\npetname doctor --new-key sealing.key"},
		{&home.IncompleteError{Dir: "/h", Missing: []string{"peer.key"}, Present: []string{"identity.key"}}, "damaged", 1, "delete nothing there: put peer.key back into /h from a copy of the home; if there is no copy, this makes it anew:\npetname doctor --new-key peer.key"},
		{home.ErrNotRenewable, "usage", 2, "put back a copy of the file, and delete nothing else"},
		{home.ErrKeyWhole, "exists", 8, "petname doctor"},
		{&agent.MovedError{Pointer: p, Successor: p, Contact: true}, "succession", 6, "ask the owner whether the successor is right; if it is:\npetname confirm " + p.String() + " --successor " + p.String()},
		{&agent.MovedError{Pointer: p, Successor: p, Contact: true, Proven: true}, "succession", 6, "petname show " + p.String()},
		{&agent.MovedError{Pointer: p, Successor: p}, "succession", 6, "ask the owner for the link over another channel"},
		{home.ErrNotEmpty, "exists", 8, "choose another folder with --home, or move away what is in it"},
		{home.ErrCreating, "in_use", 7, "wait until the other petname process has ended, and try again"},
		{&home.IncompleteError{Dir: "/h", Unfinished: true}, "no_home", 3, "create it again:\npetname init"},
		{&home.IncompleteError{Dir: "/h", Unfinished: true, From: "/a b"}, "no_home", 3, "create it again:\npetname recover '/a b'"},
		{&fs.PathError{Op: "open", Path: "x", Err: fs.ErrPermission}, "failure", 1, "use the account of the owner of that file or folder, or correct its mode"},
		{&fs.PathError{Op: "open", Path: "x", Err: syscall.ENXIO}, "failure", 1, "start the process that reads the pipe first"},
		{home.ErrRecovery, "invalid", 6, "take another copy of the recovery file"},
		{&agent.CopiedError{}, "copied", 8, "to rotate to a key that the other does not have:\npetname key rotate --despite-copy\npetname publish --despite-copy"},
		{&agent.CopiedError{Successor: p, Devices: true}, "copied", 8, "to receive the key from the other device:\npetname sync\n# if no device has it any more:\npetname key rotate --despite-copy"},
		{&agent.CopiedError{Successor: p, Devices: true, NextElsewhere: true}, "copied", 8, "to receive the key from the other device:\npetname sync\n# if no device has it any more, or it is the key of petname recover:\npetname key rotate --despite-copy --next FILE --recovery NEWFILE --passphrase-file FILE"},
		{petname.ErrNotHolder, "locked", 4, "use a device of yours that has the identity key:\npetname device list"},
		{&agent.CopiedError{NextElsewhere: true}, "copied", 8, "to rotate to a key that the other does not have:\npetname key rotate --despite-copy --next FILE --recovery NEWFILE --passphrase-file FILE\npetname publish --despite-copy"},
		{&agent.CopiedError{Successor: p, NextElsewhere: true}, "copied", 8, "use the home of " + p.String() + "; if no copy has that key any more:\npetname key rotate --despite-copy --next FILE --recovery NEWFILE --passphrase-file FILE"},
		{&home.RecoveryFileError{Path: "/media/my key", Err: &fs.PathError{Op: "open", Path: "/media/my key", Err: syscall.EROFS}}, "read_only", 1, "name a file on another medium with --recovery: that of '/media/my key' cannot be written"},
		{&agent.CopiedError{Successor: p}, "copied", 8, "use the home of " + p.String() + "; if no copy has that key any more:\npetname key rotate --despite-copy"},
		{&ledger.ForkError{}, "forked", 8, rejoinNext},
		{&ledger.RemovedError{Name: "x"}, "removed", 8, rejoinNext},
		{&agent.BranchError{}, "forked", 5, "petname device list"},
		{&agent.KeyHereError{}, "identity_key", 8, "petname device list"},
		{&agent.DeviceClockError{}, "clock", 1, "set the clock that is wrong, then:\npetname sync"},
		{errors.New("else"), "failure", 1, ""},
		{usage("bad"), "usage", 2, ""},
		{usage("bad").With("do"), "usage", 2, "do"},
		{agent.ErrNotJoined, "not_joined", 7, "petname join --help"},

		{&agent.ArgumentError{Name: "ttl", Reason: "bad"}, "usage", 2, ""},
		{&agent.ArgumentError{Name: "path", Reason: "bad"}, "usage", 2, "a content path starts with /ipfs/ or /ipns/"},
		{&agent.ArgumentError{Name: "own path", Reason: "bad"}, "usage", 2, "with the path of content:\npetname publish /ipfs/CID"},
		{fmt.Errorf("listen address %q: %w", "/ip4/127.0.0.1/tcp/1", syscall.EADDRINUSE), "failure", 1, "petname node --listen /ip4/127.0.0.1/tcp/0"},
		{&agent.AddressError{Kind: "network", Reason: "bad"}, "usage", 2, ""},
		{&agent.AddressError{Kind: "router", Reason: "bad"}, "usage", 2, "one looks like http://127.0.0.1:8080, as petname node --http prints it"},
		{&agent.AddressError{Kind: "peer", Reason: "bad"}, "usage", 2, "one looks like /ip4/127.0.0.1/tcp/4001/p2p/12D3Koo…, as petname node prints it"},
		{&agent.AddressError{Kind: "peer ID", Reason: "bad"}, "usage", 2, "the address ends as one that petname node prints, in /p2p/12D3Koo…"},
		{&agent.AddressError{Kind: "listen", Reason: "bad"}, "usage", 2, "petname node --listen /ip4/127.0.0.1/tcp/0"},
		{&agent.AddressError{Kind: "relay", Reason: "bad"}, "usage", 2, ""},
		{&agent.MismatchError{Dir: "/home"}, "damaged", 1, "put the files that belong together back into /home"},
		{&home.HeaderError{File: "/home/identity.key", Line: 3, Mend: "# next: k"}, "damaged", 1, "put back a copy of /home/identity.key, or replace its line 3 by\n# next: k"},
		{&home.HeaderError{File: "/home/identity.key", Line: 5}, "damaged", 1, "put back a copy of /home/identity.key"},
		{&agent.NextError{}, "damaged", 1, "to compare it with the keys:\npetname doctor --passphrase-file FILE"},
		{&agent.SupersededError{}, "superseded", 5, "with the path that is to stand:\npetname publish PATH"},
		{&agent.SupersededError{Foreign: true}, "superseded", 5, "with the path that is to stand:\npetname publish PATH"}, // after a rotation
		{&agent.SupersededError{Foreign: true, Unsent: petname.Published{Sequence: 1}}, "superseded", 5, "with the path that is to stand:\npetname publish PATH\n# if no copy of this home of yours has signed the other one:\npetname key rotate"},
		{&agent.UnsavedError{Sequence: 1, Err: syscall.ENOSPC}, "disk_full", 1, "make room on the disk and try again"},
		{&home.IncompleteError{Dir: "/h", Missing: []string{"ledger.db"}, Present: []string{"identity.key"}}, "damaged", 1, "delete nothing there: put ledger.db back into /h from a copy of the home"},
		{&home.IncompleteError{Dir: "/h", Missing: []string{"identity.key"}, Present: []string{"ledger.db"}}, "no_home", 3, "delete nothing there: put identity.key back into /h from a copy of the home"},
		{ledger.ErrReadOnly, "read_only", 1, "make the folder writable, or copy the home to where it can be written, give that with --home, and use the copy alone from then on: of two copies, the changes of one do not count"},
		{&fs.PathError{Op: "open", Path: "x", Err: syscall.EROFS}, "read_only", 1, "make the folder writable, or copy the home to where it can be written, give that with --home, and use the copy alone from then on: of two copies, the changes of one do not count"},
		{&agent.FollowError{Path: "ana maria", Value: "/ipns/x"}, "not_followed", 1, "petname resolve 'ana maria'"},
		{&agent.NoRecordError{Pointer: p}, "not_found", 3, "petname resolve " + p.String()},
		{&agent.NoNicknameError{Name: bob, To: "to suggest"}, "usage", 2, ""},
		{agent.ErrSameContact, "usage", 2, ""},
		{pair.ErrDevice, "usage", 2, "on a new device of yours:\npetname device join CODE"},
		{pair.ErrNoDevice, "usage", 2, "to pair with a contact:\npetname pair CODE"},
		{agent.ErrNoNetworks, "usage", 2, "name the network, as petname device add prints it:\npetname device join CODE --join NETWORK"},
		{agent.ErrNewerDevice, "newer", 1, "install the newest version here"},
		{agent.ErrNoDevices, "no_devices", 3, "petname device add"},
		{&agent.UnmergedError{Sequence: 7, RemovedHolder: true}, "unmerged", 8, "to receive its changes, while it runs or after petname sync there:\npetname sync\n# if that device is lost:\npetname publish --despite-copy\n# if a device that you removed may have the key, as another one handed it over:\npetname key rotate --despite-copy\npetname publish --despite-copy"},
		{&agent.UnmergedError{Sequence: 7, Rotating: true}, "unmerged", 8, "to receive its changes, while it runs or after petname sync there:\npetname sync\n# if that device is lost, or a thief may have signed it:\npetname key rotate --despite-copy\npetname publish --despite-copy"},
		{&agent.UnmergedError{Sequence: 7}, "unmerged", 8, "to receive its changes, while it runs or after petname sync there:\npetname sync\n# if that device is lost:\npetname publish --despite-copy"},
		{petname.ErrDeviceRemoved, "removed", 8, "petname device list"},
		{home.ErrKeyElsewhere, "locked", 4, "use a device of yours that has the identity key:\npetname device list"},
		{&agent.NoCardError{Name: bob}, "no_card", 3, "ask the contact to publish, or pair with it; an introduction can also be written to a file: -o FILE"},
	} {
		for _, err := range []error{test.err, fmt.Errorf("while at it: %w", test.err), errors.Join(errors.New("another"), test.err)} {
			got := classify(err)
			require.Equal(t, test.code, got.Code, "%v", err)
			require.Equal(t, test.exit, got.Exit, "%v", err)
			require.Equal(t, test.next, got.Next, "%v", err)
			require.NotEmpty(t, got.Message, "%v", err)
			_, commands, _ := strings.Cut(got.Next, "\n")
			for line := range strings.SplitSeq(commands, "\n") { // nothing follows a command
				require.True(t, line == "" || isCommand(line) || strings.HasPrefix(line, "# "), got.Next)
			}
		}
		tested[test.code+" "+test.next] = true
		tested[test.code] = true
	}
	classes := classes(t)
	require.Greater(t, len(classes), 40)
	for _, class := range classes {
		require.True(t, tested[class], "no row of the table is %q", class)
	}
	require.Nil(t, classify(nil))
	require.Equal(t, "expired", classify(fmt.Errorf("%w; %w", dht.ErrUnreachable, &pointer.ExpiredError{})).Code,
		"that a record has expired is the more specific cause")
}

// classes are the code and the next step of each error that classify recognizes,
// read from its source. An entry has the code alone where classify composes the
// step.
func classes(t *testing.T) (out []string) {
	file, err := parser.ParseFile(token.NewFileSet(), "errors.go", nil, 0)
	require.NoError(t, err)
	text := func(e ast.Expr) (string, bool) {
		l, ok := e.(*ast.BasicLit)
		if !ok {
			return "", false
		}
		s, err := strconv.Unquote(l.Value)
		require.NoError(t, err)
		return s, true
	}
	ast.Inspect(file, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || len(call.Args) != 3 {
			return true
		}
		if f, ok := call.Fun.(*ast.Ident); !ok || f.Name != "set" {
			return true
		}
		class, ok := text(call.Args[0])
		require.True(t, ok)
		if next, ok := text(call.Args[2]); ok {
			class += " " + next
		}
		out = append(out, class)
		return true
	})
	return out
}

// What is quoted comes out of a shell as it went in: checked by rule, since a
// quote can't be left within one.
func TestShellWord(t *testing.T) {
	for word, want := range map[string]string{
		"bob": "bob", "": "''", "a b": "'a b'", "it's": `'it'\''s'`, "$(x)": "'$(x)'", "`x`": "'`x`'", "a\nb": `$'a\012b'`,
		"/ip4/127.0.0.1/tcp/1": "/ip4/127.0.0.1/tcp/1", "~": "'~'", "#x": "'#x'", "é": "'é'", "\\": `'\'`, "a&b": "'a&b'",
	} {
		require.Equal(t, want, shellWord(word))
	}
}

// A path in a command to copy comes out of a shell as it went in, however it is printed: on
// one line, not as a flag, and whole.
func TestAPathInAStepCanBePasted(t *testing.T) {
	shell, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("no shell with dollar-single-quotes")
	}
	for _, path := range []string{"a b", "it's", "-f", "-it's", "a\nb", "a\x1b[31mb", `\n`, " a ", "e\u0301", "\xff\xfe'", "\u202etxt", strings.Repeat("d é/", 600)} {
		var stderr bytes.Buffer
		a := &app{stderr: &stderr, home: path}
		a.printError(usage("x").With("petname recover " + shellPath(path)))
		lines := strings.Split(strings.TrimSpace(stderr.String()), "\n")
		require.Len(t, lines, 3, "%q", path)
		command := strings.TrimPrefix(strings.TrimSpace(lines[2]), "petname ")
		out, err := exec.Command(shell, "-c", `printf '%s\0' `+command).Output()
		require.NoError(t, err, "%q", path)
		got := strings.Split(string(out), "\x00")
		want := path
		if strings.HasPrefix(path, "-") {
			want = "./" + path
		}
		require.Equal(t, []string{"--home", want, "recover", want, ""}, got, "%q", command)
	}
}

// Targets that cannot be joined are usage errors, and no step repeats a secret of
// a URL.
func TestBadTargetsAreUsageErrors(t *testing.T) {
	v := opened(t)
	const peer = "/p2p/12D3KooWGQh4PZmNNXHpLHPVGNWQx9VHjKVWcMVLwMtHaSd7LqKC"
	for _, bad := range []string{"x", "OFF", "ipfs lan", "off off", "off lan", "off http://a.example", "http://a.example off",
		"/ip4/127.0.0.1/tcp/1", "/ip4/300.0.0.1/tcp/1" + peer, "/ip4/127.0.0.1/tcp/1" + peer + " off", "/p2p/x",
		"http://", "http:a.example", "ftp://a.example", "http://user:secret@a.example", "https://a.example/x", "lan http://a.example:0", "a.example:80"} {
		out, err := v.join(t.Context(), joinArgs{Targets: strings.Fields(bad)})
		require.Nil(t, out)
		require.Equal(t, exitUsage, classify(err).Exit, bad)
		require.NotContains(t, classify(err).Next, "secret")
	}
}

// The message about an address of a flag of node names the flag.
func TestAnAddressOfAFlagNamesTheFlag(t *testing.T) {
	const listen = "/ip4/127.0.0.1/tcp/0"
	for _, test := range []struct {
		o       libp2p.Options
		network string
		want    string
	}{
		{libp2p.Options{Listen: []string{"bogus"}}, "off", `--listen "bogus": failed to parse`},
		{libp2p.Options{Listen: []string{listen}, Relays: []string{"bogus"}}, "ipfs", `--relay "bogus": failed to parse`},
		{libp2p.Options{Listen: []string{listen}, Relays: []string{listen}}, "ipfs", `--relay "` + listen + `" doesn't end in /p2p/ and the relay's ID`},
	} {
		_, err := libp2p.New(test.o).Start(t.Context(), agent.NodeConfig{Network: test.network, Key: newKey(t)})
		f := classify(err)
		require.Equal(t, exitUsage, f.Exit)
		require.True(t, strings.HasPrefix(f.Message, test.want), f.Message)
	}
}
