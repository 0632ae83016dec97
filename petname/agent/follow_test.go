package agent_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/pointer"
)

// holdRecord stores a record of key with a value in the home of an agent.
func holdRecord(t *testing.T, a *agent.Agent, key *pointer.Key, value string) {
	t.Helper()
	r, err := pointer.Sign(key, pointer.Fields{Value: value, Sequence: 1, Expires: time.Now().Add(time.Hour), TTL: time.Minute})
	require.NoError(t, err)
	_, err = agent.RecordsOf(a).Put(t.Context(), r.Pointer(), r.Bytes())
	require.NoError(t, err)
}

const content = "/ipfs/bafkqaaa"

// A value that is a pointer is followed, each hop is a verified record of its own key, and
// what is behind a pointer comes behind the last value.
func TestAValueThatIsAPointerIsFollowed(t *testing.T) {
	a := openedWith(t, agent.Options{})
	keys := []*pointer.Key{newKey(t), newKey(t), newKey(t)}
	peer, err := keys[1].Pointer().As(pointer.FormPeer)
	require.NoError(t, err)
	add(t, a, "ana", keys[0].Pointer())
	holdRecord(t, a, keys[0], "/ipns/"+peer+"/b/c/")
	holdRecord(t, a, keys[1], "/ipns/"+keys[2].Pointer().String()+"/a")
	holdRecord(t, a, keys[2], content+"/")
	res, err := a.ResolveContent(t.Context(), "ana", dht.LevelOffline)
	require.NoError(t, err)
	require.Equal(t, content+"/a/b/c", res.Value)
	require.Equal(t, keys[2].Pointer(), res.Pointer)
	require.Equal(t, "ana", res.Path)
	require.Len(t, res.Hops, 3)
	for i, hop := range res.Hops {
		require.Equal(t, i > 0, hop.Followed)
		require.Equal(t, keys[i].Pointer(), hop.Pointer)
		_, err := pointer.Open(keys[i].Pointer(), hop.Record, time.Now())
		require.NoError(t, err)
	}
	require.Equal(t, content+"/", res.Hops[2].Value, "the hop has what was signed")

	res, err = a.Resolve(t.Context(), "ana", dht.LevelOffline)
	require.NoError(t, err)
	require.Equal(t, "/ipns/"+peer+"/b/c/", res.Value, "not followed without being asked to")
	require.Len(t, res.Hops, 1)
}

