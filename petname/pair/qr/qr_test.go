package qr

import (
	"bytes"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"
	goqr "github.com/piglig/go-qr"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/petnames-go/petnames/petname/pair"
	"github.com/petnames-go/petnames/pointer"
	_ "github.com/petnames-go/petnames/pointer/lawtest" // a fixed seed
)

// decode reads an image with the independent decoder alone.
func decode(t require.TestingT, img image.Image) string {
	bitmap, err := gozxing.NewBinaryBitmapFromImage(img)
	require.NoError(t, err)
	result, err := qrcode.NewQRCodeReader().Decode(bitmap, nil)
	require.NoError(t, err)
	return result.GetText()
}

// rasterise returns the pixels of half blocks, as a terminal shows them; lit is the
// colour of the blocks.
func rasterise(t require.TestingT, text string, lit, ground color.Color) *image.Gray {
	text = strings.NewReplacer("\x1b[38;5;231;48;5;16m", "", "\x1b[0m", "").Replace(text)
	rows := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	const scale, around = 4, 20
	img := image.NewGray(image.Rect(0, 0, utf8.RuneCountInString(rows[0])*scale+2*around, len(rows)*2*scale+2*around))
	for y := range img.Rect.Dy() {
		for x := range img.Rect.Dx() {
			img.Set(x, y, ground)
		}
	}
	for y, row := range rows {
		for x, r := range []rune(row) {
			var halves [2]bool
			switch r {
			case '█':
				halves = [2]bool{true, true}
			case '▀':
				halves[0] = true
			case '▄':
				halves[1] = true
			default:
				require.Equal(t, ' ', r)
			}
			for half, on := range halves {
				for i := range scale * scale {
					if on {
						img.Set(around+x*scale+i%scale, around+(2*y+half)*scale+i/scale, lit)
					}
				}
			}
		}
	}
	return img
}

// invitation returns an invitation with an address of the usual kind.
func invitation(t require.TestingT) pair.Invitation {
	key := func(seed byte) *pointer.Key {
		k, err := pointer.NewKey(rand.NewChaCha8([32]byte{seed}))
		require.NoError(t, err)
		return k
	}
	k := key(1)
	self := pair.Self{Key: k, Random: rand.NewChaCha8([32]byte{51}), Identity: pair.Identity{Pointer: k.Pointer(), Details: pointer.Details{Nickname: "Alice"}}}
	self.Identity.Addresses = [][]byte{
		append([]byte{4, 203, 0, 113, 7, 0x91, 2, 0x0f, 0xa1, 0xcd, 3, 0xa5, 3, 0x26}, key(77).Pointer().Bytes()...), // /ip4/203.0.113.7/udp/4001/quic-v1/p2p/…
	}
	start := time.Date(2026, 5, 1, 12, 7, 0, 0, time.UTC)
	offer, err := pair.Invite(context.Background(), self, pair.Terms{Expires: start.Add(time.Hour)},
		func(context.Context, []byte, *pair.Paired) error { return nil })
	require.NoError(t, err)
	return offer.Invitation()
}

