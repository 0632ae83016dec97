package socket

import "net"

// listenPrivate binds a socket. The access control list of the folder excludes other
// users.
func listenPrivate(path string) (net.Listener, error) { return net.Listen("unix", path) }
