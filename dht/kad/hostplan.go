package kad

import (
	"context"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/connmgr"
	ic "github.com/libp2p/go-libp2p/core/crypto"
	busapi "github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/sec"
	"github.com/libp2p/go-libp2p/core/transport"
	"github.com/libp2p/go-libp2p/p2p/host/autonat"
	"github.com/libp2p/go-libp2p/p2p/host/autorelay"
	basichost "github.com/libp2p/go-libp2p/p2p/host/basic"
	blankhost "github.com/libp2p/go-libp2p/p2p/host/blank"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
	"github.com/libp2p/go-libp2p/p2p/host/observedaddrs"
	"github.com/libp2p/go-libp2p/p2p/host/peerstore/pstoremem"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	basicconnmgr "github.com/libp2p/go-libp2p/p2p/net/connmgr"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/libp2p/go-libp2p/p2p/net/upgrader"
	"github.com/libp2p/go-libp2p/p2p/protocol/autonatv2"
	relay "github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	tls "github.com/libp2p/go-libp2p/p2p/security/tls"
	quic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/quicreuse"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	quicgo "github.com/quic-go/quic-go"
)

// This file constructs a host without package libp2p, since that package links
// WebRTC, WebTransport and WebSocket, which no node uses: 90 packages and 6 MB.
// The parts, their order and their defaults are those of go-libp2p v0.51.0's
// config.NewNode; a test compares the hosts of both.

// hostPlan lists the parts of a host. The fields have the names of
// libp2p.Config.
type hostPlan struct {
	PeerKey     ic.PrivKey
	ListenAddrs []ma.Multiaddr // none: dial only
	DialTimeout time.Duration
	TCP         []tcp.Option
	QUICReuse   []quicreuse.Option // for the simulated network of the tests

	ConnectionGater connmgr.ConnectionGater // nil: none
	Resolver        network.MultiaddrDNSResolver
	ResourceManager network.ResourceManager

	// Counters that stop dials by UDP or IPv6 while nearly all of them fail; nil:
	// dials are not stopped.
	UDPBlackHoleSuccessCounter, IPv6BlackHoleSuccessCounter *swarm.BlackHoleSuccessCounter

	AddressDiscovery bool // learn the host's own addresses from peers' reports

	// Services of a peer behind a home router; see setReachability.
	Relay              bool
	AutoRelayOpts      []autorelay.Option // nil: no AutoRelay
	EnableHolePunching bool
	EnableNATService   bool
	EnableAutoNATv2    bool
	NATManager         func(network.Network) basichost.NATManager
	Private            bool // treated as unreachable; no peer is asked
}

// assembledHost is a host with the services that end with it.
type assembledHost struct {
	*basichost.BasicHost
	stop []func() error // in the order in which the services started
	once sync.Once
}

// Close ends the host and its services. It is safe for concurrent use; each
// call returns after the host has ended.
func (h *assembledHost) Close() (err error) {
	h.once.Do(func() {
		for _, stop := range slices.Backward(h.stop) {
			err = errors.Join(err, stop())
		}
		err = errors.Join(err, h.BasicHost.Close())
	})
	return err
}

