package wansim

import (
	"flag"
	"runtime"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
)

var (
	liveFlag     = flag.Int("live", 150, "peers that live")
	deadFlag     = flag.Int("dead", 50, "peers in the routing tables that are dead and silent")
	seedFlag     = flag.Uint64("seed", 1, "of keys, latencies and tables")
	opsFlag      = flag.Int("ops", 8, "operations of each kind")
	sybilsFlag   = flag.Int("sybils", 45, "IDs that an attacker has made to be closer to a key than any honest peer; 0: no attacks")
	resolvesFlag = flag.Int("resolves", 1, "look-ups under each attack")
	oursFlag     = flag.Bool("ours", false, "leave kad-dht's own side out, for tuning")
	plotFlag     = flag.String("plot", "", "write the distributions to PREFIX.svg and PREFIX.png")
	jsonFlag     = flag.String("json", "", "write the figures to this file")
)

// The gates hold the medians of the small network, which an ordinary test run
// can afford, to somewhat over the goals that the big one is measured by.
func TestWAN(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var m measures
	t.Run("operations", func(t *testing.T) {
		cryptotest.SetGlobalRandom(t, *seedFlag)
		synctest.Test(t, func(t *testing.T) {
			w := newWAN(t, *liveFlag, *deadFlag, *seedFlag)
			defer w.close()
			for i := range *opsFlag {
				w.operations(i, &m, !*oursFlag)
			}
		})
	})
	t.Run("attacks", func(t *testing.T) {
		if *sybilsFlag == 0 {
			t.Skip("-sybils 0")
		}
		cryptotest.SetGlobalRandom(t, *seedFlag)
		synctest.Test(t, func(t *testing.T) {
			w := newWAN(t, *liveFlag, *deadFlag, *seedFlag)
			defer w.close()
			m.sybil = w.attacked(*sybilsFlag, *resolvesFlag)
			m.sybil.Strict = w.quarter(*resolvesFlag)
		})
	})
	r := m.report(*liveFlag, *deadFlag, *seedFlag, *opsFlag)
	t.Logf("\n%v", r)
	if *jsonFlag != "" {
		require.NoError(t, r.write(*jsonFlag))
	}
	if *plotFlag != "" {
		m.writePlot(t, *plotFlag, *liveFlag, *deadFlag)
	}
	require.Zero(t, r.UntrueReports)
	if r.Publish.P50 > 0 {
		require.Zero(t, r.Failed)
		require.GreaterOrEqual(t, r.HoldersAtReturn.Min, 14, "15 is the goal")
		require.GreaterOrEqual(t, r.HoldersAfter.Mean, 19.)
		require.LessOrEqual(t, r.Ratios.PublishOracle, 1.7)
	}
	if r.KadPutTuned != nil {
		require.LessOrEqual(t, r.Ratios.Publish, 0.32)
		require.LessOrEqual(t, r.Ratios.Agreed, 0.18)
		require.LessOrEqual(t, r.Ratios.Fresh, 0.2)
	}
	if r.Sybil != nil {
		require.GreaterOrEqual(t, r.Sybil.FoundNewest, r.Sybil.Resolves*9/10)
		require.GreaterOrEqual(t, r.Sybil.Strict.FoundNewest, r.Sybil.Strict.Resolves*9/10)
	}
}

// operations runs each kind of operation once, all on records of their own or
// on the one that ours has put.
func (w *wan) operations(i int, m *measures, kad bool) {
	rec := w.newRecords(1)[0]
	w.publish(i, rec, m)
	w.resolve(kindAny, i, rec, dht.LevelAny, &m.any, m)
	w.resolve(kindAgreed, i, rec, dht.LevelAgreed, &m.agreed, m)
	w.resolve(kindFresh, i, rec, dht.LevelFresh, &m.fresh, m)
	w.resolve(kindStrict, i, rec, dht.LevelStrict, &m.strict, m)
	w.resolve(kindAgain, i, rec, dht.LevelFresh, &m.again, m)
	w.oracleGet(i, rec, &m.oracleAny, &m.oracleThird, &m.oracleFifth)
	w.oraclePut(i, w.newRecords(1)[0], &m.oraclePut)
	if !kad {
		return
	}
	w.kadSearch(kindKadSearch, i, rec.Pointer(), 0, &m.kadFirst, &m.kadEnd)
	w.kadSearch(kindKadSearchTuned, i, rec.Pointer(), time.Second, &m.kadFirstTuned, &m.kadEndTuned)
	w.kadPut(kindKadPut, i, w.newRecords(1)[0], 0, &m.kadPut)
	other := w.newRecords(1)[0]
	w.kadPut(kindKadPutTuned, i, other, time.Second, &m.kadPutTuned)
	_, near := w.holders(other)
	m.kadHolders = append(m.kadHolders, near)
}
