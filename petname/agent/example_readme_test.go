package agent_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/dht/delegated"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/petname/agent/libp2p"
	"github.com/petnames-go/petnames/pointer"
)

// folderOf returns where the folder of the link's owner is now. network is as in
// "petname join": ipfs, lan, /ip4/… or http://….
func folderOf(ctx context.Context, dir, network, link string) (string, error) {
	a, err := agent.Open(ctx, dir, agent.Options{
		Create: &agent.Profile{}, Transport: libp2p.New(libp2p.Options{})})
	if err != nil {
		return "", err
	}
	defer a.Close()
	ana, err := pointer.ParseLink(link) // refuses a link with a typing error
	if err != nil {
		return "", err
	}
	if _, err = a.Add("ana", ana, petname.Source{}); err != nil {
		return "", err
	}
	if err = a.Join(ctx, network); err != nil {
		return "", err
	}
	found, err := a.Resolve(ctx, "ana", dht.LevelAny)
	return found.Value, err // signed by the key of the link
}

func Example_readme() {
	dir, _ := os.MkdirTemp("", "petname")
	defer os.RemoveAll(dir)
	records := &dht.Memory{}
	router := httptest.NewServer(&delegated.Server{Network: records})
	defer router.Close()
	ana, _ := pointer.NewKey(nil)
	record, _ := pointer.Sign(ana, pointer.Fields{Value: "/ipfs/bafkqabtgn5wgizls", Sequence: 1, Expires: time.Now().Add(time.Hour)})
	_, _ = records.Put(context.Background(), record.Pointer(), record.Bytes())
	link := pointer.Link{Pointer: ana.Pointer()}.String()

	fmt.Println(folderOf(context.Background(), filepath.Join(dir, "ben"), router.URL, link))
	_, err := folderOf(context.Background(), filepath.Join(dir, "cleo"), router.URL, strings.Replace(link, "s=", "s=0", 1))
	fmt.Println(err != nil)
	// Output:
	// /ipfs/bafkqabtgn5wgizls <nil>
	// true
}

// The code in the README is the code above, which runs.
func TestTheREADMEShowsCodeThatRuns(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	require.NoError(t, err)
	_, rest, found := strings.Cut(string(readme), "```go\n")
	require.True(t, found)
	shown, _, found := strings.Cut(rest, "```")
	require.True(t, found)
	source, err := os.ReadFile("example_readme_test.go")
	require.NoError(t, err)
	require.NotEmpty(t, strings.TrimSpace(shown))
	require.Contains(t, string(source), shown)
}
