package wansim

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	kaddht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p-kad-dht/pb"
	record "github.com/libp2p/go-libp2p-record"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-msgio"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/pointer"
)

// attack is a behaviour of malicious peers.
type attack string

const (
	attackNothing attack = "accept everything, answer nothing"
	attackOld     attack = "answer with an old record"
	attackNames   attack = "name only one another"
	attackFirst   attack = "answer with an old record, in the tables before half of the honest"

	// As attackFirst, but before all honest peers: 45 IDs fill, in every routing
	// table, the whole bucket that contains the key. Then no peer outside the
	// region knows an honest one inside, and no walk finds any.
	attackFirstOfAll attack = "answer with an old record, in the tables before all of the honest"
)

var attacks = []attack{attackNothing, attackOld, attackNames, attackFirst, attackFirstOfAll}

const (
	firstSybil = 50_000 // its host's number
	poolFactor = 4      // average number of generated keys for each needed key
	perKey     = 4      // resolves, each by a different client
)

// sybilFigures is the results of resolves at level fresh while IDs generated
// for the key attack it. As a control, kad-dht puts and searches another record
// of the same key. Strict is the result at level strict while a quarter of the
// live peers, chosen at random, is malicious.
type sybilFigures struct {
	Keys        int                        `json:"keys"`
	Resolves    int                        `json:"resolves"`
	Found       int                        `json:"found"`
	FoundNewest int                        `json:"found_newest"`
	KadFound    int                        `json:"kad_found"` // of keys
	Kinds       map[attack]*attackedFigure `json:"kinds"`
	Strict      *attackedFigure            `json:"strict_random_quarter,omitempty"`
}

type attackedFigure struct {
	Keys         int     `json:"keys"`
	Resolves     int     `json:"resolves"`
	Found        int     `json:"found"`
	FoundNewest  int     `json:"found_newest"`
	KadFound     int     `json:"kad_found"`
	Holders      float64 `json:"holders"`     // honest ones of the 20 closest honest, on average
	KadHolders   float64 `json:"kad_holders"` // the same after kad-dht's put
	Stored       float64 `json:"stored"`      // as receipts say, on average
	Flagged      int     `json:"flagged"`     // receipts with a doubt that the peers are independent
	PublishP50   float64 `json:"publish_p50_ms"`
	ResolveP50   float64 `json:"resolve_p50_ms"`
	ResolveRPCs  float64 `json:"resolve_rpcs"`
	publish      series
	resolve      series
	held, stored []int
	kadHeld      []int
}

func (f *attackedFigure) finish() {
	f.Holders, f.KadHolders, f.Stored = mean(f.held), mean(f.kadHeld), mean(f.stored)
	f.PublishP50, f.ResolveP50, f.ResolveRPCs = f.publish.at(50), f.resolve.at(50), mean(f.resolve.rpcs)
}

// pool is the keys that an attacker has generated, with the places of their
// peer IDs.
type pool []poolEntry

type poolEntry struct {
	place uint64
	index uint64
}

func poolKey(index uint64) ed25519.PrivateKey {
	seed := make([]byte, ed25519.SeedSize)
	binary.BigEndian.PutUint64(seed[24:], index+1)
	return ed25519.NewKeyFromSeed(seed)
}

func (w *wan) newPool(number int) pool {
	p := make(pool, poolFactor*number*len(w.known))
	for i := range p {
		key, err := crypto.UnmarshalEd25519PublicKey(poolKey(uint64(i)).Public().(ed25519.PublicKey))
		require.NoError(w.t, err)
		id, err := peer.IDFromPublicKey(key)
		require.NoError(w.t, err)
		h := sha256.Sum256([]byte(id))
		p[i] = poolEntry{binary.BigEndian.Uint64(h[:]), uint64(i)}
	}
	return p
}

// nearest returns the n keys of the pool nearest to the target. It returns
// false if a peer of the network is nearer than one of them.
func (p pool) nearest(n int, key string, honest []peer.AddrInfo) ([]ed25519.PrivateKey, bool) {
	target := sha256.Sum256([]byte(key))
	at := binary.BigEndian.Uint64(target[:])
	sorted := slices.SortedFunc(slices.Values(p), func(a, b poolEntry) int { return cmp.Compare(a.place^at, b.place^at) })
	limit := keyPlace(target).distance(nearestTo(key, 1, honest)[0].ID)
	if sorted[n-1].place^at >= binary.BigEndian.Uint64(limit[:8]) {
		return nil, false
	}
	var keys []ed25519.PrivateKey
	for _, g := range sorted[:n] {
		keys = append(keys, poolKey(g.index))
	}
	return keys, true
}

