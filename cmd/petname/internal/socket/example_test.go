package socket_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"

	"github.com/petnames-go/petnames/cmd/petname/internal/socket"
)

func Example() {
	dir, err := os.MkdirTemp("", "node")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	l, err := socket.Listen(dir)
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		socket.Serve(ctx, l, "v1", nil, func(_ context.Context, verb string, args json.RawMessage) (json.RawMessage, *socket.Failure) {
			return args, nil
		})
	}()

	result, _, failure, err := socket.Call(ctx, dir, "v1", "echo", json.RawMessage(`{"text":"hello"}`))
	fmt.Println(string(result), failure, err)

	stop()
	<-ended
	// Output: {"text":"hello"} <nil> <nil>
}
