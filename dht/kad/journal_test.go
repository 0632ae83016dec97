package kad

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ipfs/go-datastore"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/ledger/durable/durabletest"
)

var testHead = newEntry(entryHead, "lan", "/test/kad/1.0.0")

func journalBytes(entries ...entry) []byte {
	var b []byte
	for _, e := range entries {
		b = e.append(b)
	}
	return b
}

func someEntries() []entry {
	return []entry{
		testHead, newEntry(entryPut, "a", "/ipns/x", "value"), newEntry(entryDelete, "/ipns/x"),
		newEntry(entryPeers, "tag", "/ip4/127.0.0.1/tcp/1"), newEntry(entryPut, "", "/ipns/y", strings.Repeat("z", 300)),
	}
}

// A journal that is truncated at any byte yields the entries that are complete,
// and one with any bit flipped the entries before it. It is usable afterwards,
// and the damaged file is set aside.
func TestJournalCutAndFlippedAnywhere(t *testing.T) {
	entries := someEntries()
	whole := journalBytes(entries...)
	before := func(at int) (n int) { // complete entries after the head, up to a byte
		for n = len(entries); n > 0 && len(journalBytes(entries[:n]...)) > at; n-- {
		}
		return max(0, n-1)
	}
	path := filepath.Join(t.TempDir(), "dht.db")
	check := func(b []byte, want int, damaged bool, what string, at int) {
		var read []entry
		err := readJournal(bytes.NewReader(b), testHead, func(e entry) error { read = append(read, e); return nil })
		require.Equal(t, damaged, err != nil, "%s at %d: %v", what, at, err)
		require.Len(t, read, want, "%s at %d", what, at)
		for i, e := range read {
			require.Equal(t, entries[i+1], e)
		}
		if at%20 != 0 {
			return // the remaining part is equal for all cases, and slow on a disk
		}
		require.NoError(t, os.WriteFile(path, b, 0o600))
		_ = os.Remove(path + ".damaged")
		var got []entry
		j, err := openJournalOn(&durabletest.Disk{}, path, testHead, func(e entry) error { got = append(got, e); return nil })
		require.Equal(t, damaged, err != nil, "%s at %d: %v", what, at, err)
		require.Len(t, got, want, "%s at %d", what, at)
		for i, e := range got {
			require.Equal(t, entries[i+1], e)
		}
		if damaged {
			aside, err := os.ReadFile(path + ".damaged")
			require.NoError(t, err)
			require.Equal(t, b, aside)
		}
		require.NoError(t, j.flush(nil, 0, func() []entry { return append([]entry{testHead}, got...) }))
		require.NoError(t, j.close())
		j, err = openJournalOn(&durabletest.Disk{}, path, testHead, func(entry) error { want--; return nil })
		require.NoError(t, err)
		require.NoError(t, j.close())
		require.Zero(t, want)
	}
	ends := map[int]bool{}
	for i := range entries {
		ends[len(journalBytes(entries[:i+1]...))] = true
	}
	for at := range len(whole) + 1 {
		check(whole[:at], before(at), !ends[at], "cut", at)
	}
	for at := range whole {
		b := bytes.Clone(whole)
		b[at] ^= 0x10
		check(b, before(at), true, "flipped", at)
	}
}

// A node does not read the journal of another network's node.
func TestJournalOfAnotherNetwork(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dht.db")
	require.NoError(t, os.WriteFile(path, journalBytes(someEntries()...), 0o600))
	j, err := openJournal(path, newEntry(entryHead, "ipfs", "/ipfs/kad/1.0.0"), func(entry) error {
		t.Fatal("it was read")
		return nil
	})
	require.ErrorIs(t, err, errOtherNetwork)
	require.FileExists(t, path+".other")
	require.NoError(t, j.close())
}