// adversary is the shared state of malicious peers.
type adversary struct {
	attack      attack
	mu          sync.Mutex
	old         map[string][]byte // by key: the first record seen
	accomplices []peer.AddrInfo
}

// handle answers requests as the attack requires.
func (l *adversary) handle(s network.Stream) {
	defer s.Close()
	_ = s.SetDeadline(time.Now().Add(time.Minute))
	for {
		b, err := msgio.NewVarintReaderSize(s, 1<<20).ReadMsg()
		if err != nil {
			return
		}
		req := new(dht_pb.Message)
		if proto.Unmarshal(b, req) != nil {
			return
		}
		resp := l.answer(req)
		if resp == nil {
			_ = s.Reset()
			return
		}
		if b, err = proto.Marshal(resp); err != nil {
			return
		}
		if _, err := s.Write(append(binary.AppendUvarint(nil, uint64(len(b))), b...)); err != nil {
			return
		}
	}
}

func (l *adversary) answer(req *dht_pb.Message) *dht_pb.Message {
	key := string(req.GetKey())
	resp := dht_pb.NewMessage(req.GetType(), req.GetKey(), 0)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch req.GetType() {
	case dht_pb.Message_PUT_VALUE:
		if l.old[key] == nil {
			l.old[key] = req.GetRecord().GetValue()
		}
		return req
	case dht_pb.Message_GET_VALUE:
		if l.attack == attackNothing {
			return nil
		}
		if old := l.old[key]; old != nil && l.attack != attackNames {
			resp.Record = record.MakePutRecord(key, old)
		}
	case dht_pb.Message_FIND_NODE:
	default:
		return nil
	}
	if l.attack != attackNothing {
		for _, f := range nearestTo(key, replication, l.accomplices) {
			p := &dht_pb.Message_Peer{Id: []byte(f.ID)}
			for _, a := range f.Addrs {
				p.Addrs = append(p.Addrs, a.Bytes())
			}
			resp.CloserPeers = append(resp.CloserPeers, p)
		}
	}
	return resp
}

// sybils are the attackers of one key, which are running and in the routing
// tables.
type sybils struct {
	attack attack
	hosts  []host.Host
	infos  []peer.AddrInfo
}

// fill fills a routing table in the order in which the peers joined: first the
// honest peers that the attack lets join before the Sybils, then the Sybils,
// then the others.
func (w *wan) fill(d *kaddht.IpfsDHT, order uint64) {
	for _, id := range d.RoutingTable().ListPeers() {
		d.RoutingTable().RemovePeer(id)
	}
	early := w.known
	if w.sybils != nil {
		switch w.sybils.attack {
		case attackFirstOfAll:
			early = nil
		case attackFirst:
			early = slices.Clone(w.known)
			r := rand.New(rand.NewPCG(w.seed, 98))
			r.Shuffle(len(early), func(i, j int) { early[i], early[j] = early[j], early[i] })
			early = early[:len(early)/2]
		}
		w.addToTable(d, early, order)
		w.addToTable(d, w.sybils.infos, order)
	}
	w.addToTable(d, w.known, order)
}

func (w *wan) addSybils(keys []ed25519.PrivateKey, a attack, key string, old []byte) *sybils {
	l := &adversary{attack: a, old: map[string][]byte{key: old}}
	s := &sybils{attack: a}
	for i, priv := range keys {
		h := w.hostOf(privKey(w.t, priv.Seed()), firstSybil+i, time.Second)
		h.SetStreamHandler(kadProtocol, l.handle)
		s.hosts = append(s.hosts, h)
		s.infos = append(s.infos, peer.AddrInfo{ID: h.ID(), Addrs: []ma.Multiaddr{addrOf(firstSybil + i)}})
	}
	l.accomplices = s.infos
	w.sybils = s
	for i, d := range w.live {
		w.fill(d, uint64(i))
	}
	return s
}

func (w *wan) removeSybils(s *sybils) {
	w.sybils = nil
	for _, h := range s.hosts {
		_ = h.Close()
	}
	for i, d := range w.live {
		w.fill(d, uint64(i))
	}
}

