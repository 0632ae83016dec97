package exchange

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/petnames-go/petnames/dht/drop"
	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/ledger/replicate"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/introduce"
	"github.com/petnames-go/petnames/petname/mutual"
	"github.com/petnames-go/petnames/petname/pair"
	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/canonical"
)

// MigrateRow writes a row of an older version's database into the tables. The buckets of that
// database have the names of the tables, and a channel is one row with all its messages. For a
// row that cannot be read, MigrateRow returns an error and writes nothing.
func MigrateRow(local *ledger.View, row ledger.BoltRow) error {
	if err := checkRow(row.Bucket, row.Key, row.Value); err != nil {
		return err
	}
	rows := channelRows{heads: tableChannels, queue: tableQueue, key: row.Key}
	switch row.Bucket {
	case tableFormer:
		rows.heads, rows.queue, rows.prefix, row.Value = tableFormer, tableFormerQueue, row.Value[:8], row.Value[8:]
	case tableChannels:
	default:
		return local.Put(row.Bucket, row.Key, row.Value)
	}
	parts, err := drop.Split(row.Value)
	if err != nil {
		return err
	}
	return rows.store(local, parts)
}

// Check reads every row of the tables, and returns an error for each that cannot
// be read.
func Check(book *petname.Book) (problems []error) {
	err := book.Ledger().ReadLocal(func(local *ledger.View) error {
		for _, table := range []string{tableChannels, tableQueue, tableRotation, tableIntroductions, tableInvitations, tableUsedCodes, tableKnown, tableInvitees,
			tableIntroducers, tableOutbox, tableShared, tableRequests, tableDenials, tableMessageCounts, tableAdmissions, tableNewcomers,
			tableDeviceChannels, tableJoining, tableSyncChannels, tableSyncPeers, tableFormer, tableFormerQueue, tableIncoming, tableHandled, tableRecipients, tableLeft} {
			for row, err := range local.Scan(table, nil) {
				if err != nil {
					return err
				}
				if err := checkStored(local, table, row); err != nil {
					problems = append(problems, fmt.Errorf("%s %x: %w", table, row.Key, err))
				}
			}
		}
		return nil
	})
	if err != nil {
		problems = append(problems, err)
	}
	return problems
}

// checkStored checks a row, and that the rows of a channel fit together.
func checkStored(local *ledger.View, table string, row ledger.KV) error {
	switch table {
	case tableQueue, tableFormerQueue:
		if len(row.Key) < 8 {
			return errKey
		}
		heads := map[string]string{tableQueue: tableChannels, tableFormerQueue: tableFormer}[table]
		head, err := local.Get(heads, row.Key[:len(row.Key)-8])
		if err == nil && head == nil {
			err = errors.New("the message belongs to no channel")
		}
		return err
	}
	if err := checkRow(table, row.Key, row.Value); err != nil {
		return err
	}
	var err error
	switch table {
	case tableChannels:
		_, err = channelRows{heads: tableChannels, queue: tableQueue, key: row.Key}.load(local)
	case tableFormer:
		_, err = channelRows{heads: tableFormer, queue: tableFormerQueue, key: row.Key, prefix: row.Value[:8]}.load(local)
	}
	return err
}

// errKey is returned for a row with another key than its value implies.
var errKey = errors.New("the key does not belong to the value")

// checkRow decodes a row in the same way as the functions that use it, so that none of them
// fails later.
func checkRow(table string, key, value []byte) error {
	belongs := func(same bool, err error) error {
		if err == nil && !same {
			err = errKey
		}
		return err
	}
	isPointer := func(b []byte) error {
		_, err := pointer.FromBytes(b)
		return err
	}
	switch table {
	case tableRotation:
		return belongs(bytes.Equal(key, keyLast), nil)
	case tableAdmissions:
		return canonical.Unmarshal(value, new(wireAdmission), canonical.Bounds{})
	case tableNewcomers:
		return belongs(len(key) == len(ledger.DeviceID{}), canonical.Unmarshal(value, new(wireNewcomer), canonical.Bounds{}))
	case tableSyncPeers:
		return belongs(len(key) == len(ledger.DeviceID{}), new(replicate.Peer).UnmarshalBinary(value))
	case tableDeviceChannels, tableSyncChannels:
		_, err := drop.Owner(value)
		return err
	case tableJoining:
		if bytes.Equal(key, keyInviter) {
			return canonical.Unmarshal(value, new(wireInviter), canonical.Bounds{})
		}
		_, err := chunkIndex(key)
		return err
	case tableChannels:
		if err := isPointer(key); err != nil {
			return err
		}
		_, err := drop.Owner(value)
		return err
	case tableHandled:
		return belongs(len(key) == len(petname.RelayID{}) && len(value) == 0, nil)
	case tableIncoming:
		if len(value) < 8 {
			return fmt.Errorf("%d bytes", len(value))
		}
		self, err := drop.Owner(value[8:])
		if err != nil {
			return err
		}
		party, ok := bytes.CutSuffix(key, self.Bytes())
		if len(party) < len(pointer.DeviceTag{}) {
			return errKey
		}
		return belongs(ok, isPointer(party[:len(party)-len(pointer.DeviceTag{})]))
	case tableRecipients:
		if isPointer(key) != nil && (len(key) < 8 || isPointer(key[:len(key)-8]) != nil) {
			return errKey
		}
		return isPointer(value)
	case tableLeft:
		_, err := drop.Owner(value)
		return errors.Join(isPointer(key), err)
	case tableFormer:
		if len(value) < 8 {
			return fmt.Errorf("%d bytes", len(value))
		}
		self, err := drop.Owner(value[8:])
		if err != nil {
			return err
		}
		party, ok := bytes.CutSuffix(key, self.Bytes())
		return belongs(ok, isPointer(party))
	case tableIntroductions:
		s, err := introduce.Open(value, introduce.KindIntroduction)
		i, _ := s.Introduction()
		return belongs(bytes.Equal(key, introductionKey(i)), err)
	case tableInvitations:
		invitation, err := pair.InvitationOf(value)
		id := invitation.ID()
		return belongs(string(key) == hex.EncodeToString(id[:]), err)
	case tableUsedCodes:
		_, err := time.Parse(time.RFC3339, string(value))
		return err
	case tableKnown:
		_, err := decodeKnown(value)
		return errors.Join(isPointer(key), err)
	case tableInvitees:
		s, err := decodeInvitee(value)
		return belongs(err == nil && bytes.Equal(key, s.key()), err)
	case tableIntroducers:
		i, err := mutual.RestoreIntroducer(value)
		if err != nil {
			return err
		}
		session := i.Requests()[0].Session
		return belongs(bytes.Equal(key, session[:]), nil)
	case tableOutbox:
		_, err := decodeMessage(value)
		if len(key) < 8 {
			return errKey
		}
		return errors.Join(isPointer(key[:len(key)-8]), err)
	case tableShared:
		return errors.Join(isPointer(key), canonical.UnmarshalLoose(value, new(sharedState), canonical.Bounds{}))
	case tableRequests:
		var w wireRequest
		if err := canonical.UnmarshalLoose(value, &w, canonical.Bounds{}); err != nil {
			return err
		}
		_, err := introduce.Open(w.Statement, introduce.KindIntroduction)
		return errors.Join(isPointer(key), err)
	case tableDenials:
		_, err := introduce.Open(value, introduce.KindDenial)
		hash := introduce.Hash(value)
		return belongs(bytes.Equal(key, hash[:]), err)
	case tableMessageCounts:
		return errors.Join(isPointer(key), belongs(len(value) == 16, nil))
	}
	return errors.New("no such table")
}
