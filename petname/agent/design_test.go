package agent_test

import (
	"context"
	"iter"
	"log/slog"
	"time"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/petname/agent/libp2p"
	"github.com/petnames-go/petnames/pointer"
)

// An outside program compiles against the signatures of the design.
var (
	_ func(context.Context, string, agent.Options) (*agent.Agent, error) = agent.Open

	_ = agent.Options{
		Create:     &agent.Profile{Nickname: "", Passphrase: "", Recovery: ""},
		Transport:  libp2p.New(libp2p.Options{}),
		Passphrase: func() ([]byte, error) { return nil, nil },
		Log:        slog.Default(),
		Now:        time.Now,
	}

	_ interface {
		Close() error
		Run(context.Context) error
		Join(ctx context.Context, networks ...string) error

		Pointer() pointer.Pointer
		Link() (pointer.Link, error)
		Resolve(ctx context.Context, path string, level dht.Level) (agent.Resolution, error)
		Publish(ctx context.Context, edit func(*agent.Draft) error) (dht.Receipt, error)
		Changes(context.Context) iter.Seq[agent.Event]
	} = (*agent.Agent)(nil)

	_ = func(r agent.Resolution) (pointer.Pointer, string, uint64, time.Time, time.Duration, string, []agent.Hop, dht.Source, dht.Level, int, int, int, []byte) {
		return r.Pointer, r.Value, r.Sequence, r.Expires, r.TTL, r.Nickname, r.Hops, r.Source, r.Freshness, r.Asked, r.Answered, r.Agreed, r.Record
	}
)
