package main

import (
	"cmp"
	"errors"
	"net"
	"slices"
	"strings"

	"github.com/petnames-go/petnames/dht/delegated"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/name"
)

// maxCompared bounds the contacts with names that are compared with a mistyped one.
const maxCompared = 5000

// noContactNext is the next step for a name that no contact has.
const noContactNext = "petname list\npetname find TEXT"

// withNearNames adds to the error for a name that no contact has the contacts whose names
// are spelled alike, at most maxSteps.
func (v *verbs) withNearNames(err error) error {
	var none *petname.NoNameError
	if !errors.As(err, &none) {
		return err
	}
	f := classify(err)
	if f.Next != noContactNext {
		return err
	}
	type near struct {
		name     string
		distance int
	}
	var all []near
	typed := []rune(name.SearchForm(none.Name.String()))
	compared := 0
	for c, err := range v.agent.Contacts() {
		if compared++; err != nil || compared > maxCompared {
			break
		}
		has := []rune(name.SearchForm(c.Name.String()))
		most := min(2, len(typed)/3)
		if d := distance(typed, has, most); !c.Name.IsZero() && d <= most {
			all = append(all, near{c.Name.String(), d})
		}
	}
	if all == nil {
		return err
	}
	slices.SortStableFunc(all, func(a, b near) int { return cmp.Compare(a.distance, b.distance) })
	steps := []string{"did you mean"}
	for _, one := range all[:min(len(all), maxSteps)] {
		steps = append(steps, "petname show "+shellWord(one.name))
	}
	return f.With(strings.Join(steps, "\n"))
}

// nearNetwork returns the network of join with a name that is spelled alike, in any case; ""
// if there is none.
func nearNetwork(typed string) string {
	for _, network := range []string{"ipfs", "lan", "off"} {
		if distance([]rune(strings.ToLower(typed)), []rune(network), 1) <= 1 {
			return network
		}
	}
	return ""
}

// asRouter returns the URL of the router at HOST:PORT; "" for another text.
func asRouter(typed string) string {
	host, port, err := net.SplitHostPort(typed)
	if err != nil || host == "" || strings.ContainsAny(typed, "/ ") {
		return ""
	}
	scheme := "http://"
	if port == "443" {
		scheme = "https://"
	}
	router, err := delegated.ParseURL(scheme + typed)
	if err != nil {
		return ""
	}
	return router
}

// distance returns how many letters are to be inserted, removed, replaced or exchanged
// with the next one to turn a into b (optimal string alignment), or most+1 if there are
// more than most.
func distance(a, b []rune, most int) int {
	if max(len(a), len(b))-min(len(a), len(b)) > most {
		return most + 1
	}
	before, last := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			changed := 1
			if a[i-1] == b[j-1] {
				changed = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+changed)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return min(last[len(b)], most+1)
}
