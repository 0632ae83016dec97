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
// everything. Peer and messages are to be stored in one transaction. See [Peer.Further] for what
// is written while earlier messages are not acknowledged.
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

// Further returns a message with the entries that were written since the messages that are not
// acknowledged, which it follows. It has at most room bytes: what does not fit is for a later
// call, and [Peer.Unsent] counts it. Further returns nil if all messages are acknowledged, if
// there are no such entries, if none fits, and if it is not known what the peer has. Peer and
// message are to be stored in one transaction.
func (p *Peer) Further(l *ledger.Ledger, room int) ([]byte, error) {
	if err := p.check(l); err != nil {
		return nil, err
	}
	if len(p.s.Sending) == 0 || !p.known() {
		return nil, nil
	}
	first := hello{Kind: kindHello, Version: version, Heads: toHeads(l.Heads()), Same: []byte{}, Side: p.s.Offer}
	stream := appendItem(nil, first)
	r, err := p.roundWithin(l, min(room, maxMessage)-(maxMessage-maxData)-len(stream))
	if err != nil || r.count == 0 {
		return nil, err
	}
	stream = append(stream, r.stream...)
	p.s.Sending, p.s.SendingOffer = roundOf(stream), p.offerHash()
	p.s.Owed = false // if the peer asked meanwhile: its hello is what this round follows on
	p.addSending(r)
	p.Result.Sent += r.count
	return cut(channel(l.Book(), l.Device(), p.s.Device), p.s.Sending, stream)[0], nil
}

// Unsent returns the number of entries that the peer lacks, as far as is known, when it has
// received all messages that Outgoing and Further returned, or, if delivered is false, only those
// that it has acknowledged. While nothing is known of what the peer has, all entries count.
func (p *Peer) Unsent(l *ledger.Ledger, delivered bool) (n int, err error) {
	known := newChains(fromHeads(p.s.Known))
	if delivered {
		known = p.delivered()
	}
	for _, err := range l.Missing(known.heads()) {
		if err != nil {
			return 0, err
		}
		n++
	}
	return n, nil
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

// add counts an entry that follows on known heads. last has the last entries of the round.
func (r *round) add(l *ledger.Ledger, known, last chains, entry []byte) error {
	h, prev, err := l.Identify(entry)
	if err != nil {
		return err
	}
	if before, found := known[prev]; found {
		r.after = append(r.after, before)
	}
	last.add(h, prev)
	r.count++
	return nil
}

// nextRound returns what the peer lacks, as far as it is known and one round has.
func (p *Peer) nextRound(l *ledger.Ledger) (r round, err error) {
	known, last := newChains(fromHeads(p.s.Known)), chains{}
	next, size, total := entries{Kind: kindEntries, State: stateMore, Entries: [][]byte{}}, 0, 0
	state := uint64(stateLast)
	if !p.known() {
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
		if err := r.add(l, known, last, e); err != nil {
			return r, err
		}
		next.Entries = append(next.Entries, e)
		total += len(e)
		if size += len(e); size >= groupSize {
			r.stream = appendItem(r.stream, next)
			next.Entries, size = [][]byte{}, 0
		}
	}
	next.State = state
	r.stream, r.last = appendItem(r.stream, next), last.heads()
	return r, nil
}

// itemOverhead is the bound of the bytes of an item of at most maxMessage bytes beside its entries,
// and entryOverhead that of the head of one entry.
const (
	itemOverhead  = 3 + 1 + 1 + 1 + 3
	entryOverhead = 3
)

// roundWithin returns what the peer lacks when it has received all that was sent, in one item of at
// most size bytes.
func (p *Peer) roundWithin(l *ledger.Ledger, size int) (r round, err error) {
	known, last := p.delivered(), chains{}
	all := entries{Kind: kindEntries, State: stateLast, Entries: [][]byte{}}
	size -= itemOverhead
	for e, err := range l.Missing(known.heads()) {
		if err != nil {
			return r, err
		}
		if size -= entryOverhead + len(e); size < 0 {
			all.State = stateLimited
			break
		}
		if err := r.add(l, known, last, e); err != nil {
			return r, err
		}
		all.Entries = append(all.Entries, e)
	}
	r.stream, r.last = appendItem(nil, all), last.heads()
	return r, nil
}

// addSending adds a round to those that are not acknowledged.
func (p *Peer) addSending(r round) {
	heads, after := newChains(fromHeads(p.s.SendingHeads)), newChains(fromHeads(p.s.SendingAfter))
	for _, h := range r.after {
		delete(heads, h.Hash)
		after[h.Hash] = h // the peer may state it before it has the round
	}
	for _, h := range r.last {
		heads[h.Hash] = h
	}
	p.s.SendingHeads, p.s.SendingAfter = limit(heads.heads()), limit(after.heads())
}

// delivered returns what the peer has when it has received all that was sent to it.
func (p *Peer) delivered() chains {
	known := newChains(fromHeads(p.s.Known))
	for _, h := range p.s.SendingAfter {
		delete(known, h.Hash)
	}
	for _, h := range fromHeads(p.s.SendingHeads) {
		known[h.Hash] = h
	}
	return known
}

// Acknowledged states that the peer has processed all messages that Outgoing and Further returned.
// Call it after Incoming of the messages that were received before or with the
// acknowledgement; in another order some entries are sent twice.
func (p *Peer) Acknowledged() {
	if len(p.s.Sending) == 0 {
		return
	}
	p.s.Known, p.s.Offered = limit(p.delivered().heads()), p.s.SendingOffer
	p.s.Sending, p.s.SendingHeads, p.s.SendingAfter, p.s.SendingOffer = []byte{}, []head{}, []head{}, []byte{}
}

// limit returns heads for a list in a Peer. What is over its bound only costs entries that
// are sent twice.
func limit(heads []ledger.Head) []head { return toHeads(heads[:min(len(heads), maxKnown)]) }
