package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/petnames-go/petnames/petname/agent"
)

// verbs are the verbs of the command over one open agent. A verb runs in its own
// process, or, while a node of the same home runs, in the node's: the same code
// either way, behind [verbs.do]. Each takes its own type of arguments and returns
// its own type of result, both as JSON, in the file of the verb.
type verbs struct {
	agent    *agent.Agent
	http     string                 // the URL at which the node answers HTTP; empty: it doesn't
	progress func(answered, of int) // of the work of knock; nil: it is not shown
	work     int                    // scrypt's work factor, log2, for what is locked; 0: age's own
}

// with returns the agent with the passphrase that a verb was given, if any.
func (v *verbs) agentWith(passphrase string) *agent.Agent {
	if passphrase == "" {
		return v.agent
	}
	return v.agentOnlyWith(passphrase)
}

// only returns the agent with the passphrase that a verb was given, whatever the
// node knows: publishing and rotating are the user's own acts.
func (v *verbs) agentOnlyWith(passphrase string) *agent.Agent {
	if passphrase == "" {
		return v.agent.WithPassphrase(nil)
	}
	return v.agent.WithPassphrase(func() ([]byte, error) { return []byte(passphrase), nil })
}

// ops are the verbs by their names on the socket.
var ops = map[string]func(v *verbs, ctx context.Context, args json.RawMessage) (any, error){
	"id":      op((*verbs).id),
	"add":     op((*verbs).add),
	"list":    op((*verbs).list),
	"find":    op((*verbs).find),
	"show":    op((*verbs).show),
	"whois":   op((*verbs).whois),
	"why":     op((*verbs).why),
	"rename":  op((*verbs).rename),
	"rm":      op((*verbs).rm),
	"undo":    op((*verbs).undo),
	"log":     op((*verbs).log),
	"public":  op((*verbs).public),
	"share":   op((*verbs).share),
	"unshare": op((*verbs).unshare),
	"kept":    op((*verbs).kept),
	"keep":    op((*verbs).keep),
	"unkeep":  op((*verbs).unkeep),
	"rotate":  op((*verbs).rotate),
	"publish": op((*verbs).publish),
	"resolve": op((*verbs).resolve),
	"export":  op((*verbs).export),
	"inspect": op((*verbs).inspect),
	"put":     op((*verbs).put),
	"join":    op((*verbs).join),
	"status":  op((*verbs).status),
	"doctor":  op((*verbs).doctor),

	"inbox":     op((*verbs).inbox),
	"accept":    op((*verbs).accept),
	"decline":   op((*verbs).decline),
	"knock":     op((*verbs).knock),
	"unknock":   op((*verbs).unknock),
	"introduce": op((*verbs).introduce),
	"retract":   op((*verbs).retract),
	"dispute":   op((*verbs).dispute),
	"deny":      op((*verbs).deny),
	"proof":     op((*verbs).proof),
	"invite":    op((*verbs).invite),
	"await":     op((*verbs).await),
	"pair":      op((*verbs).pair),
	"suggest":   op((*verbs).suggest),
}

func op[A, R any](fn func(*verbs, context.Context, A) (R, error)) func(*verbs, context.Context, json.RawMessage) (any, error) {
	return func(v *verbs, ctx context.Context, raw json.RawMessage) (any, error) {
		var args A
		if err := json.Unmarshal(raw, &args); err != nil {
			return nil, fmt.Errorf("arguments: %w", err)
		}
		return fn(v, ctx, args)
	}
}

// do runs one verb. A result may come beside an error: what was found out before
// it went wrong. A nil result is none.
func (v *verbs) do(ctx context.Context, verb string, args json.RawMessage) (json.RawMessage, *failure) {
	fn, ok := ops[verb]
	if !ok {
		return nil, usage("no such operation: %q", verb)
	}
	result, err := fn(v, ctx, args)
	if c := classify(err); c != nil && (errors.Is(err, context.Canceled) || c.Code == "network") {
		switch {
		case errors.Is(ctx.Err(), context.Canceled): // whatever the network made of it
			return nil, &failure{Code: "interrupted", Message: "interrupted", Exit: exitInterrupted}
		case c.Exit == exitInterrupted: // nobody interrupted this verb
			err = &failure{Code: "network", Exit: exitNetwork, Message: "the network was left, or changed, meanwhile", Next: "try again"}
		}
	}
	var raw json.RawMessage
	if result != nil {
		b, merr := json.Marshal(result)
		if merr != nil {
			return nil, classify(errors.Join(err, merr))
		}
		if string(b) != "null" {
			raw = b
		}
	}
	return raw, classify(err)
}

// noArgs are the arguments of verbs that take none.
type noArgs struct{}

// nameArgs are the arguments of verbs about one contact: its name or pointer.
type nameArgs struct {
	Name string `json:"name"`
}
