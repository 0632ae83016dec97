package exchange

import (
	"bytes"
	"context"
	"crypto"
	"encoding/binary"
	"errors"
	"fmt"
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
	maxQuiet    = 32 // contacts that never wrote, who are asked for each time, in turns
	maxParallel = 8  // channels at a time
)

var keyLast = []byte("last")

// Report is what a Sync did.
type Report struct {
	Polled   int                     // channels that were looked at, and my doorstep
	Fresh    []petname.Suggestion    // what is new in the inbox
	Refused  []Refusal               // what came and was not taken
	Waiting  map[pointer.Pointer]int // messages that are not acknowledged yet
	Lost     uint64                  // messages that can't come any more: see [drop.PollResult]
	Requests int                     // doors of strangers that I go on knocking at
	Mutual   []Mutual                // mutual introductions that went on, or ended
	Errs     []error                 // channels that couldn't be looked at, or written to
}

// Refusal is a message that was verified to be from a contact, or from a
// stranger, and not taken.
type Refusal struct {
	By  pointer.Pointer
	Err error
}

// Sync fetches what contacts left for me, puts it into the inbox, and brings on
// its way what is due. Without the key, nil, nothing can be sent or acknowledged:
// what came is in the inbox all the same, and is acknowledged another time.
//
// All with whom there ever was a message are looked at, and of the other
// contacts some, in turns. A network that fails is told in the report.
func (e *Exchange) Sync(ctx context.Context, key crypto.Signer) (Report, error) {
	report := Report{Waiting: make(map[pointer.Pointer]int)}
	if err := e.expireSessions(&report); err != nil {
		return report, err
	}
	parties, err := e.partiesToPoll()
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
			one := e.syncChannel(ctx, key, party)
			mu.Lock()
			defer mu.Unlock()
			report.add(one)
		})
	}
	if e.c.UnknownSenders != nil {
		if price, open := e.c.UnknownSenders(); open {
			wg.Go(func() {
				one, err := e.FetchRequests(ctx, price)
				if err != nil {
					one.Errs = append(one.Errs, err)
				}
				mu.Lock()
				defer mu.Unlock()
				report.add(one)
			})
		}
	}
	wg.Wait()
	taken, err := e.StepInvitations(ctx, key)
	report.Fresh = append(report.Fresh, taken...)
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

func (r *Report) add(o Report) {
	r.Polled += o.Polled
	r.Fresh = append(r.Fresh, o.Fresh...)
	r.Refused = append(r.Refused, o.Refused...)
	r.Lost += o.Lost
	r.Mutual = append(r.Mutual, o.Mutual...)
	r.Errs = append(r.Errs, o.Errs...)
	for to, n := range o.Waiting {
		r.Waiting[to] = n
	}
}

