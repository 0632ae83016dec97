package exchange

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"iter"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/petname/pair"
	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/canonical"
)

// recording is a store that shows what was put into it.
type recording struct {
	dht.Store
	mu     sync.Mutex
	stored map[pointer.Pointer][]byte
}

func (r *recording) Put(ctx context.Context, p pointer.Pointer, record []byte) (dht.Receipt, error) {
	r.mu.Lock()
	if r.stored == nil {
		r.stored = make(map[pointer.Pointer][]byte)
	}
	r.stored[p] = append(r.stored[p], record...)
	r.mu.Unlock()
	return r.Store.Put(ctx, p, record)
}

// handsOver lets a person admit devices.
func (p *person) handsOver() {
	p.Exchange.c.Handover = func(d NewDevice) (Handover, error) {
		return Handover{Sealing: []byte("sealing")}, nil
	}
}

// deviceTerms are the terms of an invitation that admits a device.
func (p *person) deviceTerms(withKey bool) DeviceTerms {
	return DeviceTerms{Expires: time.Now().Add(10 * time.Minute), Made: time.Now(), Code: true, WithKey: withKey, Identity: []byte("identity of " + p.name)}
}

// addContacts adds contacts to a book.
func (p *person) addContacts(t testing.TB, n int) {
	for i := range n {
		text := "contact" + string(rune('a'+i%26)) + string(rune('a'+i/26%26)) + string(rune('a'+i/676))
		c, err := name.Parse(text)
		require.NoError(t, err)
		_, err = p.book.Add(c, pointer.Link{Pointer: pointerOf(text)}, petname.Source{Lookalike: true})
		require.NoError(t, err)
	}
}

// requireJoined makes a book of what a device received, and compares it with the owner's.
func (p *person) requireJoined(t testing.TB, owner *person, inviter pointer.Pointer, h Handover, entries iter.Seq[[]byte]) {
	t.Helper()
	require.Equal(t, owner.book.Identity(), inviter)
	require.Equal(t, "identity of "+owner.name, string(h.Identity))
	require.Equal(t, owner.book.Ledger().Device(), h.Inviter)
	book, err := petname.Join(filepath.Join(t.TempDir(), "ledger.db"), h.Creator, p.key, entries, petname.Options{Now: p.clock.Now})
	require.NoError(t, err)
	defer book.Close()
	want, err := owner.book.Ledger().Digest()
	require.NoError(t, err)
	got, err := book.Ledger().Digest()
	require.NoError(t, err)
	require.Equal(t, want, got)
}

func TestADeviceJoinsByCodeOrLink(t *testing.T) {
	for _, byCode := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			alice, phone := two(t)
			alice.handsOver()
			alice.addContacts(t, 200)
			ctx := context.Background()
			terms := alice.deviceTerms(byCode)
			terms.Networks = []string{"/ip4/192.0.2.1/tcp/4001"}
			invited, err := alice.InviteDevice(ctx, alice.key, terms)
			require.NoError(t, err)
			require.Equal(t, terms.Networks, invited.Link.Networks)
			done := make(chan NewDevice)
			go func() {
				d, err := alice.WaitDevice(ctx, alice.key, invited.ID)
				require.NoError(t, err)
				done <- d
			}()
			text := invited.Link.Link()
			if byCode {
				text = invited.Code.Secret()
			}
			inviter, h, entries, err := phone.JoinBook(ctx, phone.key, text, nil)
			require.NoError(t, err)
			d := <-done
			require.Equal(t, phone.key.Public(), ed25519.PublicKey(d.Device[:]))
			require.Equal(t, byCode, d.WithKey)
			phone.requireJoined(t, alice, inviter, h, entries)
			require.Empty(t, alice.inbox(t), "a device is no contact")
			devices, err := alice.book.Devices()
			require.NoError(t, err)
			require.Len(t, devices, 2)
			require.Equal(t, byCode, devices[1].IdentityKey)

			_, _, entries, err = phone.JoinBook(ctx, phone.key, text, nil)
			require.NoError(t, err, "a repetition")
			phone.requireJoined(t, alice, inviter, h, entries)

			// Neither the code nor the link admits another one.
			for _, text := range []string{invited.Link.Link(), invited.Code.Secret()} {
				thief := newPerson(t, alice.clock, alice.network, "thief"+text[:10])
				limited, end := context.WithTimeout(ctx, time.Minute)
				var steps sync.WaitGroup
				steps.Go(func() {
					for limited.Err() == nil {
						_, _ = alice.StepInvitations(ctx, alice.key)
						<-time.After(time.Second)
					}
				})
				_, _, _, err = thief.JoinBook(limited, thief.key, text, nil)
				require.Error(t, err)
				end()
				steps.Wait()
			}
			devices, err = alice.book.Devices()
			require.NoError(t, err)
			require.Len(t, devices, 2)
		})
	}
}

