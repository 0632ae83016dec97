package exchange

import (
	"context"
	"strconv"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/ledger/replicate"
)

// bundlePurpose is the purpose of the channels that carry bundles between the devices of a book,
// followed by the number of the message: see package replicate. Nothing of these channels is
// stored: each record has one message, and no acknowledgement.
const bundlePurpose = "petnames/sync/bundle/1/"

// Unacknowledged reports whether this device wrote something that another one has not acknowledged
// in messages.
func (e *Exchange) Unacknowledged(device ledger.DeviceID) (bool, error) {
	peer, err := e.syncPeer(device)
	if err != nil {
		return false, err
	}
	return peer.Unacknowledged(e.c.Book.Ledger())
}

// PutBundle puts what this device wrote, and another one has not acknowledged, where a device
// reads it that regards this one as removed. It returns the number of messages; 0: nothing fits.
func (e *Exchange) PutBundle(ctx context.Context, device ledger.DeviceID) (int, error) {
	peer, err := e.syncPeer(device)
	if err != nil {
		return 0, err
	}
	messages, err := peer.Bundle(e.c.Book.Ledger())
	if err != nil {
		return 0, err
	}
	for i, m := range messages {
		c, err := e.deviceChannel(device, bundlePurpose+strconv.Itoa(i), nil)
		if err == nil {
			err = c.Send(m)
		}
		if err == nil {
			c.State() // Put requires it; nothing of it is kept
		}
		if err == nil {
			_, err = c.Put(ctx, e.storeFor(nil), e.c.Now())
		}
		if err != nil {
			return i, err
		}
	}
	return len(messages), nil
}

// PollBundle reads what a device that is removed here wrote, and merges it if a later identity key
// than that of its removal signed a statement in it: the removal then does not stand. It returns
// the number of new entries that count. It acknowledges and answers nothing.
func (e *Exchange) PollBundle(ctx context.Context, device ledger.DeviceID) (received int, err error) {
	return replicate.MergeBundle(e.c.Book.Ledger(), device, func(i int) ([]byte, error) {
		c, err := e.deviceChannel(device, bundlePurpose+strconv.Itoa(i), nil)
		if err != nil {
			return nil, err
		}
		polled, err := c.Poll(ctx, e.storeFor(nil), e.c.Now())
		if len(polled.Messages) == 0 {
			return nil, err
		}
		return polled.Messages[0].Bytes, nil
	})
}
