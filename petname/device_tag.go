package petname

import (
	"bytes"
	"crypto/sha256"
	"slices"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/pointer"
)

// DeviceTag returns the tag of a device: the first 8 bytes of a hash of its key. It names the
// device to the owner's contacts, which learn no device key from it. A contact that knows the
// key can compute the tag.
func DeviceTag(id ledger.DeviceID) (tag pointer.DeviceTag) {
	sum := sha256.Sum256(append([]byte("petnames/device/tag/v1\x00"), id[:]...))
	copy(tag[:], sum[:])
	return tag
}

// Sender is a device of the owner that can sign: it holds the identity key, and was not removed.
type Sender struct {
	Device ledger.DeviceID
	Tag    pointer.DeviceTag
	First  bool // it is the first device of the book, which contacts know without a tag
}

// Senders returns the devices of the owner that can sign. The first device of the book is that
// of its genesis, on every device.
func (b *Book) Senders() (all []Sender, err error) {
	err = b.read(func(v *ledger.View) error {
		devices := b.ledger.Devices()
		held, err := holdings(v, devices, b.ledger.Device())
		if err != nil {
			return err
		}
		for i, d := range devices {
			if held[i].holds && !d.Removed {
				all = append(all, Sender{d.ID, DeviceTag(d.ID), i == 0})
			}
		}
		return nil
	})
	return all, err
}

// DeviceTags returns what the owner's card lists: the tags of the [Book.Senders] without the
// first device of the book, in ascending order. Of more than [pointer.MaxDevices] it returns the
// first ones.
func (b *Book) DeviceTags() ([]pointer.DeviceTag, error) {
	all, err := b.Senders()
	var tags []pointer.DeviceTag
	for _, s := range all {
		if !s.First {
			tags = append(tags, s.Tag)
		}
	}
	slices.SortFunc(tags, func(a, b pointer.DeviceTag) int { return bytes.Compare(a[:], b[:]) })
	return tags[:min(len(tags), pointer.MaxDevices)], err
}