// parties are those whose channels are looked at this time.
func (e *Exchange) partiesToPoll() ([]pointer.Pointer, error) {
	var last []byte
	var with []pointer.Pointer
	err := e.view(func(local *ledger.View) error {
		row, err := local.Get(tableRotation, keyLast)
		if err != nil {
			return err
		}
		last = bytes.Clone(row)
		for row, err := range local.Scan(tableChannels, nil) {
			if err != nil {
				return err
			}
			to, err := pointer.FromBytes(row.Key)
			if err != nil {
				return fmt.Errorf("channel: %w", err)
			}
			with = append(with, to)
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
	var parties []pointer.Pointer
	known := make(map[pointer.Pointer]bool)
	look := func(at pointer.Pointer) {
		if known[at] {
			return
		}
		known[at] = true
		// Who was removed is neither heard nor told that anybody listens; should it
		// be added again, the channel goes on.
		if c, err := e.c.Book.ByPointer(at); err == nil && (!c.Name.IsZero() || c.Conflict != nil) {
			parties = append(parties, at)
		}
	}
	for _, to := range with {
		if to, err = e.followSuccession(to); err != nil {
			return nil, err
		}
		look(to)
	}
	for _, f := range former {
		look(f.party)
	}
	quiet, next, err := e.nextQuiet(string(last), known)
	if err != nil {
		return nil, err
	}
	if next != string(last) {
		err = e.putRow(tableRotation, keyLast, []byte(next))
	}
	return append(parties, quiet...), err
}

// quiet are contacts whose turn it is after the one with that key, around the
// book.
func (e *Exchange) nextQuiet(last string, known map[pointer.Pointer]bool) (found []pointer.Pointer, next string, err error) {
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
			if c.Conflict != nil || c.Duplicity || known[c.Pointer] {
				continue
			}
			known[c.Pointer] = true
			found = append(found, c.Pointer)
		}
		if round == 0 {
			last = ""
		}
	}
	return found, "", nil
}

// sync looks at one channel.
func (e *Exchange) syncChannel(ctx context.Context, key crypto.Signer, party pointer.Pointer) Report {
	defer e.lockChannel(party)()
	report := Report{Waiting: make(map[pointer.Pointer]int)}
	fail := func(err error) Report {
		report.Errs = append(report.Errs, err)
		return report
	}
	c, err := e.openChannel(ctx, key, party)
	if errors.Is(err, ErrNoSealing) || errors.Is(err, dht.ErrNotFound) && !e.hasChannel(party) {
		return report // there is no channel with it
	}
	if err != nil {
		return fail(err)
	}
	report.Polled++
	mail, err := e.poll(ctx, party, c, &report)
	if err != nil {
		return fail(err)
	}
	if !mail.Written.IsZero() { // it knows me
		if err := e.endAnsweredRequest(party); err != nil {
			return fail(err)
		}
	}
	if err := e.syncFormerChannels(ctx, party, &report); err != nil {
		return fail(err)
	}
	full, err := e.moveToChannel(party, c)
	if err != nil {
		return fail(err)
	}
	if full != nil {
		report.Errs = append(report.Errs, full)
	}
	known := c.Waiting() > 0 || len(mail.Messages) > 0 || !mail.Written.IsZero()
	if known || e.hasChannel(party) {
		if err := e.saveChannel(c); err != nil {
			return fail(err)
		}
	}
	if key != nil && c.Due(e.c.Now()) {
		if receipt, err := e.putRecord(ctx, c); err != nil && receipt.Stored == 0 {
			report.Errs = append(report.Errs, err)
		}
	}
	if n := c.Waiting(); n > 0 {
		report.Waiting[party] += n
	}
	return report
}

// receive takes what came on a channel.
func (e *Exchange) poll(ctx context.Context, party pointer.Pointer, c *channel, report *Report) (drop.PollResult, error) {
	mail, err := c.Poll(ctx, c.store, e.c.Now())
	if err != nil {
		report.Errs = append(report.Errs, err) // and yet some may have come
	}
	report.Lost += mail.Lost
	for _, m := range mail.Messages {
		stop, err := e.receiveOne(party, c, m, report)
		if err != nil {
			report.Refused = append(report.Refused, Refusal{party, err})
		}
		if stop {
			break
		}
	}
	return mail, nil
}

// receiveOne processes one message in one commit: what it changes in the book and
// in the tables, and that the channel has it, without which it is not
// acknowledged. stop reports that nothing has changed, and that the message and
// all after it stay for another time; an error, that it was not taken.
func (e *Exchange) receiveOne(party pointer.Pointer, c *channel, m drop.Message, report *Report) (stop bool, refused error) {
	e.sessions.Lock()
	defer e.sessions.Unlock()
	before := *c.Channel
	var one Report
	err := e.update(func(tx tx) error {
		if stop, refused = e.handle(tx, party, m, &one); stop {
			return refused
		}
		if err := c.Done(m); err != nil {
			return err
		}
		return c.rows.store(tx.local, c.Parts())
	})
	if err != nil {
		*c.Channel = before // as it is stored
		return true, err
	}
	report.add(one)
	return false, refused
}

func (e *Exchange) hasChannel(party pointer.Pointer) bool {
	head, _ := e.getRow(tableChannels, party.Bytes())
	return head != nil
}

// take processes one message: what it says is in the transaction when it returns.
// stop reports that the message stays where it is, and all after it, for another
// time, always with an error; an error alone, that it was not taken. The caller
// has p.sessions.
func (e *Exchange) handle(tx tx, by pointer.Pointer, m drop.Message, report *Report) (stop bool, err error) {
	msg, err := decodeMessage(m.Bytes)
	if err != nil {
		return false, err
	}
	switch msg.Kind {
	case kindStatement:
		return e.handleStatement(tx, by, msg.Body, report)
	case kindMutual:
		return e.handleMutual(tx, by, msg.Body, report)
	}
	return false, fmt.Errorf("message of kind %d, which this version doesn't know", msg.Kind)
}

// maxHeard is how many statements of one contact a day are written into the
// book: what is over it waits with who sent it.
const maxDailyStatements = 100

// heardToday is how many statements of a contact were written today.
func (e *Exchange) statementsToday(local *ledger.View, by pointer.Pointer) (day, n uint64, err error) {
	day = uint64(max(0, e.c.Now().Unix()) / (24 * 60 * 60))
	row, err := local.Get(tableStatementCounts, by.Bytes())
	if err == nil && len(row) == 16 && binary.BigEndian.Uint64(row) == day {
		n = binary.BigEndian.Uint64(row[8:])
	}
	return day, n, err
}

func (e *Exchange) handleStatement(tx tx, by pointer.Pointer, body []byte, report *Report) (bool, error) {
	day, n, err := e.statementsToday(tx.local, by)
	if err != nil {
		return true, err
	}
	if n >= maxDailyStatements {
		return true, fmt.Errorf("%d statements of %s were taken today: the rest waits with who sent it", n, by)
	}
	signed, err := introduce.Open(body)
	if err != nil {
		return false, err
	}
	id, fresh, err := tx.book.Receive(signed, "drop")
	if fresh { // with a refusal, too: the introduction is in the inbox
		row := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, day), n+1)
		if err := tx.local.Put(tableStatementCounts, by.Bytes(), row); err != nil {
			return true, err
		}
	}
	switch {
	case errors.Is(err, petname.ErrInboxFull):
		return true, fmt.Errorf("%w: it waits with who sent it", err)
	case err == nil && fresh && id != (petname.SuggestionID{}):
		err := tx.addFresh(id, report)
		return err != nil, err
	case err == nil, isRefusal(err):
		return false, err
	}
	return true, err // the disk, say: it comes again
}

// refusal tells what will never be taken from what may be another time.
func isRefusal(err error) bool {
	for _, never := range []error{introduce.ErrInvalid, mutual.ErrInvalid, mutual.ErrOtherSession, petname.ErrWrongRecipient, petname.ErrUnknownSender, petname.ErrMuted, petname.ErrOwnPointer, petname.ErrDecided} {
		if errors.Is(err, never) {
			return true
		}
	}
	return errors.As(err, new(*introduce.ExpiredError)) || errors.As(err, new(*petname.ConflictError)) || errors.As(err, new(*petname.DuplicityError))
}
