package main

import (
	"net/http"
	"strconv"
	"time"

	"github.com/petnames-go/petnames/dht/delegated"
	"github.com/petnames-go/petnames/petname/agent"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// meters are the metrics of the Go runtime and of this node, without metrics of other
// libraries. No metric contains a name or a pointer.
type meters struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
}

func newMeters(a *agent.Agent, router *delegated.Server) *meters {
	m := &meters{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "petnames_http_requests_total", Help: "Requests to /routing/v1, by method and status.",
		}, []string{"method", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "petnames_http_request_seconds", Help: "How long requests to /routing/v1 took.",
			Buckets: []float64{.001, .01, .1, .3, 1, 3, 10},
		}, []string{"method"}),
	}
	m.registry.MustRegister(collectors.NewGoCollector(), m.requests, m.seconds,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "petnames_http_records", Help: "Records that the router holds in memory.",
		}, func() float64 { return float64(router.Records()) }),
		gauge(a, "petnames_dht_peers", "Peers in the DHT's routing table.", func(s agent.Status) int { return s.Peers }),
		gauge(a, "petnames_dht_held_records", "Records that the node holds for others.", func(s agent.Status) int { return s.Holding.Records }),
		gauge(a, "petnames_dht_held_bytes", "Bytes of the records that the node holds for others.", func(s agent.Status) int { return s.Holding.Bytes }),
		gauge(a, "petnames_dht_cut_off_peers", "Peers that are cut off for a while.", func(s agent.Status) int { return len(s.Holding.CutOff) }))
	return m
}

// gauge returns a metric of the status of the agent. It is 0 without a status.
func gauge(a *agent.Agent, name, help string, of func(agent.Status) int) prometheus.GaugeFunc {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 {
		s, err := a.Status()
		if err != nil {
			return 0
		}
		return float64(of(s))
	})
}

// observe counts a request. Unknown methods share one label, because clients could
// otherwise create any number of labels.
func (m *meters) observe(method string, status int, took time.Duration) {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPut:
	default:
		method = "other"
	}
	m.requests.WithLabelValues(method, strconv.Itoa(status)).Inc()
	m.seconds.WithLabelValues(method).Observe(took.Seconds())
}

func (m *meters) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4})
}
