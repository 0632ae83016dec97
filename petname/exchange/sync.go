package exchange

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/dht/drop"
	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/introduce"
	"github.com/petnames-go/petnames/petname/mutual"
	"github.com/petnames-go/petnames/pointer"
)

// Bounds of one Sync.
const (
	maxQuiet    = 32 // contacts without a channel that one Sync polls, in rotation
	maxParallel = 8  // channels at a time
)

var keyLast = []byte("last")

// Report is the result of a Sync.
type Report struct {
	Polled   int                     // contacts that were polled, and 1 for the request mailbox
	Fresh    []petname.Suggestion    // suggestions that are new in the inbox
	InDoubt  []pointer.Pointer       // contacts that were not polled, since their next keys contradict each other
	Refused  []Refusal               // messages that were received and not accepted
	Waiting  map[pointer.Pointer]int // sent messages that are not acknowledged, by recipient
	Lost     uint64                  // messages that can no longer be received: see [drop.PollResult]; not counted in a book of several devices, where another one may have received them
	Requests int                     // contact requests of the owner that are sent again
	Mutual   []Mutual                // mutual introductions that changed
	Errs     []error                 // errors of single channels, sessions and requests: the others were processed

	acknowledgements []*channel // with due records that putDue has left
}

// Refusal is a message of a verified sender that was not accepted. It is delivered again if
// the reason is temporary, such as [petname.ErrInboxFull].
type Refusal struct {
	By  pointer.Pointer
	Err error
}

// Sync receives the messages of contacts, puts them into the inbox, and sends all messages
// that are due. With a nil key it signs nothing: received messages are in the inbox, and a
// later Sync with the key acknowledges them and sends.
//
// It polls every contact that a message was exchanged with, and a part of the other contacts,
// in rotation. Errors of the network are in the report.
func (e *Exchange) Sync(ctx context.Context, key crypto.Signer) (Report, error) {
	report := Report{Waiting: make(map[pointer.Pointer]int)}
	if _, err := e.role(); err != nil {
		return report, err
	}
	e.syncs.Add(1)
	if err := e.expireSessions(&report); err != nil {
		return report, err
	}
	if err := e.leaveAnswered(&report); err != nil {
		return report, err
	}
	if err := e.receiveRelayed(&report); err != nil {
		return report, err
	}
	parties, err := e.partiesToPoll(&report)
	if err != nil {
		return report, err
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	slots := make(chan struct{}, maxParallel)
	for _, party := range parties {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			partial := e.syncChannel(ctx, key, party)
			mu.Lock()
			defer mu.Unlock()
			report.add(partial)
		})
	}
	if e.c.UnknownSenders != nil {
		if difficulty, open := e.c.UnknownSenders(); open {
			wg.Go(func() {
				partial, err := e.FetchRequests(ctx, difficulty)
				if err != nil {
					partial.Errs = append(partial.Errs, err)
				}
				mu.Lock()
				defer mu.Unlock()
				report.add(partial)
			})
		}
	}
	wg.Wait()
	e.putAcknowledgements(ctx, &report)
	if err := e.receiveRelayed(&report); err != nil {
		return report, err
	}
	accepted, err := e.StepInvitations(ctx, key)
	report.Fresh = append(report.Fresh, accepted...)
	if err != nil {
		report.Errs = append(report.Errs, err)
	}
	if err := e.concludeSessions(&report); err != nil {
		return report, err
	}
	if key != nil {
		if err := e.authenticateSessions(key, &report); err != nil {
			return report, err
		}
		if err := e.shareChanges(ctx, key, &report); err != nil {
			return report, err
		}
		e.flushAllOutboxes(ctx, key, &report)
	}
	if err := e.resendRequests(ctx); err != nil {
		report.Errs = append(report.Errs, err)
	}
	if report.Requests, err = e.countRows(tableRequests); err != nil {
		return report, err
	}
	return report, ctx.Err()
}

