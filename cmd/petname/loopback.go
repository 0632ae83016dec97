package main

import "net"

// loopbackListen returns the multiaddr to listen at without --listen: the loopback address
// of IPv4, or that of IPv6 on a host where only that one can be bound. canBind is the
// host's; tests replace it.
func loopbackListen(canBind func(network, addr string) bool) string {
	if !canBind("tcp4", "127.0.0.1:0") && canBind("tcp6", "[::1]:0") {
		return "/ip6/::1/tcp/0"
	}
	return "/ip4/127.0.0.1/tcp/0"
}

func canBind(network, addr string) bool {
	l, err := net.Listen(network, addr)
	return err == nil && l.Close() == nil
}
