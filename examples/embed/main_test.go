package main

import (
	"io"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// The program prints the one hop of the name, as its comment describes.
func TestTheExamplePrintsWhereTheNameLeads(t *testing.T) {
	read, write, err := os.Pipe()
	require.NoError(t, err)
	stdout := os.Stdout
	os.Stdout = write
	defer func() { os.Stdout = stdout }()
	main()
	require.NoError(t, write.Close())
	printed, err := io.ReadAll(read)
	require.NoError(t, err)
	require.Regexp(t, `^bob k51[0-9a-z]{59} /ipfs/bafkqaaa home\n$`, string(printed))
}
