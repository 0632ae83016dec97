package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/rogpeppe/go-internal/testscript"
)

// checkOutput checks every output of every script against the rules.
func checkOutput(args []string, status int, stdout, stderr string) error {
	for _, out := range []string{stdout, stderr} {
		if one := oneOfMany.FindString(out); one != "" {
			return fmt.Errorf("one is not many: %q", one)
		}
		if strings.Contains(strings.ToUpper(out), "PETNAME-SECRET-KEY") || strings.Contains(strings.ToUpper(out), "PETNAME-SEALING-KEY") {
			return errors.New("a secret key in the output")
		}
		if strings.ContainsAny(out, "\x00\x07\x08\x1b\x7f\u202a\u202b\u202d\u202e\u2066\u2067\u2068\u200b\u009b") {
			return fmt.Errorf("a control, an escape or a bidi override in the output: %q", out)
		}
	}
	if !slices.Contains(args, "--json") || slices.Contains(args, "--help") {
		return nil
	}
	if stdout != "" {
		if !strings.HasPrefix(stdout, `{"v":1`) {
			return fmt.Errorf("stdout should start with its version: %q", stdout)
		}
		result := map[string]any{}
		if err := oneObject(stdout, &result); err != nil {
			return fmt.Errorf("stdout: %w", err)
		}
		delete(result, "v")
		if status != 0 && isEmpty(result) {
			return fmt.Errorf("an object without a value on stdout, with exit status %d: %q", status, stdout)
		}
	} else if status == 0 {
		return errors.New("no object on stdout, with exit status 0")
	}
	if status == 0 {
		if stderr != "" {
			return fmt.Errorf("success with something on stderr: %q", stderr)
		}
		return nil
	}
	var failed struct {
		V     *int
		Error map[string]*string
	}
	if err := oneObject(stderr, &failed); err != nil {
		return fmt.Errorf("stderr: %w: %q", err, stderr)
	}
	e := failed.Error
	if failed.V == nil || *failed.V != 1 || len(e) != 3 || e["code"] == nil || e["message"] == nil || e["next"] == nil || *e["code"] == "" || *e["message"] == "" {
		return fmt.Errorf("stderr is no error object: %q", stderr)
	}
	return nil
}

// oneOfMany matches "1 peers" and its like.
var oneOfMany = regexp.MustCompile(`\b1 (peers|records|names|contacts|messages|puzzles|hops|labels|uses|days|entries|devices|parts|words|pointers|suggestions|statements|are)\b`)

// isEmpty reports whether a value of JSON and all values in it are empty or zero.
func isEmpty(v any) bool {
	switch v := v.(type) {
	case map[string]any:
		for _, one := range v {
			if !isEmpty(one) {
				return false
			}
		}
		return true
	case []any:
		return len(v) == 0
	}
	return v == nil || v == "" || v == 0.0 || v == false || v == "0001-01-01T00:00:00Z"
}

// oneObject decodes exactly one object on exactly one line.
func oneObject(text string, into any) error {
	if strings.Count(text, "\n") != 1 || !strings.HasSuffix(text, "\n") {
		return fmt.Errorf("should be one line")
	}
	dec := json.NewDecoder(strings.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return err
	}
	if _, err := dec.Token(); err != io.EOF {
		return errors.New("something after the object")
	}
	return nil
}

func fields(ts *testscript.TestScript, neg bool, args []string) {
	keys, err := topLevel(ts.ReadFile("stdout"))
	ts.Check(err)
	want := append([]string{"v"}, args...)
	for _, key := range keys {
		for len(want) > 0 && strings.HasPrefix(want[0], "?") && want[0] != "?"+key {
			want = want[1:]
		}
		if len(want) == 0 || strings.TrimPrefix(want[0], "?") != key {
			ts.Fatalf("fields %v, want %v", keys, args)
		}
		want = want[1:]
	}
	for _, w := range want {
		if !strings.HasPrefix(w, "?") {
			ts.Fatalf("fields %v: %s is missing", keys, w)
		}
	}
}

// topLevel returns the keys of an object in their order.
func topLevel(text string) ([]string, error) {
	dec := json.NewDecoder(strings.NewReader(text))
	if _, err := dec.Token(); err != nil {
		return nil, err
	}
	var keys []string
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return nil, err
		}
		keys = append(keys, key.(string))
		var skip json.RawMessage
		if err := dec.Decode(&skip); err != nil {
			return nil, err
		}
	}
	return keys, nil
}

// lookUp returns the value at a path such as contacts.0.name.
func lookUp(ts *testscript.TestScript, path string) any {
	text := ts.ReadFile("stdout")
	if rest, ok := strings.CutPrefix(path, "stderr."); ok {
		text, path = ts.ReadFile("stderr"), rest
	}
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	var at any
	ts.Check(dec.Decode(&at))
	for _, part := range strings.Split(path, ".") {
		switch v := at.(type) {
		case map[string]any:
			next, ok := v[part]
			if !ok {
				ts.Fatalf("%s: no %s in %s", path, part, text)
			}
			at = next
		case []any:
			i, err := strconv.Atoi(part)
			if err != nil || i >= len(v) {
				ts.Fatalf("%s: no %s in %s", path, part, text)
			}
			at = v[i]
		default:
			ts.Fatalf("%s: no %s in %s", path, part, text)
		}
	}
	return at
}

func plain(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case nil:
		return "null"
	}
	b, _ := json.Marshal(v)
	return string(b)
}

func jsonCmd(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: json PATH OP VALUE")
	}
	at := lookUp(ts, args[0])
	got, want := plain(at), args[2]
	var ok bool
	switch args[1] {
	case "=":
		ok = got == want
	case "~":
		ok = regexp.MustCompile(want).MatchString(got)
	case ">=", "<":
		g, err := strconv.ParseFloat(got, 64)
		ts.Check(err)
		w, err := strconv.ParseFloat(want, 64)
		ts.Check(err)
		ok = (g >= w) == (args[1] == ">=")
	case "len":
		list, is := at.([]any)
		n, err := strconv.Atoi(want)
		ts.Check(err)
		ok = is && len(list) == n
	default:
		ts.Fatalf("json: no operator %q", args[1])
	}
	if ok == neg {
		ts.Fatalf("%s is %q: not %s %s", args[0], got, args[1], want)
	}
}

func get(ts *testscript.TestScript, neg bool, args []string) {
	ts.Setenv(args[0], plain(lookUp(ts, args[1])))
}

// fits checks what was printed on a terminal with a number of columns: a wider row is one
// word, or a command, or has a pointer or a peer ID that is not broken.
func fits(ts *testscript.TestScript, neg bool, args []string) {
	columns, err := strconv.Atoi(args[0])
	ts.Check(err)
	rows := strings.Split(strings.ReplaceAll(ts.ReadFile(args[1]), "\r\n", "\n"), "\n")
	if len(rows) < 50 {
		ts.Fatalf("only %d rows in %s", len(rows), args[1])
	}
	for i, row := range rows {
		row = row[strings.LastIndex(row, "\r")+1:] // progress
		short := regexp.MustCompile(`\b(k|12D3)[0-9A-Za-z]{40,}`).ReplaceAllString(row, "")
		if utf8.RuneCountInString(short) > columns && !strings.HasPrefix(row, "  petname ") && strings.Contains(strings.TrimSpace(row), " ") {
			ts.Fatalf("row %d of %s is wider than %d columns: %q", i+1, args[1], columns, row)
		}
	}
}
