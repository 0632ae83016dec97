package delegation

import (
	"bytes"
	"crypto/ecdh"
	"crypto/hpke"
	"crypto/sha256"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht/seal"
	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/canonical"
)

// sealingOf returns the private sealing keys of a party, and those in its card.
func sealingOf(t testing.TB, party string, hybrid bool) (private []hpke.PrivateKey, public []pointer.SealingKey) {
	kems := []hpke.KEM{hpke.DHKEM(ecdh.X25519())}
	if hybrid {
		kems = append(kems, hpke.MLKEM768X25519())
	}
	for _, kem := range kems {
		seed := sha256.Sum256([]byte(party))
		key, err := kem.DeriveKeyPair(seed[:])
		require.NoError(t, err)
		private = append(private, key)
		public = append(public, pointer.SealingKey{KEM: kem.ID(), Key: key.PublicKey().Bytes()})
	}
	return private, public
}

// aliceToBob is what Alice states to Bob.
func aliceToBob(t testing.TB) Call {
	_, public := sealingOf(t, "bob", true)
	return Call{Own: delegate(t, "alice", "alice's peer", 0), To: testKey(t, "bob").Pointer(), Sealing: public,
		Peer: testKey(t, "bob's peer").Pointer(), Protocol: "example.org/chat/1"}
}

// openedBy opens a hello as the party that has a peer key, on a connection with another one.
func openedBy(t testing.TB, party, local, remote string, hello []byte) (Hello, error) {
	private, _ := sealingOf(t, party, true)
	return OpenHello(private, testKey(t, local).Pointer(), testKey(t, remote).Pointer(), hello)
}

// Two parties prove their pointers to each other, with either kind of sealing key and
// with a record.
func TestTwoPartiesProveTheirPointers(t *testing.T) {
	for _, hybrid := range []bool{false, true} {
		for _, record := range [][]byte{{}, bytes.Repeat([]byte{7}, pointer.MaxRecord)} {
			private, public := sealingOf(t, "bob", hybrid)
			call := aliceToBob(t)
			call.Sealing, call.Record = public, record
			hello, w, err := call.Hello()
			require.NoError(t, err)
			require.Contains(t, helloSizes(), len(hello))
			require.NotContains(t, string(hello), "example.org")
			require.NotContains(t, string(hello), string(call.Own.by.Bytes()))

			h, err := OpenHello(private, call.Peer, call.Own.peer, hello)
			require.NoError(t, err)
			require.Equal(t, call.Own, h.By)
			require.Equal(t, call.To, h.To)
			require.Equal(t, call.Protocol, h.Protocol)
			require.Equal(t, record, h.Record)

			own := delegate(t, "bob", "bob's peer", 5)
			for _, s := range []State{Accepted, NotServed, Busy} {
				answer, err := h.Answer(own, s)
				require.NoError(t, err)
				require.LessOrEqual(t, len(answer), MaxAnswer)
				got, d, err := w.Open(answer)
				require.NoError(t, err)
				require.Equal(t, s, got)
				require.Equal(t, own, d)
			}
		}
	}
}

// A hello opens on its own connection alone, and for the holder of the sealing key alone:
// not for a callee that wants to learn who calls, nor after it was passed on, replayed or
// reflected.
func TestAHelloOpensOnItsConnectionAlone(t *testing.T) {
	hello, _, err := aliceToBob(t).Hello()
	require.NoError(t, err)
	_, err = openedBy(t, "bob", "bob's peer", "alice's peer", hello)
	require.NoError(t, err)
	for _, test := range []struct{ name, party, local, remote string }{
		{"a callee with another sealing key", "mallory", "bob's peer", "alice's peer"},
		{"passed on to Bob by a peer between them", "bob", "bob's peer", "mallory's peer"},
		{"that was for another peer of Bob", "bob", "bob's second peer", "alice's peer"},
		{"reflected to Alice", "alice", "alice's peer", "bob's peer"},
		{"reflected to Bob's caller side", "bob", "alice's peer", "bob's peer"},
	} {
		_, err := openedBy(t, test.party, test.local, test.remote, hello)
		require.ErrorIs(t, err, ErrInvalid, test.name)
	}
}

// rehello seals a hello of Alice to Bob with other content.
func rehello(t testing.TB, change func(*wireHello)) []byte {
	call := aliceToBob(t)
	w := wireHello{Version: 1, Delegation: call.Own.raw, To: call.To.Bytes(), Protocol: call.Protocol, Secret: make([]byte, secretSize), Record: []byte{}}
	change(&w)
	plain, err := canonical.Marshal(w)
	require.NoError(t, err)
	key, err := seal.SelectKey(call.Sealing)
	require.NoError(t, err)
	hello, err := seal.Seal(key, helloInfo(call.Own.peer, call.Peer), nil, helloSizes(), plain)
	require.NoError(t, err)
	return hello
}

