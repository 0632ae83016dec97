package agent_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/petname/agent/libp2p"
)

// Two agents open a stream by petname, and each learns the other end's petname in its own book.
func ExampleAgent_Dial() {
	ctx := context.Background()
	dir, _ := os.MkdirTemp("", "petname")
	defer os.RemoveAll(dir)
	start := func(nickname string, peers ...string) *agent.Agent {
		a, err := agent.Open(ctx, filepath.Join(dir, nickname), agent.Options{
			Create:    &agent.Profile{Nickname: nickname},
			Transport: libp2p.New(libp2p.Options{Listen: []string{"/ip4/127.0.0.1/tcp/0"}}),
		})
		if err == nil && len(peers) > 0 {
			err = a.Join(ctx, peers...)
		}
		if err == nil {
			err = a.Start(ctx)
		}
		if err != nil {
			panic(err)
		}
		return a
	}
	ana := start("ana")
	defer ana.Close()
	status, _ := ana.Status()
	ben := start("ben", status.Addrs...)
	defer ben.Close()
	for _, a := range []*agent.Agent{ana, ben} {
		_, _ = a.Publish(ctx, func(d *agent.Draft) error { d.Addresses = true; return nil })
	}
	link, _ := ana.Link()
	_, _ = ben.Add("ana", link, petname.Source{})
	link, _ = ben.Link()
	_, _ = ana.Add("benny", link, petname.Source{})

	listener, err := ana.Listen("example.org/echo/1")
	if err != nil {
		panic(err)
	}
	go func() {
		c, err := listener.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		caller, _ := c.(*agent.Conn).Contact()
		fmt.Fprintf(c, "hello %s: ", caller.Name)
		_, _ = io.Copy(c, c)
	}()

	c, err := ben.Dial(ctx, "ana", "example.org/echo/1")
	if err != nil {
		panic(err)
	}
	defer c.Close()
	_, _ = c.Write([]byte("how are you?"))
	_ = c.CloseWrite()
	answer, _ := io.ReadAll(c)
	fmt.Println(string(answer))
	// Output: hello benny: how are you?
}
