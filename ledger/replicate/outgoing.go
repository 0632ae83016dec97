package replicate

import (
	"bytes"
	"crypto/sha256"
	"slices"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/ledger/internal/bytestring"
	"github.com/petnames-go/petnames/pointer/canonical"
)

// message is a part of a round.
type message struct {
	_       struct{} `cbor:",toarray"`
	Version uint64
	Channel []byte
	Round   []byte
	Number  uint64
	Data    []byte
}

var messageBounds = canonical.Bounds{Size: maxMessage, Elements: 16, Pairs: 16}

// Outgoing returns the messages to send now, each of at most 8192 bytes and together at most
// 768 KiB: none while earlier ones are not acknowledged, and none if the peer has
// everything. Peer and messages are to be stored in one transaction.
func (p *Peer) Outgoing(l *ledger.Ledger) ([][]byte, error) {
	if err := p.check(l); err != nil {
		return nil, err
	}
	if len(p.s.Sending) > 0 {
		return nil, nil
	}
	heads := toHeads(l.Heads()) // before the entries are listed
	state := hashHeads(p.s.Stated, heads)
	ask, err := p.mustAsk(l, state)
	if err != nil {
		return nil, err
	}
	ask = ask || p.ask
	r, err := p.nextRound(l)
	if err != nil {
		return nil, err
	}
	offer := p.offerHash()
	if r.count == 0 && !ask && !p.s.Owed && bytes.Equal(offer, p.s.Offered) {
		return nil, nil
	}
	if ask {
		p.s.Asked, p.ask = state, false
	}
	first := hello{Kind: kindHello, Version: version, Heads: heads, Same: []byte{}, Ask: ask, Side: p.s.Offer}
	stream := append(appendItem(nil, first), r.stream...)
	p.s.Sending, p.s.SendingHeads, p.s.SendingAfter, p.s.SendingOffer = roundOf(stream), limit(r.last), limit(r.after), offer
	p.s.Owed = false
	p.Result.Sent += r.count
	return cut(channel(l.Book(), l.Device(), p.s.Device), p.s.Sending, stream), nil
}

// appendItem appends an item, which is of types that can be encoded, to a stream.
func appendItem(stream []byte, item any) []byte {
	return bytestring.Append(stream, canonical.MustMarshal(item))
}

// roundOf returns the identifier of the round with a stream.
func roundOf(stream []byte) []byte {
	h := sha256.Sum256(stream)
	return h[:roundIDSize]
}

// cut cuts the stream of a round into messages.
func cut(channel, round, stream []byte) (out [][]byte) {
	for data := range slices.Chunk(stream, maxData) {
		out = append(out, canonical.MustMarshal(message{Version: version, Channel: channel, Round: round, Number: uint64(len(out)), Data: data}))
	}
	return out
}

// mustAsk reports whether the peer must state its heads, or send what it has: once for each
// state of the two devices.
func (p *Peer) mustAsk(l *ledger.Ledger, state []byte) (bool, error) {
	if bytes.Equal(p.s.Asked, state) || p.s.Heard && !p.s.Settled {
		return false, nil
	}
	if !p.s.Heard {
		return true, nil
	}
	lacks, err := l.Lacks(fromHeads(p.s.Stated))
	return len(lacks) > 0, err
}

// hashHeads returns a hash of the heads of both devices.
func hashHeads(peer, own []head) []byte {
	h := sha256.Sum256(canonical.MustMarshal([][]head{peer, own}))
	return h[:]
}

// round is the entries of a round.
type round struct {
	count  int
	stream []byte        // of items
	last   []ledger.Head // of each log, the last one
	after  []ledger.Head // the known heads that the entries follow on
}

// nextRound returns what the peer lacks, as far as it is known and one round has.
func (p *Peer) nextRound(l *ledger.Ledger) (r round, err error) {
	known, last := newChains(fromHeads(p.s.Known)), chains{}
	next, size, total := entries{Kind: kindEntries, State: stateMore, Entries: [][]byte{}}, 0, 0
	state := uint64(stateLast)
	if !p.s.Heard && !p.assumed() {
		state = stateLimited
	}
	for e, err := range l.Missing(fromHeads(p.s.Known)) {
		if err != nil {
			return r, err
		}
		if state == stateLimited || total >= roundSize {
			state = stateLimited
			break
		}
		h, prev, err := l.Identify(e)
		if err != nil {
			return r, err
		}
		if before, found := known[prev]; found {
			r.after = append(r.after, before)
		}
		last.add(h, prev)
		next.Entries = append(next.Entries, e)
		r.count, total = r.count+1, total+len(e)
		if size += len(e); size >= groupSize {
			r.stream = appendItem(r.stream, next)
			next.Entries, size = [][]byte{}, 0
		}
	}
	next.State = state
	r.stream, r.last = appendItem(r.stream, next), last.heads()
	return r, nil
}

// Acknowledged states that the peer has processed all messages that Outgoing returned.
// Call it after Incoming of the messages that were received before or with the
// acknowledgement; in another order some entries are sent twice.
func (p *Peer) Acknowledged() {
	if len(p.s.Sending) == 0 {
		return
	}
	known := newChains(fromHeads(p.s.Known))
	for _, h := range p.s.SendingAfter {
		delete(known, h.Hash)
	}
	for _, h := range fromHeads(p.s.SendingHeads) {
		known[h.Hash] = h
	}
	p.s.Known, p.s.Offered = limit(known.heads()), p.s.SendingOffer
	p.s.Sending, p.s.SendingHeads, p.s.SendingAfter, p.s.SendingOffer = []byte{}, []head{}, []head{}, []byte{}
}

// limit returns heads for a list in a Peer. What is over its bound only costs entries that
// are sent twice.
func limit(heads []ledger.Head) []head { return toHeads(heads[:min(len(heads), maxKnown)]) }