// underEachAttack measures resolves at level fresh under each attack.
func (w *wan) underEachAttack(number, resolves int) *sybilFigures {
	out := &sybilFigures{Kinds: map[attack]*attackedFigure{}}
	ground := w.newPool(number)
	next := 0
	for _, a := range attacks {
		f := &attackedFigure{}
		out.Kinds[a] = f
		for f.Resolves < resolves {
			recs := w.newRecords(3)
			key := routingKey(recs[0].Pointer())
			keys, ok := ground.nearest(number, key, w.known)
			if !ok {
				continue // a peer happens to be too near the key
			}
			w.put(next, recs[0], &attackedFigure{})
			s := w.addSybils(keys, a, key, recs[0].Bytes())
			w.underAttack(f, next, resolves, recs, dht.LevelFresh)
			w.removeSybils(s)
			next++
		}
		f.finish()
		out.Keys += f.Keys
		out.Resolves += f.Resolves
		out.Found += f.Found
		out.FoundNewest += f.FoundNewest
		out.KadFound += f.KadFound
	}
	return out
}

// underRandomAdversaries makes a quarter of the live peers, chosen at random,
// malicious for the rest of the run, and measures resolves at level strict.
func (w *wan) underRandomAdversaries(resolves int) *attackedFigure {
	r := rand.New(rand.NewPCG(w.seed, 99))
	liars := []*adversary{{attack: attackNothing}, {attack: attackOld}, {attack: attackNames}}
	honest := w.known[:0:0]
	for i, d := range w.live {
		if r.IntN(4) > 0 {
			honest = append(honest, w.known[i])
			continue
		}
		l := liars[r.IntN(len(liars))]
		l.accomplices = append(l.accomplices, w.known[i])
		d.Host().SetStreamHandler(kadProtocol, l.handle)
		delete(w.stores, d.PeerID())
	}
	var fellows []peer.AddrInfo
	for _, l := range liars {
		l.old = map[string][]byte{}
		fellows = append(fellows, l.accomplices...)
	}
	for _, l := range liars {
		l.accomplices = fellows
	}
	f := &attackedFigure{}
	for next := 2000; f.Resolves < resolves; next++ {
		recs := w.newRecords(3)
		w.put(next, recs[0], &attackedFigure{})
		w.underAttack(f, next, resolves, recs, dht.LevelStrict)
	}
	f.finish()
	return f
}

// underAttack publishes a newer record and resolves it.
func (w *wan) underAttack(f *attackedFigure, place, resolves int, recs []pointer.Record, level dht.Level) {
	f.Keys++
	w.put(place, recs[1], f)
	for i := range min(perKey, resolves-f.Resolves) {
		n, h := w.startNode(kindFresh, getOffset+place*perKey+i)
		began := time.Now()
		res, err := (&dht.Resolver{Stores: []dht.Store{n}}).Best(w.t.Context(), recs[0].Pointer(), level)
		f.resolve.add(time.Since(began), int(h.streams.Load()))
		f.Resolves++
		if err == nil {
			f.Found++
		}
		if err == nil && bytes.Equal(res.Record.Bytes(), recs[1].Bytes()) {
			f.FoundNewest++
		} else {
			w.t.Logf("resolve %d.%d: not the newest: %v %v", place, i, fmt.Sprintf("%s, %d agreed", res.Freshness, res.Agreed), err)
		}
		w.closeNode(n, h)
	}
	if !w.control {
		return
	}
	// The control, with an even newer record.
	var unused series
	w.kadPut(kindKadPutTuned, place, recs[2], time.Second, &unused)
	_, near := w.holders(recs[2])
	f.kadHeld = append(f.kadHeld, near)
	if bytes.Equal(w.kadSearch(kindKadSearchTuned, place, recs[2].Pointer(), time.Second, &unused, &unused), recs[2].Bytes()) {
		f.KadFound++
	}
}

func (w *wan) put(place int, rec pointer.Record, f *attackedFigure) {
	n, h := w.startNode(kindPut, place)
	defer w.closeNode(n, h)
	began := time.Now()
	receipt, err := n.Put(w.t.Context(), rec.Pointer(), rec.Bytes())
	f.publish.add(time.Since(began), int(h.streams.Load()))
	if err != nil {
		w.t.Logf("put %d: %v", place, err)
	}
	require.NoError(w.t, n.Wait(context.Background()))
	_, near := w.holders(rec)
	f.held = append(f.held, near)
	f.stored = append(f.stored, receipt.Stored)
	if receipt.Doubt() != "" {
		f.Flagged++
	}
}
