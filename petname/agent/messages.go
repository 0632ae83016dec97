package agent

import (
	"context"
	"crypto/hpke"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/exchange"
	"github.com/petnames-go/petnames/petname/home"
	"github.com/petnames-go/petnames/petname/introduce"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
)

const (
	syncTimeout     = 30 * time.Second // to fetch, for a caller that asked for it
	syncEvery       = 5 * time.Minute  // by an agent that runs
	stepEvery       = 3 * time.Second  // likewise, while an invitation is under way
	syncMinInterval = time.Second      // at least, before a fetch that another peer caused
	sendTimeout     = 20 * time.Second
	dropGrace       = 24 * time.Hour // for which an expired suggestion is stored
)

// Delivery says how far a message has come. Beside [Queued] the error of the
// method says why. An error beside [Stored] is that of the disk, which could not
// record it: the message is sent again, and received once.
type Delivery = exchange.Delivery

const (
	Stored = exchange.Stored // the network has it
	Queued = exchange.Queued // it waits in the home, and goes out with a later Fetch
)

// exchange returns the exchange of messages. The first call opens it.
func (a *Agent) exchange() (*exchange.Exchange, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.messages != nil {
		return a.messages, nil
	}
	lost, err := a.home.MoveMessages(a.book, exchange.MigrateRow)
	if err != nil {
		return nil, err
	}
	if lost != nil {
		a.notices.Lock()
		a.lost = lost
		a.notices.Unlock()
	}
	key, err := a.home.DeviceKey()
	if err != nil {
		return nil, err
	}
	a.messages = exchange.Open(exchange.Config{Book: a.book, Records: &cards{a.state}, Store: &unlinkableStore{a.state}, Identity: a.pairIdentity,
		Handover: a.handover, FetchBook: a.fetchBook, DeviceKey: key, OfferDevice: a.offerDevice, ReceiveFromDevice: a.receiveFromDevice,
		Direct:    func(addresses [][]byte) dht.Store { return &directStore{a.state, addresses} },
		Replicate: a.replicateNow,
		Wake:      a.syncSoon, Sealing: a.sealing, UnknownSenders: a.unknownSenders, Now: a.now,
		PollInterval: pollInterval})
	return a.messages, nil
}

// pollInterval is how often a waiting method looks for messages; 0: the default of an exchange.
// Tests over loopback shorten it.
var pollInterval time.Duration

// sealing returns the keys that messages are opened with. It erases expired ones
// first, for a home that never publishes.
func (s *state) sealing() ([]hpke.PrivateKey, error) {
	read := s.home.Sealing
	if s.publishing.TryLock() { // or else a publication is about to replace them
		defer s.publishing.Unlock()
		read = func() (home.Sealing, error) { return s.sealingHome().EraseSealing(s.now(), s.ownEntry()) }
	}
	keys, err := read()
	return keys.PrivateKeys(), err
}

// dropExpired drops suggestions that expired at least a day ago from the book. They also
// have to have expired before the last entry: a clock that is ahead drops none. Lists of edges
// that newer ones replace are dropped at any time.
func (s *state) dropExpired() error {
	before, entry := s.now().Add(-dropGrace), s.comparedEntry()
	if entry.Before(before) {
		before = entry
	}
	_, err := s.book.DropExpired(before)
	return err
}

// serveMessages lets others hand over messages, while the node can be reached.
func (a *Agent) serveMessages() {
	a.mu.Lock()
	serving, node := a.serving, a.node
	a.mu.Unlock()
	if !serving || node == nil {
		return
	}
	ex, err := a.exchange()
	if err != nil {
		a.log.Warn("messages", "error", err)
		return
	}
	node.Serve(ex.Mailbox())
	a.serveDevices(node)
	a.serveStreams(node)
}

// send sends a signed statement to a contact.
func (a *Agent) send(ctx context.Context, key *pointer.Key, to petname.Contact, signed introduce.Statement) (Delivery, error) {
	ex, err := a.exchange()
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	sent, err := ex.Send(ctx, key, to.Pointer, signed)
	if sent == "" {
		err = noCard(err, to.Name)
	}
	return delivered(sent, err)
}

// delivered returns how far a message has come, and the reason why it is queued.
func delivered(sent Delivery, err error) (Delivery, error) {
	if sent == exchange.Behind {
		sent = Queued
		if err == nil {
			err = errBehind
		}
	}
	return sent, queued(sent, err)
}

