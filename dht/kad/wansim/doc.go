// Package wansim has no code: its tests are a bench, of package kad beside
// go-libp2p-kad-dht, over a simulated wide-area network in virtual time.
//
//	go test ./dht/kad/wansim -v -args -live 750 -dead 250 -seed 1 -ops 50 -json wan.json -plot wan
//	go test ./dht/kad/wansim -v -args -live 750 -dead 250 -sybils 45 -json sybil.json
//
// The live peers are real, unmodified kad-dht nodes that talk QUIC; a quarter
// of what stands in everybody's routing tables is dead and silent; latencies
// are 10 to 150 ms one way, by a hash of the two addresses; every operation
// starts with cold connections, from a client that no operation used before.
// Two sides of one operation are equally far from everybody. What really holds
// a record is read from the nodes' datastores.
//
// Time is virtual, so what the machine does beside doesn't show. Two runs with
// one seed still differ in a few operations of a hundred, so go by the medians.
package wansim