// A publisher cannot keep a look-up going, nor lead it out of what a pointer names, or
// into DNS.
func TestHostileValuesAreNotFollowed(t *testing.T) {
	a := openedWith(t, agent.Options{})
	chain := make([]*pointer.Key, 10)
	for i := range chain {
		chain[i] = newKey(t)
	}
	for i, key := range chain[:len(chain)-1] {
		holdRecord(t, a, key, "/ipns/"+chain[i+1].Pointer().String())
	}
	holdRecord(t, a, chain[len(chain)-1], content)
	follow := func(p pointer.Pointer) (agent.Resolution, error) {
		return a.ResolveContent(t.Context(), p.String(), dht.LevelOffline)
	}
	res, err := follow(chain[1].Pointer()) // 8 pointers are followed
	require.NoError(t, err)
	require.Equal(t, content, res.Value)
	res, err = follow(chain[0].Pointer())
	require.ErrorContains(t, err, "over 8 others")
	require.Len(t, res.Hops, 9)

	holdRecord(t, a, chain[0], "/ipns/"+chain[0].Pointer().String())
	one, two, other := newKey(t), newKey(t), newKey(t)
	did, err := other.Pointer().As(pointer.FormDIDKey)
	require.NoError(t, err)
	holdRecord(t, a, one, "/ipns/"+two.Pointer().String()+"/x")
	holdRecord(t, a, two, "/ipns/"+one.Pointer().String())
	_, err = follow(one.Pointer())
	require.ErrorContains(t, err, "circle")
	var unfollowed *agent.FollowError
	require.ErrorAs(t, err, &unfollowed)
	require.Equal(t, "/ipns/"+one.Pointer().String(), unfollowed.Value)

	holdRecord(t, a, other, content)
	target := other.Pointer().String()
	for value, reason := range map[string]string{
		"/ipns/example.org":      "no DNS is asked",
		"/ipns/" + target + "?a": "no DNS is asked",
		"/ipns/" + target + ".":  "no DNS is asked",
		"/ipns/ " + target:       "no DNS is asked",
		"/ipns/\u200b" + target:  "no DNS is asked",
		"/ipns/" + did:           "no DNS is asked",
		"/ipns/bafkqaaa":         "no DNS is asked",
	} {
		_, _, got := agent.IPNSPointer(value)
		require.Contains(t, got, reason, value)
		key := newKey(t)
		holdRecord(t, a, key, value)
		res, err := follow(key.Pointer())
		require.ErrorAs(t, err, &unfollowed, value)
		require.Contains(t, unfollowed.Reason, reason, value)
		require.Len(t, res.Hops, 1)
	}
	for value, reason := range map[string]string{ // signed by other programs
		"/ipns/":                          "no DNS is asked",
		"/ipns//" + target:                "no DNS is asked",
		"/ipns/" + target + "/a/../b":     "the part ..",
		"/ipns/" + target + "/./a":        "the part .",
		"/ipns/" + target + "/..":         "the part ..",
		"/ipns/" + target + "/../../ipfs": "the part ..",
	} {
		_, _, got := agent.IPNSPointer(value)
		require.Contains(t, got, reason, value)
	}
	key := newKey(t)
	holdRecord(t, a, key, "/ipfs/bafkqaaa/ipns/"+target) // the answer
	res, err = follow(key.Pointer())
	require.NoError(t, err)
	require.Equal(t, "/ipfs/bafkqaaa/ipns/"+target, res.Value)
}

// The record of a pointer that is not there, and a contact in contradiction, end the way
// with their own errors, which name the value.
func TestAFollowedPointerIsVerifiedAsAnyOther(t *testing.T) {
	a := openedWith(t, agent.Options{})
	ana, absent := newKey(t), newKey(t)
	add(t, a, "ana", ana.Pointer())
	holdRecord(t, a, ana, "/ipns/"+absent.Pointer().String())
	res, err := a.ResolveContent(t.Context(), "ana", dht.LevelOffline)
	require.ErrorIs(t, err, dht.ErrNotFound)
	var at *petname.PathError
	require.ErrorAs(t, err, &at)
	require.Equal(t, "/ipns/"+absent.Pointer().String(), at.Part)
	require.Len(t, res.Hops, 1)
	require.NotContains(t, res.Value, "/ipns/"+absent.Pointer().String())

	// bob's card states another next key than the link that the owner entered.
	bob := newKey(t)
	claimed, err := pointer.Commit(newKey(t).Public())
	require.NoError(t, err)
	stated, err := pointer.Commit(newKey(t).Public())
	require.NoError(t, err)
	_, err = a.Add("bob", pointer.Link{Pointer: bob.Pointer(), Next: claimed}, petname.Source{Channel: "argument"})
	require.NoError(t, err)
	r, err := pointer.Sign(bob, pointer.Fields{Value: content, Sequence: 1, Expires: time.Now().Add(time.Hour), Card: &pointer.Card{Next: stated}})
	require.NoError(t, err)
	_, err = agent.RecordsOf(a).Put(t.Context(), r.Pointer(), r.Bytes())
	require.NoError(t, err)
	carol := newKey(t)
	holdRecord(t, a, carol, "/ipns/"+bob.Pointer().String())
	res, err = a.ResolveContent(t.Context(), carol.Pointer().String(), dht.LevelOffline)
	require.ErrorAs(t, err, new(*petname.ContradictionError))
	require.ErrorAs(t, err, &at)
	require.Equal(t, "/ipns/"+bob.Pointer().String(), at.Part)
	require.True(t, res.Hops[1].Followed)
}