// errBehind is returned for a message that is sent after others.
var errBehind = errors.New("the recipient receives earlier messages first, which fill the record of this channel")

// queued returns err, or for a Queued message without one [dht.ErrUnreachable].
func queued(sent Delivery, err error) error {
	if sent == Queued && err == nil {
		return dht.ErrUnreachable
	}
	return err
}

// Fetched is the result of [Agent.Fetch]. It is a plain value.
type Fetched struct {
	Network string   // "ok", "off", or "unreachable" if no peer and no router responded
	Polled  int      // contacts that were asked for messages
	Fresh   int      // suggestions that are new
	Refused int      // messages that were not accepted
	Reasons []string // of Refused, each once, for people; at most 4
	// contacts whose messages wait until the owner settles what their next keys are
	InDoubt  []pointer.Pointer
	Waiting  int    // messages of this home that their recipients have not fetched yet
	Requests int    // contact requests of this home that are stored again until they expire
	Lost     uint64 // messages to this home that can no longer arrive
	Problem  error  // why the fetch is incomplete; nil: it is complete
}

// Denial is a contact's signed statement that a key is not its own: see
// [Agent.Dispute]. It is a plain value.
type Denial struct {
	By    pointer.Pointer // the contact
	About pointer.Pointer // the key
}

// TakeDenials returns the denials that contacts sent since the last call, each once,
// whichever process fetched them. Also one that the owner did not ask for is among them.
func (a *Agent) TakeDenials() ([]Denial, error) {
	ex, err := a.exchange()
	if err != nil {
		return nil, err
	}
	received, err := ex.TakeDenials()
	var all []Denial
	for _, d := range received {
		all = append(all, Denial{d.By, d.About})
	}
	return all, err
}

// Fetch fetches the messages for this home, and sends those that wait here. With
// unknownSenders it also fetches contact requests once, whatever the configuration.
// Messages that arrive while the identity is locked are acknowledged later.
//
// If no contact has to be asked, or one could not be, Fetch asks whether the network is
// there, so that Network is true.
func (a *Agent) Fetch(ctx context.Context, unknownSenders bool) (Fetched, error) {
	ctx, cancel := context.WithTimeout(ctx, syncTimeout)
	defer cancel()
	out, err := a.fetch(ctx, unknownSenders)
	if err != nil || out.Network != "ok" || out.Polled > 0 && out.Problem == nil {
		return out, err
	}
	if err := a.reachable(ctx); err != nil {
		out.Network, out.Problem = "unreachable", errors.Join(out.Problem, err)
	}
	return out, nil
}

// reachable returns nil if a peer of the joined network or a joined router responds, and
// otherwise why not.
func (a *Agent) reachable(ctx context.Context) error {
	c, err := a.home.Config()
	if err != nil {
		return err
	}
	failed := a.tryRouters(ctx, c)
	if len(failed) < len(c.Routers) {
		return nil
	}
	if c.Network != "off" {
		node, err := a.network(ctx)
		if err == nil && node.Peers() > 0 {
			return nil
		}
		if err == nil {
			err = noPeers(c, node)
		}
		failed = append(failed, err)
	}
	return fmt.Errorf("%w: %w", dht.ErrUnreachable, errors.Join(failed...))
}

