package exchange

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/hpke"
	"crypto/sha256"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/dht/drop"
	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/mutual"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/petname/pair"
	"github.com/petnames-go/petnames/petname/request"
	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/lawtest"
)

func TestMain(m *testing.M) { os.Exit(lawtest.Main(m)) }

func testKey(seed string) ed25519.PrivateKey {
	h := sha256.Sum256([]byte("peer test " + seed))
	return ed25519.NewKeyFromSeed(h[:])
}

func pointerOf(seed string) pointer.Pointer {
	p, err := pointer.FromPublicKey(testKey(seed).Public())
	if err != nil {
		panic(err)
	}
	return p
}

// clock is the time of a test, which sets it.
type clock struct{ now time.Time }

func newClock() *clock { return &clock{time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)} }

// Now of the zero clock is the bubble's: see testing/synctest.
func (c *clock) Now() time.Time {
	if c.now.IsZero() {
		return time.Now()
	}
	return c.now
}

// person has a book and an Exchange on one network.
type person struct {
	*Exchange
	name       string
	key        ed25519.PrivateKey
	book       *petname.Book
	network    dht.Store
	clock      *clock
	sealing    []hpke.PrivateKey
	at         [][]byte // the addresses that the other party of a pairing receives
	ledger     string   // the file of the book
	chain      []pointer.Succession
	links      []pointer.CardLink
	difficulty *request.Difficulty // for contact requests; nil: they are not fetched
	deviceKey  ed25519.PrivateKey
	replicate  func(context.Context)
}

// ignored receives the changes of a book, as every agent does.
func ignored(petname.Event) {}

func newPerson(t testing.TB, c *clock, network dht.Store, name string) *person {
	t.Helper()
	dir := t.TempDir()
	book, err := petname.Create(filepath.Join(dir, "ledger.db"), testKey(name), testKey(name+"'s device"), petname.Options{Now: c.Now, OnChange: ignored})
	require.NoError(t, err)
	p := &person{name: name, key: testKey(name), book: book, network: network, clock: c, ledger: filepath.Join(dir, "ledger.db"), deviceKey: testKey(name + "'s device")}
	t.Cleanup(func() { require.NoError(t, p.book.Close()) })
	for _, kem := range []hpke.KEM{hpke.DHKEM(ecdh.X25519()), hpke.MLKEM768X25519()} {
		key, err := kem.GenerateKey()
		require.NoError(t, err)
		p.sealing = append(p.sealing, key)
	}
	p.publish(t)
	p.open()
	return p
}

func (p *person) open() {
	p.Exchange = Open(Config{Book: p.book, Records: &dht.Resolver{Stores: []dht.Store{p.network}, Now: p.clock.Now}, Store: p.network,
		Identity: p.identity, Sealing: func() ([]hpke.PrivateKey, error) { return p.sealing, nil }, Now: p.clock.Now, Replicate: p.replicate,
		UnknownSenders: func() (request.Difficulty, bool) {
			if p.difficulty == nil {
				return request.Difficulty{}, false
			}
			return *p.difficulty, true
		}})
}

// reopen restarts the person.
func (p *person) reopen(t testing.TB) {
	t.Helper()
	require.NoError(t, p.book.Close())
	var err error
	p.book, err = petname.Open(p.ledger, p.deviceKey, petname.Options{Now: p.clock.Now, OnChange: ignored})
	require.NoError(t, err)
	require.NoError(t, p.book.SetOwnSuccession(p.chain, p.chainNext()))
	p.open()
}

// chainNext returns the commitment of the last step of the chain; zero: there is none.
func (p *person) chainNext() (next pointer.Commitment) {
	if n := len(p.chain); n > 0 {
		next = p.chain[n-1].Next
	}
	return next
}

// handle and handleMutual run the methods of Exchange in a transaction of their own.
func (p *person) handle(_ context.Context, by pointer.Pointer, m drop.Message, report *Report) (stop bool, err error) {
	p.sessionLock.Lock()
	defer p.sessionLock.Unlock()
	if failed := p.update(func(tx tx) error {
		if stop, err = p.Exchange.handle(tx, by, m, report); stop {
			return err
		}
		return nil
	}); failed != nil {
		return true, failed
	}
	return false, err
}

