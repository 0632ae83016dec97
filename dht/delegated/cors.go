package delegated

import "net/http"

// allowOrigins adds the headers by which browsers let the web pages of all origins use the
// router: section "CORS and Web Browsers" of the Delegated Routing V1 HTTP API. It answers
// a preflight request (Fetch Standard, "CORS-preflight request"), and reports whether the
// request was one.
func allowOrigins(w http.ResponseWriter, r *http.Request) (preflight bool) {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Allow-Methods", "GET, PUT, OPTIONS")
	h.Set("Access-Control-Expose-Headers", "Etag, Retry-After")
	if r.Method != http.MethodOptions {
		return false
	}
	h.Set("Access-Control-Allow-Headers", "Accept, Cache-Control, Content-Type")
	h.Set("Access-Control-Max-Age", "86400")
	w.WriteHeader(http.StatusNoContent)
	return true
}
