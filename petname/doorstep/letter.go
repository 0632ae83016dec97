package doorstep

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"

	"github.com/petnames-go/petnames/dht/seal"
	"github.com/petnames-go/petnames/petname/postage"
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
const MaxStatement = payloadSize - seal.HeadSize - (1088 + 32) - 16 - 2 - (1 + 1 + 3 + 3) - postage.MaxStamp

type wireLetter struct {
	_         struct{} `cbor:",toarray"`
	Version   uint64
	Stamp     []byte
	Statement []byte
}

var (
	encoder = func() cbor.EncMode {
		mode, err := cbor.CoreDetEncOptions().EncMode()
		if err != nil {
			panic(err) // constant options
		}
		return mode
	}()
	decoder = func() cbor.DecMode {
		mode, err := cbor.DecOptions{
			IndefLength:     cbor.IndefLengthForbidden,
			TagsMd:          cbor.TagsForbidden,
			MaxNestedLevels: 4,
		}.DecMode()
		if err != nil {
			panic(err) // constant options
		}
		return mode
	}()
)

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
	return encoder.Marshal(wireLetter{Version: letterVersion, Stamp: l.Stamp, Statement: l.Statement})
}

func decodeLetter(b []byte) (Letter, error) {
	var w wireLetter
	if err := decoder.Unmarshal(b, &w); err != nil {
		return Letter{}, errors.New("letter is not the CBOR that it should be") // err repeats hostile text
	}
	if again, err := encoder.Marshal(w); err != nil || !bytes.Equal(again, b) {
		return Letter{}, errors.New("letter is not in its canonical encoding")
	}
	if w.Version != letterVersion {
		return Letter{}, fmt.Errorf("letter is of version %d, and this program knows %d", w.Version, letterVersion)
	}
	l := Letter{Stamp: w.Stamp, Statement: w.Statement}
	return l, l.check()
}
