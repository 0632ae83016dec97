package petname_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
)

// whereIsAna enters a link under the petname ana and returns what it points to.
func whereIsAna(ctx context.Context, book *petname.Book, link string, store dht.Store) (string, error) {
	handed, err := pointer.ParseLink(link) // refuses a link with a typing error
	if err != nil {
		return "", err
	}
	ana, err := name.Parse("ana")
	if err != nil {
		return "", err
	}
	if _, err := book.Add(ana, handed, petname.Source{Channel: "chat"}); err != nil {
		return "", err
	}
	resolver := &dht.Resolver{Stores: []dht.Store{store}} // or a kad.Node, a dht.Dir
	where, err := book.Resolve(ctx, resolver, "ana", dht.LevelAny)
	if err != nil {
		return "", err
	}
	return where.Last().Result.Record.Value(), nil // signed by the key of the link
}

func Example_guide() {
	dir, _ := os.MkdirTemp("", "petname")
	defer os.RemoveAll(dir)
	me, _ := pointer.NewKey(nil)
	device, _ := pointer.NewKey(nil)
	ana, _ := pointer.NewKey(nil)
	record, _ := pointer.Sign(ana, pointer.Fields{Value: "/ipfs/bafkqaaa", Sequence: 1, Expires: time.Now().Add(time.Hour)})
	store := &dht.Memory{}
	_, _ = store.Put(context.Background(), record.Pointer(), record.Bytes())

	book, err := petname.Create(filepath.Join(dir, "ledger.db"), me, device, petname.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer book.Close()
	fmt.Println(whereIsAna(context.Background(), book, pointer.Link{Pointer: ana.Pointer()}.String(), store))
	// Output: /ipfs/bafkqaaa <nil>
}

// The code in the guide is the code above, which runs.
func TestTheGuideShowsCodeThatRuns(t *testing.T) {
	guide, err := os.ReadFile(filepath.Join("docs", "guide.md"))
	require.NoError(t, err)
	_, rest, found := strings.Cut(string(guide), "```go\n")
	require.True(t, found)
	shown, _, found := strings.Cut(rest, "```")
	require.True(t, found)
	source, err := os.ReadFile("example_guide_test.go")
	require.NoError(t, err)
	require.NotEmpty(t, strings.TrimSpace(shown))
	require.Contains(t, string(source), shown)
}
