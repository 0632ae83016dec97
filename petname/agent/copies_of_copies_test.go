package agent_test

import (
	"fmt"
	"math/rand"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/pointer"
)

// names returns the names in the book of an agent, and whether each is in conflict.
func names(t *testing.T, a *agent.Agent) (all []string) {
	t.Helper()
	for c, err := range a.Contacts() {
		require.NoError(t, err)
		all = append(all, fmt.Sprint(c.Name, c.Conflict != nil))
	}
	return all
}

// Copies of a home, and copies of copies, that write and remove, are found and repaired in any
// order: each name that a copy added is there in the end, each one that it removed is not, on all
// devices.
func TestCopiesOfCopiesAreRepairedInAnyOrder(t *testing.T) {
	for seed := range 3 {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rnd := rand.New(rand.NewSource(int64(seed)))
			hub := served(t, nil)
			a := opened(t)
			join(t, a, addrs(t, hub)...)
			one, _ := joinedBy(t, a, true, false)
			for i := range 6 {
				add(t, a, fmt.Sprint("pre", i), newKey(t).Pointer())
			}
			dir := t.TempDir()
			syncAll(t, agent.SyncOptions{Dir: dir}, a, one)
			o := agent.Options{Transport: loopback(), JoinTimeout: 2 * patient}
			live := []*agent.Agent{a, one}
			present, gone := map[string]bool{}, map[string]bool{}
			n, pre := 0, 0
			act := func(x *agent.Agent) {
				n++
				name := fmt.Sprint("n", n)
				if _, err := x.Add(name, pointer.Link{Pointer: newKey(t).Pointer()}, petname.Source{Channel: "argument", Lookalike: true}); err == nil {
					present[name] = true // else it is known that the copy does not count
				}
			}
			rm := func(x *agent.Agent) {
				name := fmt.Sprint("pre", pre)
				_, err := x.Lookup(name)
				if err != nil {
					return
				}
				if _, err := x.Remove(name); err == nil {
					gone[name] = true
					pre++
				}
			}
			cp := func(x *agent.Agent) *agent.Agent {
				c, err := copied(x, filepath.Join(t.TempDir(), "copy"), o)
				require.NoError(t, err)
				live = append(live, c)
				t.Cleanup(func() { c.Close() })
				return c
			}
			two, three := cp(one), cp(one)
			for _, x := range []*agent.Agent{one, two, three} {
				act(x)
				rm(x)
			}
			four := cp(three)
			five := cp(a)
			for _, x := range []*agent.Agent{one, two, three, four, five, a} {
				act(x)
			}
			rm(four)
			sync := func(k int) {
				for range k {
					for _, i := range rnd.Perm(len(live)) {
						_, err := live[i].Sync(t.Context(), agent.SyncOptions{Dir: dir})
						require.NoError(t, err)
					}
				}
			}
			sync(1 + rnd.Intn(3))
			for range 8 {
				fixed := true
				for _, i := range rnd.Perm(len(live)) {
					f, err := live[i].Fork()
					if err == nil && f.Lost == nil {
						continue
					}
					fixed = false
					var by *agent.Agent
					for _, j := range rnd.Perm(len(live)) {
						if g, err := live[j].Fork(); j != i && err == nil && g.Lost == nil {
							by = live[j]
						}
					}
					if by == nil {
						continue // no device counts
					}
					d := live[i].Dir()
					require.NoError(t, live[i].Close())
					x, _, _ := again(t, by, d, nil)
					live[i] = x
					if rnd.Intn(2) == 0 {
						act(x)
					}
				}
				sync(2)
				if fixed {
					break
				}
			}
			sync(3)
			for i, x := range live {
				require.Equal(t, digest(t, live[0]), digest(t, x), "%d", i)
				require.Equal(t, names(t, live[0]), names(t, x))
			}
			for name := range present {
				_, err := live[0].Lookup(name)
				require.NoError(t, err, name)
			}
			for name := range gone {
				_, err := live[2].Lookup(name)
				require.Error(t, err, name)
			}
		})
	}
}
