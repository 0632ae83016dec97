package dht_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/lawtest"
)

// material is the answers of hostile stores: authentic records of one key, and
// bytes that are no record.
type material struct {
	pointer pointer.Pointer
	good    []pointer.Record // by sequence; every second of one sequence
	expired []pointer.Record
	bad     [][]byte
}

func newMaterial(t testing.TB) material {
	k := newKey(t)
	m := material{pointer: k.Pointer()}
	for seq := range uint64(6) {
		m.good = append(m.good, signFor(t, k, seq, epoch.Add(life)), signFor(t, k, seq, epoch.Add(life+time.Hour)))
		m.expired = append(m.expired, signFor(t, k, seq, epoch.Add(-time.Hour)))
	}
	tampered := m.good[9].Bytes()
	tampered[len(tampered)-3] ^= 4
	m.bad = [][]byte{{}, []byte("garbage"), tampered, make([]byte, 20<<10), sign(t, newKey(t), 9).Bytes()}
	return m
}

// draw returns stores with any answers, and the best valid record of these
// answers.
func (m material) draw(t *rapid.T) (stores []dht.Store, best *pointer.Record, authentic []pointer.Record) {
	for range rapid.IntRange(0, 3).Draw(t, "stores") {
		s := &scriptedStore{}
		for i := range rapid.IntRange(0, 6).Draw(t, "answers") {
			a := scriptedAnswer{answer: dht.Answer{Source: dht.SourceNetwork, Peer: string(rune('a' + i))}}
			switch rapid.IntRange(0, 5).Draw(t, "kind") {
			case 0:
				a.answer.Record = rapid.SampledFrom(m.bad).Draw(t, "bad")
			case 1:
				rec := rapid.SampledFrom(m.expired).Draw(t, "expired")
				a.answer.Record = rec.Bytes()
				authentic = append(authentic, rec)
			case 2:
				a.err = rapid.SampledFrom([]error{dht.ErrUnreachable, errors.New("peer's own")}).Draw(t, "error")
			case 3: // no record
			default:
				rec := rapid.SampledFrom(m.good).Draw(t, "good")
				a.answer.Record = rec.Bytes()
				authentic = append(authentic, rec)
				if best == nil || rec.Compare(*best) > 0 {
					best = &rec
				}
			}
			s.answers = append(s.answers, a)
		}
		if rapid.Bool().Draw(t, "fails") {
			s.ends = errors.New("store's own")
		}
		stores = append(stores, s)
	}
	return stores, best, authentic
}

func newest(records []pointer.Record) *pointer.Record {
	var n *pointer.Record
	for _, r := range records {
		if n == nil || r.Compare(*n) > 0 {
			n = &r
		}
	}
	return n
}

func TestBestVerifiedRecordOrError(t *testing.T) {
	m := newMaterial(t)
	rapid.Check(t, func(t *rapid.T) {
		stores, best, authentic := m.draw(t)
		r := dht.Resolver{Stores: stores, Now: newClock().now}
		res, err := r.Best(context.Background(), m.pointer, dht.LevelStrict)
		if n := newest(authentic); n == nil || best == nil || n.Compare(*best) > 0 {
			// No valid record, or the newest has expired.
			require.Error(t, err)
			return
		}
		if errors.As(err, new(*pointer.ExpiredError)) || err != nil {
			t.Fatalf("best is %d, and yet: %v", best.Sequence(), err)
		}
		if res.Freshness == dht.LevelStrict && res.Record.Compare(*best) != 0 {
			t.Fatalf("strict gave %d, and %d was there", res.Record.Sequence(), best.Sequence())
		}
		if res.Record.Compare(*best) != 0 && res.Agreed < 5 {
			t.Fatalf("gave %d (agreed %d), and %d was there", res.Record.Sequence(), res.Agreed, best.Sequence())
		}
		_, err = pointer.Open(m.pointer, res.Record.Bytes(), epoch)
		require.NoError(t, err)
		require.LessOrEqual(t, res.Agreed, res.Answered)
		require.LessOrEqual(t, res.Answered, res.Asked)
	})
}

func TestTheFloorNeverGoesDown(t *testing.T) {
	m := newMaterial(t)
	for name, durable := range map[string]bool{"in memory": false, "in a home": true} {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				if durable && !lawtest.Long() && rapid.IntRange(0, 3).Draw(rt, "one in four") > 0 {
					return // disk operations are slow
				}
				c := newClock()
				var home *dht.Dir
				if durable {
					home = c.home(t)
				}
				r := &dht.Resolver{Home: home, Now: c.now}
				var floor *pointer.Record // the model
				see := func(rec pointer.Record) {
					if floor != nil && rec.Compare(*floor) < 0 {
						rt.Fatalf("gave %d after %d", rec.Sequence(), floor.Sequence())
					}
					floor = &rec
				}
				rt.Repeat(map[string]func(*rapid.T){
					"resolve": func(rt *rapid.T) {
						r.Stores, _, _ = m.draw(rt)
						level := rapid.SampledFrom([]dht.Level{dht.LevelAny, dht.LevelAgreed, dht.LevelFresh, dht.LevelStrict, dht.LevelOffline}).Draw(rt, "level")
						for res, err := range r.Resolve(context.Background(), m.pointer, level) {
							if e, ok := errors.AsType[*pointer.ExpiredError](err); ok {
								see(e.Record)
							}
							if err == nil {
								if c.now().After(res.Record.Expires()) {
									rt.Fatal("gave an expired record")
								}
								see(res.Record)
							}
						}
					},
					"publish": func(rt *rapid.T) {
						r.Stores = nil
						rec := rapid.SampledFrom(m.good).Draw(rt, "record")
						_, err := r.Publish(context.Background(), rec)
						if floor != nil && rec.Compare(*floor) < 0 {
							if !errors.Is(err, dht.ErrOlder) && !errors.As(err, new(*pointer.ExpiredError)) {
								rt.Fatalf("published %d under the floor %d: %v", rec.Sequence(), floor.Sequence(), err)
							}
						} else if errors.Is(err, dht.ErrUnreachable) {
							see(rec)
						}
					},
					"restart": func(rt *rapid.T) {
						if durable {
							r = &dht.Resolver{Home: home, Now: c.now}
						}
					},
					"time passes": func(rt *rapid.T) {
						c.advance(rapid.SampledFrom([]time.Duration{ttl / 2, ttl, -time.Hour, life / 2}).Draw(rt, "time"))
					},
				})
			})
		})
	}
}
