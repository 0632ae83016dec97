//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/pointer/lawtest"
)

// firstObject starts a verb that waits, and returns the object that it prints first.
func firstObject(t testing.TB, home string, into any, args ...string) *exec.Cmd {
	cmd := process(t, append([]string{"--home", home}, args...)...)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	require.NoError(t, json.NewDecoder(out).Decode(into))
	return cmd
}

// adding returns a function that adds a contact with a new pointer to the book of a home, and the
// pointers of those that it added, by name.
func adding(t testing.TB) (added map[string]string, add func(home, name string)) {
	added = map[string]string{}
	return added, func(home, name string) {
		p := newPointer(t)
		r := verb(home, "add", name, p)
		require.Zero(t, r.exit, r.stderr)
		added[name] = p
	}
}

func hashOf(t testing.TB, home string) string {
	r := verb(home, "log", "--hash", "--json")
	require.Zero(t, r.exit, r.stderr)
	var out bookHash
	require.NoError(t, json.Unmarshal([]byte(r.stdout), &out))
	return out.Hash
}

// Two devices go on writing, and exchange what they wrote through a folder and in stored
// messages, while each process is killed at any moment: the joining, the exchanges, a rename
// and a removal of a device. What a verb has acknowledged is on both devices at the end.
func TestDevicesSurviveKills(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(20260102, 15))
	rounds := lawtest.Size(6, 300)
	hub := newHome(t)
	serving(t, hub)
	addr := status(t, hub).Addrs[0]
	laptop := newHome(t)
	require.Zero(t, verb(laptop, "join", addr).exit)
	added, add := adding(t)
	add(laptop, "first")

	// The joining, killed at each moment and repeated.
	phone := filepath.Join(t.TempDir(), "phone")
	var invited deviceInvited
	firstObject(t, laptop, &invited, "device", "add", "--expires", "1h", "--json")
	kills := 0
	joins := newKiller(1)
	for kills < rounds {
		r := joins.killed(t, phone, "device", "join", invited.Link, "--json")
		if r.exit == 0 {
			break
		}
		require.Negative(t, r.exit, "killed, and nothing else: %s", r.stderr)
		kills++
		joins.within = joins.within * 5 / 4 // to its end at last
		_, err := os.Stat(filepath.Join(phone, "identity.key"))
		if err == nil {
			require.Zero(t, verb(phone, "list").exit, "a home that exists is whole")
		}
	}
	t.Logf("joined after %d kills", kills)
	r := verb(phone, "device", "join", invited.Link, "--json")
	require.Zero(t, r.exit, "the same command after its end: %s", r.stderr)
	require.Equal(t, added, names(t, phone))

	stick := t.TempDir()
	kills = 0
	exchanges := newKiller(2)
	for n := range rounds {
		home := []string{laptop, phone}[random.IntN(2)]
		add(home, fmt.Sprint("contact", n))
		for range 2 {
			args := []string{"sync", "--dir", stick}
			if random.IntN(3) == 0 {
				args = []string{"sync"}
			}
			if exchanges.killed(t, []string{laptop, phone}[random.IntN(2)], args...).exit < 0 {
				kills++
			}
		}
	}
	t.Logf("%d rounds, %d kills", rounds, kills)
	for range 4 {
		for _, home := range []string{laptop, phone} {
			r := verb(home, "sync", "--dir", stick, "--json")
			require.Zero(t, r.exit, r.stderr)
		}
	}
	require.Equal(t, hashOf(t, laptop), hashOf(t, phone))
	require.Equal(t, added, names(t, laptop))
	require.Equal(t, added, names(t, phone))
	for _, home := range []string{laptop, phone} {
		r := verb(home, "log", "--verify", "--json")
		require.Zero(t, r.exit, r.stderr)
	}

	// The removal, likewise.
	var all deviceList
	require.NoError(t, json.Unmarshal([]byte(verb(laptop, "device", "list", "--json").stdout), &all))
	other := all.Devices[1].ID
	for removals := newKiller(3); removals.killed(t, laptop, "device", "rm", other).exit < 0; {
		require.Zero(t, verb(laptop, "list").exit)
	}
	require.NoError(t, json.Unmarshal([]byte(verb(laptop, "device", "list", "--json").stdout), &all))
	require.NotNil(t, all.Devices[1].Removed)
}

