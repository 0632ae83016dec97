package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/home"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
)

// router is an HTTP router without records. It accepts the records that it
// receives and counts its requests.
type router struct {
	*httptest.Server
	put func(record []byte) // called with each record before the response; nil: no call

	mu         sync.Mutex
	gets, puts int
}

func newRouter(t *testing.T) *router {
	r := &router{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if q.Method != http.MethodPut {
			r.gets++
			http.Error(w, "no record", http.StatusNotFound)
			return
		}
		r.puts++
		b, err := io.ReadAll(q.Body)
		if err == nil && r.put != nil {
			r.put(b)
		}
	}))
	t.Cleanup(r.Close)
	return r
}

// asked returns the numbers of GET and PUT requests so far.
func (r *router) asked() (gets, puts int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.gets, r.puts
}

// uses configures a router for the home without sending it a request.
func uses(t *testing.T, e *Engine, r *router) {
	require.NoError(t, e.home.SetConfig(home.Config{Network: "off", Routers: []string{r.URL}}))
}

// copied opens a copy of a home as it is on the disk at this moment.
func copied(e *Engine, dir string) (*Engine, error) {
	if err := os.CopyFS(dir, os.DirFS(e.home.Dir)); err != nil {
		return nil, err
	}
	err := filepath.WalkDir(dir, func(name string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			err = os.Chmod(name, 0o600)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return Open(dir, 0)
}

// Before a record leaves the machine, its sequence is reserved on the disk and
// the record is stored there. A home that crashes at this moment signs no other
// record under that sequence.
func TestASequenceIsReservedBeforeItsRecordGoesOut(t *testing.T) {
	e, r := opened(t), newRouter(t)
	uses(t, e, r)
	dir, me := t.TempDir(), e.book.Identity()
	var problem error
	r.put = func(b []byte) {
		record, err := pointer.Open(me, b, time.Now())
		if err != nil {
			problem = err
			return
		}
		disk, err := copied(e, filepath.Join(dir, fmt.Sprint(r.puts)))
		if err != nil {
			problem = err
			return
		}
		reserved, err := disk.book.Published()
		held, _, herr := disk.held(me)
		problem = errors.Join(err, herr, disk.Close())
		if reserved.Sequence != record.Sequence() || held.Sequence() != record.Sequence() {
			problem = fmt.Errorf("%d went out, with %d reserved and %d kept", record.Sequence(), reserved.Sequence, held.Sequence())
		}
	}
	for i, wait := range []string{"some", "all"} {
		out, err := e.Publish(t.Context(), PublishArgs{Lifetime: time.Hour, Wait: wait})
		require.NoError(t, err)
		require.EqualValues(t, i+1, out.Sequence)
		_, puts := r.asked()
		require.Equal(t, i+1, puts)
		require.NoError(t, problem)
	}
}

// A publication that fails before signing uses no sequence and sends nothing.
func TestAnUnsignedPublicationUsesNoSequence(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, e *Engine){
		"a card that is too large": func(t *testing.T, e *Engine) {
			for i := range 12 {
				key, err := pointer.NewKey(nil)
				require.NoError(t, err)
				_, err = e.Add(t.Context(), AddArgs{Name: fmt.Sprintf("contact %d", i), Target: key.Pointer().String(), Lookalike: true})
				require.NoError(t, err)
				_, err = e.Share(t.Context(), ShareArgs{Names: []string{key.Pointer().String()}, Label: fmt.Sprintf("%060d", i), Public: true})
				require.NoError(t, err)
			}
		},
		"a configuration that can't be read": func(t *testing.T, e *Engine) {
			require.NoError(t, os.WriteFile(filepath.Join(e.home.Dir, "config.toml"), []byte("netwrok = \"lan\"\n"), 0o600))
		},
		"an identity of another book": func(t *testing.T, e *Engine) {
			other := opened(t)
			b, err := os.ReadFile(filepath.Join(other.home.Dir, "identity.key"))
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(filepath.Join(e.home.Dir, "identity.key"), b, 0o600))
		},
		"sealing keys that are damaged": func(t *testing.T, e *Engine) {
			require.NoError(t, os.WriteFile(filepath.Join(e.home.Dir, "sealing.key"), []byte("# petname sealing keys 2\n"), 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			e, r := opened(t), newRouter(t)
			uses(t, e, r)
			spoil(t, e)
			long := "/ipfs/bafkqaaa/" + strings.Repeat("x", 4000) // fits with a smaller card
			_, err := e.Publish(t.Context(), PublishArgs{Path: long, Lifetime: time.Hour, Wait: "some", V1: true})
			require.Error(t, err)
			require.NotEqual(t, ExitNetwork, Classify(err).Exit, "%v", err)
			last, err := e.book.Published()
			require.NoError(t, err)
			require.Zero(t, last.Sequence)
			_, puts := r.asked()
			require.Zero(t, puts)
			_, _, err = e.held(e.book.Identity())
			require.Equal(t, "not_found", Classify(err).Code)
		})
	}
}

// A record that the home cannot store is not sent. Otherwise the home could not
// republish it or compare the next record with it.
func TestARecordThatTheHomeCannotStoreIsNotSent(t *testing.T) {
	e, r := opened(t), newRouter(t)
	uses(t, e, r)
	folder := filepath.Join(e.home.Dir, "records")
	require.NoError(t, os.RemoveAll(folder))
	require.NoError(t, os.WriteFile(folder, nil, 0o600))
	for _, wait := range []string{"some", "all", "none"} {
		_, err := e.Publish(t.Context(), PublishArgs{Lifetime: time.Hour, Wait: wait})
		require.Error(t, err, wait)
	}
	_, puts := r.asked()
	require.Zero(t, puts)
}

// Both the book and the home's own record determine the next sequence. After a
// restore of an old book the next sequence is above both, and the value stays
// the same.
func TestTheNextSequenceIsAboveTheRecordThatTheHomeHas(t *testing.T) {
	e := opened(t)
	id, err := e.identity()
	require.NoError(t, err)
	key, err := id.Key("")
	require.NoError(t, err)
	newer, err := pointer.Sign(key, pointer.Fields{Value: "/ipfs/bafkqaaa", Sequence: 41, Expires: time.Now().Add(time.Hour)})
	require.NoError(t, err)
	_, err = e.records.Put(t.Context(), newer.Pointer(), newer.Bytes())
	require.NoError(t, err)
	out, err := e.Publish(t.Context(), PublishArgs{Lifetime: time.Hour, Wait: "none"})
	require.NoError(t, err)
	require.EqualValues(t, 42, out.Sequence)
	require.Equal(t, "/ipfs/bafkqaaa", out.Value)
	// Nothing is signed after the highest sequence.
	last, err := pointer.Sign(key, pointer.Fields{Sequence: pointer.MaxSequence, Expires: time.Now().Add(time.Hour)})
	require.NoError(t, err)
	_, err = e.records.Put(t.Context(), last.Pointer(), last.Bytes())
	require.NoError(t, err)
	_, err = e.Publish(t.Context(), PublishArgs{Lifetime: time.Hour, Wait: "none"})
	require.ErrorContains(t, err, "there is none above it")
}

var madeLine = regexp.MustCompile(`(?m)^# made: .*$`)

// aged sets the creation time of the home's sealing keys to the given age.
func aged(t *testing.T, e *Engine, ago time.Duration) {
	name := filepath.Join(e.home.Dir, "sealing.key")
	b, err := os.ReadFile(name)
	require.NoError(t, err)
	require.Regexp(t, madeLine, string(b))
	made := "# made: " + time.Now().Add(-ago).UTC().Format(time.RFC3339)
	require.NoError(t, os.WriteFile(name, madeLine.ReplaceAll(b, []byte(made)), 0o600))
}

// replaced adds former sealing keys to the home, replaced at the given age, and
// returns their lines.
func replaced(t *testing.T, e *Engine, ago time.Duration) string {
	name := filepath.Join(e.home.Dir, "sealing.key")
	b, err := os.ReadFile(name)
	require.NoError(t, err)
	other, err := os.ReadFile(filepath.Join(opened(t).home.Dir, "sealing.key"))
	require.NoError(t, err)
	lines := strings.SplitAfterN(string(other), "\n", 3)[2]
	text := string(b) + "# replaced: " + time.Now().Add(-ago).UTC().Format(time.RFC3339) + "\n" + lines
	require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
	return lines
}

// A publication replaces sealing keys after 30 days, and not before. Its card
// contains the new keys.
func TestAPublicationReplacesSealingKeysThatAreOld(t *testing.T) {
	const day = 24 * time.Hour
	for ago, renewed := range map[time.Duration]bool{30*day - time.Hour: false, 30*day + time.Hour: true} {
		e := opened(t)
		before, err := e.home.Sealing()
		require.NoError(t, err)
		aged(t, e, ago)
		_, err = e.Publish(t.Context(), PublishArgs{Lifetime: time.Hour, Wait: "none"})
		require.NoError(t, err)
		after, err := e.home.Sealing()
		require.NoError(t, err)
		if renewed {
			require.NotEqual(t, before.Public(), after.Public())
			require.Len(t, after.All(), 4, "the former keys open messages under way")
		} else {
			require.Equal(t, before.Public(), after.Public())
		}
		record, _, err := e.held(e.book.Identity())
		require.NoError(t, err)
		card, ok := record.Card()
		require.True(t, ok)
		require.Equal(t, after.Public(), card.Sealing)
	}
}

// A home that never publishes erases sealing keys 30 days after they were
// replaced, whenever it fetches messages. It does not erase them while a
// publication is about to replace them.
func TestOldSealingKeysAreErasedWithoutAPublication(t *testing.T) {
	const day = 24 * time.Hour
	for ago, erased := range map[time.Duration]bool{30*day - time.Hour: false, 30*day + time.Hour: true} {
		e := opened(t)
		old := replaced(t, e, ago)
		file := filepath.Join(e.home.Dir, "sealing.key")
		before, err := os.ReadFile(file)
		require.NoError(t, err)
		e.publish.Lock()
		keys, err := e.sealing()
		e.publish.Unlock()
		require.NoError(t, err)
		require.Len(t, keys, 4)
		now, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Equal(t, before, now)

		keys, err = e.sealing()
		require.NoError(t, err)
		now, err = os.ReadFile(file)
		require.NoError(t, err)
		if erased {
			require.Len(t, keys, 2)
			require.NotContains(t, string(now), old)
		} else {
			require.Len(t, keys, 4)
			require.Equal(t, before, now)
		}
		last, err := e.book.Published()
		require.NoError(t, err)
		require.Zero(t, last.Sequence)
	}
}

// A rotation replaces the sealing keys of any age: a thief of the identity key
// may have the sealing keys too.
func TestARotationReplacesTheSealingKeys(t *testing.T) {
	e := opened(t)
	before, err := e.home.Sealing()
	require.NoError(t, err)
	_, err = e.Rotate(t.Context(), RotateArgs{})
	require.NoError(t, err)
	after, err := e.home.Sealing()
	require.NoError(t, err)
	require.NotEqual(t, before.Public(), after.Public())
	require.Len(t, after.All(), 4)
	_, err = e.Publish(t.Context(), PublishArgs{Lifetime: time.Hour, Wait: "none"})
	require.NoError(t, err)
	record, _, err := e.held(e.book.Identity())
	require.NoError(t, err)
	card, _ := record.Card()
	require.Equal(t, after.Public(), card.Sealing)
}

// A rotation of the identity waits for a publication, and a publication waits
// for a rotation. A record is signed by a key before that key is removed.
func TestARotationAndAPublicationDoNotOverlap(t *testing.T) {
	e := opened(t)
	var wg sync.WaitGroup
	for i := range 12 {
		wg.Go(func() {
			verb, args := "publish", fmt.Sprintf(`{"ttl":0,"lifetime":%d,"wait":"none"}`, time.Hour)
			if i%3 == 0 {
				verb, args = "rotate", `{}`
			}
			if _, failed := e.Do(context.Background(), verb, []byte(args)); failed != nil {
				t.Error(verb, failed)
			}
		})
	}
	wg.Wait()
	id, err := e.identity()
	require.NoError(t, err)
	require.Len(t, id.Succession, 4)
	require.Equal(t, id.Pointer, e.book.Identity())
	for _, s := range id.Succession { // the last record of each key names its successor
		record, _, err := e.held(s.Old)
		require.NoError(t, err)
		card, ok := record.Card()
		require.True(t, ok)
		require.False(t, card.Successor.IsZero())
	}
}

// A renewal has the value, the TTL, the lifetime and the form of the old
// record, under the next sequence. It is signed with the passphrase that the
// node received.
func TestARenewalKeepsTheFieldsOfTheRecord(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "home")
	_, err := home.Create(dir, home.Plan{Passphrase: "horse", WorkFactor: 2})
	require.NoError(t, err)
	e, err := Open(dir, 0)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, e.Close()) })
	r := newRouter(t)
	uses(t, e, r)
	for _, v1 := range []bool{false, true} {
		out, err := e.Publish(t.Context(), PublishArgs{Path: "/ipfs/bafkqaaa", TTL: 7 * time.Minute, Lifetime: 9 * time.Hour, Wait: "some", V1: v1, Passphrase: "horse"})
		require.NoError(t, err)
		old, _, err := e.held(e.book.Identity())
		require.NoError(t, err)
		require.Equal(t, v1, hasV1(old.Bytes()))
		e.mu.Lock()
		e.passphrase = ""
		e.mu.Unlock()
		require.True(t, e.locked())
		require.ErrorIs(t, e.renew(t.Context(), old, 9*time.Hour), home.ErrLocked)
		require.ErrorIs(t, e.Unlock("cow"), home.ErrPassphrase)
		require.True(t, e.locked())
		require.NoError(t, e.Unlock("horse"))
		require.False(t, e.locked())
		require.NoError(t, e.renew(t.Context(), old, 9*time.Hour))
		renewed, _, err := e.held(e.book.Identity())
		require.NoError(t, err)
		require.Equal(t, out.Sequence+1, renewed.Sequence())
		require.Equal(t, "/ipfs/bafkqaaa", renewed.Value())
		require.Equal(t, 7*time.Minute, renewed.TTL())
		require.Equal(t, v1, hasV1(renewed.Bytes()))
		life := time.Until(renewed.Expires())
		require.Greater(t, life, 8*time.Hour)
		require.LessOrEqual(t, life, 9*time.Hour)
		// An unknown or too long lifetime is replaced by one that a publication
		// accepts.
		require.NoError(t, e.renew(t.Context(), old, 0))
		require.NoError(t, e.renew(t.Context(), old, 2*maxLifetime))
	}
	// A renewal fails if no peer stored it.
	old, _, err := e.held(e.book.Identity())
	require.NoError(t, err)
	r.Close()
	require.Equal(t, ExitNetwork, Classify(e.renew(t.Context(), old, time.Hour)).Exit)
}

