package exchange

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/petnames-go/petnames/dht/drop"
	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/pointer"
)

// The device-local tables (package ledger): their names are stored, and do not change. The
// comments are key → value. Pointers are multihashes, which contain their length, so that none
// is a prefix of another.
const (
	tableChannels      = "channels"   // pointer of the party → head of the channel's state
	tableQueue         = "queue"      // pointer of the party ‖ number (8 bytes) → message of the channel
	tableRotation      = "turns"      // keyLast → comparison key of the quiet contact that was polled last
	tableIntroductions = "said"       // time (8 bytes) ‖ id of an introduction by the owner → the statement
	tableInvitations   = "offers"     // id → state of an invitation that is pending
	tableUsedCodes     = "burnt"      // mark of a used code → time until which it is refused, RFC 3339
	tableCodes         = "codes"      // id of an invitation ‖ "/code" → time until which it is of use (8 bytes, ms since 1970) ‖ state of its code
	tableAcceptedCodes = "entered"    // public half of a code that the owner entered → likewise ‖ state
	tableKnown         = "known"      // pointer → wireKnown
	tableInvitees      = "invited"    // pointer of the introducer ‖ session → inviteeState
	tableIntroducers   = "started"    // session → state of a mutual.Introducer
	tableOutbox        = "outbox"     // pointer of the recipient ‖ number (8 bytes) → message that is not in its channel yet
	tableShared        = "shared"     // id of the contact → sharedState
	tableRequests      = "knocks"     // pointer of the recipient → wireRequest
	tableDenials       = "denials"    // hash of a denial that the owner was not notified of yet → the statement
	tableAdmissions    = "admissions" // id of an invitation that admits a device → wireAdmission
	tableNewcomers     = "newcomers"  // device that waits for its book → wireNewcomer
	tableMessageCounts = "heard"      // id of a contact → day since 1970 (8 bytes) ‖ messages of that day (8 bytes)

	// The channels of devices that join, of either side.
	tableDeviceChannels = "device channels" // device, or the identity → head of the channel's state
	tableDeviceQueue    = "device queue"    // the same ‖ number (8 bytes) → message of the channel
	tableJoining        = "joining"         // keyInviter → wireInviter; "chunk" ‖ index (8 bytes) → part of what is handed over

	// The channels between the devices of the book.
	tableSyncChannels = "sync channels" // device → head of the channel's state
	tableSyncQueue    = "sync queue"    // device ‖ number (8 bytes) → message of the channel
	tableSyncPeers    = "sync peers"    // device → state of the exchange of entries

	tableIncoming   = "incoming"      // party ‖ tag of its device (8 bytes; zeros: the first one) ‖ pointer of the owner → time until which it is read (8 bytes, ms since 1970; zeros: it is current) ‖ head of the channel's state
	tableHandled    = "handled"       // id of a relayed message that a session of this device has handled → empty
	tableRecipients = "recipients"    // pointer of the party, or key of a row of tableOutbox → id of the contact that the messages are for
	tableLeft       = "left channels" // pointer that a contact has left → head of the channel with it, without messages

	// The channels of earlier keys of the owner.
	tableFormer      = "former"       // party ‖ earlier pointer of the owner → time until which it is polled (8 bytes, ms since 1970) ‖ head
	tableFormerQueue = "former queue" // the same ‖ number (8 bytes) → message
)

// tx is a transaction over the book and the tables. Functions that run in one acquire no lock
// of Exchange.
type tx struct {
	book  *petname.Book
	local *ledger.View
}

// update runs fn in one durable transaction. After an error nothing has changed.
func (e *Exchange) update(fn func(tx tx) error) error {
	return e.c.Book.Update(func(book *petname.Book, local *ledger.View) error { return fn(tx{book, local}) })
}

// view calls fn with the current tables, which fn cannot change.
func (e *Exchange) view(fn func(local *ledger.View) error) error {
	return e.c.Book.Ledger().ReadLocal(fn)
}

