package pair

import (
	"bytes"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/pointer/lawtest"
)

func TestTranscriptOfOneIdentityIsRefused(t *testing.T) {
	m := newCodeScenario(t, theCode, theCode)
	m.runToEnd(t)
	var w wireTranscript
	require.NoError(t, decode(m.inviteeOutcome.event.Paired.Transcript, maxTranscript, &w))
	w.Invitee = w.Inviter
	session := sidOutput(cpaceMessage{w.Shares[0], commit(w.Blinds[0], w.Inviter)}, cpaceMessage{w.Shares[1], commit(w.Blinds[1], w.Invitee)})
	for n, role := range []string{roleInviter, roleInvitee} {
		var err error
		w.Sigs[n], err = m.alice.sign(domainCode, codeStatement{Role: role, Slot: m.slot.id(), Session: session})
		require.NoError(t, err)
	}
	_, err := ParseTranscript(encode(w))
	require.ErrorContains(t, err, "with itself")
}

func TestChangedTranscriptIsRefused(t *testing.T) {
	m := newCodeScenario(t, theCode, theCode)
	m.runToEnd(t)
	requireAllPartsSigned(t, m.inviteeOutcome.event.Paired.Transcript)
}

// requireAllPartsSigned flips bits in all parts of a transcript.
func requireAllPartsSigned(t *testing.T, good []byte) {
	t.Helper()
	_, err := ParseTranscript(good)
	require.NoError(t, err)
	zeroes := make([]byte, 32)
	for at := range good {
		if bytes.HasPrefix(good[at:], zeroes) && at%64 != 0 && !lawtest.Long() {
			continue // in the middle of a sealing key
		}
		bad := slices.Clone(good)
		bad[at] ^= 1 << (at % 8)
		_, err := ParseTranscript(bad)
		require.Error(t, err, at)
	}
	var w wireTranscript
	require.NoError(t, decode(good, maxTranscript, &w))
	foreign := map[string]func(w *wireTranscript){ // no signature covers these fields
		"an invitation": func(w *wireTranscript) { w.Invitation = []byte{1} },
		"an ephemeral":  func(w *wireTranscript) { w.Ephemeral = []byte{1} },
		"a nonce":       func(w *wireTranscript) { w.Nonce = []byte{1} },
		"three shares":  func(w *wireTranscript) { w.Shares = [][]byte{w.Shares[0], w.Shares[1], {1}} },
		"three blinds":  func(w *wireTranscript) { w.Blinds = [][]byte{w.Blinds[0], w.Blinds[1], {1}} },
	}
	if w.Channel == ChannelLink {
		foreign = map[string]func(w *wireTranscript){
			"a place":  func(w *wireTranscript) { w.Nameplate = "1-zoo" },
			"a bucket": func(w *wireTranscript) { w.Period = 1 },
			"shares":   func(w *wireTranscript) { w.Shares = [][]byte{{1}, {2}} },
			"blinds":   func(w *wireTranscript) { w.Blinds = [][]byte{{1}, {2}} },
		}
	}
	foreign["three signatures"] = func(w *wireTranscript) { w.Sigs = [][]byte{w.Sigs[0], w.Sigs[1], {1}} }
	for why, change := range foreign {
		bad := w
		change(&bad)
		_, err := ParseTranscript(encode(bad))
		require.Error(t, err, why)
	}
	for why, change := range map[string]func(w *wireTranscript){
		"the two swapped":    func(w *wireTranscript) { w.Inviter, w.Invitee = w.Invitee, w.Inviter },
		"signatures swapped": func(w *wireTranscript) { w.Sigs = [][]byte{w.Sigs[1], w.Sigs[0]} },
		"one signature":      func(w *wireTranscript) { w.Sigs = w.Sigs[:1] },
		"with itself":        func(w *wireTranscript) { w.Invitee = w.Inviter },
		"another channel": func(w *wireTranscript) {
			w.Channel = map[string]string{ChannelCode: ChannelLink, ChannelLink: ChannelCode}[w.Channel]
		},
		"an unknown channel":   func(w *wireTranscript) { w.Channel = "mail" },
		"the other's fields":   func(w *wireTranscript) { w.Nonce, w.Nameplate = []byte{1}, "1-zoo" },
		"shares of a stranger": func(w *wireTranscript) { w.Shares, w.Ephemeral = [][]byte{{1}, {2}}, []byte{3} },
	} {
		bad := w
		change(&bad)
		_, err := ParseTranscript(encode(bad))
		require.Error(t, err, why)
	}
}
