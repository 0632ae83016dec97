package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
)

const (
	firstPath  = "/ipfs/bafkreifzjut3te7nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"
	secondPath = "/ipfs/bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"
)

// demoStep is a step to run. do returns a description of what happened.
type demoStep struct {
	name string
	do   func() (string, error)
}

// storySteps returns the steps in their order. Each checks its own claims.
func (d *demo) storySteps(nodes int) []demoStep {
	people := []string{"alice", "bob", "carol"}
	ids := map[string]*identity{}
	var before resolved // bob, before his update
	old, forged := filepath.Join(d.dir, "old.record"), filepath.Join(d.dir, "forged.record")

	return []demoStep{
		{"Keys are made: a pointer is the hash of one", func() (string, error) {
			for _, person := range people {
				id := &identity{}
				if err := d.mustRun(person, nil, "init", "--nickname", nicknameOf[person]); err != nil {
					return "", err
				}
				if err := d.mustRun(person, id, "id"); err != nil {
					return "", err
				}
				ids[person] = id
			}
			return "alice is " + ids["alice"].Pointer, nil
		}},
		{"A network of DHT nodes, which all three join", func() (string, error) {
			if err := d.network.start(d.ctx, nodes); err != nil {
				return "", err
			}
			for _, person := range people {
				if err := d.mustRun(person, nil, append([]string{"join"}, d.network.bootstrapAddrs()...)...); err != nil {
					return "", err
				}
			}
			return fmt.Sprintf("%d DHT nodes, each on a socket of its own", nodes), nil
		}},
		{"Cards are published, signed by their owners", func() (string, error) {
			detail := ""
			for _, person := range people {
				var out published
				if err := d.mustRun(person, &out, "publish", firstPath); err != nil {
					return "", err
				}
				if out.Stored < 1 || out.Stored > out.Asked {
					return "", fmt.Errorf("%s: stored by %d of %d", person, out.Stored, out.Asked)
				}
				detail += fmt.Sprintf("%s: %d asked, %d stored, in %s\n", person, out.Asked, out.Stored, secondsText(out.Took))
			}
			return detail[:len(detail)-1], nil
		}},
		{"A link is sent, by mail or on paper", func() (string, error) {
			link, err := pointer.ParseLink(ids["alice"].Link)
			if err != nil {
				return "", err
			}
			if _, err := pointer.ParseLink(ids["alice"].Link[:len(ids["alice"].Link)-1] + "!"); err == nil {
				return "", fmt.Errorf("a mistyped link was read")
			}
			d.commands = []string{"petname --home alice id"}
			return link.String() + "\nmistype one letter, and it is refused", nil
		}},
		{"Carol adds alice, under a petname of her own", func() (string, error) {
			var c contact
			if err := d.mustRun("carol", &c, "add", "alice", ids["alice"].Link); err != nil {
				return "", err
			}
			if c.Name != "alice" || c.Pointer != ids["alice"].Pointer {
				return "", fmt.Errorf("carol's alice is %s", c.Pointer)
			}
			return "in carol's book: " + contactLine(name.Plain, c), nil
		}},
		{"The name resolves, through the DHT", func() (string, error) {
			return d.checkResolved(ids["alice"], firstPath, "network", "carol", "resolve", "alice")
		}},
		{"And again, with the nearest node stopped", func() (string, error) {
			p, err := pointer.Parse(ids["alice"].Pointer)
			if err != nil {
				return "", err
			}
			id, err := d.network.stopNearest(p)
			if err != nil {
				return "", err
			}
			detail, err := d.checkResolved(ids["alice"], firstPath, "network", "carol", "resolve", "alice", "--fresh")
			return "stopped " + id + "\n" + detail, err
		}},
		{"Alice shares bob in public", func() (string, error) {
			if err := d.mustRun("alice", nil, "add", "bobby", ids["bob"].Link); err != nil {
				return "", err
			}
			if err := d.mustRun("alice", nil, "share", "bobby", "--as", "bob", "--public"); err != nil {
				return "", err
			}
			var out published
			if err := d.mustRun("alice", &out, "publish"); err != nil {
				return "", err
			}
			if len(out.Edges) != 1 || out.Value != firstPath {
				return "", fmt.Errorf("published edges %v, value %s", out.Edges, out.Value)
			}
			return "her petname for him, bobby, stays in her book", nil
		}},
		{"Carol follows the edge: alice ⇒ bob", func() (string, error) {
			if err := d.mustRun("carol", nil, "resolve", "alice", "--fresh"); err != nil {
				return "", err
			}
			if err := d.mustRun("carol", &before, "resolve", "alice/bob"); err != nil {
				return "", err
			}
			if before.Pointer != ids["bob"].Pointer || len(before.Hops) != 2 || !before.Verified {
				return "", fmt.Errorf("alice/bob is %s after %d hops", before.Pointer, len(before.Hops))
			}
			return fmt.Sprintf("%s, sequence %d, %d hops, each verified", before.Value, before.Sequence, len(before.Hops)), nil
		}},
		{"Bob publishes again, and the update is seen", func() (string, error) {
			if err := d.mustRun("carol", nil, "record", "export", ids["bob"].Pointer, "-o", old); err != nil {
				return "", err
			}
			d.commands = nil
			if err := d.mustRun("bob", nil, "publish", secondPath); err != nil {
				return "", err
			}
			var after resolved
			if err := d.mustRun("carol", &after, "resolve", "alice/bob", "--fresh"); err != nil {
				return "", err
			}
			if after.Value != secondPath || after.Sequence <= before.Sequence {
				return "", fmt.Errorf("carol still sees %s, sequence %d", after.Value, after.Sequence)
			}
			return fmt.Sprintf("%s, sequence %d → %d", after.Value, before.Sequence, after.Sequence), nil
		}},
		{"A forged record is refused", func() (string, error) {
			if err := forge(forged); err != nil {
				return "", err
			}
			var info recordInfo
			exit, message := d.petname("carol", &info, "record", "put", forged, "--pointer", ids["bob"].Pointer)
			if exit != exitUnverified || info.Valid {
				return "", fmt.Errorf("a record that mallory signed for bob ended with status %d", exit)
			}
			return "mallory signed it, not bob: " + message, d.checkUnchanged(ids["bob"], secondPath)
		}},
		{"An older record is refused", func() (string, error) {
			var info recordInfo
			exit, message := d.petname("carol", &info, "record", "put", old, "--pointer", ids["bob"].Pointer)
			if exit != exitUnverified {
				return "", fmt.Errorf("bob's record from before ended with status %d", exit)
			}
			if !info.Valid {
				return "", fmt.Errorf("bob's own record from before should verify: %s", info.Reason)
			}
			return "bob did sign it, but has signed a newer one: " + message, d.checkUnchanged(ids["bob"], secondPath)
		}},
		{"Alice introduces bob to carol, when carol is offline", func() (string, error) { return d.introduceStep(ids) }},
		{"Carol is back, and accepts, under a name of hers", func() (string, error) { return d.acceptStep(ids) }},
		{"Bob and carol pair, by a code that he speaks", func() (string, error) { return d.pairStep(ids) }},
		{"A code with one wrong word cannot be used again", func() (string, error) { return d.wrongCodeStep() }},
		{"Alice rotates to her next key, and carol follows", func() (string, error) {
			var turned rotated
			if err := d.mustRun("alice", &turned, "key", "rotate"); err != nil {
				return "", err
			}
			if err := d.mustRun("alice", nil, "publish"); err != nil {
				return "", err
			}
			var out resolved
			if err := d.mustRun("carol", &out, "resolve", "alice", "--fresh"); err != nil {
				return "", err
			}
			if was := ids["alice"].Pointer; out.Pointer != turned.Pointer || out.Pointer == was || !slices.Equal(turned.Former, []string{was}) || !out.Verified {
				return "", fmt.Errorf("carol's alice is %s, and alice went from %v to %s", out.Pointer, turned.Former, turned.Pointer)
			}
			return "proven by the commitment in the link that carol added", nil
		}},
	}
}

