package request

import (
	"strconv"

	"github.com/petnames-go/petnames/pointer"
)

// cardRel is the relation of the card link that announces a request mailbox. The
// target of the link is the number of solutions that a stamp must have.
const cardRel = "doorstep"

// CardLink returns the card link of an owner that reads its request mailbox and
// requires stamps with this number of solutions; 0: [DefaultSolutions].
func CardLink(solutions int) pointer.CardLink {
	if solutions == 0 {
		solutions = DefaultSolutions
	}
	return pointer.CardLink{Rel: cardRel, Target: strconv.Itoa(solutions)}
}

// RequiredSolutions returns the number of solutions, at most [MaxSolutions], that the
// owner of a card requires, and whether the card states that its owner reads its
// request mailbox. A link with any other number is ignored.
func RequiredSolutions(card pointer.Card) (solutions int, ok bool) {
	for _, link := range card.Links {
		n, err := strconv.Atoi(link.Target)
		if link.Rel == cardRel && err == nil && n >= 1 && n <= MaxSolutions && strconv.Itoa(n) == link.Target {
			return n, true
		}
	}
	return 0, false
}