// unreached requires that the engine sent no requests.
func unreached(t *testing.T, e *Engine) {
	t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	require.Nil(t, e.network, "a network was entered")
	require.Nil(t, e.aside)
}

// Without a joined network no verb enters one. A verb that needs a network
// reports that.
func TestNoVerbSendsRequestsWithoutAJoinedNetwork(t *testing.T) {
	e := opened(t)
	key, err := pointer.NewKey(nil)
	require.NoError(t, err)
	other := key.Pointer().String()
	ctx := t.Context()
	_, err = e.Add(ctx, AddArgs{Name: "bob", Target: other})
	require.NoError(t, err)
	record, err := pointer.Sign(key, pointer.Fields{Sequence: 1, Expires: time.Now().Add(time.Hour)})
	require.NoError(t, err)
	for name, do := range map[string]func() error{
		"publish": func() error {
			_, err := e.Publish(ctx, PublishArgs{Lifetime: time.Hour, Wait: "some"})
			return err
		},
		"resolve": func() error {
			_, err := e.Resolve(ctx, ResolveArgs{Path: "bob", Timeout: patience})
			return err
		},
		"resolve --fresh": func() error {
			_, err := e.Resolve(ctx, ResolveArgs{Path: "bob", Fresh: "fresh", Timeout: patience})
			return err
		},
		"record put": func() error {
			_, err := e.Put(ctx, InspectArgs{Record: record.Bytes(), Pointer: other})
			return err
		},
		"knock": func() error {
			_, err := e.Knock(ctx, KnockArgs{To: other, As: "me", Expires: time.Hour})
			return err
		},
		"invite": func() error {
			_, err := e.Invite(ctx, InviteArgs{Uses: 1, Expires: time.Hour})
			return err
		},
	} {
		err := do()
		require.Equal(t, "not_joined", Classify(err).Code, "%s: %v", name, err)
		require.Equal(t, ExitNetwork, Classify(err).Exit, name)
	}
	in, err := e.Inbox(ctx, InboxArgs{})
	require.NoError(t, err)
	require.Equal(t, &Fetch{Network: "off"}, in.Fetched)
	_, err = e.Doctor(ctx, NoArgs{})
	require.NoError(t, err)
	_, err = e.Rotate(ctx, RotateArgs{})
	require.NoError(t, err)
	unreached(t, e)
}