// refuse adds the reason why a message was not accepted: to Refused, or to Errs if it is
// that this home could not store it. A nil err adds nothing.
func (r *Report) refuse(by pointer.Pointer, err error) {
	switch {
	case err == nil:
	case errors.Is(err, ledger.ErrNotWritten), errors.Is(err, ledger.ErrUnsure), errors.Is(err, ledger.ErrReadOnly), errors.As(err, new(*ledger.DamagedError)), errors.Is(err, ledger.ErrFork), errors.As(err, new(*ledger.RemovedError)):
		r.Errs = append(r.Errs, fmt.Errorf("a message could not be stored, and stays with its sender: %w", err))
	default:
		r.Refused = append(r.Refused, Refusal{by, err})
	}
}

// add adds the results of a part of the Sync.
func (r *Report) add(o Report) {
	r.Polled += o.Polled
	r.Fresh = append(r.Fresh, o.Fresh...)
	r.InDoubt = append(r.InDoubt, o.InDoubt...)
	r.Refused = append(r.Refused, o.Refused...)
	r.Lost += o.Lost
	r.Mutual = append(r.Mutual, o.Mutual...)
	r.Errs = append(r.Errs, o.Errs...)
	r.acknowledgements = append(r.acknowledgements, o.acknowledgements...)
	for to, n := range o.Waiting {
		r.Waiting[to] = n
	}
}

