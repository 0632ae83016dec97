package exchange

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht/drop"
	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/pair"
	"github.com/petnames-go/petnames/pointer"
)

// allTables are the tables of an older version's buckets.
var allTables = []string{tableChannels, tableRotation, tableIntroductions, tableInvitations, tableUsedCodes, tableKnown, tableInvitees, tableIntroducers, tableOutbox,
	tableShared, tableRequests, tableMessageCounts, tableFormer}

// olderRows are the rows of the tables as an older version stored them: a channel
// in one row.
func (p *person) olderRows(t testing.TB) (all []ledger.BoltRow) {
	t.Helper()
	require.NoError(t, p.view(func(local *ledger.View) error {
		for _, table := range allTables {
			for row, err := range local.Scan(table, nil) {
				require.NoError(t, err)
				value := bytes.Clone(row.Value)
				switch table {
				case tableChannels:
					value, err = channelRows{heads: table, queue: tableQueue, key: row.Key}.load(local)
				case tableFormer:
					value, err = channelRows{heads: table, queue: tableFormerQueue, key: row.Key, prefix: row.Value[:8]}.load(local)
					value = append(bytes.Clone(row.Value[:8]), value...)
				}
				require.NoError(t, err)
				all = append(all, ledger.BoltRow{Bucket: table, Key: bytes.Clone(row.Key), Value: value})
			}
		}
		return nil
	}))
	return all
}

// allRows returns all rows of the tables.
func (p *person) allRows(t testing.TB) (all []string) {
	t.Helper()
	require.NoError(t, p.view(func(local *ledger.View) error {
		for _, table := range slices.Concat(allTables, []string{tableQueue, tableFormerQueue}) {
			for row, err := range local.Scan(table, nil) {
				require.NoError(t, err)
				all = append(all, table+" "+hex.EncodeToString(row.Key)+" "+hex.EncodeToString(row.Value))
			}
		}
		return nil
	}))
	return all
}

// wipe removes all rows.
func wipe(local *ledger.View) error {
	for _, table := range slices.Concat(allTables, []string{tableQueue, tableFormerQueue}) {
		for row, err := range local.Scan(table, nil) {
			if err != nil {
				return err
			}
			if err := local.Delete(table, row.Key); err != nil {
				return err
			}
		}
	}
	return nil
}

// withEveryRow returns Alice with a row in every table.
func withEveryRow(t *testing.T) (alice, bob, carol *person) {
	t.Helper()
	ctx := context.Background()
	alice, bob, carol = three(t)
	sam := newPerson(t, alice.clock, alice.network, "sam")
	shares(t, alice, bob, carol)
	carols := drop.Party{Pointer: pointerOf("carol"), Sealing: identityOf(carol).Sealing}
	before, err := drop.Open(drop.Self{Pointer: pointerOf("alice before"), Signer: testKey("alice before"), Sealing: alice.sealing}, carols, nil)
	require.NoError(t, err)
	require.NoError(t, before.Send([]byte("lost")))
	require.NoError(t, alice.retireChannel(pointerOf("carol"), pointerOf("alice before"), before.State()))

	_, err = alice.Send(ctx, alice.key, pointerOf("carol"), alice.introduces(t, bob, carol))
	require.NoError(t, err)
	_, err = bob.Send(ctx, bob.key, pointerOf("alice"), bob.introduces(t, sam, alice))
	require.NoError(t, err)
	alice.offers(t, bob, carol)
	bob.offers(t, alice, sam)
	require.Len(t, alice.fetch(t).Fresh, 2)
	alice.requests(t, sam, "hello")
	require.NoError(t, alice.markCodeUsed(ctx, "taker 1-zoo", alice.clock.now.Add(time.Hour)))
	require.NoError(t, alice.putKnown(pointerOf("bob"), pointer.Details{Sealing: identityOf(bob).Sealing, Addresses: [][]byte{{1}}}))
	_, err = alice.Invite(ctx, alice.key, Terms{Terms: pair.Terms{Expires: alice.clock.now.Add(24 * time.Hour)}})
	require.NoError(t, err)
	waits, err := message{Kind: kindStatement, Body: alice.introduces(t, sam, carol).Bytes()}.encode()
	require.NoError(t, err)
	alice.edit(t, func(local *ledger.View) error {
		return errors.Join(enqueue(local, pointerOf("carol"), waits), local.Put(tableRotation, keyLast, []byte("bob")))
	})
	return alice, bob, carol
}

