package delegated

import (
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/pointer"
)

// answerError is an answer that says or brings something else than was asked.
type answerError struct {
	reason string
	err    error // as RouterError has it
}

func (e *answerError) Error() string { return e.reason }
func (e *answerError) Unwrap() error { return e.err }

// readRecord takes the answer to a GET: a record's bytes, or nil if the router
// has none. It reads no more of a body than a record may have.
func readRecord(resp *http.Response) ([]byte, error) {
	switch {
	case resp.StatusCode == http.StatusNotFound || resp.StatusCode == http.StatusNoContent:
		return nil, nil
	case resp.StatusCode != http.StatusOK:
		return nil, statusError(resp)
	}
	kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	switch {
	case resp.Header.Get("Content-Type") == "", err == nil && kind == "text/plain":
		return nil, nil // IPIP-513: whatever isn't a record says that there is none
	case err != nil || kind != contentType:
		// But a page of a captive portal, say, is not an answer of a router.
		return nil, &answerError{fmt.Sprintf("is no router, or not this one: it answers with %q", sanitize(resp.Header.Get("Content-Type"))), dht.ErrUnreachable}
	case resp.ContentLength > int64(pointer.MaxRecord):
		return nil, tooLongError()
	}
	record, err := io.ReadAll(io.LimitReader(resp.Body, int64(pointer.MaxRecord)+1))
	switch {
	case len(record) > pointer.MaxRecord:
		return nil, tooLongError()
	case err != nil:
		return nil, err
	case len(record) == 0:
		return nil, &answerError{"its record is empty", dht.ErrRejected}
	}
	return record, nil
}

func tooLongError() error {
	return &answerError{fmt.Sprintf("its answer is over the %d bytes of a record", pointer.MaxRecord), dht.ErrRejected}
}

// readStored takes the answer to a PUT; nil: it was stored.
func checkStored(resp *http.Response) error {
	if resp.StatusCode >= 200 && resp.StatusCode < 300 {
		return nil
	}
	return statusError(resp)
}

// refusal is the error of a status other than success. 429 and 5xx are the
// router's trouble, so worth retrying; the rest of 4xx is the request's.
func statusError(resp *http.Response) error {
	e := &answerError{err: dht.ErrUnreachable}
	put := resp.Request != nil && resp.Request.Method == http.MethodPut
	status := strconv.Itoa(resp.StatusCode)
	if text := http.StatusText(resp.StatusCode); text != "" {
		status += " " + text
	}
	switch code := resp.StatusCode; {
	case code >= 300 && code < 400:
		e.reason = fmt.Sprintf("sends on to %q, which is not followed", sanitize(resp.Header.Get("Location")))
		return e
	case put && code == http.StatusConflict:
		e.reason, e.err = "has a newer record", dht.ErrOlder
	case code == http.StatusTooManyRequests:
		e.reason = "asked too often"
		if after := resp.Header.Get("Retry-After"); after != "" {
			e.reason += fmt.Sprintf(": try again after %q", sanitize(after))
		}
		return e
	case put && code >= 400 && code < 500 && code != http.StatusRequestTimeout:
		e.reason, e.err = "refused it: "+status, &dht.ShortError{Receipt: dht.Receipt{Asked: 1, Refused: 1}, Want: 1}
	default:
		e.reason = "answers " + status
	}
	// The reason is nice to have: that it doesn't come whole is no other error.
	b, _ := io.ReadAll(io.LimitReader(resp.Body, maxReason))
	if said := sanitize(string(b)); said != "" {
		e.reason += fmt.Sprintf(": %q", said)
	}
	return e
}