// partiesToPoll returns the parties that this Sync polls.
func (e *Exchange) partiesToPoll(report *Report) ([]pointer.Pointer, error) {
	var lastKey []byte
	var channelParties []pointer.Pointer
	err := e.view(func(local *ledger.View) error {
		row, err := local.Get(tableRotation, keyLast)
		if err != nil {
			return err
		}
		lastKey = bytes.Clone(row)
		for row, err := range local.Scan(tableChannels, nil) {
			if err != nil {
				return err
			}
			to, err := pointer.FromBytes(row.Key)
			if err != nil {
				return fmt.Errorf("channel: %w", err)
			}
			channelParties = append(channelParties, to)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	former, err := e.formerChannels()
	if err != nil {
		return nil, err
	}
	read, err := e.incomingRows(nil)
	if err != nil {
		return nil, err
	}
	for _, in := range read {
		if !slices.Contains(channelParties, in.party) {
			channelParties = append(channelParties, in.party)
		}
	}
	var parties []pointer.Pointer
	seen := make(map[pointer.Pointer]bool)
	add := func(party pointer.Pointer) {
		if seen[party] {
			return
		}
		seen[party] = true
		// A removed contact is neither read nor acknowledged. If it is added again, its
		// channel continues.
		if e.isContact(party) {
			parties = append(parties, party)
		}
	}
	for _, to := range channelParties {
		if to, err = e.followSuccession(to); err != nil {
			return nil, err
		}
		add(to)
	}
	for _, f := range former {
		if f.party, err = e.followSuccession(f.party); err != nil {
			return nil, err
		}
		add(f.party)
	}
	quiet, next, err := e.nextQuiet(string(lastKey), seen, report)
	if err != nil {
		return nil, err
	}
	if next != string(lastKey) {
		err = e.putRow(tableRotation, keyLast, []byte(next))
	}
	return append(parties, quiet...), err
}

// nextQuiet returns up to maxQuiet contacts that are not in seen, in the order of their names
// after the key last, and adds them to seen. After the last contact of the book it continues
// at the first. next is the key to continue after.
func (e *Exchange) nextQuiet(last string, seen map[pointer.Pointer]bool, report *Report) (found []pointer.Pointer, next string, err error) {
	next = last
	for round := range 2 {
		for c, err := range e.c.Book.ContactsAfter(last) {
			if err != nil {
				return nil, "", err
			}
			if len(found) == maxQuiet {
				return found, next, nil
			}
			next = c.Name.Key()
			if c.Conflict != nil || seen[c.Pointer] {
				continue
			}
			seen[c.Pointer] = true
			if len(c.Contradictions) > 0 {
				report.InDoubt = append(report.InDoubt, c.Pointer)
				continue
			}
			found = append(found, c.Pointer)
		}
		if round == 0 {
			last = ""
		}
	}
	return found, "", nil
}

// syncChannel polls the channel of a party, and sends what is due on it.
func (e *Exchange) syncChannel(ctx context.Context, key crypto.Signer, party pointer.Pointer) Report {
	report := Report{Waiting: make(map[pointer.Pointer]int)}
	opened := false
	err := e.withChannel(ctx, key, party, func(at pointer.Pointer, c *channel) error {
		opened = true
		return e.syncOpened(ctx, key, at, c, &report)
	})
	switch {
	case err == nil:
		return report
	case opened:
	case errors.Is(err, ErrNoSealing), errors.Is(err, dht.ErrNotFound) && !e.hasChannel(party):
		return report // the party has no sealing key, or neither a card nor a channel yet
	case errors.As(err, new(*petname.DuplicityError)), errors.As(err, new(*petname.ContradictionError)):
		report.InDoubt = append(report.InDoubt, party)
	}
	if !opened {
		n, countErr := e.countQueued(tableQueue, party)
		if n > 0 {
			report.Waiting[party] += n
		}
		err = errors.Join(err, countErr)
	}
	report.Errs = append(report.Errs, err)
	return report
}

// syncOpened polls an open channel, and sends what is due on it.
func (e *Exchange) syncOpened(ctx context.Context, key crypto.Signer, party pointer.Pointer, c *channel, report *Report) error {
	report.Polled++
	polled, err := e.pollOwn(ctx, party, c, report)
	if err != nil {
		return err
	}
	received := !polled.Written.IsZero()
	others, err := e.channelsToRead(party, c)
	if err != nil {
		return err
	}
	for _, in := range others {
		is, err := e.syncIncoming(ctx, key, in, c, report)
		if err != nil {
			report.Errs = append(report.Errs, err) // the other channels are read
		}
		received = received || is
	}
	if received { // a record of the party was received: it has the owner in its book
		if err := e.endAnsweredRequest(party); err != nil {
			return err
		}
	}
	if err := e.syncFormerChannels(ctx, party, report); err != nil {
		return err
	}
	queueErr, err := e.moveToChannel(party, c)
	if err != nil {
		return err
	}
	if queueErr != nil {
		report.Errs = append(report.Errs, queueErr)
	}
	used := c.Waiting() > 0 || len(polled.Messages) > 0 || !polled.Written.IsZero()
	if used || e.hasChannel(party) {
		if err := e.saveChannel(c); err != nil {
			return err
		}
	}
	e.putDue(ctx, key, c, report)
	if n := c.Waiting(); n > 0 {
		report.Waiting[party] += n
	}
	return nil
}

// poll receives the messages of a channel.
func (e *Exchange) poll(ctx context.Context, party pointer.Pointer, c *channel, report *Report) (drop.PollResult, error) {
	polled, err := c.Poll(ctx, c.store, e.c.Now())
	if err != nil {
		report.Errs = append(report.Errs, err) // some messages may be there nevertheless
	}
	if len(c.role.own) <= 1 { // else another device may have received them
		report.Lost += polled.Lost
	}
	for _, m := range polled.Messages {
		stop, err := e.receiveOne(party, c, m, report)
		report.refuse(party, err)
		if stop {
			break
		}
	}
	return polled, nil
}

// receiveOne processes a message in one transaction: its changes of the book and of the
// tables, and the state of the channel, by which it is acknowledged. stop reports that nothing
// has changed, and that this message and those after it are delivered again. An error is the
// reason why the message was not accepted.
func (e *Exchange) receiveOne(party pointer.Pointer, c *channel, m drop.Message, report *Report) (stop bool, refused error) {
	e.sessionLock.Lock()
	defer e.sessionLock.Unlock()
	var messageReport Report
	err := e.updateChannel(c, func(tx tx) error {
		if stop, refused = e.handle(tx, party, m, &messageReport); stop {
			return refused
		}
		return c.Done(m)
	})
	if err != nil {
		return true, err
	}
	report.add(messageReport)
	return false, refused
}

// hasChannel reports whether a channel with the party is stored.
func (e *Exchange) hasChannel(party pointer.Pointer) bool {
	head, _ := e.getRow(tableChannels, party.Bytes())
	return head != nil
}

// handle applies a message to the transaction. stop reports that the message and those after
// it are to be delivered again, always with an error. An error without stop is a refusal. The
// caller holds e.sessionLock.
func (e *Exchange) handle(tx tx, by pointer.Pointer, m drop.Message, report *Report) (stop bool, err error) {
	msg, err := decodeMessage(m.Bytes)
	if err != nil {
		return false, err
	}
	if msg.Kind != kindStatement && msg.Kind != kindMutual {
		return false, fmt.Errorf("message of unknown kind %d", msg.Kind)
	}
	trail, err := trailIn(tx.book, by)
	if err != nil {
		return true, err
	}
	day, n, err := e.messagesToday(tx.local, trail[0])
	if err != nil {
		return true, err
	}
	if n >= maxDailyMessages {
		return true, fmt.Errorf("%d messages of %s were accepted today: the rest stays with its sender", n, by)
	}
	counts := false
	if msg.Kind == kindStatement {
		counts, stop, err = e.handleStatement(tx, by, msg.Body, report)
	} else {
		stop, err = e.handleMutual(tx, by, msg.Body, report)
		counts = err == nil
	}
	if !counts || stop {
		return stop, err
	}
	if err := countMessage(tx.local, trail[0], day, n+1); err != nil {
		return true, err
	}
	return stop, err
}

// handleStatement processes a signed statement: see handle. isNew reports that it was
// written to the book.
func (e *Exchange) handleStatement(tx tx, by pointer.Pointer, body []byte, report *Report) (isNew, stop bool, err error) {
	signed, err := introduce.Open(body)
	if err != nil {
		return false, false, err
	}
	id, isNew, err := tx.book.Receive(signed, "drop") // new also with a refusal: the introduction is in the inbox
	if _, is := signed.Denial(); is && isNew && err == nil {
		hash := introduce.Hash(signed.Bytes())
		if err := tx.local.Put(tableDenials, hash[:], signed.Bytes()); err != nil {
			return isNew, true, err
		}
	}
	switch {
	case errors.Is(err, petname.ErrInboxFull):
		return isNew, true, fmt.Errorf("%w: the message stays with its sender", err)
	case err == nil && isNew && id != (petname.SuggestionID{}):
		err := tx.addFresh(id, report)
		return isNew, err != nil, err
	case err == nil, isRefusal(err):
		return isNew, false, err
	}
	return isNew, true, err // for example of the disk: the message is delivered again
}

// isRefusal reports whether err is final: the message would be refused again.
func isRefusal(err error) bool {
	if errors.Is(err, petname.ErrSenderInDoubt) {
		return false // until the owner has settled it
	}
	for _, final := range []error{introduce.ErrInvalid, mutual.ErrInvalid, mutual.ErrOtherSession, petname.ErrWrongRecipient, petname.ErrUnknownSender, petname.ErrMuted, petname.ErrOwnPointer, petname.ErrDecided} {
		if errors.Is(err, final) {
			return true
		}
	}
	return errors.As(err, new(*introduce.ExpiredError)) || errors.As(err, new(*petname.ConflictError)) || errors.As(err, new(*petname.DuplicityError)) ||
		errors.As(err, new(*petname.ContradictionError))
}
