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

// DeviceTags returns what the owner's card lists: the tags of the devices that hold the identity
// key and were not removed, in ascending order, without that of the first device of the book,
// which contacts know without a tag. Of more than [pointer.MaxDevices] it returns the first ones.
func (b *Book) DeviceTags() ([]pointer.DeviceTag, error) {
	if len(b.ledger.Devices()) == 1 { // usually
		return nil, nil
	}
	all, err := b.Devices()
	if err != nil {
		return nil, err
	}
	var tags []pointer.DeviceTag
	for _, d := range all[1:] { // the first one is that of the genesis, on every device
		if tag := DeviceTag(d.ID); d.IdentityKey && !d.Removed && tag != (pointer.DeviceTag{}) {
			tags = append(tags, tag)
		}
	}
	slices.SortFunc(tags, func(a, b pointer.DeviceTag) int { return bytes.Compare(a[:], b[:]) })
	tags = slices.Compact(tags)
	return tags[:min(len(tags), pointer.MaxDevices)], nil
}
