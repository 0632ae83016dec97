package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/petname/introduce"
)

// Each verb reads standard input in the encodings of shells and editors, up to the same number
// of letters.
func TestStandardInputInEachEncoding(t *testing.T) {
	inUTF16 := func(order binary.AppendByteOrder) func(string) string {
		return func(s string) string {
			var b []byte
			for _, unit := range utf16.Encode([]rune("\ufeff" + s)) {
				b = order.AppendUint16(b, unit)
			}
			return string(b)
		}
	}
	encodings := map[string]func(string) string{
		"UTF-8": func(s string) string { return s }, "UTF-8 with its mark": func(s string) string { return "\ufeff" + s },
		"UTF-16LE": inUTF16(binary.LittleEndian), "UTF-16BE": inUTF16(binary.BigEndian),
	}
	const text = "742-tunnel-orbit-candy\r\n"
	for name, encode := range encodings {
		read := func(text string) *app { return &app{stdin: strings.NewReader(encode(text))} }
		got, err := read(text).invitationText([]string{"-"}, "", "petname pair")
		require.NoError(t, err, name)
		require.Equal(t, text, got, name)
		got, err = read(strings.Repeat("x", maxStdin)).readStdinText("a link")
		require.NoError(t, err, name)
		require.Len(t, got, maxStdin)
		_, err = read(strings.Repeat("x", maxStdin+1)).readStdinText("a link")
		require.Equal(t, exitUsage, classify(err).Exit, name)
		statement := "-----BEGIN PETNAMES STATEMENT-----\nAAAA\n-----END PETNAMES STATEMENT-----\n" + strings.Repeat("x", 40<<10)
		b, err := read(statement).readStatements("-")
		require.NoError(t, err, name)
		require.Equal(t, statement, string(b), name)
	}
}

// What a verb printed with --json is read by those that take statements; other JSON is no
// statement.
func TestStatementsInJSON(t *testing.T) {
	statement := introduce.Armor([]byte("statement"))
	b, err := json.Marshal(map[string]any{"v": 1, "sent": "file", "armored": statement})
	require.NoError(t, err)
	got, err := (&app{stdin: bytes.NewReader(b)}).readStatements("-")
	require.NoError(t, err)
	require.Equal(t, statement, got)
	for _, text := range []string{`{}`, `{"armored":""}`, `{"armored":"x"}`, `{"armored":"AAAA"}`, `[]`, `{"armored":null}`} {
		_, err = (&app{stdin: strings.NewReader(text)}).readStatements("-")
		require.Error(t, err, text)
	}
}
