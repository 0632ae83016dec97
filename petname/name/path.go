package name

import "strings"

// SplitPath returns the names of a path as it is typed, alice/bob, or as it is shown in any
// [Style] without colour, alice ⇒ bob. No name has a slash, the arrow or an isolate. It
// checks no name.
func SplitPath(path string) []string {
	parts := strings.Split(strings.ReplaceAll(Unisolated(path), pathArrow, "/"), "/")
	if strings.Contains(path, pathArrow) {
		for i, part := range parts {
			parts[i] = strings.TrimSpace(part)
		}
	}
	return parts
}

// pathArrow is between the names of a path that is shown.
const pathArrow = "⇒"

// Unisolated returns a text that was shown by [Terminal] without the isolates around its
// right-to-left text.
func Unisolated(text string) string {
	return strings.NewReplacer(firstStrongIsolate, "", popIsolate, "").Replace(text)
}

// ShownLabel returns the label of an edge as a path shows it, in style [Plain]. Labels are
// foreign text, so some signs are others there, such as brackets in place of parentheses.
func ShownLabel(label string) string { return foreignName(label) }
