package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/petnames-go/petnames/petname/name"
)

// logger returns the logger of the node. By default it writes warnings to standard
// error, as sentences if that is a terminal, or nothing with --json or --quiet; to a file it also
// writes informational messages. Log lines contain no petnames and no nicknames, and text from
// peers is cleaned.
func (a *app) logger(to string, verbose bool) (_ *slog.Logger, end func(), _ error) {
	level, end := slog.LevelWarn, func() {}
	var w io.Writer = a.stderr
	switch {
	case to == "" && (a.json || a.quiet) && !verbose:
		return slog.New(slog.DiscardHandler), end, nil
	case to == "" && !verbose && isTerminal(a.stderr):
		return slog.New(plainHandler{warn: a.warn}), end, nil
	case to != "" && to != "-":
		f, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_APPEND|syscall.O_NONBLOCK, 0o600) // a pipe would wait for a reader
		if err != nil {
			return nil, nil, classify(fmt.Errorf("log: %w", err))
		}
		level, w, end = slog.LevelInfo, f, func() { _ = f.Close() }
	}
	if verbose {
		level = slog.LevelDebug
	}
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: cleanAttr}
	if a.json {
		return slog.New(slog.NewJSONHandler(w, options)), end, nil
	}
	return slog.New(slog.NewTextHandler(w, options)), end, nil
}

// cleanAttr cleans the value of a log attribute.
func cleanAttr(_ []string, attr slog.Attr) slog.Attr {
	switch v := attr.Value.Resolve(); v.Kind() {
	case slog.KindString:
		attr.Value = slog.StringValue(name.Clean(v.String()))
	case slog.KindAny:
		switch any := v.Any().(type) {
		case *slog.Source, slog.Level, []string: // not from peers
		default:
			attr.Value = slog.StringValue(name.Clean(fmt.Sprint(any)))
		}
	}
	return attr
}

// plainHandler prints warnings and errors for people: the message, then the values of its
// attributes in parentheses.
type plainHandler struct {
	warn  func(format string, args ...any)
	attrs []slog.Attr
}

// Enabled implements slog.Handler.
func (plainHandler) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }

// Handle implements slog.Handler.
func (h plainHandler) Handle(_ context.Context, r slog.Record) error {
	var values []string
	add := func(attr slog.Attr) bool {
		values = append(values, attr.Key+": "+cleanAttr(nil, attr).Value.String())
		return true
	}
	for _, attr := range h.attrs {
		add(attr)
	}
	r.Attrs(add)
	text := name.Clean(r.Message)
	if len(values) > 0 {
		text += " (" + strings.Join(values, ", ") + ")"
	}
	h.warn("%s", text)
	return nil
}

// WithAttrs implements slog.Handler.
func (h plainHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	h.attrs = slices.Concat(h.attrs, attrs)
	return h
}

// WithGroup implements slog.Handler. Groups are not printed.
func (h plainHandler) WithGroup(string) slog.Handler { return h }