// The journal is at most twice as long as its content, plus a constant. After a
// failed write, as on a full disk, the next flush loses nothing.
func TestTheJournalIsRewritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dht.db")
	j, err := openJournal(path, testHead, nil)
	require.NoError(t, err)
	put := newEntry(entryPut, "a", "/ipns/x", strings.Repeat("v", 10_000))
	all := func() []entry { return []entry{testHead, put} }
	for range 1000 {
		require.NoError(t, j.flush([]entry{put}, 10_000, all))
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.LessOrEqual(t, info.Size(), int64(2*10_000+journalSlack+11_000))
	}
	require.NoError(t, j.file.Close()) // every write fails from here on
	require.Error(t, j.flush([]entry{put}, 10_000, all))
	require.NoError(t, j.flush(nil, 10_000, all), "the next flush writes everything")
	require.NoError(t, j.close())
	n := 0
	_, err = openJournal(path, testHead, func(entry) error { n++; return nil })
	require.NoError(t, err)
	require.Equal(t, 1, n)
}

// However a full store changes, the journal is at most 32 MiB long, also when it was
// longer before, and is not rewritten at each flush.
func TestTheJournalOfAFullStoreIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dht.db")
	s := newBoundedStore(maxHeld, time.Now)
	s.changedKeys = map[string]bool{}
	value := strings.Repeat("v", 10_000)
	number := 0
	flush := func(j *journal, records int) {
		var changes []entry
		s.mu.Lock()
		for range records {
			number++
			h := s.parseValue(fmt.Sprintf("/ipns/%d", number), []byte(value))
			_ = s.insert(&h.heldRecord, fmt.Sprint("source ", number%7))
		}
		for name := range s.changedKeys {
			changes = append(changes, s.entry(name))
		}
		clear(s.changedKeys)
		s.mu.Unlock()
		require.NoError(t, j.flush(changes, s.bytes, func() []entry {
			all := []entry{testHead}
			for name := range s.items {
				all = append(all, s.entry(name))
			}
			return all
		}))
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.LessOrEqual(t, info.Size(), int64(32<<20))
		require.Equal(t, j.length, info.Size())
	}
	j, err := openJournal(path, testHead, nil)
	require.NoError(t, err)
	flush(j, 5000)
	rewrites := 0
	for range 11 { // 15 seconds apart, by the journal's own clock
		before := j.rewritten
		flush(j, 300)
		if j.rewritten != before {
			rewrites++
		}
		j.rewritten = j.rewritten.Add(-rewriteEvery / 4)
	}
	require.InDelta(t, 11/4, rewrites, 1)
	j.complete()
	flush(j, 0)
	require.NoError(t, j.close())
	names := map[string]bool{}
	j, err = openJournal(path, testHead, func(e entry) error {
		if e.kind == entryDelete {
			delete(names, string(e.fields[0]))
		} else {
			names[string(e.fields[1])] = true
		}
		return nil
	})
	require.NoError(t, err)
	require.NoError(t, j.close())
	require.ElementsMatch(t, slices.Collect(maps.Keys(s.items)), slices.Collect(maps.Keys(names)), "a journal that is closed misses nothing")

	long := journalBytes(testHead)
	for len(long) < 40<<20 {
		long = newEntry(entryPut, "a", "/ipns/x", value).append(long)
	}
	require.NoError(t, os.WriteFile(path, long, 0o600))
	j, err = openJournal(path, testHead, func(entry) error { return nil })
	require.NoError(t, err)
	flush(j, 0)
	require.NoError(t, j.close())
}

// The length of an entry is known before it is encoded.
func TestTheSizeOfAnEntry(t *testing.T) {
	for _, e := range append(someEntries(), newEntry(entryPut, strings.Repeat("x", 127), strings.Repeat("y", 128), strings.Repeat("z", 20_000)), newEntry(entryPut)) {
		require.Len(t, e.append(nil), int(e.size()))
	}
}

// rawEntry is an entry in a journal's format, without its length.
func rawEntry(length uint32, payload []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, length)
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(payload, crc32.MakeTable(crc32.Castagnoli)))
	return append(b, payload...)
}

