package delegated

import (
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/pointer"
)

// answerError is the error for a response that is not a valid answer.
type answerError struct {
	reason string
	err    error // as in RouterError
}

func (e *answerError) Error() string { return e.reason }
func (e *answerError) Unwrap() error { return e.err }

// readRecord reads the response to a GET. It returns the bytes of the record, nil
// if the router has none. It reads at most one byte more than a record may have.
func readRecord(resp *http.Response) ([]byte, error) {
	switch {
	case resp.StatusCode == http.StatusNoContent:
		return nil, nil
	case resp.StatusCode == http.StatusNotFound: // of a router from before IPIP-513
		return nil, checkNotFound(resp)
	case resp.StatusCode != http.StatusOK:
		return nil, statusError(resp)
	}
	kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	switch {
	case resp.Header.Get("Content-Type") == "", err == nil && kind == "text/plain":
		return nil, nil // IPIP-513: any other answer means that there is no record
	case err != nil || kind != contentType:
		// But a page of a captive portal, for example, is not from a router.
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

// tooLongError returns the error for an answer that is longer than any record.
func tooLongError() error {
	return &answerError{fmt.Sprintf("its answer is over the %d bytes of a record", pointer.MaxRecord), dht.ErrRejected}
}

// checkStored returns nil if the response to a PUT acknowledges it.
func checkStored(resp *http.Response) error {
	switch {
	case resp.StatusCode == http.StatusOK: // the specification's only acknowledgement
		return nil
	case resp.StatusCode == http.StatusNotFound:
		if err := checkNotFound(resp); err != nil {
			return err
		}
	case resp.StatusCode == http.StatusNotImplemented && isPage(resp): // python -m http.server
		return noRouter(webPage(resp))
	}
	return statusError(resp)
}

// statusError returns the error for a status other than success. 429 and 5xx wrap
// ErrUnreachable: a retry may succeed. Other 4xx of a put mean that the router
// refuses the record.
func statusError(resp *http.Response) error {
	e := &answerError{err: dht.ErrUnreachable}
	put := resp.Request != nil && resp.Request.Method == http.MethodPut
	status := statusText(resp)
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
	// An error while reading the reason is ignored: the reason is optional.
	b, _ := io.ReadAll(io.LimitReader(resp.Body, maxReason))
	if reason := sanitize(string(b)); reason != "" {
		e.reason += fmt.Sprintf(": %q", reason)
	}
	return e
}

// statusText returns the status of a response as its number and the standard text.
func statusText(resp *http.Response) string {
	return strings.TrimSpace(strconv.Itoa(resp.StatusCode) + " " + http.StatusText(resp.StatusCode))
}
