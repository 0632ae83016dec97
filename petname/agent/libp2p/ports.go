package libp2p

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/multiformats/go-multiaddr"

	"github.com/petnames-go/petnames/dht/kad"
	"github.com/petnames-go/petnames/petname/agent"
)

// startListening starts a node that listens at the addresses: for those with port 0 at
// the ports that are kept, and at new ones in the place of those in use.
func startListening(ctx context.Context, k kad.Config, listen []string, kept []agent.ListenPort) (*kad.Node, error) {
	k.Listen = withPorts(listen, kept)
	for i, l := range k.Listen {
		if l != listen[i] && !isFree(l) {
			k.Listen[i] = listen[i]
			warnInUse(k, l)
		}
	}
	n, err := kad.Start(ctx, k)
	if err == nil {
		warnNotBound(k, listenAddrs(n))
	}
	if err == nil || ctx.Err() != nil {
		return n, err
	}
	if slices.Equal(k.Listen, listen) {
		return nil, inUse(listen, err)
	}
	for i, l := range k.Listen { // another program was faster
		if l != listen[i] {
			warnInUse(k, l)
		}
	}
	k.Listen = listen
	n, err = kad.Start(ctx, k)
	return n, inUse(listen, err)
}

// inUse returns the error of a start: one that wraps [syscall.EADDRINUSE], which libp2p does
// not, if a program listens at an address to listen at.
func inUse(listen []string, err error) error {
	if err == nil {
		return nil
	}
	for _, l := range listen {
		if _, open := isOpen(l); !open && !isFree(l) {
			return fmt.Errorf("listen address %q: %w", l, syscall.EADDRINUSE)
		}
	}
	return err
}

func warnInUse(k kad.Config, addr string) {
	if k.Logger != nil {
		k.Logger.Warn("the port that peers know is in use by another program: this node listens on another one until its next start", "address", addr)
	}
}

// listenAddrs returns the addresses that a node listens at, then those at which it can be
// reached, with /p2p/ID.
func listenAddrs(n *kad.Node) (all []string) {
	for _, a := range n.Host().Network().ListenAddresses() {
		all = append(all, a.String()+"/p2p/"+n.ID())
	}
	return append(all, n.Addrs()...)
}

// isOpen returns the parts of an address with port 0, and reports whether it is one.
func isOpen(listen string) (parts []string, open bool) {
	parts = strings.Split(listen, "/") // "", ip4, 127.0.0.1, tcp, 0, …
	return parts, len(parts) >= 5 && parts[4] == "0"
}

// withPorts replaces port 0 in addresses to listen at by the ports that are kept for
// them. The second of two equal addresses has the second port.
func withPorts(listen []string, kept []agent.ListenPort) []string {
	out := slices.Clone(listen)
	left := slices.Clone(kept)
	for i, l := range listen {
		parts, open := isOpen(l)
		k := slices.IndexFunc(left, func(p agent.ListenPort) bool { return p.Listen == l })
		if !open || k < 0 {
			continue
		}
		parts[4] = strconv.Itoa(int(left[k].Port))
		out[i] = strings.Join(parts, "/")
		left = slices.Delete(left, k, k+1)
	}
	return out
}

// boundPorts returns the ports of the addresses with port 0, which bound has replaced.
func boundPorts(listen, bound []string) []agent.ListenPort {
	out := []agent.ListenPort{}
	for i, l := range listen {
		if l == bound[i] {
			continue
		}
		parts, _ := isOpen(bound[i])
		if port, err := strconv.ParseUint(parts[4], 10, 16); err == nil {
			out = append(out, agent.ListenPort{Listen: l, Port: uint16(port)})
		}
	}
	return out
}

// warnNotBound warns of each address that a node was to listen at and does not, because
// the host has no address of the kind: it listens at the others.
func warnNotBound(k kad.Config, addrs []string) {
	for _, l := range bound(k.Listen, addrs) {
		_, open := isOpen(l)
		if a, err := multiaddr.NewMultiaddr(l); err == nil {
			l = a.String()
		}
		listens := slices.ContainsFunc(addrs, func(a string) bool { return strings.HasPrefix(a, l+"/p2p/") })
		if k.Logger != nil && (open || !listens) {
			k.Logger.Warn("this node does not listen at an address: the host has none of the kind, or another program has it", "address", l)
		}
	}
}

// isFree reports whether no program listens at an IP address and port. Two programs can
// share a port if both ask for it, as libp2p does: this one does not.
func isFree(addr string) bool {
	parts := strings.Split(addr, "/")
	if len(parts) < 5 || parts[1] != "ip4" && parts[1] != "ip6" {
		return true
	}
	network, host := parts[3]+strings.TrimPrefix(parts[1], "ip"), net.JoinHostPort(parts[2], parts[4])
	if parts[3] == "udp" {
		c, err := net.ListenPacket(network, host)
		return !isInUse(err) && (err != nil || c.Close() == nil)
	}
	l, err := net.Listen(network, host)
	return !isInUse(err) && (err != nil || l.Close() == nil)
}

// isInUse reports whether an error of listening is that a port is in use; on Windows any
// error is.
func isInUse(err error) bool {
	return err != nil && (errors.Is(err, syscall.EADDRINUSE) || runtime.GOOS == "windows")
}

// bound replaces port 0 in addresses to listen on by the port that was bound: of the same
// IP address, or else of any.
func bound(listen, addrs []string) []string {
	out := slices.Clone(listen)
	taken := map[string]bool{} // transport and port
	for _, sameIP := range []bool{true, false} {
		for i, l := range listen {
			parts, open := isOpen(l)
			if !open || out[i] != l {
				continue
			}
			for _, addr := range addrs {
				got := strings.Split(addr, "/") // … tcp, 4001, p2p, 12D3Koo…
				if len(got) < len(parts)+2 || taken[got[3]+got[4]] || got[1] != parts[1] || got[3] != parts[3] || sameIP && got[2] != parts[2] ||
					!slices.Equal(got[5:len(parts)], parts[5:]) || got[len(parts)] != "p2p" {
					continue
				}
				taken[got[3]+got[4]] = true
				parts[4] = got[4]
				out[i] = strings.Join(parts, "/")
				break
			}
		}
	}
	return out
}
