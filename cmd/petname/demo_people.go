package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/petname/name"
)

// These steps of the demonstration introduce and pair contacts.

// introduceStep makes alice introduce bob to carol.
func (d *demo) introduceStep(ids map[string]*identity) (string, error) {
	if err := d.mustRun("alice", nil, "add", "caz", ids["carol"].Link); err != nil {
		return "", err
	}
	var out introduced
	if err := d.mustRun("alice", &out, "introduce", "bobby", "--to", "caz"); err != nil {
		return "", err
	}
	if out.Sent != string(agent.Stored) || out.Pointer != ids["bob"].Pointer || out.To != ids["carol"].Pointer {
		return "", fmt.Errorf("%q: %s introduced to %s", out.Sent, out.Pointer, out.To)
	}
	if out.Suggested != nicknameOf["bob"] {
		return "", fmt.Errorf("what alice suggests is %q", out.Suggested)
	}
	return fmt.Sprintf("sealed, and stored in the DHT; alice suggests %q, and not her own name for him", out.Suggested), nil
}

// acceptStep makes carol accept the introduction and name bob.
func (d *demo) acceptStep(ids map[string]*identity) (string, error) {
	var in inbox
	if err := d.mustRun("carol", &in, "inbox"); err != nil {
		return "", err
	}
	if len(in.Suggestions) != 1 || in.Suggestions[0].By != ids["alice"].Pointer || in.Suggestions[0].Pointer != ids["bob"].Pointer {
		return "", fmt.Errorf("carol's inbox has %v", in.Suggestions)
	}
	s := in.Suggestions[0]
	if err := d.checkUnnamed("carol", ids["bob"].Pointer); err != nil {
		return "", err
	}
	var c contact
	if err := d.mustRun("carol", &c, "accept", s.Digits, "--as", "robert"); err != nil {
		return "", err
	}
	if c.Name != "robert" || c.Pointer != ids["bob"].Pointer || len(c.Provenance) != 1 || c.Provenance[0].By != ids["alice"].Pointer {
		return "", fmt.Errorf("carol's %s is %s, by %v", c.Name, c.Pointer, c.Provenance)
	}
	if _, err := d.checkResolved(ids["bob"], secondPath, "network", "carol", "resolve", "robert", "--fresh"); err != nil {
		return "", err
	}
	return "in carol's book: " + contactLine(name.Plain, c), nil
}

// checkUnnamed checks that a suggestion in the inbox has added no name to the book.
func (d *demo) checkUnnamed(person, p string) error {
	var out contactList
	if exit, message := d.petnameUnlisted(person, &out, "list"); exit != 0 {
		return fmt.Errorf("%s: list ended with status %d: %s", person, exit, message)
	}
	if slices.ContainsFunc(out.Contacts, func(c contact) bool { return c.Pointer == p }) {
		return fmt.Errorf("%s has a name before %s accepted it", p, person)
	}
	return nil
}

// pairStep pairs bob and carol with a code.
func (d *demo) pairStep(ids map[string]*identity) (string, error) {
	invited, end, err := d.startInvite("bob")
	if err != nil {
		return "", err
	}
	var c paired
	err = d.mustRun("carol", &c, "pair", invited.Code, "--as", "robert")
	if exit, message := end(err == nil); err == nil && exit != 0 {
		err = fmt.Errorf("bob: invite ended with status %d: %s", exit, message)
	}
	if err != nil {
		return "", err
	}
	if c.Pointer != ids["bob"].Pointer || c.Name != "robert" {
		return "", fmt.Errorf("carol paired with %s, %q", c.Pointer, c.Name)
	}
	var in inbox
	if exit, message := d.petnameUnlisted("bob", &in, "inbox", "--offline"); exit != 0 || len(in.Suggestions) != 1 {
		return "", fmt.Errorf("bob's inbox has %v: %s", in.Suggestions, message)
	}
	s := in.Suggestions[0]
	if s.Kind != string(petname.Paired) || s.Pointer != ids["carol"].Pointer {
		return "", fmt.Errorf("bob paired with %s: %s", s.Pointer, s.Kind)
	}
	if err := d.mustRun("bob", nil, "accept", s.Digits, "--as", "carol"); err != nil {
		return "", err
	}
	return "through the DHT: each has the proven key of the other, and for carol it is the key\nthat alice introduced", nil
}

// wrongCodeStep makes carol mistype a code.
func (d *demo) wrongCodeStep() (string, error) {
	invited, end, err := d.startInvite("bob")
	if err != nil {
		return "", err
	}
	at := strings.LastIndexByte(invited.Code, '-') + 1
	wrong := invited.Code[:at] + "zoo"
	if wrong == invited.Code {
		wrong = invited.Code[:at] + "abandon"
	}
	exit, message := d.petname("carol", nil, "pair", wrong)
	inviter, _ := end(exit == exitUnverified)
	if exit != exitUnverified || inviter != exitUnverified {
		return "", fmt.Errorf("a wrong code ended with status %d and, for bob, %d: %s", exit, inviter, message)
	}
	again, refused := d.petname("carol", nil, "pair", invited.Code)
	if again != exitConflict {
		return "", fmt.Errorf("the right code, afterwards, ended with status %d: %s", again, refused)
	}
	for _, person := range []string{"bob", "carol"} {
		var in inbox
		if exit, message := d.petnameUnlisted(person, &in, "inbox", "--offline"); exit != 0 || len(in.Suggestions) > 0 {
			return "", fmt.Errorf("%s's inbox has %v: %s", person, in.Suggestions, message)
		}
	}
	return "both are notified, and the right code does not pair afterwards: an attacker has\none guess with each of them, among four million", nil
}

// petnameUnlisted is petname for checks: their command lines are not shown.
func (d *demo) petnameUnlisted(person string, result any, args ...string) (exit int, message string) {
	commands := d.commands
	exit, message = d.petname(person, result, args...)
	d.commands = commands
	return exit, message
}

// startInvite runs petname invite in the background and returns the invitation. end
// waits for the result of the command if comes is set, and otherwise interrupts it.
func (d *demo) startInvite(person string) (invited invited, end func(comes bool) (exit int, message string), err error) {
	d.commands = append(d.commands, "petname --home "+person+" invite")
	ctx, cancel := context.WithCancel(d.ctx)
	out, in := io.Pipe()
	exit, stderr := make(chan int, 1), &bytes.Buffer{}
	go func() {
		exit <- d.run(ctx, []string{"--home", filepath.Join(d.dir, person), "--json", "--no-input", "invite"}, in, stderr)
		in.Close()
	}()
	end = func(comes bool) (int, string) {
		if !comes {
			cancel()
		}
		defer cancel()
		status := <-exit
		return status, strings.TrimSpace(stderr.String())
	}
	err = json.NewDecoder(out).Decode(&invited)
	go func() { _, _ = io.Copy(io.Discard, out) }()
	if err == nil {
		return invited, end, nil
	}
	_, message := end(false)
	return invited, nil, fmt.Errorf("%s: invite: %w: %s", person, err, message)
}