// An entry of up to 64 KiB is read. An entry whose length is larger, or too
// small for a kind, is damage, and no memory is allocated for it. An entry is
// also damage if its length, or the length of one of its fields, does not match
// its content. Each of these entries is otherwise correct.
func TestLengthsInAJournal(t *testing.T) {
	field := func(size int) []byte { // a payload of exactly size bytes
		b := binary.AppendUvarint([]byte{entryDelete}, uint64(size-4))
		b = append(b, make([]byte, size-len(b))...)
		require.Len(t, b, size)
		return b
	}
	entryOf := func(payload []byte) []byte { return rawEntry(uint32(len(payload)), payload) }
	fieldOf := func(length ...byte) []byte { return entryOf(append([]byte{entryDelete}, length...)) }
	for name, c := range map[string]struct {
		bytes []byte
		good  bool
		read  int // bytes read of the bad entries, at most
	}{
		"as long as may be":         {entryOf(field(maxEntry)), true, 0},
		"a byte longer":             {entryOf(field(maxEntry + 1)), false, 8},
		"the largest length":        {rawEntry(math.MaxUint32, field(100)), false, 8},
		"nothing":                   {entryOf(nil), false, 8},
		"a kind alone":              {entryOf([]byte{entryDelete}), true, 0},
		"longer than what is there": {rawEntry(101, field(100)), false, 109},
		"shorter":                   {rawEntry(99, field(100)), false, 107},
		"an empty field":            {fieldOf(0), true, 0},
		"a field":                   {fieldOf(2, 'a', 'b'), true, 0},
		"a field that is too long":  {fieldOf(3, 'a', 'b'), false, 100},
		"a field of 2^63 bytes":     {fieldOf(0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1, 'a'), false, 100},
		"a field of 2^64-1 bytes":   {fieldOf(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 'a'), false, 100},
		"a length over 64 bits":     {fieldOf(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 'a'), false, 100},
		"a length without its end":  {fieldOf(0x80), false, 100},
		"a second field's length":   {fieldOf(1, 'a', 2, 'b'), false, 100},
	} {
		r := bytes.NewReader(append(bytes.Clone(c.bytes), journalBytes(testHead)...))
		e, err := readEntry(r)
		if c.good {
			require.NoError(t, err, name)
			require.Equal(t, byte(entryDelete), e.kind, name)
			e, err = readEntry(r)
			require.NoError(t, err, "the entry after %s", name)
			require.Equal(t, testHead, e)
			continue
		}
		require.ErrorIs(t, err, errDamaged, name)
		require.LessOrEqual(t, int(r.Size())-r.Len(), c.read, name)
	}
	// An incomplete entry at the end is damage, too.
	_, err := readEntry(bytes.NewReader(rawEntry(101, field(100))))
	require.ErrorIs(t, err, errDamaged)
	_, err = readEntry(bytes.NewReader(nil))
	require.ErrorIs(t, err, io.EOF)
}

