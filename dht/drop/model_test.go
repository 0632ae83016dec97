package drop

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/lawtest"
)

// side is a caller that follows the documentation: its stored state survives a
// crash, and it processes each ID once.
type side struct {
	self, other person
	channel     *Channel
	saved       []byte
	backups     [][]byte
	ids         map[[32]byte]bool
	processed   []string
	sent        []string // durably queued
	lost        uint64
}

func (s *side) save() {
	s.saved = s.channel.State()
	s.backups = append(s.backups, s.saved)
}

func (s *side) crash(t tb) { s.channel = mustOpen(t, s.self, s.other, s.saved) }

func (s *side) process(m Message) {
	if !s.ids[m.ID] {
		s.ids[m.ID] = true
		s.processed = append(s.processed, string(m.Bytes))
	}
}

// model is two sides over a store that loses, delays and repeats records.
type model struct {
	sides  [2]*side
	store  *archive
	now    time.Time
	number int
}

func newModel(t tb) *model {
	alice, bob, a, b := pair(t)
	m := &model{store: newArchive(), now: start}
	m.sides[0] = &side{self: alice, other: bob, channel: a, ids: map[[32]byte]bool{}}
	m.sides[1] = &side{self: bob, other: alice, channel: b, ids: map[[32]byte]bool{}}
	for _, s := range m.sides {
		s.save()
	}
	return m
}

// step does one operation. Only one side is online in it.
func (m *model) step(t *rapid.T) { m.stepOf(t, nil) }

// stepOf is step. Of the two sides the sender alone sends messages; nil: both do.
func (m *model) stepOf(t *rapid.T, sender *side) {
	m.now = m.now.Add(time.Duration(rapid.SampledFrom([]int64{1, 1000, 3600_000, 13 * 3600_000, 50 * 3600_000}).Draw(t, "wait")) * time.Millisecond)
	s := m.sides[rapid.IntRange(0, 1).Draw(t, "side")]
	do := rapid.SampledFrom([]string{"send", "poll", "poll", "put", "put", "crash"}).Draw(t, "do")
	if do == "send" && sender != nil {
		s = sender
	}
	switch do {
	case "send":
		for range rapid.IntRange(1, 4).Draw(t, "count") {
			m.number++
			text := fmt.Sprintf("%d %s", m.number, bytes.Repeat([]byte{'.'}, rapid.SampledFrom([]int{0, 700, 4000, MaxMessage - 10}).Draw(t, "length")))
			require.NoError(t, s.channel.Send([]byte(text)))
			if rapid.IntRange(0, 5).Draw(t, "crash before it is stored") == 0 {
				s.crash(t)
				return
			}
			s.save()
			s.sent = append(s.sent, text)
		}
	case "poll":
		// Any of the records ever put, in any order, or none; and garbage.
		m.store.serve = func(_ pointer.Pointer, all [][]byte) [][]byte {
			served := [][]byte{[]byte("garbage")}
			for range rapid.IntRange(0, min(3, len(all))).Draw(t, "answers") {
				at := len(all) - 1 - min(len(all)-1, rapid.IntRange(0, 5).Draw(t, "age"))
				served = append(served, all[at])
			}
			return served
		}
		result := m.pollOne(t, s)
		for _, message := range result.Messages {
			s.process(message)
			if rapid.IntRange(0, 5).Draw(t, "crash before done") == 0 {
				s.crash(t)
				return
			}
			require.NoError(t, s.channel.Done(message))
		}
		if rapid.IntRange(0, 5).Draw(t, "crash before it is stored") == 0 {
			s.crash(t)
			return
		}
		s.save()
	case "put":
		s.save()
		if rapid.Bool().Draw(t, "only if due") && !s.channel.Due(m.now) {
			return
		}
		var err error
		switch rapid.IntRange(0, 3).Draw(t, "store") {
		case 0:
			_, err = s.channel.Put(ctx, newArchive(), m.now) // acknowledged, and lost
		case 1:
			_, err = s.channel.Put(ctx, failing{}, m.now)
			require.Error(t, err)
			return
		default:
			_, err = s.channel.Put(ctx, m.store, m.now)
		}
		require.NoError(t, err)
		if rapid.Bool().Draw(t, "stored after it") {
			s.save()
		}
	case "crash":
		s.crash(t)
	}
}

// pollOne polls without the concurrency of Poll, since rapid draws in it.
func (m *model) pollOne(t tb, s *side) PollResult {
	t.Helper()
	spots, err := s.channel.inboundAddresses(m.now)
	require.NoError(t, err)
	cached := newArchive()
	for _, spot := range spots {
		for a := range m.store.Get(ctx, spot.pointer) {
			cached.records[spot.pointer] = append(cached.records[spot.pointer], a.Record)
		}
	}
	cached.serve = func(_ pointer.Pointer, all [][]byte) [][]byte { return all }
	result, err := s.channel.Poll(ctx, cached, m.now)
	require.NoError(t, err)
	s.lost += result.Lost
	return result
}

// drain lets both sides poll and put in turn with a correct store, until all is
// acknowledged.
func (m *model) drain(t tb) {
	t.Helper()
	m.store.serve = nil
	for round := 0; ; round++ {
		require.Less(t, round, 200, "it ends")
		quiet := true
		for _, s := range m.sides {
			m.now = m.now.Add(repeatAfter)
			for _, message := range m.pollOne(t, s).Messages {
				s.process(message)
				require.NoError(t, s.channel.Done(message))
			}
			s.save()
			if s.channel.Due(m.now) {
				_, err := s.channel.Put(ctx, m.store, m.now)
				require.NoError(t, err)
				s.save()
				quiet = false
			}
		}
		if quiet && m.sides[0].channel.Waiting()+m.sides[1].channel.Waiting() == 0 {
			return
		}
	}
}

func TestEveryMessageIsProcessedOnceAndInOrder(t *testing.T) {
	lawtest.Check(t, 30, func(t *rapid.T) {
		m := newModel(t)
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			m.step(t)
			for i, s := range m.sides {
				got, sent := s.processed, m.sides[1-i].sent
				require.LessOrEqual(t, len(got), len(sent))
				require.True(t, slices.Equal(sent[:len(got)], got), "received in the order sent")
			}
		}
		m.drain(t)
		for i, s := range m.sides {
			require.True(t, slices.Equal(m.sides[1-i].sent, s.processed), "all of it")
			require.Zero(t, s.lost)
		}
	})
}

// With old states restored on either side, at any time: what is in a queue
// arrives at least once, and losses are reported.
func TestRestoredStatesReportLosses(t *testing.T) {
	lawtest.Check(t, 40, func(t *rapid.T) {
		m := newModel(t)
		owed := [2]map[string]bool{{}, {}}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			if rapid.IntRange(0, 5).Draw(t, "restore") == 0 {
				i := rapid.IntRange(0, 1).Draw(t, "whose")
				s := m.sides[i]
				s.saved = rapid.SampledFrom(s.backups).Draw(t, "backup")
				s.crash(t)
				// Messages that are not in the restored queue are not expected.
				s.sent, owed[i] = nil, map[string]bool{}
				for _, message := range s.channel.queue {
					owed[i][string(message)] = true
				}
			}
			m.step(t)
			for i, s := range m.sides {
				for _, message := range s.sent {
					owed[i][message] = true
				}
			}
		}
		m.drain(t)
		for i := range m.sides {
			other := m.sides[1-i]
			for message := range owed[i] {
				require.True(t, slices.Contains(other.processed, message), "%.20s never came; lost: %d", message, other.lost)
			}
		}
	})
}