// A verb queries a joined network only if it must: not for a record that the
// home has, and not for one that is fresh enough.
func TestAVerbQueriesTheNetworkOnlyIfNeeded(t *testing.T) {
	e, r := opened(t), newRouter(t)
	// The DHT cannot be entered: every attempt fails.
	require.NoError(t, e.home.SetConfig(home.Config{Network: "peers", Bootstrap: []string{"/ip4/127.0.0.1/tcp/1/p2p/12D3KooWGQh4PZmNNXHpLHPVGNWQx9VHjKVWcMVLwMtHaSd7LqKC"}, Routers: []string{r.URL}}))
	ctx := t.Context()
	key, err := pointer.NewKey(nil)
	require.NoError(t, err)
	_, err = e.Add(ctx, AddArgs{Name: "bob", Target: key.Pointer().String()})
	require.NoError(t, err)
	record, err := pointer.Sign(key, pointer.Fields{Value: "/ipfs/bafkqaaa", Sequence: 1, TTL: time.Hour, Expires: time.Now().Add(2 * time.Hour)})
	require.NoError(t, err)
	_, err = e.Resolve(ctx, ResolveArgs{Path: "bob", Offline: true, Timeout: patience})
	require.Equal(t, "not_found", Classify(err).Code)
	_, err = e.records.Put(ctx, record.Pointer(), record.Bytes())
	require.NoError(t, err)
	for _, a := range []ResolveArgs{{Path: "bob", Offline: true}, {Path: "bob"}} {
		a.Timeout = patience
		res, err := e.Resolve(ctx, a)
		require.NoError(t, err)
		require.True(t, res.Verified)
		require.Zero(t, res.Asked)
	}
	_, err = e.Inbox(ctx, InboxArgs{Offline: true})
	require.NoError(t, err)
	for _, verb := range []string{"id", "list", "log", "kept", "public"} {
		_, failed := e.Do(ctx, verb, []byte("{}"))
		require.Nil(t, failed)
	}
	_, err = e.Export(ctx, ExportArgs{Name: "bob"})
	require.NoError(t, err)
	_, err = e.Inspect(ctx, InspectArgs{Record: record.Bytes()})
	require.NoError(t, err)
	_, err = e.Publish(ctx, PublishArgs{Path: "relative", Lifetime: time.Hour, Wait: "some"})
	require.Equal(t, ExitUsage, Classify(err).Exit)
	gets, puts := r.asked()
	require.Zero(t, gets)
	require.Zero(t, puts)
	unreached(t, e)

	// A record that does not verify is not put anywhere.
	forged := append([]byte(nil), record.Bytes()...)
	forged[len(forged)-1] ^= 1
	_, err = e.Put(ctx, InspectArgs{Record: forged, Pointer: "bob"})
	require.Equal(t, ExitUnverified, Classify(err).Exit, "%v", err)
	_, puts = r.asked()
	require.Zero(t, puts)
	// LevelFresh queries the network.
	_, err = e.Resolve(ctx, ResolveArgs{Path: "bob", Fresh: "agreed", Timeout: patience})
	require.Error(t, err)
	gets, _ = r.asked()
	require.NotZero(t, gets)
}