func TestTerminalCodeFitsAndScansOnDarkAndLight(t *testing.T) {
	compact := invitation(t).Compact()
	require.Greater(t, len(compact), 130, "the address is in it")
	for name, text := range map[string]string{
		"invitation": compact, "shortest": "1", "largest": strings.Repeat("A", 154), "half a margin": strings.Repeat("Z", 195),
	} {
		for _, colour := range []bool{false, true} {
			drawn, err := Terminal(text, colour)
			require.NoError(t, err, name)
			plain := strings.NewReplacer("\x1b[38;5;231;48;5;16m", "", "\x1b[0m", "").Replace(drawn)
			rows := strings.Split(strings.TrimSuffix(plain, "\n"), "\n")
			require.LessOrEqual(t, len(rows), 23, name)
			for _, row := range rows {
				require.LessOrEqual(t, utf8.RuneCountInString(row), 80, name)
				require.Equal(t, utf8.RuneCountInString(rows[0]), utf8.RuneCountInString(row), name)
			}
			// With colour, or on a dark terminal: light blocks on black.
			dark := rasterise(t, drawn, color.White, color.Black)
			require.Equal(t, text, decode(t, dark), name)
			var b bytes.Buffer
			require.NoError(t, png.Encode(&b, dark))
			got, err := Read(b.Bytes())
			require.NoError(t, err, name)
			require.Equal(t, text, got, name)
			// Without colour on a light terminal it is inverted.
			b.Reset()
			require.NoError(t, png.Encode(&b, rasterise(t, drawn, color.Black, color.White)))
			got, err = Read(b.Bytes())
			require.NoError(t, err, name)
			require.Equal(t, text, got, name)
		}
	}
	drawn, err := Terminal(compact, false)
	require.NoError(t, err)
	rows := strings.Split(drawn, "\n")
	require.Equal(t, strings.Repeat("█", 45), rows[0], "the quiet zone is drawn")
	require.Equal(t, strings.Repeat("█", 45), rows[1])
	require.True(t, strings.HasPrefix(rows[10], "████") && strings.HasSuffix(rows[10], "████"))

	_, err = Terminal(strings.Repeat("A", 196), true)
	require.ErrorContains(t, err, "make an image instead")
}

// Another encoder, with the same mask, returns the same code: in each mode, of
// each version, and with the most error correction that its version allows.
func TestCodesEqualThoseOfAnotherEncoder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		alphabet := rapid.SampledFrom([]string{"0123456789", "0123456789ABCXYZ $%*+-./:", "abc-_é語"}).Draw(t, "alphabet")
		seed := rapid.Uint64().Draw(t, "seed")
		letters, random := []rune(alphabet), rand.New(rand.NewPCG(seed, 0))
		var b strings.Builder
		for range rapid.IntRange(1, 1200).Draw(t, "length") {
			b.WriteRune(letters[random.IntN(len(letters))])
		}
		text := b.String()
		code, err := encode(text, maxVersion)
		require.NoError(t, err)
		segments, err := goqr.MakeSegments(text)
		require.NoError(t, err)
		other, err := goqr.EncodeSegments(segments, goqr.Low, goqr.MinVersion, goqr.MaxVersion, code.GetMaskPattern(), true)
		require.NoError(t, err)
		require.Equal(t, other.Size(), code.GetMatrix().GetWidth())
		for y := -1; y <= other.Size(); y++ {
			for x := -1; x <= other.Size(); x++ {
				require.Equal(t, other.Module(x, y), module(code, x, y), "%d %d", x, y)
			}
		}
	})
}

func TestPNGScansBack(t *testing.T) {
	inv := invitation(t)
	for _, text := range []string{inv.Compact(), inv.Link(), "x"} {
		b, err := PNG(text)
		require.NoError(t, err)
		img, err := png.Decode(bytes.NewReader(b))
		require.NoError(t, err)
		require.Equal(t, text, decode(t, img))
		got, err := Read(b)
		require.NoError(t, err)
		require.Equal(t, text, got)
	}
	_, err := PNG(strings.Repeat("x", 3000))
	require.Error(t, err)
}

// The decoder's locator for photos misses about one drawn code in thirty,
// including these.
func TestDrawnCodesThatTheLocatorMissesAreRead(t *testing.T) {
	for _, c := range []struct{ blocks, seed byte }{{2, 18}, {3, 38}, {4, 25}, {6, 55}} {
		var b []byte
		for block := range c.blocks {
			h := sha512.Sum512([]byte{c.seed, block})
			b = append(b, h[:]...)
		}
		text := "petname:" + base64.RawURLEncoding.EncodeToString(b)
		picture, err := PNG(text)
		require.NoError(t, err)
		got, err := Read(picture)
		require.NoError(t, err, "%v", c)
		require.Equal(t, text, got)
	}
}

