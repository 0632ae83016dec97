package engine

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/petnames-go/petnames/dht/delegated"
)

// metrics is what /metrics shows: of the Go runtime and of this node, nothing
// that another library counts, and nothing of names or pointers.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
}

func newMetrics(e *Engine, router *delegated.Server) *metrics {
	m := &metrics{
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
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "petnames_dht_peers", Help: "Peers in the DHT's routing table.",
		}, func() float64 {
			e.mu.Lock()
			defer e.mu.Unlock()
			if e.network == nil {
				return 0
			}
			return float64(e.network.Peers())
		}))
	return m
}

// observe counts a request. What clients call their method is not a label:
// they could call it anything.
func (m *metrics) observe(method string, status int, took time.Duration) {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPut:
	default:
		method = "other"
	}
	m.requests.WithLabelValues(method, strconv.Itoa(status)).Inc()
	m.seconds.WithLabelValues(method).Observe(took.Seconds())
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4})
}
