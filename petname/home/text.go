package home

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/petnames-go/petnames/ledger/durable"
)

const bom = "\ufeff" // byte order mark

// plainText returns a text as UTF-8 with lines that end in \n. Editors also write
// UTF-16 with a byte order mark, UTF-8 with one, and lines that end in \r\n. A byte
// order mark at the start stays.
func plainText(b []byte) string {
	var order binary.ByteOrder = binary.LittleEndian
	switch {
	case bytes.HasPrefix(b, []byte{0xfe, 0xff}):
		order = binary.BigEndian
		fallthrough
	case bytes.HasPrefix(b, []byte{0xff, 0xfe}):
		units := make([]uint16, len(b)/2)
		for i := range units {
			units[i] = order.Uint16(b[2*i:])
		}
		b = []byte(string(utf16.Decode(units)))
	}
	return strings.ReplaceAll(string(b), "\r\n", "\n")
}

// readText reads a text file as plainText does, without a byte order mark. The file has
// at most maxKeyFile bytes, or twice as many in UTF-16.
func readText(name string) (string, error) { return readTextUpTo(name, maxKeyFile) }

// readTextUpTo is readText with another bound, in bytes.
func readTextUpTo(name string, most int64) (string, error) {
	b, err := durable.ReadFile(name, 2*most)
	if err == nil && int64(len(b)) > most && !bytes.HasPrefix(b, []byte{0xfe, 0xff}) && !bytes.HasPrefix(b, []byte{0xff, 0xfe}) {
		err = &durable.SizeError{Path: name, Most: most}
	}
	if err != nil {
		return "", err
	}
	return strings.TrimPrefix(plainText(b), bom), nil
}

// ReadPassphrase returns the first line of a text file, or of a descriptor that the
// process has open (see [durable.OpenInput]), in UTF-8, or in UTF-16 with a
// byte order mark, without its line ending. The mark stays: homes of older versions
// are locked with it. An empty line is an error, and so is other text, which no
// passphrase could be compared with.
func ReadPassphrase(name string) (string, error) {
	f, err := durable.OpenInput(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := durable.ReadUpTo(f, name, maxKeyFile)
	if err != nil {
		return "", err
	}
	line, _, _ := strings.Cut(plainText(b), "\n")
	line = strings.TrimSuffix(line, "\r")
	switch {
	case strings.TrimPrefix(line, bom) == "":
		return "", fmt.Errorf("passphrase file %q: its first line is empty", name)
	case !utf8.ValidString(line) || strings.Contains(line, "\x00"):
		return "", fmt.Errorf("passphrase file %q: its first line is not UTF-8 text", name)
	}
	return line, nil
}

// errPassphraseText is returned for a passphrase that could not be typed again.
var errPassphraseText = errors.New("the passphrase has characters that cannot be typed: use one line of UTF-8 text")

// newPassphrase returns the form of a passphrase that new files are encrypted with:
// NFC without a byte order mark. So the same passphrase opens them, whatever program
// or keyboard it comes from.
func newPassphrase(typed string) (string, error) {
	if !utf8.ValidString(typed) || strings.ContainsFunc(typed, func(r rune) bool { return unicode.IsControl(r) && r != '\t' }) {
		return "", errPassphraseText
	}
	p := norm.NFC.String(strings.TrimPrefix(typed, bom))
	if p == "" {
		return "", errPassphraseText
	}
	return p, nil
}

// passphraseForms returns the forms in which older versions, which encrypted with the
// bytes as they came, or this one may have used a passphrase, the likeliest first.
// Each costs an scrypt: text in ASCII without a byte order mark has one form.
func passphraseForms(typed string) []string {
	text, marked := strings.CutPrefix(typed, bom)
	forms := []string{typed, norm.NFC.String(text), norm.NFD.String(text)}
	// An older version read the bytes of UTF-16 up to the first byte \n: the text, with \r if the
	// line ended in \r\n, and in big endian with the zero byte before the \n.
	if marked {
		forms = append(forms, utf16Line(binary.LittleEndian, typed), utf16Line(binary.LittleEndian, typed+"\r"),
			utf16Line(binary.BigEndian, typed)+"\x00", utf16Line(binary.BigEndian, typed+"\r")+"\x00", utf16Line(binary.BigEndian, typed))
	}
	var distinct []string
	for _, f := range forms {
		if f != "" && !slices.Contains(distinct, f) {
			distinct = append(distinct, f)
		}
	}
	return distinct
}

func utf16Line(order binary.AppendByteOrder, text string) string {
	var b []byte
	for _, unit := range utf16.Encode([]rune(text)) {
		b = order.AppendUint16(b, unit)
	}
	return string(b)
}