// start creates the host and listens. The host closes p.ResourceManager when it
// ends; start closes it if it fails.
func (p hostPlan) start() (_ host.Host, err error) {
	bus := eventbus.NewBus()
	hostNet, err := p.newNetwork(p.PeerKey, bus, swarm.WithDialTimeout(p.DialTimeout), swarm.WithDialTimeoutLocal(p.DialTimeout))
	if err != nil {
		return nil, errors.Join(err, p.ResourceManager.Close())
	}
	h := &assembledHost{stop: []func() error{hostNet.quic.Close, hostNet.swarm.Close}}
	var dialer *swarm.Swarm
	started := false
	defer func() {
		switch {
		case err == nil:
			return
		case h.BasicHost != nil:
			if !started {
				h.Start() // Close panics on a host with AutoNAT v2 that did not start
			}
			_ = h.Close()
		default:
			_ = hostNet.close()
			_ = p.ResourceManager.Close()
		}
		if dialer != nil {
			_ = dialer.Close()
		}
	}()
	options := &basichost.HostOpts{
		EventBus: bus, NATManager: p.NATManager, EnablePing: true, UserAgent: "petnames", EnableHolePunching: p.EnableHolePunching,
	}
	if options.ConnManager, err = basicconnmgr.NewConnManager(160, 192); err != nil { // connections: the limits of go-libp2p
		return nil, err
	}
	if p.AddressDiscovery {
		observed, err := observedaddrs.NewManager(bus, hostNet.swarm)
		if err != nil {
			return nil, err
		}
		options.ObservedAddrsManager = observed
	}
	if p.EnableAutoNATv2 {
		if dialer, err = p.newDialer(swarm.WithReadOnlyBlackHoleDetector()); err != nil {
			return nil, err
		}
		if options.AutoNATv2, err = autonatv2.New(blankhost.NewBlankHost(dialer)); err != nil {
			return nil, err
		}
	}
	if h.BasicHost, err = basichost.NewHost(hostNet.swarm, options); err != nil {
		return nil, err
	}
	if p.Relay {
		if err := relay.AddTransport(h.BasicHost, hostNet.upgrader); err != nil {
			return nil, err
		}
	}
	if len(p.ListenAddrs) > 0 {
		if err := hostNet.swarm.Listen(p.ListenAddrs...); err != nil {
			return nil, err
		}
	}
	if observed, ok := options.ObservedAddrsManager.(*observedaddrs.Manager); ok {
		observed.Start(hostNet.swarm)
		h.stop = append(h.stop, observed.Close)
	}
	if p.AutoRelayOpts != nil {
		auto, err := autorelay.NewAutoRelay(h.BasicHost, p.AutoRelayOpts...)
		if err != nil {
			return nil, err
		}
		auto.Start()
		h.stop = append(h.stop, auto.Close)
	}
	h.Start()
	started = true
	if err := p.addAutoNAT(h.BasicHost); err != nil {
		return nil, err
	}
	return h, nil
}

// addAutoNAT starts AutoNAT v1, which tests whether the host is reachable and,
// with EnableNATService, performs that test for peers.
func (p hostPlan) addAutoNAT(h *basichost.BasicHost) error {
	options := []autonat.Option{autonat.UsingAddresses(func() []ma.Multiaddr {
		return slices.DeleteFunc(h.AllAddrs(), func(a ma.Multiaddr) bool { return !manet.IsPublicAddr(a) })
	})}
	if p.EnableNATService {
		p.UDPBlackHoleSuccessCounter, p.IPv6BlackHoleSuccessCounter = nil, nil
		dialer, err := p.newDialer()
		if err != nil {
			return err
		}
		options = append(options, autonat.EnableService(dialer))
	}
	if p.Private {
		options = append(options, autonat.WithReachability(network.ReachabilityPrivate))
	}
	service, err := autonat.New(h, options...)
	if err != nil {
		return err
	}
	h.SetAutoNat(service)
	return nil
}

// newDialer returns a network with a throw-away key, by which AutoNAT dials
// peers back. Its parts are closed when the network is closed.
func (p hostPlan) newDialer(options ...swarm.Option) (*swarm.Swarm, error) {
	key, _, err := ic.GenerateEd25519Key(rand.Reader)
	if err != nil {
		return nil, err
	}
	p.QUICReuse = nil
	dialNet, err := p.newNetwork(key, eventbus.NewBus(), append(options, swarm.WithDialRanker(swarm.NoDelayDialRanker))...)
	if err != nil {
		return nil, err
	}
	go func() {
		<-dialNet.swarm.Done()
		_ = dialNet.close()
	}()
	return dialNet.swarm, nil
}

// hostNetwork is a host's network with the shared state of its transports.
type hostNetwork struct {
	swarm    *swarm.Swarm
	upgrader transport.Upgrader
	quic     *quicreuse.ConnManager
}

// close closes the network and its parts.
func (n *hostNetwork) close() error {
	return errors.Join(n.swarm.Close(), n.quic.Close(), n.swarm.Peerstore().Close())
}

