package agent

import (
	"context"
	"crypto/ed25519"
	"crypto/hpke"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/home"
	"github.com/petnames-go/petnames/pointer"
)

// What the tests in package agent_test need of an agent. They are functions, not
// methods: a test looks at all methods of an Agent.

type Router = router

const (
	JoinTimeout        = defaultJoinTimeout
	LookUpTimeout      = lookUpTimeout
	FinishTimeout      = finishTimeout
	SyncTimeout        = syncTimeout
	SyncEvery          = syncEvery
	SyncMinInterval    = syncMinInterval
	DefaultTTL         = defaultTTL
	DefaultLifetime    = defaultLifetime
	DefaultTimeout     = defaultTimeout
	SendTimeout        = sendTimeout
	UnlinkableLifetime = unlinkableLifetime
	MaxValue           = maxValue
	MaxPending         = maxPending
)

var (
	NetworkTag = networkTag
	HasV1      = hasV1
	IsNetwork  = isNetwork

	CertificateSkew = certificateSkew

	CheckDraft  = Draft.check
	IPNSPointer = ipnsPointer
)

func HomeOf(a *Agent) home.Home            { return a.home }
func BookOf(a *Agent) *petname.Book        { return a.book }
func RecordsOf(a *Agent) *dht.Dir          { return a.records }
func CardsOf(a *Agent) *cards              { return &cards{a.state} }
func OwnNetworkOf(a *Agent) dht.Store      { return &ownNetwork{lazyNetwork{state: a.state}} }
func KeyOf(a *Agent) (*pointer.Key, error) { return a.key() }
func IsLocked(a *Agent) bool               { return a.locked() }

// SignedHint returns the text of signedHint.
func SignedHint(times []time.Time, now time.Time) string {
	h, ok := signedHint(times, now)
	if !ok {
		return ""
	}
	return h.text(now)
}

// ExpiredSeen are the expired records that peers returned.
type ExpiredSeen struct{ seen expiredSeen }

func (e *ExpiredSeen) Add(peer string, end, now time.Time) { e.seen.add(peer, end, now) }

func (e *ExpiredSeen) Len() int { return len(e.seen.ends) }

func (e *ExpiredSeen) Hint(now time.Time) string {
	h, ok := e.seen.hint(now)
	if !ok {
		return ""
	}
	return h.text(now)
}

func AddExpired(a *Agent, peer string, end time.Time) { a.expired.add(peer, end, a.now()) }

func NodeOf(a *Agent) Node {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.node
}

func UnlinkableOf(a *Agent) Node {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.unlinkable
}

// UnlinkableNode returns the node with a throw-away key, after the one in use has
// become older.
func UnlinkableNode(ctx context.Context, a *Agent, older time.Duration) (Node, error) {
	c, err := a.home.Config()
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	a.unlinkableSince = a.unlinkableSince.Add(-older)
	a.mu.Unlock()
	return a.unlinkableNode(ctx, c)
}

func SetRouter(a *Agent, url string, r Router) { a.clients = map[string]router{url: r} }

func SetFinishTimeout(a *Agent, d time.Duration) { a.finishTimeout = d }

func ParseJoin(a *Agent, targets ...string) (home.Config, error) { return a.parseJoin(targets) }

func JoinedStores(ctx context.Context, a *Agent) ([]dht.Store, error) { return a.joined(ctx) }

func SealingOf(a *Agent) ([]hpke.PrivateKey, error) { return a.sealing() }

// WhilePublishing calls fn as if a publication were under way.
func WhilePublishing(a *Agent, fn func()) {
	a.publishing.Lock()
	defer a.publishing.Unlock()
	fn()
}

func Renew(ctx context.Context, a *Agent, old pointer.Record, life time.Duration) error {
	return a.renew(ctx, old, life)
}

func SetRouters(a *Agent, routers map[string]Router) { a.clients = routers }

func LifetimeOf(a *Agent, r pointer.Record) time.Duration { return a.lifetime(r) }

func SaveLastRecord(ctx context.Context, a *Agent) error {
	id, err := a.identity()
	if err != nil {
		return err
	}
	return a.saveLastRecords(ctx, id)
}

// StopLoops ends what Start began, and returns when it has ended.
func StopLoops(a *Agent) {
	a.mu.Lock()
	stop := a.stop
	a.mu.Unlock()
	stop()
	a.loops.Wait()
}