// A hello of which one field is wrong, and properly sealed, is refused: without a
// delegation, with one of another peer key, and with one that is not signed.
func TestHostileHellosAreRefused(t *testing.T) {
	_, err := openedBy(t, "bob", "bob's peer", "alice's peer", rehello(t, func(*wireHello) {}))
	require.NoError(t, err)
	for name, change := range map[string]func(*wireHello){
		"no delegation":                func(w *wireHello) { w.Delegation = []byte{} },
		"delegation of a stolen hello": func(w *wireHello) { w.Delegation = delegate(t, "carol", "carol's peer", 0).raw },
		"delegation to oneself":        func(w *wireHello) { w.Delegation = delegate(t, "alice", "alice", 0).raw },
		"a delegation that is cut off": func(w *wireHello) { w.Delegation = w.Delegation[:100] },
		"another version":              func(w *wireHello) { w.Version = 2 },
		"no callee":                    func(w *wireHello) { w.To = []byte{} },
		"no protocol":                  func(w *wireHello) { w.Protocol = "" },
		"a long protocol":              func(w *wireHello) { w.Protocol = strings.Repeat("x", MaxProtocol+1) },
		"a short secret":               func(w *wireHello) { w.Secret = w.Secret[1:] },
	} {
		_, err := openedBy(t, "bob", "bob's peer", "alice's peer", rehello(t, change))
		require.ErrorIs(t, err, ErrInvalid, name)
	}
	hello := rehello(t, func(*wireHello) {})
	for _, bad := range [][]byte{nil, {}, hello[:10], hello[:len(hello)-1], append(bytes.Clone(hello), 0), make([]byte, MaxHello+1)} {
		_, err := openedBy(t, "bob", "bob's peer", "alice's peer", bad)
		require.ErrorIs(t, err, ErrInvalid)
	}
	for _, protocol := range []string{"", strings.Repeat("x", MaxProtocol+1), "\xff"} {
		call := aliceToBob(t)
		call.Protocol = protocol
		_, _, err := call.Hello()
		require.Error(t, err)
	}
	call := aliceToBob(t)
	call.Sealing = nil
	_, _, err = call.Hello()
	require.Error(t, err, "nothing goes out without a sealing key")
}

// A caller accepts the answer of the pointer, and of the peer, that it called: of a party
// that opened its hello, and to that hello alone.
func TestHostileAnswersAreRefused(t *testing.T) {
	hello, w, err := aliceToBob(t).Hello()
	require.NoError(t, err)
	h, err := openedBy(t, "bob", "bob's peer", "alice's peer", hello)
	require.NoError(t, err)
	answerOf := func(h Hello, d Delegation, s State) []byte {
		b, err := h.Answer(d, s)
		require.NoError(t, err)
		return b
	}
	bob := delegate(t, "bob", "bob's peer", 0)
	good := answerOf(h, bob, Accepted)
	_, _, err = w.Open(good)
	require.NoError(t, err)

	for name, d := range map[string]Delegation{
		"another pointer, with a delegation of its own": delegate(t, "mallory", "bob's peer", 0),
		"another peer of Bob":                           delegate(t, "bob", "bob's second peer", 0),
		"Alice herself":                                 delegate(t, "alice", "alice's peer", 0),
	} {
		_, _, err := w.Open(answerOf(h, d, Accepted))
		require.ErrorIs(t, err, ErrWrongParty, name)
	}
	stranger := h
	stranger.secret = make([]byte, secretSize)
	other, _, err := aliceToBob(t).Hello()
	require.NoError(t, err)
	earlier, err := openedBy(t, "bob", "bob's peer", "alice's peer", other)
	require.NoError(t, err)
	flipped := answerOf(h, bob, NotServed)
	flipped[2] = byte(Accepted) // version, state: 0x84 0x01 0x01
	for name, answer := range map[string][]byte{
		"a thief of the peer key, who did not open the hello": answerOf(stranger, bob, Accepted),
		"the answer to an earlier hello":                      answerOf(earlier, bob, Accepted),
		"a refusal that was made an acceptance":               flipped,
		"no delegation":                                       answerOf(h, Delegation{raw: []byte{}}, Accepted),
		"nothing":                                             {},
		"the hello":                                           hello,
		"cut off":                                             good[:len(good)-1],
	} {
		_, _, err := w.Open(answer)
		require.ErrorIs(t, err, ErrInvalid, name)
	}
}
