package drop

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/hpke"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/pointer"
)

func TestThin(t *testing.T) {
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	mk := func(b byte) (Self, Party) {
		k, err := pointer.NewKey(bytes.NewReader(bytes.Repeat([]byte{b}, 32)))
		require.NoError(t, err)
		s := Self{Pointer: k.Pointer(), Signer: k}
		p := Party{Pointer: k.Pointer()}
		for _, kem := range []hpke.KEM{hpke.DHKEM(ecdh.X25519()), hpke.MLKEM768X25519()} {
			key, err := kem.GenerateKey()
			require.NoError(t, err)
			s.Sealing = append(s.Sealing, key)
			p.Sealing = append(p.Sealing, pointer.SealingKey{KEM: kem.ID(), Key: key.PublicKey().Bytes()})
		}
		return s, p
	}
	as, ap := mk(1)
	bs, bp := mk(2)
	a, err := Open(as, bp, nil)
	require.NoError(t, err)
	b, err := Open(bs, ap, nil)
	require.NoError(t, err)
	store := &dht.Memory{Now: func() time.Time { return now }}
	require.NoError(t, a.Send(bytes.Repeat([]byte{7}, MaxMessage)))
	_, err = a.Put(context.Background(), store, now)
	require.Error(t, err)
	a.State()
	_, err = a.Put(context.Background(), store, now)
	require.NoError(t, err)
	mail, err := b.Poll(context.Background(), store, now)
	require.NoError(t, err)
	require.Len(t, mail.Messages, 1)
	require.NoError(t, b.Done(mail.Messages[0]))
	require.True(t, b.Due(now))
	b.State()
	_, err = b.Put(context.Background(), store, now)
	require.NoError(t, err)
	require.False(t, b.Due(now))
	_, err = a.Poll(context.Background(), store, now)
	require.NoError(t, err)
	require.Zero(t, a.Waiting())
	rec, err := b.Outgoing(now)
	require.NoError(t, err)
	t.Log(len(rec.Bytes()), len(rec.Payload()), len(a.State()))
}
