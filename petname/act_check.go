package petname

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
)

// shapes lists the required and the optional fields of each op.
var shapes = map[op]struct{ must, may field }{
	opName:      {has(2) | has(3), has(4) | has(5) | has(9) | has(10) | has(11) | has(13) | has(15) | has(19) | has(21)},
	opRemove:    {has(2), has(5) | has(9) | has(13) | has(19)},
	opLearn:     {has(2) | has(4), has(11) | has(15) | has(22) | has(23) | has(24)},
	opShare:     {has(2) | has(6), has(9) | has(18) | has(19)},
	opUnshare:   {has(6), has(9) | has(18) | has(19)},
	opUndo:      {has(7), has(2) | has(3) | has(5) | has(6) | has(9) | has(13) | has(15) | has(18) | has(19) | has(22)},
	opProfile:   {0, has(3)},
	opPublish:   {has(8), has(11)},
	opKeep:      {has(2) | has(13), 0},
	opAdvance:   {has(2) | has(4) | has(12), has(22)},
	opSuggest:   {has(14), 0},
	opDecide:    {has(15) | has(16), 0},
	opStatement: {has(17) | has(20), 0},
	opPin:       {has(2) | has(4) | has(22), has(11) | has(23)},
	opDevice:    {has(25), 0},
	opRelay:     {has(26), 0},
}

// field is a set of an act's keys.
type field uint32

func has(key int) field { return 1 << key }

func (a act) fields() (f field) {
	for key, present := range [...]bool{
		2: a.Contact != nil, 3: a.Name != "", 4: a.Fact != nil, 5: a.Previous != nil, 6: a.Label != "",
		7: a.Number != 0, 8: a.Published != nil, 9: a.Edges != nil, 10: a.Lookalike,
		11: a.Of != nil, 12: a.Chain != nil, 13: a.Keep != 0, 14: a.Suggestion != nil, 15: a.Item != nil,
		16: a.Verdict != 0, 17: a.Statement != nil, 18: a.Audience != nil, 19: a.Private != nil, 20: a.Channel != "", 21: a.Replaced != nil,
		22: a.Pin != nil, 23: a.Joined, 24: a.NamesSuccessor,
		25: a.Device != nil, 26: a.Relay != nil,
	} {
		if present {
			f |= has(key)
		}
	}
	return f
}

// check returns an error if the act does not have the shape of its op, or if a
// part of it is over its bounds.
func (a act) check() error {
	shape, known := shapes[a.Op]
	if f := a.fields(); !known || f&shape.must != shape.must || f&^(shape.must|shape.may) != 0 {
		return errors.New("doesn't have the fields of its op")
	}
	for _, mh := range [][]byte{a.Contact, a.Of, a.Audience, a.Replaced} {
		if mh == nil {
			continue
		}
		if _, err := pointer.FromBytes(mh); err != nil {
			return fmt.Errorf("contact %w", err)
		}
	}
	if a.Of != nil && (a.Fact == nil && a.Op != opPublish || bytes.Equal(a.Of, a.Contact)) {
		return errors.New("has another pointer without a fact about it")
	}
	if a.NamesSuccessor && a.Fact.Kind != factCard {
		return errors.New("names a successor and is no card")
	}
	if a.Chain != nil {
		if err := checkChain(a.Chain); err != nil {
			return err
		}
	}
	if err := a.checkPin(); err != nil {
		return err
	}
	if a.Name != "" && !name.IsName(a.Name) {
		return fmt.Errorf("%s can't be a name", name.Quote(a.Name))
	}
	if a.Op == opProfile && len(a.Name) > pointer.MaxNickname {
		return fmt.Errorf("nickname of %d bytes", len(a.Name))
	}
	if a.Label != "" && !name.IsLabel(a.Label) {
		return fmt.Errorf("%s can't be a label", name.Quote(a.Label))
	}
	if a.Fact != nil {
		if err := a.Fact.check(); err != nil {
			return err
		}
	}
	if a.Published != nil && (len(a.Published.Value) > maxValueText || a.Published.Sequence == 0 || a.Published.Sequence > pointer.MaxSequence) {
		return fmt.Errorf("sequence %d of a value of %d bytes", a.Published.Sequence, len(a.Published.Value))
	}
	if a.Device != nil {
		if err := a.Device.check(); err != nil {
			return err
		}
	}
	if a.Relay != nil {
		if err := a.Relay.check(); err != nil {
			return err
		}
	}
	if a.Keep > keepOff {
		return fmt.Errorf("keeping %d", a.Keep)
	}
	if err := a.checkSuggestion(); err != nil {
		return err
	}
	return a.checkPrevious()
}

