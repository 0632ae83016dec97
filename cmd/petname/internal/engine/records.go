package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
)

// RecordInfo is the result of the record verbs. Times are in UTC, the TTL in
// seconds.
type RecordInfo struct {
	Pointer  string     `json:"pointer"`
	Value    string     `json:"value"`
	Sequence uint64     `json:"sequence"`
	Expires  *time.Time `json:"expires"`
	TTL      float64    `json:"ttl"`
	Size     int        `json:"size"`
	Valid    bool       `json:"valid"`
	Reason   string     `json:"reason"` // why it isn't
	Nickname string     `json:"nickname,omitempty"`

	Record  []byte   `json:"-"`                 // export: what to write
	Bytes   []byte   `json:"bytes,omitempty"`   // the same, on its way to the command
	Receipt *Receipt `json:"receipt,omitempty"` // put
}

// Receipt counts the peers of a put.
type Receipt struct {
	Asked       int `json:"asked"`
	Stored      int `json:"stored"`
	Refused     int `json:"refused"`
	Unreachable int `json:"unreachable"`
}

func describe(r pointer.Record) *RecordInfo {
	expires := r.Expires()
	info := &RecordInfo{Pointer: r.Pointer().String(), Value: r.Value(), Sequence: r.Sequence(), Expires: &expires,
		TTL: r.TTL().Seconds(), Size: len(r.Bytes()), Valid: true}
	if c, ok := r.Card(); ok {
		info.Nickname = name.Clean(c.Nickname)
	}
	return info
}

// held reads the record that the home has of a pointer, expired ones included.
func (e *Engine) held(p pointer.Pointer) (r pointer.Record, expired bool, err error) {
	for a, err := range e.records.Get(context.Background(), p) {
		if err != nil {
			return pointer.Record{}, false, err
		}
		if a.Record == nil {
			break
		}
		return openAny(p, a.Record)
	}
	return pointer.Record{}, false, &Error{Code: "not_found", Exit: ExitNotFound,
		Message: "this home holds no record of " + p.String(), Next: "petname resolve " + p.String()}
}

func openAny(p pointer.Pointer, b []byte) (r pointer.Record, expired bool, err error) {
	r, err = pointer.Open(p, b, time.Now())
	var old *pointer.ExpiredError
	if errors.As(err, &old) {
		return old.Record, true, nil
	}
	return r, false, err
}

// ExportArgs are the arguments of record export.
type ExportArgs struct {
	Name string `json:"name"` // a name or a pointer; empty: mine
}

// Export gives the newest record that the home holds.
func (e *Engine) Export(_ context.Context, a ExportArgs) (*RecordInfo, error) {
	p := e.book.Identity()
	if a.Name != "" {
		var err error
		if p, err = e.pointerOf(a.Name); err != nil {
			return nil, err
		}
	}
	r, expired, err := e.held(p)
	if err != nil {
		var own *Error
		if a.Name == "" && errors.As(err, &own) && own.Code == "not_found" {
			own.Message, own.Next = "you have not published a record yet", "petname publish"
		}
		return nil, err
	}
	info := describe(r)
	info.Bytes = r.Bytes()
	if expired {
		info.Valid, info.Reason = false, "expired"
	}
	return info, nil
}

// pointerOf is what a name or a pointer in any form points to, in the book or
// not.
func (e *Engine) pointerOf(text string) (pointer.Pointer, error) {
	if p, err := pointer.Parse(text); err == nil {
		return p, nil
	}
	c, err := e.find(text)
	if err != nil {
		return pointer.Pointer{}, err
	}
	return c.Pointer, nil
}

// shortestPointer is about the length of the shortest text that people paste for
// a pointer.
const shortestPointer = 40

// find gives the contact that a text means, a name or a pointer. A text that
// nobody is called by, and that was most likely to be a pointer, is told to be
// a malformed one.
func (e *Engine) find(text string) (petname.Contact, error) {
	c, err := e.book.Find(text)
	return c, malformed(text, err)
}

func malformed(text string, err error) error {
	var name *name.Error
	if !errors.Is(err, petname.ErrNotFound) && !errors.As(err, &name) || len(text) < shortestPointer || strings.ContainsAny(text, " /") {
		return err
	}
	if _, perr := pointer.Parse(text); perr != nil {
		return Usage("%v", perr)
	}
	return err
}