// getRow returns a copy of the value of a row, nil if there is none.
func (e *Exchange) getRow(table string, key []byte) (value []byte, err error) {
	err = e.view(func(local *ledger.View) error {
		value, err = local.Get(table, key)
		value = bytes.Clone(value)
		return err
	})
	return value, err
}

func (e *Exchange) putRow(table string, key, value []byte) error {
	return e.update(func(tx tx) error { return tx.local.Put(table, key, value) })
}

func (e *Exchange) deleteRow(table string, key []byte) error {
	return e.update(func(tx tx) error { return tx.local.Delete(table, key) })
}

func (e *Exchange) countRows(table string) (n int, err error) {
	err = e.view(func(local *ledger.View) error {
		n, err = local.Count(table)
		return err
	})
	return n, err
}

// numbered returns a key that ends in a number.
func numbered(prefix []byte, n uint64) []byte {
	return binary.BigEndian.AppendUint64(bytes.Clone(prefix), n)
}

// channelRows are the rows of a channel: one for its head, with a value that begins with the prefix,
// and one for each message. A channel on which this device sends no messages has no queue.
type channelRows struct {
	heads, queue string
	key, prefix  []byte
}

// rowsOf returns the rows of the channel with a party.
func rowsOf(party pointer.Pointer) channelRows {
	return channelRows{heads: tableChannels, queue: tableQueue, key: party.Bytes()}
}

// store writes the head of a channel, and the messages that changed.
func (r channelRows) store(local *ledger.View, parts drop.Parts) error {
	if err := local.Put(r.heads, r.key, append(bytes.Clone(r.prefix), parts.Head...)); err != nil {
		return err
	}
	if r.queue == "" {
		return nil
	}
	stored := make([]bool, len(parts.Queue))
	for row, err := range local.Scan(r.queue, r.key) {
		if err != nil {
			return err
		}
		n, err := r.number(row.Key)
		if err != nil {
			return err
		}
		if i := n - parts.First; i < uint64(len(stored)) { // below First, i wraps and is large
			stored[i] = bytes.Equal(row.Value, parts.Queue[i])
		} else if err := local.Delete(r.queue, row.Key); err != nil {
			return err
		}
	}
	for i, m := range parts.Queue {
		if stored[i] {
			continue
		}
		if err := local.Put(r.queue, numbered(r.key, parts.First+uint64(i)), m); err != nil {
			return err
		}
	}
	return nil
}

// load returns the state of a channel, or nil if there is none.
func (r channelRows) load(local *ledger.View) ([]byte, error) {
	row, err := local.Get(r.heads, r.key)
	if err != nil || row == nil {
		return nil, err
	}
	if len(row) < len(r.prefix) {
		return nil, fmt.Errorf("channel %x: row of %d bytes", r.key, len(row))
	}
	parts := drop.Parts{Head: row[len(r.prefix):]}
	if r.queue == "" {
		return parts.Join()
	}
	for row, err := range local.Scan(r.queue, r.key) {
		if err != nil {
			return nil, err
		}
		n, err := r.number(row.Key)
		if err != nil {
			return nil, err
		}
		if len(parts.Queue) == 0 {
			parts.First = n
		}
		if n != parts.First+uint64(len(parts.Queue)) {
			return nil, fmt.Errorf("channel %x: no message %d before message %d", r.key, n-1, n)
		}
		parts.Queue = append(parts.Queue, row.Value)
	}
	return parts.Join()
}

// remove deletes the rows of a channel.
func (r channelRows) remove(local *ledger.View) error {
	for row, err := range local.Scan(r.queue, r.key) {
		if err != nil {
			return err
		}
		if err := local.Delete(r.queue, row.Key); err != nil {
			return err
		}
	}
	return local.Delete(r.heads, r.key)
}

// number returns the number of the message in the row with this key.
func (r channelRows) number(key []byte) (uint64, error) {
	if len(key) != len(r.key)+8 {
		return 0, fmt.Errorf("channel %x: key of %d bytes", r.key, len(key))
	}
	return binary.BigEndian.Uint64(key[len(r.key):]), nil
}
