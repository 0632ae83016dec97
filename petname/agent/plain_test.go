package agent_test

import (
	"io"
	"iter"
	"net"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht/delegated"
	"github.com/petnames-go/petnames/dht/republish"
	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/petname/introduce"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
)

// opaque are the types of verified values with unexported fields, and how each of
// them is turned into text or bytes, and back.
var opaque = map[reflect.Type]string{
	reflect.TypeFor[pointer.Pointer]():    "MarshalText, UnmarshalText",
	reflect.TypeFor[pointer.Commitment](): "String, ParseCommitment",
	reflect.TypeFor[pointer.Record]():     "Bytes, Open",
	reflect.TypeFor[name.Name]():          "String and Key, Restore",
	reflect.TypeFor[time.Time]():          "MarshalText, UnmarshalText",

	reflect.TypeFor[introduce.Statement]():     "Bytes, Open",
	reflect.TypeFor[introduce.Contradiction](): "Bytes, OpenContradiction",
}

// notSent are the results that are no values: they stay in the process that holds
// the home.
var notSent = map[reflect.Type]string{
	reflect.TypeFor[*agent.Agent]():      "the agent itself, of WithPassphrase",
	reflect.TypeFor[*delegated.Server](): "a handler of HTTP requests, of Router",
	reflect.TypeFor[*agent.Conn]():       "a stream, of Dial",
	reflect.TypeFor[net.Listener]():      "a listener for streams, of Listen",
	reflect.TypeFor[io.WriteCloser]():    "a writer, of Seal",
	reflect.TypeFor[io.Reader]():         "a reader, of Unseal",
	reflect.TypeFor[error]():             "an error: its message, or a typed error with exported fields",
}

// Every value that a method of an Agent returns has exported fields only, at any
// depth, so that it is the same in the process that holds the home and in one that
// is attached to it. The exceptions are listed above.
func TestResultsArePlainValues(t *testing.T) {
	seen := map[reflect.Type]bool{}
	of := reflect.TypeFor[*agent.Agent]()
	require.Greater(t, of.NumMethod(), 50)
	for i := range of.NumMethod() {
		m := of.Method(i)
		for out := range results(m.Type) {
			plain(t, seen, m.Name, out)
		}
	}
	for _, must := range []reflect.Type{
		reflect.TypeFor[agent.Resolution](), reflect.TypeFor[agent.Hop](), reflect.TypeFor[agent.Joined](), reflect.TypeFor[agent.Published](),
		reflect.TypeFor[agent.Introduced](), reflect.TypeFor[agent.Identity](), reflect.TypeFor[agent.Rotated](), reflect.TypeFor[agent.Status](),
		reflect.TypeFor[agent.LastPut](), reflect.TypeFor[agent.Fetched](), reflect.TypeFor[agent.Invitation](), reflect.TypeFor[agent.Requested](),
		reflect.TypeFor[agent.Statements](), reflect.TypeFor[agent.Check](), reflect.TypeFor[agent.Event](), reflect.TypeFor[republish.Entry](),
		reflect.TypeFor[petname.Contact](), reflect.TypeFor[petname.Suggestion](), reflect.TypeFor[petname.Event](), reflect.TypeFor[petname.Edge](),
		reflect.TypeFor[petname.Evidence](), reflect.TypeFor[introduce.Contradiction](), reflect.TypeFor[ledger.ID](),
	} {
		require.True(t, seen[must], "no method returns a %s", must)
	}
	for of := range opaque {
		require.True(t, seen[of], "no method returns a %s: take it out of the list", of)
	}
	for of := range notSent {
		require.True(t, seen[of], "no method returns a %s: take it out of the list", of)
	}
}

// results yields the types that a function returns: for an iterator, those that it
// yields.
func results(fn reflect.Type) iter.Seq[reflect.Type] {
	return func(yield func(reflect.Type) bool) {
		for i := range fn.NumOut() {
			out := fn.Out(i)
			if out.Kind() != reflect.Func {
				if !yield(out) {
					return
				}
				continue
			}
			if out.In(0).Kind() != reflect.Func { // a function to call, of DialContext
				continue
			}
			for j := range out.In(0).NumIn() { // func(yield func(K, V) bool)
				if !yield(out.In(0).In(j)) {
					return
				}
			}
		}
	}
}

func plain(t *testing.T, seen map[reflect.Type]bool, path string, of reflect.Type) {
	if seen[of] {
		return
	}
	seen[of] = true
	if opaque[of] != "" || notSent[of] != "" {
		return
	}
	switch of.Kind() {
	case reflect.Struct:
		for i := range of.NumField() {
			f := of.Field(i)
			require.True(t, f.IsExported(), "%s: %s has the unexported field %s", path, of, f.Name)
			plain(t, seen, path+"."+f.Name, f.Type)
		}
	case reflect.Pointer, reflect.Slice, reflect.Array:
		plain(t, seen, path, of.Elem())
	case reflect.Map:
		plain(t, seen, path, of.Key())
		plain(t, seen, path, of.Elem())
	case reflect.Interface, reflect.Func, reflect.Chan, reflect.UnsafePointer, reflect.Uintptr:
		require.Fail(t, "no plain value", "%s: %s", path, of)
	}
}

// The opaque values lose nothing on their way through the bytes that stand for
// them.
func TestOpaqueValuesMarshalThemselves(t *testing.T) {
	key := newKey(t)
	text, err := key.Pointer().MarshalText()
	require.NoError(t, err)
	var p pointer.Pointer
	require.NoError(t, p.UnmarshalText(text))
	require.Equal(t, key.Pointer(), p)

	next, err := pointer.Commit(key.Public())
	require.NoError(t, err)
	again, err := pointer.ParseCommitment(next.String())
	require.NoError(t, err)
	require.Equal(t, next, again)

	bob, err := name.Parse("Bob  W")
	require.NoError(t, err)
	require.Equal(t, bob, name.Restore(bob.String(), bob.Key()))

	record, err := pointer.Sign(key, pointer.Fields{Value: "/ipfs/bafkqaaa", Sequence: 1, Expires: time.Now().Add(time.Hour)})
	require.NoError(t, err)
	reopened, err := pointer.Open(p, record.Bytes(), time.Now())
	require.NoError(t, err)
	require.Equal(t, record, reopened)

	introduced, err := introduce.Introduction{To: newKey(t).Pointer(), About: newKey(t).Pointer(), Expires: time.Now().Add(time.Hour)}.Sign(key, nil, time.Now())
	require.NoError(t, err)
	statement, err := introduce.Open(introduced.Bytes())
	require.NoError(t, err)
	require.Equal(t, introduced, statement)
	subject, err := introduce.OpenSubject(introduced.Bytes())
	require.NoError(t, err)
	denied, err := introduce.Deny(subject, newKey(t), time.Now())
	require.NoError(t, err)
	contradiction, err := introduce.OpenContradiction(introduced.Bytes(), denied.Bytes())
	require.NoError(t, err)
	same, err := introduce.OpenContradiction(contradiction.Bytes())
	require.NoError(t, err)
	require.Equal(t, contradiction, same)
}