// After "join off" the engine sends no request to a network that was joined
// before.
func TestALeftRouterReceivesNoRequests(t *testing.T) {
	e, r := opened(t), newRouter(t)
	ctx := t.Context()
	_, err := e.Join(ctx, JoinArgs{Targets: []string{r.URL}})
	require.NoError(t, err)
	_, err = e.Publish(ctx, PublishArgs{Lifetime: time.Hour, Wait: "some"})
	require.NoError(t, err)
	_, err = e.Join(ctx, JoinArgs{Targets: []string{"off"}})
	require.NoError(t, err)
	gets, puts := r.asked()
	require.Equal(t, 1, puts)
	_, err = e.Publish(ctx, PublishArgs{Lifetime: time.Hour, Wait: "some"})
	require.Equal(t, "not_joined", Classify(err).Code)
	_, err = e.Resolve(ctx, ResolveArgs{Path: e.book.Identity().String(), Fresh: "fresh", Timeout: patience})
	require.Equal(t, "not_joined", Classify(err).Code)
	nowGets, nowPuts := r.asked()
	require.Equal(t, gets, nowGets)
	require.Equal(t, puts, nowPuts)
}

// If no peer stores the record of publish --wait some, the record is saved and
// its sequence is used. The error states that, and the next record has a higher
// sequence.
func TestAFailedPublicationIsSavedAndReported(t *testing.T) {
	e, r := opened(t), newRouter(t)
	uses(t, e, r)
	r.Close()
	out, err := e.Publish(t.Context(), PublishArgs{Path: "/ipfs/bafkqaaa", Lifetime: time.Hour, Wait: "some"})
	c := Classify(err)
	require.Equal(t, ExitNetwork, c.Exit)
	require.Contains(t, c.Message, "signed and saved here, but stored by nobody yet")
	require.Contains(t, c.Message, r.URL, "the failed router is named")
	require.Equal(t, "petname publish", c.Next)
	require.Zero(t, out.Stored)
	held, _, err := e.held(e.book.Identity())
	require.NoError(t, err)
	require.Equal(t, out.Sequence, held.Sequence())
}

