package request

import (
	"strconv"

	"github.com/petnames-go/petnames/pointer"
)

// cardRel is the relation of a card's link that tells of a doorstep; its target is
// the number of puzzles that a stamp has to have there.
const cardRel = "doorstep"

// CardLink is what a card says whose owner looks at its doorstep, and asks for so
// many puzzles; 0: [DefaultPuzzles].
func CardLink(solutions int) pointer.CardLink {
	if solutions == 0 {
		solutions = DefaultSolutions
	}
	return pointer.CardLink{Rel: cardRel, Target: strconv.Itoa(solutions)}
}

// FromCard tells whether the owner of a card says that it looks at its doorstep, and
// how many puzzles it asks for: at most [MaxPuzzles], however much a
// card would like.
func FromCard(card pointer.Card) (solutions int, accepts bool) {
	for _, m := range card.Links {
		n, err := strconv.Atoi(m.Target)
		if m.Rel == cardRel && err == nil && n >= 1 && n <= MaxSolutions && strconv.Itoa(n) == m.Target {
			return n, true
		}
	}
	return 0, false
}
