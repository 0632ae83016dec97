package exchange

import (
	"encoding/binary"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/pointer"
)

// maxDailyMessages bounds the messages of one contact, of all kinds together, that are
// accepted in a day and change the book or the tables. Further messages stay with their
// sender.
const maxDailyMessages = 100

// messagesToday returns the day, in days since 1970, and the number of messages that were counted
// in it of the contact with an id.
func (e *Exchange) messagesToday(local *ledger.View, by pointer.Pointer) (day, n uint64, err error) {
	day = uint64(max(0, e.c.Now().Unix()) / (24 * 60 * 60))
	row, err := local.Get(tableMessageCounts, by.Bytes())
	if err == nil && len(row) == 16 && binary.BigEndian.Uint64(row) == day {
		n = binary.BigEndian.Uint64(row[8:])
	}
	return day, n, err
}

// countMessage stores the number of messages of a contact in a day.
func countMessage(local *ledger.View, by pointer.Pointer, day, n uint64) error {
	row := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, day), n)
	return local.Put(tableMessageCounts, by.Bytes(), row)
}