// TasksContextOf returns the context that ends with Close.
func TasksContextOf(a *Agent) context.Context { return a.tasksContext }

// WaitTasks waits for what continues after its method returned.
func WaitTasks(a *Agent) { a.tasks.Wait() }

// Subscribers counts the receivers of changes.
func Subscribers(a *Agent) int {
	a.events.mu.Lock()
	defer a.events.mu.Unlock()
	return len(a.events.subscribers)
}

// Notify publishes a change of a contact.
func Notify(a *Agent, p pointer.Pointer) { a.events.publish(Event{BookChanged, p}) }

func PutFormerAlone(ctx context.Context, a *Agent) { a.putFormerAlone(ctx) }

// SendEdges changes edges and sends them, with an undo that fails.
func SendEdges(ctx context.Context, a *Agent, to petname.Contact, undo func() error) (Delivery, error) {
	return a.sendEdges(ctx, to, undo, func() error { return nil })
}

// DeviceAddresses returns the addresses that a has of the node of another device.
func DeviceAddresses(a *Agent, id ledger.DeviceID) ([][]byte, error) { return a.deviceAddresses(id) }

// SetPollInterval sets how often the waiting methods of all agents look for messages.
func SetPollInterval(d time.Duration) { pollInterval = d }

// SetPatience sets how long a Sync waits for messages of another device after the last one.
func SetPatience(a *Agent, d time.Duration) { a.patience = d }

// RenewForDevices is what an agent that runs does after each Sync.
func RenewForDevices(ctx context.Context, a *Agent) error { return a.renewForDevices(ctx) }

// PlantIdentity replaces identity.key, and what other devices receive of it, as the thief of a
// device does. All the rest is unmodified.
func PlantIdentity(a *Agent, file []byte) error {
	id, err := home.ParseHandover(file)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(a.home.Dir, "identity.key"), file, 0o600); err != nil {
		return err
	}
	return a.updateLocal(func(local *ledger.View) error {
		for _, withKey := range []bool{true, false} {
			if err := local.Put(tableHandovers, handoverKey(id, withKey), file); err != nil {
				return err
			}
		}
		return nil
	})
}

// HandTo hands the identity key of one agent to another one, as an exchange of from does, and
// fails unless that refuses it with home.ErrHoldsNext.
func HandTo(a *Agent, device ledger.DeviceID, from *Agent) error {
	file, err := from.home.IdentityFile()
	if err != nil {
		return err
	}
	if err := a.adoptIdentity(device, file); !errors.Is(err, home.ErrHoldsNext) {
		return fmt.Errorf("handed over: %w", err)
	}
	return nil
}

// MarkMerged makes the agent compare its whole card at the next renewal for other devices.
func MarkMerged(a *Agent) { a.mergedEntries.Store(true) }

// MergeSealing merges keys for messages of another device, which knows of no removal.
func MergeSealing(a *Agent, from ledger.DeviceID, file []byte) error {
	return a.mergeSealing(from, file, nil)
}

// StepInvitations answers the invitations and the devices that join, as an agent that runs does.
func StepInvitations(ctx context.Context, a *Agent) error { return a.stepInvitations(ctx) }

// AwaitPairing answers a device that pairs, until ctx ends, without admitting it or sending the
// book.
func AwaitPairing(ctx context.Context, a *Agent, id string) error {
	ex, err := a.exchange()
	if err == nil {
		_, err = ex.Wait(ctx, id)
	}
	return err
}

// AdmitJoining admits the device of a provisional home in a folder, without sending the book.
func AdmitJoining(a *Agent, dir string) (id ledger.DeviceID, err error) {
	h, err := home.Open(dir)
	if err != nil {
		return id, err
	}
	device, err := h.DeviceKey()
	if err != nil {
		return id, err
	}
	key, err := a.key()
	if err != nil {
		return id, err
	}
	public := device.Public().(ed25519.PublicKey)
	return ledger.DeviceID(public), a.book.AdmitDevice(key, public, "phone", true)
}

// UncountedRows returns the number of rows about branches that do not count.
func UncountedRows(a *Agent) (n int, err error) {
	err = a.book.Ledger().ReadLocal(func(local *ledger.View) error {
		n = 0
		for _, err := range local.Scan(tableUncounted, nil) {
			if err != nil {
				return err
			}
			n++
		}
		return nil
	})
	return n, err
}