// Both sides are restarted at every moment, and the joining continues.
func TestAJoiningContinuesAfterRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		alice, phone := two(t)
		alice.handsOver()
		alice.addContacts(t, 150)
		random := rand.New(rand.NewPCG(1, 2))
		invited, err := alice.InviteDevice(context.Background(), alice.key, alice.deviceTerms(true))
		require.NoError(t, err)
		text := invited.Link.Link()
		for round := 0; ; round++ {
			require.Less(t, round, 300)
			ctx, cancel := context.WithTimeout(context.Background(), time.Duration(random.IntN(4000))*time.Millisecond)
			var steps sync.WaitGroup
			again := random.IntN(3) == 0
			steps.Go(func() {
				for ctx.Err() == nil {
					if again {
						alice.reopen(t)
						alice.handsOver()
						again = false
					}
					_, err := alice.StepInvitations(context.Background(), alice.key)
					require.NoError(t, err)
					<-time.After(300 * time.Millisecond)
				}
			})
			if random.IntN(2) == 0 {
				phone.reopen(t)
			}
			inviter, h, entries, err := phone.JoinBook(ctx, phone.key, text, nil)
			cancel()
			steps.Wait()
			if err != nil {
				require.ErrorIs(t, err, context.DeadlineExceeded)
				continue
			}
			phone.requireJoined(t, alice, inviter, h, entries)
			break
		}
		for range 3 {
			_, err := alice.StepInvitations(context.Background(), alice.key)
			require.NoError(t, err)
		}
		require.Empty(t, alice.rows(t, tableNewcomers, nil))
		require.Empty(t, alice.rows(t, tableDeviceChannels, nil))
		require.Empty(t, Check(alice.book))
		require.Empty(t, Check(phone.book))
	})
}

// A holder of the invitation that sends no book is found out, and nothing is stored of it
// that is no part of one.
func TestAJoiningDeviceRefusesWhatIsNoBook(t *testing.T) {
	chunk := func(change func(w *wireChunk)) []wireChunk {
		w := wireChunk{Version: 1, Generation: 1, Bytes: []byte{0x40}}
		change(&w)
		return []wireChunk{w}
	}
	for name, sent := range map[string][]wireChunk{
		"a newer version":   chunk(func(w *wireChunk) { w.Version = 2 }),
		"a part too far":    chunk(func(w *wireChunk) { w.Index = 7 }),
		"after the end":     {{Version: 1, Generation: 1, Last: true, Bytes: []byte{0x40}}, {Version: 1, Generation: 1, Index: 1, Bytes: []byte{0x40}}},
		"an empty handover": {{Version: 1, Generation: 1, Last: true}},
		"no byte string":    {{Version: 1, Generation: 1, Last: true, Bytes: []byte{0xff}}},
		"no handover":       {{Version: 1, Generation: 1, Last: true, Bytes: []byte{0x41, 0x00}}},
	} {
		t.Run(name, func(t *testing.T) {
			_, phone := two(t)
			w := wireInviter{Inviter: pointerOf("alice").Bytes()}
			var failed error
			err := phone.update(func(tx tx) error {
				for _, chunk := range sent {
					b, err := chunk.encoded()
					require.NoError(t, err)
					if chunk, failed = decodeChunk(b); failed == nil {
						failed = w.add(tx.local, chunk)
					}
					if failed != nil {
						return nil
					}
				}
				return nil
			})
			require.NoError(t, err)
			if failed == nil {
				var first []byte
				if first, _, failed = phone.handed(); failed == nil {
					_, failed = decodeHandover(first)
				}
			}
			require.Error(t, failed)
		})
	}
}

