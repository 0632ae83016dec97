// Package wansim contains no code. Its tests measure package kad beside
// go-libp2p-kad-dht in a simulated wide-area network, in virtual time. Run them
// with
//
//	go test ./dht/kad/wansim -v -args \
//		-live 750 -dead 250 -seed 1 -ops 50 -json wan.json -plot wan
//	go test ./dht/kad/wansim -v -timeout 3h -run TestWAN/attacks -args \
//		-live 750 -dead 250 -sybils 45 -resolves 200 -json sybil.json
//
// The live peers are unmodified kad-dht nodes that use QUIC. A quarter of the
// peers in the routing tables is dead and silent. Latencies are 10 to 150 ms
// one way, by a hash of the two addresses. Every operation starts without
// connections, from a client that no other operation uses. The clients of the
// two packages for one operation have equal latencies to all peers. The number
// of holders of a record is counted in the nodes' datastores.
//
// The following variants of package kad were measured with 750 live and 250
// dead peers:
//
//   - Sending a record to a near peer when another peer names it, instead of
//     after its FIND_NODE answer, reduced the time of a publish from 1.75 to
//     1.3 times the oracle's.
//   - Asking only the 4 closest answering peers for closer ones (before: 8),
//     none beyond the 20 closest (4), and at most 8 peers that are not near at
//     one time (10) reduced the messages of a publish from 73 to 57, without
//     more time or fewer holders.
//   - Returning only when 15 acknowledgements rank within 20 of the live peers,
//     with silent peers weighted by the time of their silence, increased the
//     minimum number of holders at the return from 9 to 15.
//   - More requests at one time (10, 14, 20, 28) improve "any" a little and
//     "fresh" less; 32 for "any" alone reduced its time by 5 to 15 % with half
//     as many messages again.
//   - With 6 instead of 10 peers asked beside cached ones, "again" was 10 %
//     slower, since cached holders count only after one of these peers has
//     named them.
//
// Because time is virtual, the load of the machine has no influence. Two runs
// with one seed still differ in a few of a hundred operations, so compare
// medians.
package wansim