func (p *person) handleMutual(by pointer.Pointer, body []byte, report *Report) (stop bool, err error) {
	b, err := message{Kind: kindMutual, Body: body}.encode()
	if err != nil {
		return false, err
	}
	return p.handle(context.Background(), by, drop.Message{Bytes: b}, report)
}

func (p *person) putKnown(who pointer.Pointer, k pointer.Details) error {
	return p.update(func(tx tx) error { return putKnown(tx.local, who, k) })
}

// edit changes the tables.
func (p *person) edit(t testing.TB, change func(local *ledger.View) error) {
	t.Helper()
	require.NoError(t, p.update(func(tx tx) error { return change(tx.local) }))
}

// rows returns the values of a table.
func (p *person) rows(t testing.TB, table string, prefix []byte) (values [][]byte) {
	t.Helper()
	require.NoError(t, p.view(func(local *ledger.View) error {
		for row, err := range local.Scan(table, prefix) {
			require.NoError(t, err)
			values = append(values, bytes.Clone(row.Value))
		}
		return nil
	}))
	return values
}

func (p *person) loadIntroducer(session mutual.Session) (i *mutual.Introducer, err error) {
	err = p.view(func(local *ledger.View) error {
		i, err = loadIntroducer(local, session)
		return err
	})
	return i, err
}

func (p *person) next() pointer.Commitment {
	c, err := pointer.Commit(testKey(p.name + "'s next").Public())
	if err != nil {
		panic(err)
	}
	return c
}

// identity is the Config.Identity of p.
func (p *person) identity(context.Context) (pair.Identity, error) {
	id := pair.Identity{Pointer: pointerOf(p.name), Details: pointer.Details{Next: p.next(), Nickname: p.name, Addresses: p.at}}
	for _, k := range p.sealing {
		id.Sealing = append(id.Sealing, pointer.SealingKey{KEM: k.KEM().ID(), Key: k.PublicKey().Bytes()})
	}
	return id, nil
}

// publish puts a card into the network.
func (p *person) publish(t testing.TB) {
	t.Helper()
	tags, err := p.book.DeviceTags()
	require.NoError(t, err)
	card := pointer.Card{Nickname: p.name, Next: p.next(), Links: p.links, Devices: tags}
	for _, k := range p.sealing {
		card.Sealing = append(card.Sealing, pointer.SealingKey{KEM: k.KEM().ID(), Key: k.PublicKey().Bytes()})
	}
	r, err := pointer.Sign(p.key, pointer.Fields{Sequence: uint64(p.clock.Now().Unix()), Expires: p.clock.Now().AddDate(0, 3, 0), TTL: time.Minute, Card: &card})
	require.NoError(t, err)
	_, err = p.network.Put(context.Background(), r.Pointer(), r.Bytes())
	require.NoError(t, err)
}

func (p *person) link() pointer.Link {
	return pointer.Link{Pointer: pointerOf(p.name), Next: p.next(), Nickname: p.name}
}

// knows adds others to the book of p.
func (p *person) knows(t testing.TB, others ...*person) {
	t.Helper()
	for _, o := range others {
		n, err := name.Parse(o.name)
		require.NoError(t, err)
		_, err = p.book.Add(n, o.link(), petname.Source{})
		require.NoError(t, err)
	}
}

// fetch returns the report of a Sync without errors.
func (p *person) fetch(t testing.TB) Report {
	t.Helper()
	report, err := p.Sync(context.Background(), p.key)
	require.NoError(t, err)
	require.Empty(t, report.Errs)
	return report
}

func (p *person) inbox(t testing.TB) []petname.Suggestion {
	t.Helper()
	var all []petname.Suggestion
	for s, err := range p.book.Inbox() {
		require.NoError(t, err)
		all = append(all, s)
	}
	return all
}