// Five devices go through days of edits, offline in random patterns, and end the same to the
// byte. They exchange what they wrote through folders, in stored messages, and, as soon as a node
// runs on the first one, over streams.
func TestFiveDevicesEndTheSame(t *testing.T) {
	lawtest.NeedsLong(t)
	t.Parallel()
	random := rand.New(rand.NewPCG(20260102, 5))
	const rounds = 400
	hub := newHome(t)
	serving(t, hub)
	first := newHome(t)
	require.Zero(t, verb(first, "join", status(t, hub).Addrs[0]).exit)
	homes := []string{first}
	for n := range 4 {
		home := filepath.Join(t.TempDir(), "home")
		var invited deviceInvited
		args := []string{"device", "add", "--json", "--name", fmt.Sprint("device", n)}
		if n%2 == 0 {
			args = append(args, "--no-key")
		}
		firstObject(t, first, &invited, args...)
		r := verb(home, "device", "join", invited.Link, "--json")
		require.Zero(t, r.exit, r.stderr)
		homes = append(homes, home)
	}
	folders := []string{t.TempDir(), t.TempDir()} // two sticks, carried around
	pointers := make([]string, 6)
	for i := range pointers {
		pointers[i] = newPointer(t)
	}
	pick := func(all []string) string { return all[random.IntN(len(all))] }
	letters := []string{"ana", "ben", "cleo", "dan", "eva", "fox"}
	ids, ways := map[string]string{}, map[string]int{}
	for _, home := range homes {
		var all deviceList
		require.NoError(t, json.Unmarshal([]byte(verb(home, "device", "list", "--json").stdout), &all))
		ids[home] = all.Devices[slices.IndexFunc(all.Devices, func(d device) bool { return d.This })].ID
	}
	sync := func(home string, args ...string) {
		r := verb(home, append([]string{"sync", "--json"}, args...)...)
		require.Zero(t, r.exit, r.stderr)
		for _, way := range []string{"stream", "drop"} {
			ways[way] += strings.Count(r.stdout, `"by":"`+way+`"`)
		}
	}
	for n := range rounds {
		if n == rounds/2 {
			serving(t, first)
			sync(first, "--with", ids[homes[1]]) // a message with its address
			sync(homes[1], "--with", ids[first])
			sync(homes[1], "--with", ids[first])
		}
		home := pick(homes)
		switch random.IntN(8) {
		case 0, 1:
			verb(home, "add", pick(letters), pick(pointers), "--allow-lookalike")
		case 2:
			verb(home, "rename", pick(letters), pick(letters), "--allow-lookalike")
		case 3:
			verb(home, "rm", pick(letters))
		case 4:
			verb(home, "choose", pick(letters), pick(pointers))
		case 5:
			verb(home, "undo")
		case 6:
			if at := slices.Index(homes, home); at > 0 && random.IntN(2) == 0 { // one that it knows from its admission on
				sync(home, "--with", ids[homes[random.IntN(at)]])
			} else {
				sync(home, "--dir", pick(folders))
			}
		case 7:
			r := verb(home, "share", pick(letters), "--as", pick(letters))
			_ = r
		}
	}
	t.Logf("exchanges: %v", ways)
	require.NotZero(t, ways["drop"])
	require.NotZero(t, ways["stream"])
	same := func() bool {
		for _, home := range homes {
			if hashOf(t, home) != hashOf(t, homes[0]) {
				return false
			}
		}
		return true
	}
	for n := 0; !same(); n++ {
		require.Less(t, n, 5, "the devices differ")
		for _, home := range homes {
			r := verb(home, "sync", "--dir", folders[0], "--json")
			require.Zero(t, r.exit, r.stderr)
		}
	}
	for _, home := range homes {
		require.Equal(t, verb(homes[0], "list", "--json").stdout, verb(home, "list", "--json").stdout)
		require.Equal(t, verb(homes[0], "log", "--json").stdout, verb(home, "log", "--json").stdout)
	}
}

// untilDone starts a verb again and again, killed at random moments, until it ends by itself, and
// returns how often it was killed. After each kill, whole is called.
func (k *killer) untilDone(t *testing.T, whole func(), home string, args ...string) (kills int) {
	for {
		r := k.killed(t, home, args...)
		if r.exit == 0 || strings.Contains(r.stderr, `"code":"removed"`) { // by one that was killed before it said so
			return kills
		}
		require.Negative(t, r.exit, "killed, and nothing else: %v: %s", args, r.stderr)
		kills++
		k.within = k.within * 9 / 8 // to its end at last
		whole()
	}
}

