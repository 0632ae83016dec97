package wansim

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// series is the times of the operations of one kind, and the number of messages
// of each.
type series struct {
	times []time.Duration
	rpcs  []int
}

func (s *series) add(took time.Duration, rpcs int) {
	s.times = append(s.times, took)
	s.rpcs = append(s.rpcs, rpcs)
}

// at returns a percentile in milliseconds, 0 if nothing was measured.
func (s *series) at(percent int) float64 {
	if len(s.times) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(s.times))
	return float64(sorted[len(sorted)*percent/100].Microseconds()) / 1000
}

func mean(ns []int) float64 {
	sum := 0
	for _, n := range ns {
		sum += n
	}
	return float64(sum) / float64(max(1, len(ns)))
}

// measures is the results of a run.
type measures struct {
	publish, any, agreed, fresh, strict, again                        series
	kadPut, kadPutTuned, kadFirst, kadEnd, kadFirstTuned, kadEndTuned series
	oraclePut, oracleAny, oracleThird, oracleFifth                    series
	tail                                                              []int // messages of a publish, including its background work
	atReturn, after, kadHolders                                       []int
	untrueReports, failed                                             int
	sybil                                                             *sybilFigures
}

// report is the JSON of a run. Times are in virtual milliseconds.
type report struct {
	Live int    `json:"live"`
	Dead int    `json:"dead"`
	Seed uint64 `json:"seed"`
	Ops  int    `json:"ops"`

	Publish       figures `json:"publish"`
	ResolveAny    figures `json:"resolve_any"`
	ResolveAgreed figures `json:"resolve_agreed"`
	ResolveFresh  figures `json:"resolve_fresh"`
	ResolveStrict figures `json:"resolve_strict"`
	ResolveAgain  figures `json:"resolve_again"` // at fresh, by a client that resolved it before, without connections

	KadPut            *figures `json:"kad_put,omitempty"`
	KadSearchEnd      *figures `json:"kad_search_end,omitempty"`
	KadSearchFirst    *figures `json:"kad_search_first,omitempty"`
	KadPutTuned       *figures `json:"kad_put_tuned,omitempty"` // with a dial timeout of 1 s
	KadSearchEndTuned *figures `json:"kad_search_end_tuned,omitempty"`

	OraclePublish figures `json:"oracle_publish"` // to the 15th acknowledgement
	OracleAny     figures `json:"oracle_any"`
	OracleThird   figures `json:"oracle_third"`
	OracleFifth   figures `json:"oracle_fifth"`

	HoldersAtReturn spread        `json:"holders_at_return"` // of the 20 closest live
	HoldersAfter    spread        `json:"holders_after"`
	KadHolders      *spread       `json:"kad_holders,omitempty"` // after the tuned PutValue
	PublishRPCsAll  float64       `json:"publish_rpcs_with_tail"`
	UntrueReports   int           `json:"untrue_reports"`
	Failed          int           `json:"failed"`
	Sybil           *sybilFigures `json:"sybil,omitempty"`
	Ratios          ratios        `json:"ratios"`
}

// figures are the percentiles of one kind of operation. RPCs is the average
// number of messages of an operation when it returned. Messages to dead peers are
// counted for package kad and not for kad-dht.
type figures struct {
	P50  float64 `json:"p50_ms"`
	P90  float64 `json:"p90_ms"`
	P99  float64 `json:"p99_ms"`
	RPCs float64 `json:"rpcs"`
}

type spread struct {
	Mean float64 `json:"mean"`
	Min  int     `json:"min"`
}

// ratios are of medians.
type ratios struct {
	Publish       float64 `json:"publish_to_kad_put_tuned,omitempty"`
	PublishOracle float64 `json:"publish_to_oracle"`
	Any           float64 `json:"any_to_kad_search_first,omitempty"`
	Agreed        float64 `json:"agreed_to_kad_search_end_tuned,omitempty"`
	Fresh         float64 `json:"fresh_to_kad_search_end_tuned,omitempty"`
	Again         float64 `json:"again_to_oracle_fifth"`
}

func (s *series) figures() figures {
	return figures{P50: s.at(50), P90: s.at(90), P99: s.at(99), RPCs: mean(s.rpcs)}
}

func (s *series) optional() *figures {
	if len(s.times) == 0 {
		return nil
	}
	f := s.figures()
	return &f
}

func spreadOf(ns []int) spread {
	if len(ns) == 0 {
		return spread{}
	}
	return spread{Mean: mean(ns), Min: slices.Min(ns)}
}

func ratio(a, b *series) float64 {
	if len(b.times) == 0 {
		return 0
	}
	return a.at(50) / b.at(50)
}

