package wansim

import (
	"flag"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/pointer/lawtest"
)

var (
	liveFlag     = flag.Int("live", 150, "live peers")
	deadFlag     = flag.Int("dead", 50, "peers in the routing tables that are dead and silent")
	seedFlag     = flag.Uint64("seed", 1, "of keys, latencies and tables")
	opsFlag      = flag.Int("ops", 8, "operations of each kind")
	sybilsFlag   = flag.Int("sybils", 45, "IDs that an attacker has made to be closer to a key than any honest peer; 0: no attacks")
	resolvesFlag = flag.Int("resolves", 1, "look-ups under each attack")
	ownOnlyFlag  = flag.Bool("ours", false, "measure package kad only, for tuning")
	plotFlag     = flag.String("plot", "", "write the distributions to PREFIX.svg and PREFIX.png")
	jsonFlag     = flag.String("json", "", "write the figures to this file")
)

// small reduces a run without flags of this package to the size of an ordinary
// test run, and omits the measures that have no bound. With PETNAME_TEST_LONG=1
// the flags keep their sizes.
func small() bool {
	asked := lawtest.Long()
	flag.Visit(func(f *flag.Flag) { asked = asked || !strings.HasPrefix(f.Name, "test.") })
	if !asked {
		*liveFlag, *deadFlag, *opsFlag, *sybilsFlag, *resolvesFlag = 60, 20, 3, 30, 2
	}
	return !asked
}

// The bounds of the medians in the small network of a test run are somewhat above
// the goals for the big network.
func TestWAN(t *testing.T) {
	control := !small()
	bounds := struct{ holders, publishOracle, publish float64 }{19, 1.7, 0.32}
	if !control { // the median of three operations varies much
		bounds.holders, bounds.publishOracle, bounds.publish = 18, 2.5, 0.5
	}
	defer debug.SetGCPercent(debug.SetGCPercent(400))
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var m measures
	t.Run("operations", func(t *testing.T) {
		cryptotest.SetGlobalRandom(t, *seedFlag)
		synctest.Test(t, func(t *testing.T) {
			w := newWAN(t, *liveFlag, *deadFlag, *seedFlag)
			defer w.close()
			for i := range *opsFlag {
				w.operations(i, &m, !*ownOnlyFlag, control)
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
			w.control = control
			m.sybil = w.underEachAttack(*sybilsFlag, *resolvesFlag)
			m.sybil.Strict = w.underRandomAdversaries(*resolvesFlag)
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
		require.GreaterOrEqual(t, r.HoldersAfter.Mean, bounds.holders)
		require.LessOrEqual(t, r.Ratios.PublishOracle, bounds.publishOracle)
	}
	if r.KadPutTuned != nil {
		require.LessOrEqual(t, r.Ratios.Publish, bounds.publish)
		require.LessOrEqual(t, r.Ratios.Agreed, 0.18)
		require.LessOrEqual(t, r.Ratios.Fresh, 0.2)
	}
	if r.Sybil != nil {
		// At most one of ten may fail, and none of fewer than ten. A small network looks up a
		// key for each attack, and one of them may be lost: which peers a walk asks first
		// depends on how the machine schedules it.
		lost := r.Sybil.Resolves - r.Sybil.FoundNewest
		lostStrict := r.Sybil.Strict.Resolves - r.Sybil.Strict.FoundNewest
		if control {
			require.LessOrEqual(t, lost, r.Sybil.Resolves/10)
			require.LessOrEqual(t, lostStrict, r.Sybil.Strict.Resolves/10)
		}
		require.LessOrEqual(t, lost+lostStrict, max(*resolvesFlag, (r.Sybil.Resolves+r.Sybil.Strict.Resolves)/10))
		require.Positive(t, r.Sybil.Strict.Resolves)
	}
}

// operations runs each kind of operation once, on separate records or on the
// record that this package's node has put. Without control, kad-dht runs only
// with this package's dial timeout.
func (w *wan) operations(i int, m *measures, kad, control bool) {
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
	if control {
		w.kadSearch(kindKadSearch, i, rec.Pointer(), 0, &m.kadFirst, &m.kadEnd)
		w.kadPut(kindKadPut, i, w.newRecords(1)[0], 0, &m.kadPut)
	}
	w.kadSearch(kindKadSearchTuned, i, rec.Pointer(), time.Second, &m.kadFirstTuned, &m.kadEndTuned)
	other := w.newRecords(1)[0]
	w.kadPut(kindKadPutTuned, i, other, time.Second, &m.kadPutTuned)
	_, near := w.holders(other)
	m.kadHolders = append(m.kadHolders, near)
}
