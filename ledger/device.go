package ledger

import (
	"crypto"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"time"
	"unicode/utf8"
)

// Device describes one device of the book.
type Device struct {
	ID DeviceID
	// according to the identity's admission; hostile text unless the identity is trusted
	Name    string
	Head    uint64    // number of its latest entry in this ledger, 0 before its first
	At      time.Time // of that entry, by the device's clock, which may be wrong; zero before its first
	Removed bool
	Last    uint64 // of a removed device: its last entry that counts
	Forked  bool   // two copies have written under its key: see Ledger.Branches
}

// Statement is an admission or a removal of a device by the identity.
type Statement struct {
	At     ID        // the entry
	Hash   Hash      // of the entry
	Time   time.Time // by the clock of the device that wrote it, which may be wrong
	Kind   Kind      // KindGenesis, KindAdmit or KindRemove
	Device DeviceID

	Steps   int  // from the identity that created the book to the one that signed it
	Follows bool // these steps are those of the succession: see [Ledger.Follow]
}

// Statements returns the admissions and the removals of devices, by the device that wrote
// them, and by number. One that was repeated is among them, and one that does not count.
func (l *Ledger) Statements() (all []Statement, err error) {
	err = l.readLog(func(log *logBucket, st *state) error {
		stored := []storedStatement{}
		if st.format < fileFormat {
			first, err := log.statement(mark{0, 1})
			if err != nil {
				return err
			}
			stored = append(stored, first)
		} else {
			index, err := l.openChain(log.b.Tx(), bucketIndex)
			if err == nil {
				stored, err = log.statements(index)
			}
			if err != nil {
				return err
			}
		}
		for _, s := range stored {
			out := Statement{At: ID{st.branches[s.at.branch].device, s.at.number}, Hash: s.hash, Time: time.UnixMilli(int64(s.clock >> logical)).UTC(), Kind: s.kind, Device: s.admitted.device, Steps: s.admitted.steps, Follows: s.follows}
			if s.kind == KindRemove {
				out.Device, out.Steps = s.removed.device, s.removed.steps
			}
			all = append(all, out)
		}
		return nil
	})
	return all, err
}

// checkName checks the length and the encoding of a device's name.
func checkName(name string) error {
	if len(name) > maxName || !utf8.ValidString(name) {
		return fmt.Errorf("device name %q: at most %d bytes of UTF-8", name, maxName)
	}
	return nil
}

// sign signs a message with an Ed25519 key.
func sign(signer crypto.Signer, rand io.Reader, message []byte) ([]byte, error) {
	return signer.Sign(rand, message, crypto.Hash(0))
}

// deviceOf returns the id of the device with this key.
func deviceOf(signer crypto.Signer) (id DeviceID, err error) {
	if signer == nil {
		return id, errors.New("no device key")
	}
	return deviceFromKey(signer.Public())
}

// deviceFromKey returns the id of the device with this public key.
func deviceFromKey(key crypto.PublicKey) (id DeviceID, err error) {
	k, ok := key.(ed25519.PublicKey)
	if !ok || len(k) != len(id) {
		return id, fmt.Errorf("device key is a %T, must be Ed25519", key)
	}
	copy(id[:], k)
	return id, nil
}
