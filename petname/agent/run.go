package agent

import (
	"context"
	"errors"
	"time"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/dht/republish"
	"github.com/petnames-go/petnames/pointer"
)

// Run does everything that continues in the background, until ctx ends: it enters
// the network that was joined, under the home's own peer key, so that others reach
// this agent; fetches messages and answers invitations; republishes the owner's
// record, renews it while the identity can be unlocked, and republishes the
// records of the contacts that are kept. When it returns, nothing of that
// continues, and nothing listens; it can run again.
//
// Messages are fetched at the start, every 5 minutes, and at once when a sender
// reaches this agent itself, at addresses that [Draft.Addresses] published.
// [Agent.Fetch] fetches them at any time.
//
// Run returns nil when it ended with ctx or with Close, and the error of
// [Agent.Start] when it did not start: a ctx that had ended before is one.
func (a *Agent) Run(ctx context.Context) error {
	if err := a.Start(ctx); err != nil {
		return err
	}
	a.mu.Lock()
	running := a.running
	a.mu.Unlock()
	select {
	case <-ctx.Done():
	case <-running.Done():
	}
	a.starting.Lock()
	defer a.starting.Unlock()
	a.mu.Lock()
	ended := a.running != running
	a.mu.Unlock()
	if ended { // by another Run: the loops that run now are not of this one
		return nil
	}
	return a.halt()
}

// begin makes new contexts for loops and tasks, unless the present ones are in use.
func (s *state) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running != nil && s.running.Err() == nil {
		return
	}
	s.tasksContext, s.stopTasks = context.WithCancel(context.Background())
	s.running, s.stop = context.WithCancel(s.tasksContext)
}

// halt ends the loops that Start began, waits up to [finishTimeout] for the tasks, and
// leaves the network. Nothing listens then.
func (a *Agent) halt() error {
	a.mu.Lock()
	stopTasks := a.stopTasks
	a.stop() // from now on startTask starts nothing
	a.mu.Unlock()
	a.closeConns()
	a.loops.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), finishTimeout)
	defer cancel()
	cancelStop := context.AfterFunc(ctx, stopTasks)
	a.tasks.Wait()
	cancelStop()
	stopTasks()
	a.wakes.Lock()
	a.republisher, a.wakeSync = nil, nil
	a.wakes.Unlock()
	a.mu.Lock()
	defer a.mu.Unlock()
	err := a.closeUnlinkable()
	if a.node != nil {
		// A put returns when enough have confirmed; let the last of the closest
		// peers get the record as well. A client has waited already.
		if a.serving {
			_ = a.node.Wait(ctx)
		}
		a.rememberPeers()
		err = errors.Join(err, a.node.Close())
		a.node = nil
	}
	a.serving, a.own, a.messages = false, NodeConfig{}, nil
	return err
}

// startTask calls fn in a goroutine that halt waits for, and reports whether it
// does: after the call of stop it does not. The caller holds mu.
func (s *state) startTask(fn func()) bool {
	if s.running.Err() != nil {
		return false
	}
	s.tasks.Go(fn)
	return true
}

// Start begins what [Agent.Run] does, and returns when others can reach this
// agent. It ends with Close, or with a Run. The context bounds the start alone. A
// configuration that cannot be used fails, a network without peers does not: see
// [Status.Problem]. Start of an agent that runs does nothing; it fails with
// [ErrClosed] after Close.
func (a *Agent) Start(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	a.starting.Lock()
	defer a.starting.Unlock()
	a.mu.Lock()
	closed, serving := a.closed, a.serving
	a.mu.Unlock()
	if closed {
		return ErrClosed
	}
	if serving {
		return nil
	}
	a.begin()
	c, err := a.home.Config()
	if err != nil {
		return err
	}
	if a.transport != nil {
		key, err := a.home.PeerKey()
		if err != nil {
			return err
		}
		a.mu.Lock()
		a.own = NodeConfig{Key: key, File: a.home.NodeFile(), Ports: a.ports()}
		a.mu.Unlock()
		if _, err := a.reenter(ctx, c); err != nil {
			a.mu.Lock()
			a.own = NodeConfig{}
			a.mu.Unlock()
			return err
		}
	}
	a.mu.Lock()
	a.serving, a.began = true, a.now()
	a.mu.Unlock()
	a.serveMessages()
	a.runRepublisher()
	a.runMessages()
	a.runCards()
	a.runRememberPeers()
	a.runDevices()
	return nil
}

