package pointer

// fullCard has every field.
func fullCard() *Card {
	ann, bob, next, after := testKey(1), testKey(2), testKey(3), testKey(4)
	step, err := Succeed(bob.Pointer(), ann, testCommitment(next), bob)
	if err != nil {
		panic(err)
	}
	lost, err := Succeed(ann.Pointer(), next, Commitment{}, nil)
	if err != nil {
		panic(err)
	}
	return &Card{
		Nickname:   "Ann Ü",
		Next:       testCommitment(next),
		Sealing:    []SealingKey{{KEM: 0x0020, Key: []byte{1, 2, 3, 4}}, {KEM: 0x647a, Key: []byte{5}}},
		Nodes:      [][]byte{{0x04, 127, 0, 0, 1, 0x06, 0x0f, 0xa1}},
		Edges:      map[string]Edge{"bob": {bob.Pointer(), testCommitment(after)}, "al": {after.Pointer(), Commitment{}}},
		Links:      []CardLink{{Rel: "me", Target: "https://ann.example/"}},
		Succession: []Succession{step, lost},
		Successor:  next.Pointer(),
	}
}