// checkPin checks the part of an act about commitments. The undo of a decision or of a
// claim has no other fields but a suggestion's, because its effect is only on the
// fact, and on the suggestion.
func (a act) checkPin() error {
	if a.Pin == nil {
		return nil
	}
	if a.Op == opPin && a.Fact.Next == nil || a.Op == opUndo && a.fields()&^has(15) != has(2)|has(7)|has(22) {
		return errors.New("has a decision about no commitment")
	}
	return a.Pin.check()
}

// checkChain verifies a succession as far as that needs no commitment.
func checkChain(b []byte) error {
	chain, err := pointer.ParseSuccession(b)
	if err != nil {
		return err
	}
	if len(chain) > maxSteps {
		return fmt.Errorf("succession of %d steps", len(chain))
	}
	for _, s := range chain {
		if _, err := s.Verify(); err != nil {
			return err
		}
	}
	return nil
}

func (a act) checkPrevious() error {
	if len(a.Previous) > maxPrevious || len(a.Edges) > maxActEdges || len(a.Private) > maxActEdges {
		return fmt.Errorf("has %d earlier names and %d earlier edges", len(a.Previous), len(a.Edges)+len(a.Private))
	}
	if a.Op == opShare || a.Op == opUnshare {
		if a.Audience == nil && a.Private != nil || a.Audience != nil && a.Edges != nil {
			return errors.New("has earlier edges of another audience")
		}
	}
	for _, e := range a.Private {
		if !name.IsLabel(e.Label) {
			return fmt.Errorf("%s can't have been a label", name.Quote(e.Label))
		}
		if _, err := pointer.FromBytes(e.Audience); err != nil {
			return fmt.Errorf("edge's audience %w", err)
		}
		if e.Contact == nil {
			continue
		}
		if _, err := pointer.FromBytes(e.Contact); err != nil {
			return fmt.Errorf("edge's contact %w", err)
		}
	}
	for _, w := range a.Previous {
		if w.Name != "" && (w.Removed || !name.IsName(w.Name)) || w.At < 0 || w.At > maxAt {
			return fmt.Errorf("%s can't have been the name", name.Quote(w.Name))
		}
	}
	for _, e := range a.Edges {
		if !name.IsLabel(e.Label) {
			return fmt.Errorf("%s can't have been a label", name.Quote(e.Label))
		}
		if e.Contact == nil {
			continue
		}
		if _, err := pointer.FromBytes(e.Contact); err != nil {
			return fmt.Errorf("edge's contact %w", err)
		}
	}
	return nil
}

func (f wireFact) check() error {
	for _, text := range []string{f.Kind, f.By, f.Channel} {
		if len(text) > maxSourceText {
			return fmt.Errorf("source %s: is over %d bytes", name.Quote(text), maxSourceText)
		}
	}
	if len(f.Nickname) > pointer.MaxNickname {
		return fmt.Errorf("nickname %s: is over %d bytes", name.Quote(f.Nickname), pointer.MaxNickname)
	}
	if f.Next == nil {
		return nil
	}
	_, err := pointer.CommitmentFromBytes(f.Next)
	return err
}
