// Command embedhttp is a whole person on HTTP routers alone: the program of
// examples/embed without a Transport. It links no libp2p host.
//
//	embedhttp DIR URL LINK
//
// URL is that of a router, as petname node --http prints it, LINK what petname id
// prints.
package main

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/pointer"
)

func main() {
	value, err := person(context.Background(), os.Args[1], os.Args[2], os.Args[3])
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(value)
}

// person returns what the holder of the link has published.
func person(ctx context.Context, dir, router, link string) (string, error) {
	a, err := agent.Open(ctx, dir, agent.Options{Create: &agent.Profile{Nickname: "Ana"}})
	if err != nil {
		return "", err
	}
	defer a.Close()
	if err := a.Join(ctx, router); err != nil {
		return "", err
	}
	if _, err := a.Publish(ctx, func(d *agent.Draft) error { d.Value = "/ipfs/bafkqaaa"; return nil }); err != nil {
		return "", err
	}
	bob, err := pointer.ParseLink(link) // checked: a mistyped one is refused
	if err != nil {
		return "", err
	}
	if _, err := a.Add("bob", bob, petname.Source{}); err != nil {
		return "", err
	}
	found, err := a.Resolve(ctx, "bob", dht.LevelAny)
	return found.Value, err
}