// newNetwork returns a network that dials by QUIC and TCP.
func (p hostPlan) newNetwork(key ic.PrivKey, bus busapi.Bus, options ...swarm.Option) (_ *hostNetwork, err error) {
	id, err := peer.IDFromPublicKey(key.GetPublic())
	if err != nil {
		return nil, err
	}
	var net hostNetwork
	muxers := []upgrader.StreamMuxer{{ID: yamux.ID, Muxer: yamux.DefaultTransport}}
	overTLS, err := tls.New(tls.ID, key, muxers)
	if err != nil {
		return nil, err
	}
	overNoise, err := noise.New(noise.ID, key, muxers)
	if err != nil {
		return nil, err
	}
	if net.upgrader, err = upgrader.New([]sec.SecureTransport{overTLS, overNoise}, muxers, nil, p.ResourceManager, p.ConnectionGater, upgrader.WithAcceptTimeout(acceptTimeout)); err != nil {
		return nil, err
	}
	store, err := pstoremem.NewPeerstore()
	if err != nil {
		return nil, err
	}
	if err := errors.Join(store.AddPrivKey(id, key), store.AddPubKey(id, key.GetPublic())); err != nil {
		return nil, errors.Join(err, store.Close())
	}
	options = append(options, swarm.WithResourceManager(p.ResourceManager), swarm.WithMultiaddrResolver(p.Resolver),
		swarm.WithUDPBlackHoleSuccessCounter(p.UDPBlackHoleSuccessCounter), swarm.WithIPv6BlackHoleSuccessCounter(p.IPv6BlackHoleSuccessCounter))
	if p.ConnectionGater != nil {
		options = append(options, swarm.WithConnectionGater(p.ConnectionGater))
	}
	if net.swarm, err = swarm.NewSwarm(id, store, bus, options...); err != nil {
		return nil, errors.Join(err, store.Close())
	}
	if net.quic, err = p.newQUIC(key); err != nil {
		return nil, errors.Join(err, net.swarm.Close(), store.Close())
	}
	overQUIC, err := quic.NewTransport(key, net.quic, nil, p.ConnectionGater, p.ResourceManager)
	if err != nil {
		return nil, errors.Join(err, net.close())
	}
	overTCP, err := tcp.NewTCPTransport(net.upgrader, p.ResourceManager, nil, p.TCP...)
	if err != nil {
		return nil, errors.Join(err, net.close())
	}
	if err := errors.Join(net.swarm.AddTransport(overQUIC), net.swarm.AddTransport(overTCP)); err != nil {
		return nil, errors.Join(err, net.close())
	}
	return &net, nil
}

// newQUIC returns the sockets for QUIC. The resource manager accepts or refuses
// connections before their handshakes, and selects the addresses to verify.
func (p hostPlan) newQUIC(key ic.PrivKey) (*quicreuse.ConnManager, error) {
	raw, err := key.Raw()
	if err != nil {
		return nil, err
	}
	var reset quicgo.StatelessResetKey
	var token quicgo.TokenGeneratorKey
	for info, to := range map[string][]byte{"libp2p quic stateless reset key": reset[:], "libp2p quic token generator key": token[:]} {
		derived, err := hkdf.Key(sha256.New, raw, nil, info, len(to))
		if err != nil {
			return nil, err
		}
		copy(to, derived)
	}
	return quicreuse.NewConnManager(reset, token, append([]quicreuse.Option{
		quicreuse.ConnContext(func(ctx context.Context, client *quicgo.ClientInfo) (context.Context, error) {
			addr, err := quicreuse.ToQuicMultiaddr(client.RemoteAddr, quicgo.Version1)
			if err != nil {
				addr = nil // the resource manager accepts or refuses it without an address
			}
			scope, err := p.ResourceManager.OpenConnection(network.DirInbound, false, addr)
			if err != nil {
				return ctx, err
			}
			ctx = network.WithConnManagementScope(ctx, scope)
			context.AfterFunc(ctx, scope.Done)
			return ctx, nil
		}),
		quicreuse.VerifySourceAddress(func(addr net.Addr) bool { return p.ResourceManager.VerifySourceAddress(addr) }),
	}, p.QUICReuse...)...)
}
