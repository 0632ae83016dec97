//go:build external && linux

package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The demonstration and a node run on a host that has IPv6 alone, and on one that has IPv4
// alone: network namespaces whose loopback interface has one address. It needs unshare
// and ip (Debian: util-linux, iproute2).
func TestAHostWithOneAddressFamily(t *testing.T) {
	command := build(t, ".")
	for remove, listens := range map[string]string{"127.0.0.1/8": "/ip6/::1/tcp/", "::1/128": "/ip4/127.0.0.1/tcp/"} {
		script := "set -e; ip link set lo up; ip addr del " + remove + ` dev lo; exec "$0" "$@"`
		run := func(args ...string) *exec.Cmd {
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
			t.Cleanup(cancel)
			cmd := exec.CommandContext(ctx, "unshare", append([]string{"--user", "--map-root-user", "--net", "sh", "-c", script, command}, args...)...)
			cmd.Env = append(os.Environ(), "PETNAME_HOME="+t.TempDir()+"/home")
			return cmd
		}
		out, err := run("demo").CombinedOutput()
		require.NoError(t, err, "%s: %s", listens, out)

		// With --listen for both, the node listens at the one that the host has.
		for _, listen := range [][]string{nil, {"--listen", "/ip4/127.0.0.1/tcp/0", "--listen", "/ip6/::1/tcp/0"}} {
			node := run(append([]string{"node", "--json"}, listen...)...)
			require.NoError(t, exec.Command(command, "init", "--home", strings.TrimPrefix(node.Env[len(node.Env)-1], "PETNAME_HOME=")).Run())
			var stdout, stderr bytes.Buffer
			first := make(chan struct{})
			node.Stdout, node.Stderr = &firstWrite{&stdout, first}, &stderr
			require.NoError(t, node.Start())
			ended := make(chan error, 1)
			go func() { ended <- node.Wait() }()
			select {
			case <-first:
				require.NoError(t, node.Process.Signal(os.Interrupt))
				<-ended
			case err := <-ended:
				require.NoError(t, err, "%s", &stderr)
			}
			require.Contains(t, stdout.String(), listens)
		}
	}
}

// firstWrite closes a channel at the first write.
type firstWrite struct {
	to    *bytes.Buffer // not embedded: io.Copy would use its ReadFrom
	first chan struct{}
}

func (f *firstWrite) Write(b []byte) (int, error) {
	n, err := f.to.Write(b)
	if f.to.Len() == n {
		close(f.first)
	}
	return n, err
}