// Every row of an older version is migrated without a change, and all channels, requests and
// sessions continue.
func TestTheRowsOfAnOlderVersionAreMigrated(t *testing.T) {
	alice, bob, carol := withEveryRow(t)
	require.Empty(t, Check(alice.book))
	before, rows := alice.allRows(t), alice.olderRows(t)
	in := map[string]int{}
	for _, row := range rows {
		in[row.Bucket]++
	}
	for _, table := range allTables {
		require.NotZero(t, in[table], table)
	}
	require.NotEmpty(t, alice.rows(t, tableQueue, nil))
	require.NotEmpty(t, alice.rows(t, tableFormerQueue, nil))
	alice.edit(t, wipe)
	require.Empty(t, alice.allRows(t))
	alice.edit(t, func(local *ledger.View) error {
		for _, row := range rows {
			require.NoError(t, MigrateRow(local, row), row.Bucket)
		}
		return nil
	})
	require.Equal(t, before, alice.allRows(t))
	require.Empty(t, Check(alice.book))

	alice.reopen(t)
	alice.fetch(t)
	require.Len(t, carol.fetch(t).Fresh, 3, "two introductions and an offer, and not the shared edges again")
	require.Empty(t, carol.fetch(t).Fresh)
	require.Equal(t, []string{"choir"}, carol.reads(t, pointerOf("alice")))
	require.Len(t, bob.fetch(t).Fresh, 1)
	alice.fetch(t)
	require.Equal(t, map[pointer.Pointer]int{pointerOf("carol"): 1}, alice.fetch(t).Waiting, "the message of the earlier key")
}

// An invitation of an older version can be accepted.
func TestAnInvitationOfAnOlderVersionIsAccepted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		alice, bob := two(t)
		ctx := context.Background()
		invited, err := alice.Invite(ctx, alice.key, Terms{Terms: pair.Terms{Expires: time.Now().Add(365 * 24 * time.Hour)}})
		require.NoError(t, err)
		rows := alice.olderRows(t)
		require.Len(t, rows, 1)
		alice.edit(t, wipe)
		alice.edit(t, func(local *ledger.View) error { return MigrateRow(local, rows[0]) })
		alice.reopen(t)
		done := make(chan petname.Suggestion)
		go func() {
			s, err := bob.Pair(ctx, bob.key, invited.Link.Link())
			require.NoError(t, err)
			done <- s
		}()
		var report Report
		for len(report.Fresh) == 0 {
			<-time.After(defaultPollInterval)
			report, err = alice.Sync(ctx, alice.key)
			require.NoError(t, err)
		}
		require.Equal(t, pointerOf("bob"), report.Fresh[0].Pointer)
		require.Equal(t, pointerOf("alice"), (<-done).Pointer)
	})
}

// A damaged row is refused, or can be read: no row that is migrated stops a Sync.
func TestADamagedRowOfAnOlderVersionIsNotMigrated(t *testing.T) {
	alice, _, _ := withEveryRow(t)
	rows := alice.olderRows(t)
	refused := map[string]int{}
	stop := errKey // rolls back
	try := func(row ledger.BoltRow) {
		err := alice.update(func(tx tx) error {
			require.NoError(t, wipe(tx.local))
			if err := MigrateRow(tx.local, row); err != nil {
				refused[row.Bucket]++
				for _, table := range allTables {
					n, err := tx.local.Count(table)
					require.NoError(t, err)
					require.Zero(t, n, "no row of it is migrated")
				}
				return stop
			}
			for table := range map[string]bool{row.Bucket: true, tableQueue: true, tableFormerQueue: true} {
				for stored, err := range tx.local.Scan(table, nil) {
					require.NoError(t, err)
					require.NoError(t, checkStored(tx.local, table, stored), "%s %x", table, row.Value)
				}
			}
			return stop
		})
		require.ErrorIs(t, err, stop)
	}
	for _, row := range rows {
		step := max(1, len(row.Value)/24)
		for at := 0; at < len(row.Value); at += step {
			bad := row
			bad.Value = bytes.Clone(row.Value)
			bad.Value[at] ^= []byte{1, 0x80, 0xff}[at%3]
			try(bad)
			bad.Value = row.Value[:at:at]
			try(bad)
		}
		for at := range row.Key {
			bad := row
			bad.Key = bytes.Clone(row.Key)
			bad.Key[at] ^= 1
			try(bad)
			bad.Key = row.Key[:at:at]
			try(bad)
		}
	}
	for _, table := range allTables {
		require.NotZero(t, refused[table], table)
	}
	alice.edit(t, func(local *ledger.View) error {
		require.Error(t, MigrateRow(local, ledger.BoltRow{Bucket: "another", Key: []byte("k"), Value: []byte("v")}))
		return nil
	})
}

// Check reports rows that cannot be read, and messages of no channel.
func TestCheckReportsRowsThatCannotBeRead(t *testing.T) {
	for table, key := range map[string][]byte{
		tableInvitees: []byte("x"), tableQueue: numbered(pointerOf("bob").Bytes(), 1), tableFormerQueue: {1}, tableOutbox: {1},
	} {
		alice, _, _ := three(t)
		alice.edit(t, func(local *ledger.View) error { return local.Put(table, key, []byte("value")) })
		require.Len(t, Check(alice.book), 1, table)
	}
}