func (s *state) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

func (s *state) isServing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.serving
}

// Status is the state of an agent that runs. It is a plain value.
type Status struct {
	Peer    string   // ID of the node; empty: it has none
	Addrs   []string // multiaddrs of the node
	Network string   // as in config.toml
	Problem string   // why no peer is in the routing table; empty: some peer is, or none has to be
	Peers   int      // in the routing table
	Names   int      // in the book
	Holding Holding
	Uptime  time.Duration

	Republished int              // contacts with records that are republished
	Republisher republish.Status // zero: it does not run yet
	Put         *LastPut         // nil: none since the start

	// Superseded is a publication of the owner that no store received, and the record of another
	// copy of the home that is stored and renewed instead: the next publication decides. Nil: none.
	Superseded *SupersededError
}

// Status returns the state of an agent that runs. It fails with [ErrNotServing] if the
// agent was not started.
func (a *Agent) Status() (Status, error) {
	c, err := a.home.Config()
	if err != nil {
		return Status{}, err
	}
	names, err := a.book.Count()
	if err != nil {
		return Status{}, err
	}
	s := Status{Network: c.Network, Names: names, Addrs: []string{}}
	if k := a.runningRepublisher(); k != nil {
		s.Republisher = k.Status()
		for _, err := range a.book.Republished() { // the republisher may not have read the book yet
			if err != nil {
				return Status{}, err
			}
			s.Republished++
		}
	}
	if last, err := a.lastOwn(); err == nil { // else doctor reports it
		_ = errors.As(a.superseded(last), &s.Superseded)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.serving || a.node == nil && a.transport != nil {
		return Status{}, ErrNotServing
	}
	s.Uptime, s.Put = a.now().Sub(a.began), a.lastPut
	if a.node == nil {
		return s, nil
	}
	s.Peer, s.Addrs, s.Peers, s.Holding = a.node.ID(), a.node.Addrs(), a.node.Peers(), a.node.Status()
	if s.Peers == 0 && c.Network != "off" {
		s.Problem = noPeers(c, a.node).Error()
	}
	return s, nil
}

// LastPut is the result of the last put of the owner's record by an agent that runs.
// It is a plain value.
type LastPut struct {
	Sequence  uint64
	At        time.Time
	Receipt   dht.Receipt
	Confirmed *int      // peers that returned it, without those that acknowledged it first; nil: not counted yet
	Problem   error     // of the confirmation, or why there can be none
	Looked    time.Time // when they were counted; zero: not yet
}

// setLastPut sets [Status.Put] to the result of a publication. What it stored as
// widely as wanted is not republished for a while. An agent that serves looks for
// the record when the last copies are stored: what peers say of a put proves
// nothing.
func (s *state) setLastPut(record pointer.Record, receipt dht.Receipt, confirmed bool, err error) {
	if k := s.runningRepublisher(); k != nil && err == nil {
		k.OwnStored(record, receipt)
	}
	last := &LastPut{Sequence: record.Sequence(), At: s.now().UTC().Truncate(time.Second), Receipt: receipt}
	if confirmed {
		last.Confirmed, last.Looked = &receipt.Confirmed, last.At
	}
	s.mu.Lock()
	node, serving, running := s.node, s.serving, s.running
	if alone := node != nil && node.Peers() == 0; alone && receipt.Stored > 0 {
		// A router's word is all that there is: no peer was asked, and so none
		// failed to return it.
		last.Confirmed, last.Looked, last.Problem, confirmed = nil, time.Time{}, errRoutersOnly, true
	}
	s.lastPut = last
	defer s.mu.Unlock()
	if !serving || node == nil || confirmed || receipt.Stored == 0 {
		return
	}
	s.startTask(func() {
		ctx, cancel := context.WithTimeout(running, taskTimeout) // halt does not wait for the confirmation
		defer cancel()
		if node.Wait(ctx) != nil {
			return
		}
		n, err := node.Confirm(ctx, record.Pointer(), record.Bytes())
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.lastPut != last {
			return // another one was published meanwhile
		}
		done := *last
		done.Confirmed, done.Looked, done.Problem = &n, s.now().UTC().Truncate(time.Second), err
		s.lastPut = &done
	})
}
