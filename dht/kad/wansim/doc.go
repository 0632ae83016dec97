// Package wansim has no code: its tests are a bench, of package kad beside
// go-libp2p-kad-dht, over a simulated wide-area network in virtual time.
//
//	go test ./dht/kad/wansim -v -args -live 750 -dead 250 -seed 1 -ops 50 -json wan.json -plot wan
//	go test ./dht/kad/wansim -v -timeout 3h -run TestWAN/attacks -args -live 750 -dead 250 -sybils 45 -resolves 200 -json sybil.json
//
// The live peers are real, unmodified kad-dht nodes that talk QUIC; a quarter
// of what stands in everybody's routing tables is dead and silent; latencies
// are 10 to 150 ms one way, by a hash of the two addresses; every operation
// starts with cold connections, from a client that no operation used before.
// Two sides of one operation are equally far from everybody. What really holds
// a record is read from the nodes' datastores.
//
// What was tried for package kad, at 750 + 250: sending the record to a near
// peer at first sight, instead of after its FIND_NODE answer, took a publish
// from 1.75 to 1.3 times the oracle. Asking only the 4 closest answering peers
// for closer ones (8 before), none beyond the 20 closest (4), and 8 at once on
// the way (10) took its messages from 73 to 57 at no loss of time or holders.
// Returning only when 15 acknowledgements rank within 20 of the living, the
// silent weighed by how long they have been, took the holders at return from 9
// at the least to 15. More requests at once (10, 14, 20, 28) help "any" a little
// and "fresh" less; 32 for "any" alone gained 5 to 15 % at half as many messages
// again. With 6 peers beside those from memory instead of 10, "again" lost 10 %:
// remembered holders count only once one of these has named them.
//
// Time is virtual, so what the machine does beside doesn't show. Two runs with
// one seed still differ in a few operations of a hundred, so go by the medians.
package wansim