var nicknameOf = map[string]string{"alice": "Alice L", "bob": "Bob W", "carol": "Carol"}

// checkResolved resolves, and checks the result.
func (d *demo) checkResolved(want *identity, value, source, person string, args ...string) (string, error) {
	var out resolved
	if err := d.mustRun(person, &out, args...); err != nil {
		return "", err
	}
	if !out.Verified || out.Pointer != want.Pointer || out.Value != value || out.Source != source {
		return "", fmt.Errorf("got %s of %s from %s, verified: %v", out.Value, out.Pointer, out.Source, out.Verified)
	}
	return fmt.Sprintf("%s\n%s answered, %d agree; verified", out.Value, peersText(out.Answered), out.Agreed), nil
}

// checkUnchanged checks that carol still resolves the pointer of want to value.
func (d *demo) checkUnchanged(want *identity, value string) error {
	_, err := d.checkResolved(want, value, "network", "carol", "resolve", want.Pointer, "--fresh")
	return err
}

// forge writes a record with a higher sequence that another key signed.
func forge(file string) error {
	mallory, err := pointer.NewKey(nil)
	if err != nil {
		return err
	}
	record, err := pointer.Sign(mallory, pointer.Fields{Value: "/ipfs/bafkqaaa", Sequence: 99, Expires: time.Now().Add(time.Hour), TTL: time.Minute})
	if err != nil {
		return err
	}
	return os.WriteFile(file, record.Bytes(), 0o600)
}