// A verb whose caller cancelled it reports only the cancellation. A verb fails
// for lack of a network if another verb removes that network during the call.
func TestACancelledVerbReportsTheCancellation(t *testing.T) {
	e := opened(t)
	for name, err := range map[string]error{"cancelled": context.Canceled, "network": dht.ErrUnreachable, "deadline": context.DeadlineExceeded} {
		ops["test"] = func(*Engine, context.Context, json.RawMessage) (any, error) {
			return "found out before", fmt.Errorf("while at it: %w", err)
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		out, failed := e.Do(gone, "test", []byte("{}"))
		require.Nil(t, out, name)
		require.Equal(t, &Error{Code: "interrupted", Message: "interrupted", Exit: ExitInterrupted}, failed, name)
		out, failed = e.Do(t.Context(), "test", []byte("{}"))
		require.Equal(t, `"found out before"`, string(out), name)
		require.Equal(t, "network", failed.Code, name)
		require.Equal(t, ExitNetwork, failed.Exit, name)
	}
	delete(ops, "test")
}

// An unreadable configuration, or one without a network, does not improve by
// waiting: a publication fails and uses no sequence.
func TestADamagedConfigurationUsesNoSequence(t *testing.T) {
	for _, text := range []string{"network = [", "network = \"peers\"\nbootstrap = [\"/ip4/127.0.0.1/tcp/1\"]\n"} {
		e := opened(t)
		require.NoError(t, os.WriteFile(filepath.Join(e.home.Dir, "config.toml"), []byte(text), 0o600))
		for _, wait := range []string{"none", "some"} {
			out, err := e.Publish(t.Context(), PublishArgs{Lifetime: time.Hour, Wait: wait})
			require.Nil(t, out)
			require.Error(t, err)
			require.NotEqual(t, ExitNetwork, Classify(err).Exit, "%v", err)
			last, err := e.book.Published()
			require.NoError(t, err)
			require.Zero(t, last.Sequence)
		}
	}
}

// A publication that waits for all routers fails if one refuses the record.
func TestPublishingToAllFailsWhenOneRefuses(t *testing.T) {
	e, r := opened(t), newRouter(t)
	refuses := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusBadRequest) }))
	t.Cleanup(refuses.Close)
	require.NoError(t, e.home.SetConfig(home.Config{Network: "off", Routers: []string{r.URL, refuses.URL}}))
	for wait, exit := range map[string]int{"some": 0, "all": ExitNetwork} {
		out, err := e.Publish(t.Context(), PublishArgs{Lifetime: time.Hour, Wait: wait})
		require.Equal(t, 1, out.Stored)
		require.Equal(t, 1, out.Refused)
		if exit == 0 {
			require.NoError(t, err)
		} else {
			require.Equal(t, exit, Classify(err).Exit, "%v", err)
		}
	}
}

