package doorstep

import (
	"strconv"

	"github.com/petnames-go/petnames/petname/postage"
	"github.com/petnames-go/petnames/pointer"
)

// rel is the relation of a card's link that tells of a doorstep; its target is
// the number of puzzles that a stamp has to have there.
const rel = "doorstep"

// Link is what a card says whose owner looks at its doorstep, and asks for so
// many puzzles; 0: [postage.DefaultPuzzles].
func Link(puzzles int) pointer.CardLink {
	if puzzles == 0 {
		puzzles = postage.DefaultPuzzles
	}
	return pointer.CardLink{Rel: rel, Target: strconv.Itoa(puzzles)}
}

// Asks tells whether the owner of a card says that it looks at its doorstep, and
// how many puzzles it asks for: at most [postage.MaxPuzzles], however much a
// card would like.
func Asks(card pointer.Card) (puzzles int, open bool) {
	for _, l := range card.Links {
		n, err := strconv.Atoi(l.Target)
		if l.Rel == rel && err == nil && n >= 1 && n <= postage.MaxPuzzles && strconv.Itoa(n) == l.Target {
			return n, true
		}
	}
	return 0, false
}
