package agent

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
)

// maxFollowed bounds the pointers that ResolveContent follows.
const maxFollowed = 8

// FollowError is returned when a value /ipns/… on the way of a path cannot be followed.
type FollowError struct {
	Path   string // that was resolved
	Value  string // that cannot be followed: hostile text
	Reason string
}

func (e *FollowError) Error() string {
	return fmt.Sprintf("%s, at its value %s: %s", name.Quote(e.Path), name.Quote(e.Value), e.Reason)
}

// ResolveContent is [Agent.Resolve], and follows a value /ipns/POINTER[/REST] to the
// record of that pointer, up to 8 times. Each record is verified by its own pointer,
// and, if the pointer is a contact's, against what the book has of the contact. The
// pointers that were followed are hops of the resolution; its Value is that of the last
// hop, with each REST behind it.
//
// In addition to the errors of Resolve, it returns a [*FollowError] for a circle, for
// over 8 pointers, and for a value /ipns/… that names no pointer, such as a DNSLink name:
// no DNS is asked. The error of a record on the way is a [*petname.PathError] with the
// value as its Part.
func (a *Agent) ResolveContent(ctx context.Context, path string, level dht.Level) (Resolution, error) {
	ctx, cancel, _ := withTimeout(ctx)
	defer cancel()
	res, err := a.Resolve(ctx, path, level)
	if err != nil {
		return res, err
	}
	rest := ""
	followed := []pointer.Pointer{res.Pointer}
	for n := 0; strings.HasPrefix(res.Value, ipnsPrefix); n++ {
		value := res.Value
		next, more, reason := ipnsPointer(value)
		switch {
		case reason != "":
		case slices.Contains(followed, next):
			reason = "it leads in a circle"
		case n == maxFollowed:
			reason = fmt.Sprintf("it is behind over %d others", maxFollowed)
		}
		if reason != "" {
			return res, &FollowError{path, value, reason}
		}
		rest = more + rest
		hops, rejected := res.Hops, res.Rejected
		found, err := a.Resolve(ctx, next.String(), level)
		for i := range found.Hops {
			found.Hops[i].Followed = true
		}
		found.Hop.Followed = true
		res = Resolution{Path: path, Hop: found.Hop, Hops: append(hops, found.Hops...), Rejected: append(rejected, found.Rejected...)}
		if err != nil {
			return res, &petname.PathError{Path: path, Part: value, Err: err}
		}
		followed = append(followed, next)
	}
	if rest != "" {
		res.Value = strings.TrimSuffix(res.Value, "/") + rest
	}
	return res, nil
}

const ipnsPrefix = "/ipns/"

// ipnsPointer returns the pointer of a value /ipns/POINTER[/REST] and the rest with its
// slash, or why the value cannot be followed.
func ipnsPointer(value string) (p pointer.Pointer, rest, reason string) {
	text, _, _ := strings.Cut(strings.TrimPrefix(value, ipnsPrefix), "/")
	other := func(r rune) bool { return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9') }
	p, err := pointer.Parse(text)
	if err != nil || strings.ContainsFunc(text, other) { // pasted forms are for people
		return p, "", "it names no pointer, and no DNS is asked"
	}
	rest = value[len(ipnsPrefix)+len(text):]
	if part := DotPart(rest); part != "" { // it could leave what the next pointer names
		return p, "", "it has the part " + part
	}
	return p, strings.TrimSuffix(rest, "/"), ""
}

// DotPart returns the first part of a content path that leads out of what is before it, or nowhere:
// "." or "..", also with the percent-encoded dots that the programs decode which read the path as
// one of a URL. Empty: there is none.
func DotPart(path string) string {
	for part := range strings.SplitSeq(path, "/") {
		if dots := strings.ReplaceAll(strings.ReplaceAll(part, "%2e", "."), "%2E", "."); dots == "." || dots == ".." {
			return part
		}
	}
	return ""
}
