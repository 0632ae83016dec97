package exchange

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht/drop"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/introduce"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/canonical"
)

// signStatement signs any fields as a statement of package introduce, which
// would refuse to sign most of them.
func signStatement(key ed25519.PrivateKey, fields map[int]any) []byte {
	fields[2] = must(pointer.FromPublicKey(key.Public())).Bytes()
	message := append([]byte("petnames/statement/v1\x00"), canonical.MustMarshal(fields)...)
	fields[15] = ed25519.Sign(key, message)
	return canonical.MustMarshal(fields)
}

// signMutual signs any fields as a message of package mutual.
func signMutual(key ed25519.PrivateKey, fields map[int]any) []byte {
	fields[6] = must(pointer.FromPublicKey(key.Public())).Bytes()
	domain := map[int]string{1: "petnames/mutual/request/v1\x00", 2: "petnames/mutual/accept/v1\x00"}[fields[1].(int)]
	message := append([]byte(domain), canonical.MustMarshal(fields)...)
	fields[21] = ed25519.Sign(key, message)
	return canonical.MustMarshal(fields)
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// variant is one value of a field; nil: the field is absent.
type variant struct {
	name  string
	value any
}

// variants calls fn with each combination of the variants of fields.
func variants(fields map[int][]variant, fn func(what string, fields map[int]any)) {
	var keys []int
	for key := range 30 {
		if fields[key] != nil {
			keys = append(keys, key)
		}
	}
	var walk func(what string, chosen map[int]any, keys []int)
	walk = func(what string, chosen map[int]any, keys []int) {
		if len(keys) == 0 {
			all := make(map[int]any)
			for key, value := range chosen {
				if value != nil {
					all[key] = value
				}
			}
			fn(what, all)
			return
		}
		for _, v := range fields[keys[0]] {
			chosen[keys[0]] = v.value
			walk(fmt.Sprintf("%s %d=%s", what, keys[0], v.name), chosen, keys[1:])
		}
	}
	walk("", make(map[int]any), keys)
}

func one(value any) []variant { return []variant{{"", value}} }

// withEveryContactState returns Carol, with a contact in every state of a contact in her book.
func withEveryContactState(t *testing.T) (carol *person, pointers []variant) {
	alice, _, carol := three(t)
	add := func(seed, called string) {
		_, err := carol.book.Add(must(name.Parse(called)), pointer.Link{Pointer: pointerOf(seed)}, petname.Source{})
		require.NoError(t, err)
	}
	add("known", "known")
	add("removed", "removed")
	_, err := carol.book.Remove(pointerOf("removed"))
	require.NoError(t, err)
	muted := signStatement(alice.key, map[int]any{1: 1, 3: pointerOf("carol").Bytes(), 4: alice.clock.now.UnixMilli(), 5: make([]byte, 16),
		6: pointerOf("muted").Bytes(), 10: alice.clock.now.Add(time.Hour).UnixMilli()})
	id, _, err := carol.book.Receive(must(introduce.Open(muted)), "drop")
	require.NoError(t, err)
	_, err = carol.book.Decline(id, true)
	require.NoError(t, err)
	for _, seed := range []string{"alice", "carol", "known", "removed", "muted", "unknown"} {
		pointers = append(pointers, variant{seed, pointerOf(seed).Bytes()})
	}
	return carol, append(pointers, variant{"none", nil}, variant{"empty", []byte{}}, variant{"no pointer", []byte("x")})
}

// A signed statement that cannot be accepted is refused once, whatever is wrong
// with it: it delays nothing that comes after it.
func TestEachInvalidStatementIsRefusedOnce(t *testing.T) {
	carol, pointers := withEveryContactState(t)
	alice, now := testKey("alice"), carol.clock.now
	at := func(d time.Duration) variant { return variant{d.String(), now.Add(d).UnixMilli()} }
	times := []variant{{"none", nil}, {"first", int64(1)}, at(-time.Hour), at(0), at(time.Hour), at(300 * 24 * time.Hour), at(5000 * 24 * time.Hour), {"last", int64(1) << 46}, {"beyond", int64(1)<<46 + 1}, {"negative", int64(-1)}}
	texts := []variant{{"none", nil}, {"empty", ""}, {"text", "bob"}, {"long", strings.Repeat("x", 65)}, {"foreign", "\u202e\x00"}}
	next := []variant{{"none", nil}, {"commitment", must(pointer.Commit(testKey("next").Public())).Bytes()}, {"short", []byte{1}}}
	subject := signStatement(testKey("unknown"), map[int]any{1: 1, 3: pointerOf("alice").Bytes(), 4: now.UnixMilli(), 5: make([]byte, 16),
		6: pointerOf("carol").Bytes(), 10: now.Add(time.Hour).UnixMilli()})
	toSelf := signStatement(alice, map[int]any{1: 1, 3: pointerOf("carol").Bytes(), 4: now.UnixMilli(), 5: make([]byte, 16),
		6: pointerOf("alice").Bytes(), 10: now.Add(time.Hour).UnixMilli()})
	subjects := []variant{{"none", nil}, {"hash", make([]byte, 32)}, {"short", []byte{1}}, {"introduction", subject}, {"another's", toSelf}}
	edge := func(p, n any) variant { return variant{"edge", map[string]any{"x": []any{p, n}}} }
	edges := []variant{{"none", nil}, {"empty", map[string]any{}}, edge(pointerOf("alice").Bytes(), nil), edge(pointerOf("carol").Bytes(), []byte{1}), edge([]byte{}, nil), edge(nil, nil),
		{"label", map[string]any{"": []any{pointerOf("known").Bytes(), nil}}}, {"foreign label", map[string]any{"a/b\u202e": []any{pointerOf("known").Bytes(), nil}}}}
	versions := []variant{{"none", nil}, {"1", uint64(1)}, {"2", uint64(2)}, {"last", uint64(1)<<63 - 1}, {"beyond", uint64(1) << 63}}

	ids := uint64(0)
	accepted, refused := 0, 0
	for _, fields := range []map[int][]variant{
		{1: one(1), 3: pointers, 4: times, 6: pointers, 10: times},
		{1: one(1), 3: one(pointerOf("carol").Bytes()), 4: one(now.UnixMilli()), 6: pointers, 7: next, 8: texts, 9: texts, 10: one(now.Add(time.Hour).UnixMilli())},
		{1: one(2), 3: pointers, 4: times},
		{1: one(3), 3: pointers, 4: times[:6], 11: edges, 12: versions},
		{1: one(4), 3: pointers, 4: times, 9: texts, 13: subjects},
		{1: one(5), 4: times, 6: pointers, 13: subjects},
		{1: []variant{{"0", 0}, {"6", 6}, {"255", 255}}, 3: pointers, 4: times},
	} {
		variants(fields, func(what string, fields map[int]any) {
			if kind := fields[1]; kind == 1 || kind == 2 {
				ids++
				fields[5] = append(make([]byte, 8), fmt.Sprintf("%08d", ids)...)
			}
			body := signStatement(alice, fields)
			var report Report
			stop, err := carol.handle(t.Context(), pointerOf("alice"), drop.Message{Bytes: must(message{Kind: kindStatement, Body: body}.encode())}, &report)
			if strings.Contains(fmt.Sprint(err), "statements of") || strings.Contains(fmt.Sprint(err), "inbox is full") {
				carol.clock.now = carol.clock.now.Add(24 * time.Hour)
				return
			}
			require.False(t, stop, "%s: %v", what, err)
			if err == nil {
				accepted++
			} else {
				refused++
			}
		})
	}
	require.Greater(t, accepted, 100)
	require.Greater(t, refused, 1000)
}

// The same holds for each message of a mutual introduction.
func TestEachInvalidMutualMessageIsRefusedOnce(t *testing.T) {
	carol, pointers := withEveryContactState(t)
	alice, now := testKey("alice"), carol.clock.now
	at := func(d time.Duration) variant { return variant{d.String(), now.Add(d).UnixMilli()} }
	times := []variant{{"none", nil}, at(0), at(time.Hour), at(400 * 24 * time.Hour), {"last", int64(1) << 46}, {"beyond", int64(1)<<46 + 1}}
	sides := []variant{{"none", nil}, {"1", 1}, {"2", 2}, {"3", 3}}
	texts := []variant{{"none", nil}, {"empty", ""}, {"text", "bob"}, {"long", strings.Repeat("x", 65)}, {"foreign", "\u202e\x00"}}
	sized := func(n int) []variant {
		return []variant{{"none", nil}, {"zeros", make([]byte, n)}, {"short", make([]byte, n-1)}}
	}
	sessions, accepted, refused := uint64(0), 0, 0
	session := func(n uint16) []byte { return append([]byte{1, byte(n >> 8), byte(n)}, make([]byte, 29)...) }
	try := func(what string, fields map[int]any) {
		if fields[2] == nil {
			sessions++
			fields[2] = append(make([]byte, 24), fmt.Sprintf("%08d", sessions)...)
		}
		var body []byte
		if kind, _ := fields[1].(int); kind == 1 || kind == 2 {
			body = signMutual(alice, fields)
		} else {
			body = canonical.MustMarshal(fields)
		}
		var report Report
		stop, err := carol.handle(t.Context(), pointerOf("alice"), drop.Message{Bytes: must(message{Kind: kindMutual, Body: body}.encode())}, &report)
		if errors.Is(err, petname.ErrInboxFull) || errors.Is(err, ErrTooManySessions) {
			carol.clock.now = carol.clock.now.Add(100 * 24 * time.Hour)
			_, err := carol.Sync(t.Context(), carol.key)
			require.NoError(t, err)
			carol.clock.now = now
			return
		}
		require.False(t, stop, "%s: %v", what, err)
		if err == nil {
			accepted++
		} else {
			refused++
		}
	}
	request := func(session []byte) map[int]any {
		return map[int]any{1: 1, 2: session, 3: 1, 4: now.Add(time.Hour).UnixMilli(), 5: now.UnixMilli(), 7: pointerOf("carol").Bytes(), 8: make([]byte, 32)}
	}
	variants(map[int][]variant{1: one(1), 3: sides[:3], 4: times, 5: times, 7: pointers, 8: sized(32)[1:2]}, try)
	variants(map[int][]variant{1: one(1), 3: one(1), 4: one(now.Add(time.Hour).UnixMilli()), 5: one(now.UnixMilli()), 7: one(pointerOf("carol").Bytes()), 8: sized(32), 9: texts, 10: texts}, try)
	// Of sessions that do not exist, were consented to, and wait for consent.
	n := uint16(1)
	for kind := 0; kind <= 8; kind++ {
		fields := map[int][]variant{1: one(kind), 3: sides, 16: pointers[:4], 20: []variant{{"none", nil}, {"1", 1}, {"9", 9}}}
		switch kind {
		case 1:
			continue
		case 2:
			fields = map[int][]variant{1: one(2), 3: sides, 4: times[1:3], 7: pointers[:3], 11: sized(32)[:2], 12: sized(16)[:2], 13: sized(32)[:2], 14: sized(32)[1:]}
		case 4:
			fields = map[int][]variant{1: one(4), 15: sized(32), 16: pointers, 17: sized(100)}
		case 5:
			fields = map[int][]variant{1: one(5), 3: sides, 18: sized(200)}
		case 6:
			fields = map[int][]variant{1: one(6), 3: sides, 19: sized(32)}
		}
		variants(fields, func(what string, fields map[int]any) {
			n++
			fields[2] = session(n)
			if n%3 > 0 {
				try(what, request(session(n)))
				if n%3 == 1 {
					if s := carol.inbox(t); len(s) > 0 {
						_, _, _ = carol.AcceptMutual(t.Context(), carol.key, s[len(s)-1].ID)
					}
				}
			}
			try(what, fields)
		})
	}
	require.Greater(t, accepted, 40)
	require.Greater(t, refused, 300)
}