// A publication whose caller cancelled it is interrupted, whatever the network
// returned, and its record is kept.
func TestACancelledPublicationIsInterrupted(t *testing.T) {
	e, r := opened(t), newRouter(t)
	uses(t, e, r)
	ctx, cancel := context.WithCancel(t.Context())
	r.put = func([]byte) { cancel() }
	out, err := e.Publish(ctx, PublishArgs{Lifetime: time.Hour, Wait: "some"})
	require.Equal(t, ExitInterrupted, Classify(err).Exit, "%v", err)
	held, _, err := e.held(e.book.Identity())
	require.NoError(t, err)
	require.Equal(t, out.Sequence, held.Sequence())
}

// A removed contact cannot be removed again.
func TestTheRemovedAreNotRemovedAgain(t *testing.T) {
	e := opened(t)
	key, err := pointer.NewKey(nil)
	require.NoError(t, err)
	_, err = e.Add(t.Context(), AddArgs{Name: "bob", Target: key.Pointer().String()})
	require.NoError(t, err)
	_, err = e.Rm(t.Context(), NameArgs{Name: "bob"})
	require.NoError(t, err)
	_, err = e.Rm(t.Context(), NameArgs{Name: key.Pointer().String()})
	require.Equal(t, "not_found", Classify(err).Code, "%v", err)
}

// Completion suggests at most as many names as it can show.
func TestSuggestionsAreBounded(t *testing.T) {
	e := opened(t)
	var namings []petname.Naming
	for i := range maxSuggestions + 1 {
		key, err := pointer.NewKey(nil)
		require.NoError(t, err)
		name, err := name.Parse(fmt.Sprintf("bob %d", i))
		require.NoError(t, err)
		namings = append(namings, petname.Naming{Name: name, Link: pointer.Link{Pointer: key.Pointer()}, Source: petname.Source{Lookalike: true}})
	}
	require.NoError(t, e.book.AddAll(namings))
	out, err := e.Suggest(t.Context(), FindArgs{Text: "bob"})
	require.NoError(t, err)
	require.Len(t, out.Contacts, maxSuggestions)
}