// A node can read every entry that it writes: the largest record that it may
// hold, and any number of peer addresses of any length.
func TestTheLargestEntriesCanBeRead(t *testing.T) {
	n := startNode(t, Config{Bootstrap: []string{"/ip4/127.0.0.1/tcp/1/p2p/" + randomPeer(t).String()}, DialTimeout: time.Millisecond})
	hash := "/certhash/u" + base64.RawURLEncoding.EncodeToString(append([]byte{0x12, 32}, make([]byte, 32)...))
	for range 3 * maxKnown {
		info := peer.AddrInfo{ID: randomPeer(t)}
		for i := range 8 {
			info.Addrs = append(info.Addrs, ma.StringCast(fmt.Sprintf("/ip4/192.168.1.%d/udp/4001/quic-v1/webtransport", i+1)+strings.Repeat(hash, 8)))
		}
		n.host.Peerstore().AddAddrs(info.ID, info.Addrs, peerstore.PermanentAddrTTL)
		_, _ = n.dht.RoutingTable().TryAddPeer(info.ID, true, false) // until its bucket is full
	}
	require.Greater(t, n.Peers(), maxKnown)
	known := n.peersToSave()
	require.Equal(t, n.networkTag(), known[0])
	size := 0
	peers := map[string]int{}
	for _, text := range known[1:] {
		size += len(text)
		peers[text[strings.LastIndex(text, "/"):]]++
	}
	require.LessOrEqual(t, size, maxKnownBytes)
	require.Greater(t, size, maxKnownBytes-1000, "or nothing was cut")
	require.LessOrEqual(t, len(peers), maxKnown)
	for _, addrs := range peers {
		require.LessOrEqual(t, addrs, maxKnownAddrs)
	}
	for _, id := range n.dht.RoutingTable().ListPeers() {
		n.host.Peerstore().ClearAddrs(id)
		n.host.Peerstore().AddAddr(id, ma.StringCast("/ip4/192.168.1.1/tcp/1"), peerstore.PermanentAddrTTL)
	}
	require.Len(t, n.peersToSave(), 1+maxKnown)

	require.NoError(t, n.store.Put(t.Context(), datastore.NewKey("/ipns/"+strings.Repeat("k", 100)), make([]byte, maxRequest)))
	entries := []entry{newEntry(entryPeers, known...)}
	for name := range n.store.items {
		entries = append(entries, n.store.entry(name))
	}
	r := bytes.NewReader(journalBytes(entries...))
	for _, want := range entries {
		got, err := readEntry(r)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
}

// A node reads at most as many peers from a journal as it writes. It ignores
// addresses that are not peer addresses or belong to another network.
func TestKnownPeersOfAJournalAreBounded(t *testing.T) {
	var addrs []string
	for range maxKnown + 10 {
		addrs = append(addrs, "/ip4/127.0.0.1/tcp/1/p2p/"+randomPeer(t).String())
	}
	knownPeers := func(fields ...string) []peer.AddrInfo {
		n, err := configure(Config{Server: true})
		require.NoError(t, err)
		path := filepath.Join(t.TempDir(), "dht.db")
		m := &persistence{node: n}
		require.NoError(t, os.WriteFile(path, journalBytes(m.head(), newEntry(entryPeers, fields...)), 0o600))
		m, err = n.openPersistence(path)
		require.NoError(t, err)
		n.persistence = m
		require.NoError(t, n.closePersistence())
		return m.knownPeers
	}
	n, err := configure(Config{Server: true})
	require.NoError(t, err)
	require.Len(t, knownPeers(append([]string{n.networkTag()}, addrs...)...), maxKnown)
	require.Len(t, knownPeers(n.networkTag(), addrs[0]), 1)
	require.Empty(t, knownPeers("another tag", addrs[0]))
	require.Empty(t, knownPeers(n.networkTag(), addrs[0], "/ip4/127.0.0.1/tcp/1"))
	require.Empty(t, knownPeers(n.networkTag()))
}

// A complete entry of an unknown kind, or with other fields than its kind has,
// is damage as well.
func TestUnknownEntriesAreDamage(t *testing.T) {
	for _, e := range []entry{
		newEntry('x', "a"), newEntry(entryHead, "lan", "/ipfs/lan/kad/1.0.0"), newEntry(entryPut, "a", "b"),
		newEntry(entryPut, "a", "b", "c", "d"), newEntry(entryDelete), newEntry(entryDelete, "a", "b"), newEntry(entryPeers),
	} {
		n, err := configure(Config{Server: true})
		require.NoError(t, err)
		path := filepath.Join(t.TempDir(), "dht.db")
		m := &persistence{node: n}
		b := journalBytes(m.head(), newEntry(entryPut, "a", "/ipns/before", "value"), e, newEntry(entryPut, "a", "/ipns/after", "value"))
		require.NoError(t, os.WriteFile(path, b, 0o600))
		n.persistence, err = n.openPersistence(path)
		require.NoError(t, err)
		require.Contains(t, n.store.items, "/ipns/before")
		require.NotContains(t, n.store.items, "/ipns/after", "kind %q with %d fields", e.kind, len(e.fields))
		require.FileExists(t, path+".damaged")
		require.NoError(t, n.closePersistence())
	}
}

// FuzzJournal reads any bytes, which a peer or a broken disk may have caused, as
// entries or as an error, without a panic. The entries are written back to the
// same bytes.
func FuzzJournal(f *testing.F) {
	f.Add(journalBytes(someEntries()...))
	f.Add(journalBytes(testHead)[:9])
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 'p'})
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		var read []entry
		for {
			e, err := readEntry(r)
			if err != nil {
				if !errors.Is(err, io.EOF) {
					require.ErrorIs(t, err, errDamaged)
				}
				break
			}
			read = append(read, e)
		}
		again := journalBytes(read...)
		back := bytes.NewReader(again)
		for _, e := range read {
			got, err := readEntry(back)
			require.NoError(t, err)
			require.Equal(t, e, got)
		}
	})
}
