// Package agent is a running person: a home with keys and a book, the networks
// that it uses, and what goes on between its owner and others. An application
// embeds it; the command petname is its first user.
//
//	a, err := agent.Open(ctx, dir, agent.Options{
//		Create:    &agent.Profile{Nickname: "Ana"},
//		Transport: libp2p.New(libp2p.Options{}), // or nil: HTTP routers only
//	})
//	…
//	defer a.Close()
//	err = a.Join(ctx, "/ip4/192.0.2.7/tcp/4001/p2p/12D3Koo…")
//	_, err = a.Publish(ctx, func(d *agent.Draft) error { d.Value = "/ipfs/bafy…"; return nil })
//	link, err := pointer.ParseLink("petname:k51…") // as Bob's Agent.Link returns it
//	_, err = a.Add("bob", link, petname.Source{})
//	res, err := a.Resolve(ctx, "bob", dht.LevelAny)
//
// Nothing leaves the machine before Join. What methods return are plain values.
// A method that signs for the owner, to publish, to pair or to send a message,
// asks Options.Passphrase when the identity key is locked, and fails with
// [home.ErrLocked] without an answer.
//
// [Agent.Publish] suffices for an application that sets a value.
// [Agent.PublishDraft] also returns the sequence, the end of the validity and the
// rest of [Published], which a program needs to report them.
//
// [Agent.Run] does what continues in the background: it is reached by others,
// fetches messages, and republishes. A short-lived program leaves it out, and uses
// a throw-away peer key: it calls [Agent.Fetch] to receive messages.
//
// # Streams
//
// Agents that have each other as contacts open streams by petname, of a protocol that the
// application names. Both ends have proved their pointers:
//
//	l, err := a.Listen("example.org/echo/1")       // Ana, after Start
//	c, err := l.Accept()                           // c.(*agent.Conn).Contact() is ben
//	…
//	c, err := b.Dial(ctx, "ana", "example.org/echo/1") // Ben
//
// The callee has published its addresses with [Draft.Addresses], and runs. A [Conn] is a [net.Conn];
// [Agent.DialContext] is for [http.Transport]. A stream ends when its contact is removed.
//
// One process at a time has a home open.
package agent
