package petname

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/pointer"
)

// A contact recovered by a file that has no step signed by the lost key, and rotated
// once more: a follower that was away receives both steps at once. It advances by the
// first, and the owner decides about the second, as if they had come one by one.
func TestAStepAfterAnUnsignedOneStopsNoChain(t *testing.T) {
	for name, first := range map[string]pointer.Succession{
		"unsigned":         unsigned(t, "a", "next a", commitment("next a")),
		"no further pin":   stepTo(t, "a", "next a", pointer.Commitment{}),
		"neither of these": unsigned(t, "a", "next a", pointer.Commitment{}),
	} {
		steps := chain(first, stepTo(t, "next a", "next next a", commitment("next next a")))
		for way, receive := range map[string]func(w *world) error{
			"chain": func(w *world) error {
				require.ErrorAs(t, w.book.applySuccession(pointerOf("a"), steps, "test"), new(*SuccessionError), name)
				return w.book.applySuccession(pointerOf("a"), steps, "test") // nothing is new
			},
			"record of the first key": func(w *world) error {
				w.put("a", &pointer.Card{Next: commitment("a"), Succession: steps})
				_, err := w.resolve("alice")
				return err
			},
			"record of the next key": func(w *world) error {
				w.put("a", &pointer.Card{Next: commitment("a"), Successor: pointerOf("next a")})
				_, err := w.resolve("alice")
				return err
			},
			"record of the last key": func(w *world) error {
				_, err := w.resolve(pointerOf("next next a").String())
				return err
			},
		} {
			w := newWorld(t)
			confirmedAlice(t, w.book)
			last := pointer.Card{Next: commitment("next a"), Successor: pointerOf("next next a"), Succession: steps}
			w.put("next a", &last)
			w.put("next next a", &pointer.Card{Next: commitment("next next a"), Succession: steps})
			require.NoError(t, receive(w), name+", "+way)
			require.Equal(t, pointerOf("next a"), must(w.book.byName(mustName("alice"))).Pointer, name+", "+way)

			res, err := w.resolve("alice")
			require.NoError(t, err, name+", "+way)
			require.Equal(t, pointerOf("next a"), res.Last().Pointer, name+", "+way)
			require.Equal(t, pointerOf("next next a"), res.Last().Unproven, name+", "+way)
			record := w.sign("next a", &last)
			must(w.book.Confirm(pointerOf("a"), Confirmation{Card: &record, Successor: pointerOf("next next a")}))
			_, err = w.resolve("alice")
			require.NoError(t, err, name+", "+way)
			require.Equal(t, pointerOf("next next a"), must(w.book.byName(mustName("alice"))).Pointer, name+", "+way)
		}
	}
}
