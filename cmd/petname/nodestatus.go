package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"runtime/metrics"
	"time"

	"github.com/spf13/cobra"

	"github.com/petnames-go/petnames/petname/name"
)

func withPid(out json.RawMessage) json.RawMessage {
	var s nodeStatus
	if err := json.Unmarshal(out, &s); err != nil {
		return out
	}
	s.Pid = os.Getpid()
	b, err := json.Marshal(s)
	if err != nil {
		return out
	}
	return b
}

func (a *app) nodeStatusVerb() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show the status of the running node",
		Long: `Show the addresses of the running node, the network and its peers, what it
stores for others, the last publication, and what it republishes. The exit
status is 3 if no node of this home is running.`,
		Example: `  petname node status --json`,
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			var s nodeStatus
			if err := a.callNode("status", &s); err != nil {
				return err
			}
			return a.printResult(s, nil, true, func(w *bufio.Writer) {
				fmt.Fprintf(w, "running as %s\n", s.Peer)
				for _, addr := range s.Addrs {
					fmt.Fprintf(w, "  %s\n", addr)
				}
				if s.HTTP != "" {
					fmt.Fprintf(w, "  %s\n", s.HTTP)
				}
				printField(w, "network", fmt.Sprintf("%s, %s in the routing table", networkText(s.Network), peersText(s.Peers)))
				if s.Problem != "" {
					printField(w, "problem", name.Clean(s.Problem))
				}
				printField(w, "stores", fmt.Sprintf("%s, %s of %s", countText(s.Held.Records, "record"), sizeText(s.Held.Bytes), sizeText(s.Held.Limit)))
				for _, c := range s.CutOff {
					printField(w, "cut off", fmt.Sprintf("%s until %s: %s", c.Peer, c.Until.Local().Format(time.DateTime), name.Clean(c.Reason)))
				}
				printField(w, "book", countText(s.Names, "name"))
				printField(w, "running", fmt.Sprintf("for %s, with %s of memory", time.Duration(s.Uptime*float64(time.Second)).Round(time.Second), sizeText(int(s.Memory))))
				if p := s.Put; p != nil {
					confirmed := "not looked up yet"
					switch {
					case p.Confirmed != nil && p.Problem != "":
						confirmed = fmt.Sprintf("%d returned it before the look-up failed: %s", *p.Confirmed, p.Problem)
					case p.Confirmed != nil:
						confirmed = fmt.Sprintf("%d returned it", *p.Confirmed)
					case p.Problem != "":
						confirmed = "the look-up failed: " + p.Problem
					}
					printField(w, "published", fmt.Sprintf("sequence %d: %d of %s acknowledged it, %s", p.Sequence, p.Stored, peersText(p.Asked), confirmed))
					if p.Doubt != "" {
						printField(w, "DOUBT", name.Clean(p.Doubt))
					}
				}
				if p := s.Superseded; p != nil {
					printCopied(w, fmt.Sprintf("NOT STORED: your publication of sequence %d", p.Sequence), name.Clean(p.Value))
					printCopied(w, fmt.Sprintf("stored instead: a newer one that this home did not make, sequence %d", p.NewerSequence), name.Clean(p.NewerValue))
					printCopied(w, "to decide, publish the path that is to stand", "petname publish PATH")
				}
				printKeepStatus(w, s.Keep)
				printField(w, "process", fmt.Sprint(s.Pid))
			})
		},
	}
}

// nodeStatus is the result of node and node status.
type nodeStatus struct {
	Peer    string   `json:"peer"`
	Addrs   []string `json:"addrs"`
	HTTP    string   `json:"http"` // empty: not served
	Network string   `json:"network"`
	Problem string   `json:"problem"` // why the routing table is empty; empty: it is not, or no network is joined
	Peers   int      `json:"peers"`   // in the routing table
	Names   int      `json:"names"`   // in the book
	Held    held     `json:"held"`
	CutOff  []cutOff `json:"cut_off"` // peers that are refused for some time
	Uptime  float64  `json:"uptime"`  // seconds
	Memory  uint64   `json:"memory"`  // bytes that the Go runtime uses
	Pid     int      `json:"pid,omitempty"`

	Keep keepStatus `json:"keep"`
	Put  *lastPut   `json:"put"` // null: none since the node started

	Superseded *superseded `json:"superseded,omitempty"` // a publication that no peer received, and that a newer one replaced
}

// superseded is a publication of this home that was stored nowhere, and the newer one of another
// copy of the home that is stored instead.
type superseded struct {
	Sequence      uint64 `json:"sequence"`
	Value         string `json:"value"`
	NewerSequence uint64 `json:"newer_sequence"`
	NewerValue    string `json:"newer_value"`
}

// held counts the records that the node stores for the network.
type held struct {
	Records int `json:"records"`
	Bytes   int `json:"bytes"`
	Limit   int `json:"limit"` // bytes, including the overhead of records
}

// cutOff is a peer that is refused because it abused the node.
type cutOff struct {
	Peer   string    `json:"peer"`
	Until  time.Time `json:"until"`
	Reason string    `json:"reason"`
}

// lastPut is the result of the last publication of the owner's record by the node.
type lastPut struct {
	Sequence  uint64     `json:"sequence"`
	At        time.Time  `json:"at"`
	Asked     int        `json:"asked"`
	Stored    int        `json:"stored"`    // peers that acknowledged it
	Confirmed *int       `json:"confirmed"` // peers that returned it, without those that acknowledged it first; null: not looked up yet
	Doubt     string     `json:"doubt,omitempty"`
	Problem   string     `json:"problem,omitempty"` // of the look-up that confirms it
	Looked    *time.Time `json:"looked"`
}

func (v *verbs) status(context.Context, noArgs) (*nodeStatus, error) {
	now, err := v.agent.Status()
	if err != nil {
		return nil, err
	}
	out := &nodeStatus{Peer: now.Peer, Addrs: now.Addrs, HTTP: v.http, Network: now.Network, Problem: now.Problem, Peers: now.Peers, Names: now.Names,
		Held: held{now.Holding.Records, now.Holding.Bytes, now.Holding.Limit}, CutOff: []cutOff{}, Uptime: now.Uptime.Seconds(), Memory: memory(),
		Keep: asKeepStatus(now.Republished, now.Republisher)}
	for _, c := range now.Holding.CutOff {
		out.CutOff = append(out.CutOff, cutOff{c.Peer, c.Until.UTC().Truncate(time.Second), c.Reason})
	}
	if p := now.Put; p != nil {
		out.Put = &lastPut{Sequence: p.Sequence, At: p.At, Asked: p.Receipt.Asked, Stored: p.Receipt.Stored, Confirmed: p.Confirmed,
			Doubt: p.Receipt.Doubt(), Looked: timeOrNull(p.Looked)}
		if p.Problem != nil {
			out.Put.Problem = shortNetworkError(p.Problem).Error()
		}
	}
	if e := now.Superseded; e != nil {
		out.Superseded = &superseded{e.Unsent.Sequence, e.Unsent.Value, e.Newest.Sequence, e.Newest.Value}
	}
	return out, nil
}

// memory returns the bytes that the Go runtime has obtained from the system and not
// returned.
func memory() uint64 {
	samples := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(samples)
	return samples[0].Value.Uint64() - samples[1].Value.Uint64()
}