func TestPhotoIsRead(t *testing.T) {
	text := invitation(t).Compact()
	b, err := PNG(text)
	require.NoError(t, err)
	code, err := png.Decode(bytes.NewReader(b))
	require.NoError(t, err)
	// Large, off centre, slightly rotated, grey, and strongly compressed.
	photo := image.NewRGBA(image.Rect(0, 0, 1800, 1200))
	require.Greater(t, photo.Rect.Dx(), workSide, "it is made smaller")
	for y := range photo.Rect.Dy() {
		for x := range photo.Rect.Dx() {
			u, v := ((x-700)*95+(y-200)*12)/200, ((y-200)*95-(x-700)*12)/200
			c := color.RGBA{170, 170, 170, 255}
			if (image.Point{u, v}).In(code.Bounds()) {
				r, _, _, _ := code.At(u, v).RGBA()
				c.R = 50 + uint8(r>>9)
				c.G, c.B = c.R, c.R
			}
			photo.SetRGBA(x, y, c)
		}
	}
	var jpg bytes.Buffer
	require.NoError(t, jpeg.Encode(&jpg, photo, &jpeg.Options{Quality: 40}))
	got, err := Read(jpg.Bytes())
	require.NoError(t, err)
	require.Equal(t, text, got)
}

// bomb is the head of a PNG that claims to be as large as PNGs get.
func bomb(width, height uint32) []byte {
	b := []byte("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR")
	b = binary.BigEndian.AppendUint32(b, width)
	b = binary.BigEndian.AppendUint32(b, height)
	b = append(b, 8, 6, 0, 0, 0)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[12:]))
}

func TestImageWithoutACodeIsRefused(t *testing.T) {
	blank := &bytes.Buffer{}
	require.NoError(t, png.Encode(blank, image.NewGray(image.Rect(0, 0, 50, 50))))
	dot := &bytes.Buffer{}
	require.NoError(t, png.Encode(dot, image.NewGray(image.Rect(0, 0, 1, 1))))
	thin := &bytes.Buffer{}
	require.NoError(t, png.Encode(thin, image.NewGray(image.Rect(0, 0, 9000, 1))))
	good, err := PNG("x")
	require.NoError(t, err)
	for why, c := range map[string]struct {
		file []byte
		says string
	}{
		"nothing":         {nil, "neither PNG nor JPEG"},
		"a GIF":           {[]byte("GIF89a"), "neither PNG nor JPEG"},
		"too long a file": {make([]byte, maxImage+1), "bytes long"},
		"too many pixels": {bomb(1<<15, 1<<15), "pixels large"},
		"and more":        {bomb(1<<31-1, 1<<31-1), "image: is"},
		"cut short":       {good[:len(good)/2], "damaged"},
		"no code":         {blank.Bytes(), "there is no qr code"},
		"a dot":           {dot.Bytes(), "there is no qr code"},
		"a line":          {thin.Bytes(), "there is no qr code"},
		"a bomb of scans": {append([]byte{0xff, 0xd8, 0xff}, bytes.Repeat([]byte{0xff, 0xda}, 1000)...), "1000 scans"},
	} {
		_, err := Read(c.file)
		require.ErrorContains(t, err, c.says, why)
	}
}

func FuzzRead(f *testing.F) {
	for _, text := range []string{"x", "PETNAME:I.0"} {
		b, err := PNG(text)
		require.NoError(f, err)
		f.Add(b)
		img, err := png.Decode(bytes.NewReader(b))
		require.NoError(f, err)
		var jpg bytes.Buffer
		require.NoError(f, jpeg.Encode(&jpg, img, nil))
		f.Add(jpg.Bytes())
	}
	f.Add(bomb(1<<31-1, 1))
	f.Fuzz(func(t *testing.T, file []byte) {
		text, err := Read(file)
		if err != nil {
			require.Empty(t, text)
		}
	})
}