// The joinings of several devices, rotations of the key, exchanges over streams and removals are
// killed at any moment. Each verb is repeated until it ends: what was acknowledged is there, each
// device has joined once, all follow the key, and the removed ones are removed.
func TestEveryVerbOfDevicesSurvivesKills(t *testing.T) {
	t.Parallel()
	devices, rotations, syncs := lawtest.Size(1, 8), lawtest.Size(1, 40), lawtest.Size(1, 12)
	hub := newHome(t)
	serving(t, hub)
	laptop := newHome(t)
	require.Zero(t, verb(laptop, "join", status(t, hub).Addrs[0]).exit)
	require.Zero(t, verb(laptop, "publish", firstPath).exit)
	added, add := adding(t)
	opens := func(home string) func() {
		return func() {
			r := verb(home, "list")
			require.Zero(t, r.exit, r.stderr)
		}
	}
	serve := func() (end func()) {
		node := serving(t, laptop)
		return func() {
			require.NoError(t, node.cmd.Process.Signal(os.Interrupt))
			<-node.done
		}
	}
	add(laptop, "first")

	end := serve()
	kills := map[string]int{}
	var phones []string
	for n := range devices {
		args := []string{"device", "add", "--no-wait", "--json", "--name", fmt.Sprint("device", n)}
		if n%2 == 1 {
			args = append(args, "--no-key")
		}
		r := verb(laptop, args...)
		require.Zero(t, r.exit, r.stderr)
		var invited deviceInvited
		require.NoError(t, json.Unmarshal([]byte(r.stdout), &invited))
		phone := filepath.Join(lawtest.FastDir(t), "phone")
		kills["join"] += newKiller(uint64(n)).untilDone(t, func() {
			if _, err := os.Stat(filepath.Join(phone, "identity.key")); err == nil {
				opens(phone)()
			}
		}, phone, "device", "join", invited.Link, "--json")
		require.Equal(t, added, names(t, phone))
		phones = append(phones, phone)
	}
	listed := func() (all []device) {
		var out deviceList
		require.NoError(t, json.Unmarshal([]byte(verb(laptop, "device", "list", "--json").stdout), &out))
		return out.Devices
	}
	require.Len(t, listed(), devices+1, "each has joined once")
	first := listed()[0].ID
	end()

	pointerOf := func(home string) string {
		var id struct{ Pointer string }
		require.NoError(t, json.Unmarshal([]byte(verb(home, "id", "--json").stdout), &id))
		return id.Pointer
	}
	rotating := newKiller(100)
	for range rotations {
		before := pointerOf(laptop)
		kills["rotate"] += rotating.untilDone(t, opens(laptop), laptop, "key", "rotate", "--json")
		require.NotEqual(t, before, pointerOf(laptop))
	}
	r := verb(laptop, "publish", secondPath)
	require.Zero(t, r.exit, r.stderr)

	end = serve()
	exchanging := newKiller(200)
	for n := range syncs {
		for i, phone := range phones {
			add(phone, fmt.Sprint("contact", n, "of", i))
			add(laptop, fmt.Sprint("contact", n, "for", i))
			kills["sync"] += exchanging.untilDone(t, opens(phone), phone, "sync", "--with", first, "--json")
		}
	}
	for range 2 { // what the last ones brought
		for _, phone := range phones {
			r := verb(phone, "sync", "--with", first, "--json")
			require.Zero(t, r.exit, r.stderr)
		}
	}
	end()
	for _, phone := range phones {
		require.Equal(t, pointerOf(laptop), pointerOf(phone), "it follows the key")
		require.Equal(t, added, names(t, phone))
		require.Equal(t, hashOf(t, laptop), hashOf(t, phone))
	}

	removing := newKiller(300)
	for _, d := range listed() {
		if !d.This {
			kills["rm"] += removing.untilDone(t, opens(laptop), laptop, "device", "rm", d.ID, "--json")
		}
	}
	for _, d := range listed() {
		require.Equal(t, !d.This, d.Removed != nil)
	}
	require.Equal(t, added, names(t, laptop))
	for _, args := range [][]string{{"log", "--verify", "--json"}, {"doctor", "--json"}} {
		r := verb(laptop, args...)
		require.Zero(t, r.exit, "%s%s", r.stdout, r.stderr)
	}
	t.Logf("kills: %v", kills)
}
