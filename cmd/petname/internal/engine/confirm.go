package engine

import (
	"context"
	"time"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/pointer"
)

// LastPut is what became of the last record of mine that the node stored.
type LastPut struct {
	Sequence  uint64     `json:"sequence"`
	At        time.Time  `json:"at"`
	Asked     int        `json:"asked"`
	Stored    int        `json:"stored"`    // said so
	Confirmed *int       `json:"confirmed"` // gave it back, of others than those who said so first; null: not looked yet
	Doubt     string     `json:"doubt,omitempty"`
	Problem   string     `json:"problem,omitempty"` // of confirming, or why that can't be
	Looked    *time.Time `json:"looked"`
}

// notePut keeps what a publication came to, for node status. What it stored as
// widely as wanted needs no keeper for a while. In a node it goes on when the last
// copies are out: then the record is looked for, since what peers say of a put
// proves nothing.
func (e *Engine) notePut(record pointer.Record, receipt dht.Receipt, confirmed bool, err error) {
	if k := e.theKeeper(); k != nil && err == nil {
		k.Stored(record, receipt)
	}
	last := &LastPut{Sequence: record.Sequence(), At: time.Now().UTC().Truncate(time.Second),
		Asked: receipt.Asked, Stored: receipt.Stored, Doubt: receipt.Doubt()}
	if confirmed {
		last.Confirmed, last.Looked = &receipt.Confirmed, &last.At
	}
	e.mu.Lock()
	network, serving := e.network, e.serving
	if alone := network != nil && network.Peers() == 0; alone && receipt.Stored > 0 {
		// A router's word is all that there is: nobody was asked, and so nobody
		// failed to give it back.
		last.Confirmed, last.Looked, last.Problem, confirmed = nil, nil, "only routers have it, and what they did with it can't be seen", true
	}
	e.lastPut = last
	e.mu.Unlock()
	if !serving || network == nil || confirmed || receipt.Stored == 0 {
		return
	}
	e.tail.Go(func() {
		ctx, cancel := context.WithTimeout(e.running, tailTimeout) // a stop waits for no look
		defer cancel()
		if network.Wait(ctx) != nil {
			return
		}
		n, err := network.Confirm(ctx, record.Pointer(), record.Bytes())
		now := time.Now().UTC().Truncate(time.Second)
		e.mu.Lock()
		defer e.mu.Unlock()
		if e.lastPut != last {
			return // another one was published meanwhile
		}
		done := *last
		if done.Confirmed, done.Looked = &n, &now; err != nil {
			done.Problem = plainer(err).Error()
		}
		e.lastPut = &done
	})
}