func (w wireChunk) encoded() ([]byte, error) { return canonical.Marshal(w) }

// Codes and links of contacts admit no device, and the reverse.
func TestNoContactPairsAsADevice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		alice, bob := two(t)
		alice.handsOver()
		ctx := context.Background()
		invited, err := alice.InviteDevice(ctx, alice.key, alice.deviceTerms(true))
		require.NoError(t, err)
		for _, text := range []string{invited.Link.Link(), invited.Code.Secret(), invited.Link.Compact()} {
			_, err = bob.Pair(ctx, bob.key, text)
			require.ErrorIs(t, err, pair.ErrDevice)
		}
		contact, err := alice.Invite(ctx, alice.key, Terms{Terms: pair.Terms{Expires: time.Now().Add(time.Hour)}})
		require.NoError(t, err)
		_, _, _, err = bob.JoinBook(ctx, bob.key, contact.Link.Link(), nil)
		require.ErrorIs(t, err, pair.ErrNoDevice)
		_, _, _, err = bob.JoinBook(ctx, bob.key, "petname-device:AAAA", nil)
		require.ErrorIs(t, err, ErrMalformed)
	})
}

// What the network stores of an admission contains nothing of the book.
func TestTheNetworkSeesNothingOfAnAdmission(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, network := &clock{}, &recording{Store: &dht.Memory{}}
		alice, phone := newPerson(t, c, network, "alice"), newPerson(t, c, network, "phone")
		alice.handsOver()
		alice.addContacts(t, 3)
		ctx := context.Background()
		invited, err := alice.InviteDevice(ctx, alice.key, alice.deviceTerms(true))
		require.NoError(t, err)
		var waiting sync.WaitGroup
		waiting.Go(func() {
			_, err := alice.WaitDevice(ctx, alice.key, invited.ID)
			require.NoError(t, err)
		})
		_, _, _, err = phone.JoinBook(ctx, phone.key, invited.Code.Secret(), nil)
		require.NoError(t, err)
		waiting.Wait()
		book := alice.book.Ledger().Book()
		device := []byte(phone.key.Public().(ed25519.PublicKey))
		network.mu.Lock()
		defer network.mu.Unlock()
		require.NotEmpty(t, network.stored)
		for p, record := range network.stored {
			if p == alice.book.Identity() || p == pointerOf("phone") {
				continue // their cards, which they published
			}
			for _, secret := range [][]byte{[]byte("identity of alice"), book[:], []byte("contactaaa"), device} {
				require.False(t, bytes.Contains(record, secret))
			}
		}
	})
}

// The number of a name has room in it, and ends no character in its middle.
func TestANumberedNameIsNoLongerThanAName(t *testing.T) {
	require.Equal(t, "vm", unusedName("vm", []string{"phone"}))
	require.Equal(t, "vm 2", unusedName("vm", []string{"VM"}))
	require.Equal(t, "vm 3", unusedName("vm", []string{"vm", "vm 2"}))
	require.Equal(t, "phone 2", unusedName("phone", []string{"ph\u043ene"}), "it looks alike")
	long := strings.Repeat("ä", petname.MaxDeviceName/2)
	out := unusedName(long, []string{long})
	require.LessOrEqual(t, len(out), petname.MaxDeviceName)
	require.True(t, utf8.ValidString(out))
	require.True(t, strings.HasSuffix(out, "ä 2"))
}
