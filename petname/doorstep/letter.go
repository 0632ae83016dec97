package doorstep

import (
	"fmt"

	"github.com/petnames-go/petnames/dht/seal"
	"github.com/petnames-go/petnames/petname/postage"
	"github.com/petnames-go/petnames/pointer/canonical"
)

// Letter is what is left on a doorstep.
type Letter struct {
	Stamp     []byte // of package postage
	Statement []byte // signed, of package introduce; at most MaxStatement
}

const (
	letterVersion = 1

	// payloadSize is that of every letter: its length tells nothing.
	payloadSize = 4096
)

// MaxStatement bounds a statement, in bytes: it always fits beside a stamp.
const MaxStatement = payloadSize - seal.HeaderSize - (1088 + 32) - 16 - 2 - (1 + 1 + 3 + 3) - postage.MaxStamp

type wireLetter struct {
	_         struct{} `cbor:",toarray"`
	Version   uint64
	Stamp     []byte
	Statement []byte
}

func (l Letter) check() error {
	if len(l.Stamp) == 0 || len(l.Stamp) > postage.MaxStamp || len(l.Statement) == 0 || len(l.Statement) > MaxStatement {
		return fmt.Errorf("letter with a stamp of %d bytes and a statement of %d: at most %d and %d fit",
			len(l.Stamp), len(l.Statement), postage.MaxStamp, MaxStatement)
	}
	return nil
}

func (l Letter) encode() ([]byte, error) {
	if err := l.check(); err != nil {
		return nil, err
	}
	return canonical.Marshal(wireLetter{Version: letterVersion, Stamp: l.Stamp, Statement: l.Statement})
}

func decodeLetter(b []byte) (Letter, error) {
	var w wireLetter
	if err := canonical.Unmarshal(b, &w, canonical.Bounds{}); err != nil {
		return Letter{}, fmt.Errorf("letter %w", err)
	}
	if w.Version != letterVersion {
		return Letter{}, fmt.Errorf("letter is of version %d, and this program knows %d", w.Version, letterVersion)
	}
	l := Letter{Stamp: w.Stamp, Statement: w.Statement}
	return l, l.check()
}
