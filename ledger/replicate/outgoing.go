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
	heads := l.Heads() // before the entries are listed
	ask, err := p.mustAsk(l)
	if err != nil {
		return nil, err
	}
	list, sent, state, err := p.lacking(l)
	if err != nil {
		return nil, err
	}
	offer := p.offerHash()
	if len(list) == 0 && !ask && !p.s.Owed && bytes.Equal(offer, p.s.Offered) {
		return nil, nil
	}
	stream := appendItem(nil, hello{Kind: kindHello, Version: version, Heads: toHeads(heads), Same: []byte{}, Seen: p.s.Seen, Ask: ask, Side: p.s.Offer})
	next, size := entries{Kind: kindEntries, State: stateMore, Entries: [][]byte{}}, 0
	for _, e := range list {
		next.Entries = append(next.Entries, e)
		if size += len(e); size >= groupSize {
			stream = appendItem(stream, next)
			next.Entries, size = [][]byte{}, 0
		}
	}
	next.State = state
	stream = appendItem(stream, next)
	round := roundOf(stream)
	p.s.Sending, p.s.SendingHeads, p.s.SendingOffer = round, limit(sent.heads()), offer
	p.s.Owed = false
	p.Result.Sent += len(list)
	if ask {
		p.s.Asked = hashHeads(p.s.Stated)
	}
	return cut(channel(l.Book(), l.Device(), p.s.Device), round, stream), nil
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
// state of the peer that is known.
func (p *Peer) mustAsk(l *ledger.Ledger) (bool, error) {
	if bytes.Equal(p.s.Asked, hashHeads(p.s.Stated)) {
		return false, nil
	}
	if !p.s.Heard || !p.s.Settled {
		return !p.s.Heard, nil // what it lacks, or has, is not known yet
	}
	lacks, err := l.Lacks(fromHeads(p.s.Stated))
	return len(lacks) > 0, err
}

// lacking returns the entries of the next round, and what the peer has after them.
func (p *Peer) lacking(l *ledger.Ledger) (list [][]byte, sent chains, state uint64, err error) {
	sent = newChains(fromHeads(p.s.Known))
	if !p.s.Heard {
		return nil, sent, stateLimited, nil
	}
	size := 0
	for e, err := range l.Missing(fromHeads(p.s.Known)) {
		if err != nil {
			return nil, nil, 0, err
		}
		if size >= roundSize {
			return list, sent, stateLimited, nil
		}
		h, prev, err := l.Identify(e)
		if err != nil {
			return nil, nil, 0, err
		}
		sent.add(h, prev)
		list, size = append(list, e), size+len(e)
	}
	return list, sent, stateLast, nil
}

// Acknowledged states that the peer has processed all messages that Outgoing returned.
// Call it after Incoming of the messages that were received before or with the
// acknowledgement; in another order some entries are sent twice.
func (p *Peer) Acknowledged() {
	if len(p.s.Sending) == 0 {
		return
	}
	known := newChains(fromHeads(p.s.Known))
	for _, h := range fromHeads(p.s.SendingHeads) {
		known[h.Hash] = h
	}
	p.s.Known, p.s.Offered = limit(known.heads()), p.s.SendingOffer
	p.s.Sending, p.s.SendingHeads, p.s.SendingOffer = []byte{}, []head{}, []byte{}
}

// limit returns heads for a list in a Peer. What is over its bound only costs entries that
// are sent twice.
func limit(heads []ledger.Head) []head { return toHeads(heads[:min(len(heads), maxKnown)]) }
