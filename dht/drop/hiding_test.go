package drop

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	ipnspb "github.com/ipfs/boxo/ipns/pb"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/petnames-go/petnames/dht/seal"
	"github.com/petnames-go/petnames/pointer"
)

// conversation puts a channel's records of both directions, short and full, in
// two epochs into a store.
func conversation(t *testing.T, alice, bob person) (store *archive, secrets map[string][]byte) {
	t.Helper()
	a, b := mustOpen(t, alice, bob, nil), mustOpen(t, bob, alice, nil)
	store = newArchive()
	secrets = map[string][]byte{"channel": a.id[:]}
	for i, c := range []*Channel{a, b} {
		content := strings.Repeat("what is said ", 40)
		secrets["content"] = []byte("what is said")
		for _, n := range []int{0, 1, 3, 15} {
			for range n {
				mustSend(t, c, content)
			}
			for _, epoch := range []time.Duration{0, Epoch} {
				put(t, c, store, start.Add(epoch+time.Duration(i)*time.Hour))
			}
		}
		last := c.selectMessages().last
		secrets["chain"] = last.Chain[:]
	}
	return store, secrets
}

func TestStoredBytesRevealNeitherPartiesNorContent(t *testing.T) {
	alice, bob, _, _ := pair(t)
	store, secrets := conversation(t, alice, bob)
	for name, p := range map[string]person{"alice": alice, "bob": bob} {
		mh := p.key.Pointer().Bytes()
		secrets[name+"'s pointer"], secrets[name+"'s key"] = mh, mh[len(mh)-32:]
		secrets[name+"'s text"] = []byte(p.key.Pointer().String())
		for _, k := range p.sealing {
			public := k.PublicKey().Bytes()
			secrets[name+"'s sealing key"+hex.EncodeToString(public[:2])] = public[:32]
			secrets[name+"'s sealing key's end"+hex.EncodeToString(public[:2])] = public[len(public)-32:]
		}
	}
	require.Len(t, store.records, 4, "two directions, two epochs")
	for p, records := range store.records {
		require.NotEqual(t, alice.key.Pointer(), p)
		require.NotEqual(t, bob.key.Pointer(), p)
		for _, b := range records {
			for name, secret := range secrets {
				require.False(t, bytes.Contains(b, secret), name)
				require.False(t, bytes.Contains(b, secret[:8]), "the start of %s", name)
			}
		}
	}
}

func TestStoredRecordsHaveThreeSizes(t *testing.T) {
	alice, bob, _, _ := pair(t)
	store, _ := conversation(t, alice, bob)
	found := map[int]int{}
	for p, records := range store.records {
		for _, b := range records {
			rec, err := pointer.Open(p, b, start)
			require.NoError(t, err)
			found[len(rec.Payload())]++
			// The rest of the record has the same length for all messages.
			require.InDelta(t, 187, len(b)-len(rec.Payload()), 2)
		}
	}
	for size := range found {
		require.Contains(t, sizes, size)
	}
	require.Len(t, found, len(sizes))
}

// Two records of one channel share nothing that a record of another channel, made
// at the same moment, would not share: payloads and signatures have no common part
// longer than by chance, and the rest is the same in all records.
func TestRecordsOfAChannelAreUnlinkable(t *testing.T) {
	alice, bob, _, _ := pair(t)
	stranger := newPerson(t, 5, 15)
	store, _ := conversation(t, alice, bob)
	const window = 8
	seen := map[string]pointer.Pointer{}
	windows := 0
	for p, records := range store.records {
		for _, b := range records {
			rec, err := pointer.Open(p, b, start)
			require.NoError(t, err)
			var pb ipnspb.IpnsRecord
			require.NoError(t, proto.Unmarshal(b, &pb))
			for _, part := range [][]byte{rec.Payload()[seal.HeaderSize:], pb.GetSignatureV2()} {
				for i := range len(part) - window {
					key := string(part[i : i+window])
					other, ok := seen[key]
					require.False(t, ok && other != p, "%x", key)
					seen[key] = p
					windows++
				}
			}
			theirs, err := pointer.Sign(stranger.key, pointer.Fields{
				Sequence: rec.Sequence(), Expires: recordExpiry(epochAt(t, rec.Sequence())), TTL: recordTTL, Payload: rec.Payload(),
			})
			require.NoError(t, err)
			var other ipnspb.IpnsRecord
			require.NoError(t, proto.Unmarshal(theirs.Bytes(), &other))
			require.Equal(t, other.GetData(), pb.GetData())
			pb.SignatureV2, pb.Data = nil, nil
			require.Empty(t, pb.ProtoReflect().GetUnknown())
			require.Zero(t, proto.Size(&pb), "nothing else stands in the envelope")
		}
	}
	require.Greater(t, windows, 50_000)
}

// epochAt returns the epoch of a record, whose sequence is the time.
func epochAt(t *testing.T, sequence uint64) uint64 {
	t.Helper()
	epoch, err := epochOf(time.UnixMilli(int64(sequence)))
	require.NoError(t, err)
	return epoch
}

// The expiry reveals the epoch of a record, and not its time in the epoch.
func TestRecordsEndWithTheNextEpoch(t *testing.T) {
	alice, bob, _, _ := pair(t)
	store, _ := conversation(t, alice, bob)
	ends := map[time.Time]bool{}
	for p, records := range store.records {
		for _, b := range records {
			rec, err := pointer.Open(p, b, start)
			require.NoError(t, err)
			ends[rec.Expires()] = true
			require.Zero(t, rec.Expires().Unix()%int64(Epoch/time.Second))
			require.Equal(t, pointer.NoValue, rec.Value())
		}
	}
	require.Len(t, ends, 2)
}
