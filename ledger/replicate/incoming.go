package replicate

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/ledger/internal/bytestring"
	"github.com/petnames-go/petnames/pointer/canonical"
)

// Incoming processes a message of the peer, and merges what is complete. A message with an
// error of its own is processed, and is to be acknowledged like any other: see
// [IsRefused]. After an error of the ledger the Peer is unchanged, and the message is to be
// processed again. One that was processed before changes nothing.
func (p *Peer) Incoming(l *ledger.Ledger, b []byte) error {
	err := p.check(l)
	if err != nil {
		return err
	}
	before := p.s
	if err = p.incoming(l, b); err == nil {
		return nil
	}
	if !IsRefused(err) {
		p.s = before
	}
	return fmt.Errorf("sync with %v: %w", ledger.DeviceID(p.s.Device), err)
}

// IsRefused reports whether an error is of the peer, and not of this device or the
// connection: the same bytes lead to the same error again.
func IsRefused(err error) bool {
	return errors.Is(err, errProtocol) || errors.Is(err, ErrNewer) || errors.Is(err, ErrNotAdmitted) || errors.Is(err, ErrSelf)
}

func (p *Peer) incoming(l *ledger.Ledger, b []byte) error {
	if len(b) > 1 && isNewer(b[1]) {
		return ErrNewer
	}
	var m message
	if err := canonical.Unmarshal(b, &m, messageBounds); err != nil {
		return broken("a message that %w", err)
	}
	if m.Number >= maxRound {
		return broken("a round of over %d messages", maxRound)
	}
	if m.Version != version || len(m.Round) != roundIDSize || !bytes.Equal(m.Channel, channel(l.Book(), p.s.Device, l.Device())) {
		return broken("a message of another book, or between other devices")
	}
	current := bytes.Equal(m.Round, p.s.Round)
	switch {
	case current && m.Number < p.s.Next:
		return nil
	case m.Number == 0:
		p.s.Round, p.s.Next, p.s.Begun, p.s.Stream, p.s.Skipped = m.Round, 0, false, []byte{}, []byte{}
	case bytes.Equal(m.Round, p.s.Skipped):
		return nil
	case !current || m.Number > p.s.Next:
		p.skip(m.Round)
		p.s.Heard, p.s.Asked = false, []byte{} // the peer is asked for another round
		return fmt.Errorf("message %d of a round: %w", m.Number, ErrMissing)
	}
	p.s.Next++
	p.s.Stream = append(p.s.Stream, m.Data...)
	err := p.processItems(l)
	if IsRefused(err) {
		p.skip(m.Round)
	}
	return err
}

// skip passes over the rest of a round.
func (p *Peer) skip(round []byte) {
	p.s.Round, p.s.Next, p.s.Begun, p.s.Stream, p.s.Skipped = []byte{}, 0, false, []byte{}, round
}

// processItems processes the complete items of the stream. It merges what comes before an
// error.
func (p *Peer) processItems(l *ledger.Ledger) error {
	var list [][]byte
	rest, over := p.s.Stream, false
	var failed error
	for !over && failed == nil {
		item, after, err := bytestring.Cut(rest, maxItem)
		if errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		rest = after
		switch {
		case err != nil:
			failed = broken("%w, or one over %d bytes", err, maxItem)
		case !p.s.Begun:
			failed = p.processHello(item)
		default:
			var e entries
			e, failed = parseEntries(item)
			list = append(list, e.Entries...)
			if over = failed == nil && e.State != stateMore; over {
				p.s.Settled = e.State == stateLast
			}
		}
	}
	if len(list) > 0 {
		added, waiting, reported, err := ledgerStore{Ledger: l}.merge(list)
		if err != nil {
			return err
		}
		p.Result.Received += added
		p.Result.Waiting += waiting
		p.Result.Reported = cmp.Or(p.Result.Reported, reported)
	}
	switch {
	case failed != nil:
		return failed
	case over && len(rest) > 0:
		return broken("a round with bytes after its end")
	case over:
		p.s.Round, p.s.Next, p.s.Begun, p.s.Stream = []byte{}, 0, false, []byte{}
	default:
		p.s.Stream = append([]byte{}, rest...)
	}
	return nil
}

// processHello processes the first item of a round. What the peer states replaces what was
// known of it, since it may have returned to an earlier state. If the peer asks, it gets all
// that it lacks by this hello, even if some of it is on its way: what it received may have
// built on entries that it has lost.
func (p *Peer) processHello(item []byte) error {
	h, err := parseHello(item)
	if err != nil {
		return err
	}
	p.s.Begun, p.s.Heard, p.s.Settled, p.s.Owed = true, true, false, p.s.Owed || h.Ask
	p.s.Known, p.s.Stated, p.s.Side = h.Heads, h.Heads, h.Side
	if h.Ask {
		p.s.SendingHeads, p.s.SendingAfter = []head{}, []head{}
	}
	p.Result.Side = h.Side
	return nil
}