func (a *Agent) fetch(ctx context.Context, unknownSenders bool) (Fetched, error) {
	ctx, cancel := context.WithTimeout(ctx, syncTimeout)
	defer cancel()
	c, err := a.home.Config()
	if err != nil {
		return Fetched{}, err
	}
	if c.Network == "off" && len(c.Routers) == 0 {
		return Fetched{Network: "off"}, nil
	}
	ex, err := a.exchange()
	if err != nil {
		return Fetched{}, err
	}
	key, err := a.keyIfUnlocked()
	if err != nil {
		return Fetched{}, err
	}
	report, err := ex.Sync(ctx, key)
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return Fetched{}, err
	}
	if err := a.dropExpired(); err != nil {
		report.Errs = append(report.Errs, err)
	}
	if unknownSenders {
		if err := a.fetchRequests(ctx, ex, &report); err != nil {
			return Fetched{}, err
		}
	}
	out := Fetched{Network: "ok", Polled: report.Polled, Fresh: len(report.Fresh), Refused: len(report.Refused), Requests: report.Requests, Lost: report.Lost}
	for _, n := range report.Waiting {
		out.Waiting += n
	}
	out.InDoubt = report.InDoubt
	nameOf := func(p pointer.Pointer) name.Name {
		c, _ := a.book.ByPointer(p) // without a contact, it has no name
		return c.Name
	}
	for _, r := range report.Refused {
		a.log.Info("message refused", "by", r.By, "reason", r.Err)
		if errors.Is(r.Err, petname.ErrSenderInDoubt) && !slices.Contains(out.InDoubt, r.By) {
			out.InDoubt = append(out.InDoubt, r.By)
		}
		if reason := withNames(r.Err.Error(), nameOf); len(out.Reasons) < 4 && !slices.Contains(out.Reasons, reason) {
			out.Reasons = append(out.Reasons, reason)
		}
	}
	if out.Problem = errors.Join(slices.Concat(report.Errs, []error{err}, a.checkSealing())...); out.Problem != nil {
		a.log.Info("not all messages could be looked for", "error", out.Problem)
	}
	return out, nil
}

// pointerText matches a pointer in a message.
var pointerText = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`\bk[0-9a-z]{50,70}\b`) })

// withNames returns a message with the petnames of contacts in the place of their pointers.
// nameOf returns the petname for a pointer, or the zero Name.
func withNames(message string, nameOf func(pointer.Pointer) name.Name) string {
	return pointerText().ReplaceAllStringFunc(message, func(text string) string {
		p, err := pointer.Parse(text)
		if err != nil {
			return text
		}
		if n := nameOf(p); !n.IsZero() {
			return name.Quote(n.String())
		}
		return text
	})
}

// runMessages fetches messages every syncEvery, and answers the invitations that are
// under way, until the agent closes.
func (a *Agent) runMessages() {
	wake := make(chan struct{}, 1)
	a.wakes.Lock()
	a.wakeSync = wake
	a.wakes.Unlock()
	a.mu.Lock()
	running := a.running
	a.mu.Unlock()
	a.loops.Go(func() {
		step := time.NewTicker(stepEvery)
		soon := time.NewTimer(0) // at once, first
		defer step.Stop()
		defer soon.Stop()
		var fetched time.Time   // wall time: timers stand still while the machine sleeps
		var notBefore time.Time // of the next fetch that another peer causes
		fetchNow := func() {
			fetched = a.now()
			a.fetchQuietly(running)
			now := a.now()
			notBefore = now.Add(min(max(syncMinInterval, 4*now.Sub(fetched)), syncTimeout))
		}
		for {
			select {
			case <-step.C:
				if a.now().Sub(fetched).Abs() >= syncEvery {
					fetchNow()
				}
			case <-soon.C:
				fetchNow()
			case <-wake: // a message came, or an invitation was made
				soon.Reset(min(notBefore.Sub(a.now()), syncTimeout)) // less if the clock was set back
			case <-running.Done():
				return
			}
			if err := a.stepInvitations(running); err != nil && running.Err() == nil {
				a.log.Info("invitations", "error", err)
			}
		}
	})
}

func (a *Agent) fetchQuietly(ctx context.Context) {
	if _, err := a.fetch(ctx, false); err != nil && ctx.Err() == nil {
		a.log.Warn("messages", "error", err)
	}
}

// syncSoon makes an agent that runs fetch messages and step invitations at once.
func (s *state) syncSoon() {
	s.wakes.Lock()
	wake := s.wakeSync
	s.wakes.Unlock()
	select {
	case wake <- struct{}{}:
	default: // the agent does not run, or is about to fetch
	}
}

// nicknameOf returns the nickname in the newest record of a pointer that this
// home holds; "" for none. It is hostile text.
func (s *state) nicknameOf(p pointer.Pointer) string {
	r, _, err := s.held(p)
	if err != nil {
		return ""
	}
	card, _ := r.Card()
	return card.Nickname
}

// shownNickname returns what a contact calls itself: in its newest record, or
// else as it was first learnt. It is cleaned.
func (s *state) shownNickname(c petname.Contact) string {
	if nickname := name.Clean(s.nicknameOf(c.Pointer)); nickname != "" {
		return nickname
	}
	return name.Clean(c.Nickname)
}
