package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/petnames-go/petnames/petname/agent"
)

// verbs are the verbs of the command on one open agent. While a node of the home is
// running, verbs run in its process, and otherwise in their own, with the same code:
// [verbs.do]. Each verb has its own types of arguments and result, which are JSON and
// are declared in the file of the verb.
type verbs struct {
	agent    *agent.Agent
	serving  bool                   // in the process of the node
	http     string                 // the URL of the HTTP server of the node; empty: none
	progress func(answered, of int) // receives the progress of the proof of work of knock; may be nil
	work     int                    // work factor of scrypt for new keys, log2; 0: the default of age
}

// agentWith returns the agent with the passphrase of a verb. Without one, the agent
// uses the passphrase of the node, if it has one.
func (v *verbs) agentWith(passphrase string) *agent.Agent {
	if passphrase == "" {
		return v.agent
	}
	return v.agentOnlyWith(passphrase)
}

// agentOnlyWith returns the agent with the passphrase of a verb only. It ignores the
// passphrase of the node: publishing and rotating need the consent of the user.
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
	"confirm": op((*verbs).confirm),
	"list":    op((*verbs).list),
	"find":    op((*verbs).find),
	"show":    op((*verbs).show),
	"whois":   op((*verbs).whois),
	"why":     op((*verbs).why),
	"rename":  op((*verbs).rename),
	"choose":  op((*verbs).choose),
	"rm":      op((*verbs).rm),
	"undo":    op((*verbs).undo),
	"log":     op((*verbs).log),
	"hash":    op((*verbs).hash),
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

	"inbox":   op((*verbs).inbox),
	"accept":  op((*verbs).accept),
	"decline": op((*verbs).decline),

	"decline_all": op((*verbs).declineAll),

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

	"devices":        op((*verbs).devices),
	"device-invite":  op((*verbs).inviteDevice),
	"device-await":   op((*verbs).awaitDevice),
	"device-confirm": op((*verbs).confirmDevice),
	"device-rename":  op((*verbs).renameDevice),
	"device-rm":      op((*verbs).rmDevice),
	"sync":           op((*verbs).sync),
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

// do runs one verb. A failed verb may return a partial result too. The result is nil
// if there is none.
func (v *verbs) do(ctx context.Context, verb string, args json.RawMessage) (json.RawMessage, *failure) {
	fn, ok := ops[verb]
	if !ok {
		return nil, usage("no such operation: %q", verb)
	}
	result, err := fn(v, ctx, args)
	err = withPasted(v.withNearNames(v.withName(err)), verb, args)
	if c := classify(err); c != nil && (errors.Is(err, context.Canceled) || c.Code == "network") {
		switch {
		case errors.Is(ctx.Err(), context.Canceled): // the error may be a network error caused by it
			return nil, &failure{Code: "interrupted", Message: "interrupted", Exit: exitInterrupted}
		case c.Exit == exitInterrupted: // the caller did not interrupt this verb
			err = &failure{Code: "network", Exit: exitNetwork, Message: "the networks of this home were changed during the request", Next: "try again"}
		}
	}
	if c := classify(err); c != nil && c.Code != "not_joined" && mayBeClock(c) && !strings.Contains(c.Message, "may be wrong") {
		err = withClock(err, v.agent.ClockHint())
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