// InspectArgs are the arguments of record inspect and record put.
type InspectArgs struct {
	Record  []byte `json:"record"`
	Pointer string `json:"pointer"` // whose it should be; empty: try
}

// Inspect opens a record and says what it is, or why it doesn't verify.
func (e *Engine) Inspect(_ context.Context, a InspectArgs) (*RecordInfo, error) {
	_, info, err := e.inspect(a)
	return info, err
}

func (e *Engine) inspect(a InspectArgs) (pointer.Record, *RecordInfo, error) {
	p, certain, err := whose(a, e.pointerOf)
	if err != nil {
		return pointer.Record{}, nil, err
	}
	if certain {
		return inspectAs(a.Record, p)
	}
	candidates := []pointer.Pointer{e.book.Identity()}
	for c, err := range e.book.Contacts() {
		if err != nil {
			return pointer.Record{}, nil, err
		}
		candidates = append(candidates, c.Pointer)
	}
	for _, p := range candidates {
		if r, _, err := openAny(p, a.Record); err == nil {
			return inspectAs(a.Record, r.Pointer())
		}
	}
	return pointer.Record{}, nobodys(a.Record), needsPointer(a.Record)
}

// InspectAlone is Inspect without a home: the pointer is given, or stands in
// the record.
func InspectAlone(a InspectArgs) (*RecordInfo, error) {
	p, certain, err := whose(a, pointer.Parse)
	if err != nil {
		return nil, err
	}
	if !certain {
		return nobodys(a.Record), needsPointer(a.Record)
	}
	_, info, err := inspectAs(a.Record, p)
	return info, err
}

// whose is the pointer to hold a record against, and whether it is certain.
func whose(a InspectArgs, find func(string) (pointer.Pointer, error)) (p pointer.Pointer, certain bool, err error) {
	if a.Pointer == "" {
		p, certain = pointer.Embedded(a.Record)
		return p, certain, nil
	}
	if p, err = find(a.Pointer); err != nil {
		if c := Classify(err); c.Code == "bad_name" || c.Code == "failure" {
			return p, false, Usage("--pointer %q: no pointer and no name: %v", a.Pointer, err)
		}
		return p, false, err
	}
	return p, true, nil
}

func inspectAs(record []byte, p pointer.Pointer) (pointer.Record, *RecordInfo, error) {
	r, expired, err := openAny(p, record)
	if err != nil {
		return pointer.Record{}, &RecordInfo{Pointer: p.String(), Size: len(record), Reason: name.Clean(err.Error())}, err
	}
	info := describe(r)
	if expired {
		info.Valid, info.Reason = false, "expired"
		return r, info, &pointer.ExpiredError{Record: r}
	}
	return r, info, nil
}

func nobodys(record []byte) *RecordInfo {
	info := &RecordInfo{Size: len(record), Reason: "pointer needed"}
	if err := pointer.Malformed(record); err != nil {
		info.Reason = name.Clean(err.Error())
	}
	return info
}

// needsPointer tells bytes that are nobody's record from one that is somebody
// else's.
func needsPointer(record []byte) error {
	if err := pointer.Malformed(record); err != nil {
		return &Error{Code: "invalid", Exit: ExitUnverified, Message: name.Clean(err.Error())}
	}
	return &Error{Code: "pointer_needed", Exit: ExitUsage, Message: "the record verifies against nobody that this home knows",
		Next: "give whose it is: --pointer k51…"}
}

// Put verifies a record and stores it in the network: anyone can, for anyone.
func (e *Engine) Put(ctx context.Context, a InspectArgs) (*RecordInfo, error) {
	r, info, err := e.inspect(a)
	if err != nil {
		return info, err
	}
	stores, err := e.joined(ctx)
	if err != nil {
		return info, err
	}
	receipt, err := e.resolver(stores...).Publish(ctx, r)
	e.settle(ctx)
	info.Receipt = &Receipt{receipt.Asked, receipt.Stored, receipt.Refused, receipt.Unreachable}
	if err != nil {
		return info, fmt.Errorf("record put: %w", err)
	}
	return info, nil
}