func (m *measures) report(live, dead int, seed uint64, ops int) *report {
	r := &report{
		Live: live, Dead: dead, Seed: seed, Ops: ops,
		Publish: m.publish.figures(), ResolveAny: m.any.figures(), ResolveAgreed: m.agreed.figures(),
		ResolveFresh: m.fresh.figures(), ResolveStrict: m.strict.figures(), ResolveAgain: m.again.figures(),
		KadPut: m.kadPut.optional(), KadSearchEnd: m.kadEnd.optional(), KadSearchFirst: m.kadFirst.optional(),
		KadPutTuned: m.kadPutTuned.optional(), KadSearchEndTuned: m.kadEndTuned.optional(),
		OraclePublish: m.oraclePut.figures(), OracleAny: m.oracleAny.figures(),
		OracleThird: m.oracleThird.figures(), OracleFifth: m.oracleFifth.figures(),
		HoldersAtReturn: spreadOf(m.atReturn), HoldersAfter: spreadOf(m.after), PublishRPCsAll: mean(m.tail),
		UntrueReports: m.untrueReports, Failed: m.failed, Sybil: m.sybil,
		Ratios: ratios{
			Publish: ratio(&m.publish, &m.kadPutTuned), PublishOracle: ratio(&m.publish, &m.oraclePut),
			Any: ratio(&m.any, &m.kadFirst), Agreed: ratio(&m.agreed, &m.kadEndTuned),
			Fresh: ratio(&m.fresh, &m.kadEndTuned), Again: ratio(&m.again, &m.oracleFifth),
		},
	}
	if len(m.kadHolders) > 0 {
		s := spreadOf(m.kadHolders)
		r.KadHolders = &s
	}
	return r
}

func (r *report) write(file string) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(b, '\n'), 0o644)
}

func (r *report) String() string {
	var b strings.Builder
	line := func(name string, f *figures) {
		if f != nil {
			fmt.Fprintf(&b, "%-24s %7.0f %7.0f %7.0f %7.1f\n", name, f.P50, f.P90, f.P99, f.RPCs)
		}
	}
	fmt.Fprintf(&b, "%d live + %d dead, seed %d, %d operations\n%-24s %7s %7s %7s %7s\n", r.Live, r.Dead, r.Seed, r.Ops,
		"virtual ms", "p50", "p90", "p99", "rpcs")
	line("publish", &r.Publish)
	line("  oracle", &r.OraclePublish)
	line("  PutValue, 1 s dials", r.KadPutTuned)
	line("  PutValue", r.KadPut)
	line("resolve any", &r.ResolveAny)
	line("  oracle", &r.OracleAny)
	line("  SearchValue, first", r.KadSearchFirst)
	line("resolve agreed", &r.ResolveAgreed)
	line("  oracle", &r.OracleThird)
	line("resolve fresh", &r.ResolveFresh)
	line("resolve fresh, again", &r.ResolveAgain)
	line("  oracle", &r.OracleFifth)
	line("resolve strict", &r.ResolveStrict)
	line("  SearchValue, 1 s dials", r.KadSearchEndTuned)
	line("  SearchValue", r.KadSearchEnd)
	fmt.Fprintf(&b, "holders of the 20 closest live: at return %.1f (min %d), after the tail %.1f (min %d)",
		r.HoldersAtReturn.Mean, r.HoldersAtReturn.Min, r.HoldersAfter.Mean, r.HoldersAfter.Min)
	if r.KadHolders != nil {
		fmt.Fprintf(&b, "; PutValue's %.1f (min %d)", r.KadHolders.Mean, r.KadHolders.Min)
	}
	fmt.Fprintf(&b, "\nmessages of a publish with its tail %.1f; untrue reports %d; failed %d\n", r.PublishRPCsAll, r.UntrueReports, r.Failed)
	fmt.Fprintf(&b, "ratios of p50: publish %.3f of tuned PutValue (goal 0.28), %.2f of the oracle (1.6); any %.2f (0.55); "+
		"agreed %.3f (0.17); fresh %.3f (0.18); again %.2f of the oracle's 5th (1.3)\n",
		r.Ratios.Publish, r.Ratios.PublishOracle, r.Ratios.Any, r.Ratios.Agreed, r.Ratios.Fresh, r.Ratios.Again)
	if r.Sybil != nil {
		for _, a := range attacks {
			if f := r.Sybil.Kinds[a]; f != nil {
				fmt.Fprintf(&b, "%-60s %v\n", "sybils that "+string(a), f)
			}
		}
		if f := r.Sybil.Strict; f != nil {
			fmt.Fprintf(&b, "%-60s %v\n", "a quarter of all peers, of these kinds, at strict", f)
		}
	}
	return b.String()
}

func (f *attackedFigure) String() string {
	return fmt.Sprintf("newest %d, found %d of %d (%d keys); kad-dht %d of %d; holders %.1f (kad's %.1f); stored %.1f, %d doubted; publish %.0f ms, resolve %.0f ms, %.0f rpcs",
		f.FoundNewest, f.Found, f.Resolves, f.Keys, f.KadFound, f.Keys, f.Holders, f.KadHolders, f.Stored, f.Flagged, f.PublishP50, f.ResolveP50, f.ResolveRPCs)
}
