// Package qr writes and reads QR codes (ISO/IEC 18004): [Terminal] draws one
// with block elements, [PNG] returns one as an image file, and [Read] reads the
// text of one in an image file.
//
//	drawn, err := qr.Terminal(invitation.Compact(), true)
//	file, err := qr.PNG(invitation.Link())
//	text, err := qr.Read(file)
//
// The text is opaque to this package. Its functions are safe for concurrent
// use. The package links image decoders; package pair does not.
package qr

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"strings"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"
	"github.com/makiuchi-d/gozxing/qrcode/decoder"
	"github.com/makiuchi-d/gozxing/qrcode/encoder"
)

const (
	// quiet is the light margin around a code, in modules, that ISO/IEC 18004
	// asks for.
	quiet = 4

	// maxTerminal is the largest side with its margin, in modules: 23 rows of
	// two and a column each. Version 5 (37 modules) has all of its margin in it,
	// version 6 (41) half.
	maxTerminal = 46

	maxTerminalVersion = 6  // the largest that fits maxTerminal
	maxVersion         = 40 // the largest there is

	pngScale = 8 // pixels a module
)

// Terminal returns a QR code of text, drawn with half blocks. It fits a terminal
// of 80 columns and 24 rows with the last row left for a prompt: at most 46
// columns and 23 rows, each row ended by a line feed. Up to 154 characters of
// digits, capitals and $%*+-./: fit with the whole quiet zone. Terminal returns
// an error if the text is too long for this size.
//
// With colour, the code is drawn in black on white (of the 256 colours, those
// that no theme changes), so it scans on a dark and on a light terminal.
// Without, the blocks are drawn for light text on a dark ground; on a light
// ground the code is inverted, and not every scanner reads it.
func Terminal(text string, colour bool) (string, error) {
	code, err := encode(text, maxTerminalVersion)
	if err != nil {
		return "", fmt.Errorf("qr code for a terminal: %w: make an image instead", err)
	}
	size := code.GetMatrix().GetWidth()
	margin := min(quiet, (maxTerminal-size)/2)
	side := size + 2*margin
	// A module is half a character high. The blocks are drawn where the code is light.
	dark := func(x, y int) bool { return module(code, x-margin, y-margin) }
	var b strings.Builder
	for y := 0; y < side; y += 2 {
		if colour {
			b.WriteString("\x1b[38;5;231;48;5;16m")
		}
		for x := range side {
			b.WriteString(halves[blockIndex(!dark(x, y))<<1|blockIndex(!dark(x, y+1))])
		}
		if colour {
			b.WriteString("\x1b[0m")
		}
		b.WriteByte('\n')
	}
	return b.String(), nil
}

// halves are the block elements by the lit halves of the cell: none, the lower,
// the upper, both.
var halves = [4]string{" ", "▄", "▀", "█"}

// blockIndex returns the bit of a half of a cell in an index of halves.
func blockIndex(lit bool) int {
	if lit {
		return 1
	}
	return 0
}

// PNG returns a QR code of text as a PNG file, black on white, with its quiet
// zone, 8 pixels a module. It returns an error if the text is too long for any
// QR code (at most 2,953 bytes fit).
func PNG(text string) ([]byte, error) {
	code, err := encode(text, maxVersion)
	if err != nil {
		return nil, fmt.Errorf("qr code: %w", err)
	}
	side := (code.GetMatrix().GetWidth() + 2*quiet) * pngScale
	img := image.NewPaletted(image.Rect(0, 0, side, side), color.Palette{color.White, color.Black})
	for y := range side {
		for x := range side {
			if module(code, x/pngScale-quiet, y/pngScale-quiet) {
				img.SetColorIndex(x, y, 1)
			}
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		return nil, fmt.Errorf("qr code: %w", err)
	}
	return b.Bytes(), nil
}

// encode returns the code of the smallest version that holds the text, with the
// most error correction that fits that version.
func encode(text string, largest int) (*encoder.QRCode, error) {
	best, err := encoder.Encoder_encodeWithoutHint(text, decoder.ErrorCorrectionLevel_L)
	if err != nil || best.GetVersion().GetVersionNumber() > largest {
		return nil, fmt.Errorf("%d characters are too many for it", len(text))
	}
	for _, level := range []decoder.ErrorCorrectionLevel{decoder.ErrorCorrectionLevel_M, decoder.ErrorCorrectionLevel_Q, decoder.ErrorCorrectionLevel_H} {
		code, err := encoder.Encoder_encodeWithoutHint(text, level)
		if err != nil || code.GetVersion() != best.GetVersion() {
			break
		}
		best = code
	}
	return best, nil
}

// module reports whether a module of a code is dark; those around it are light.
func module(code *encoder.QRCode, x, y int) bool {
	m := code.GetMatrix()
	return x >= 0 && y >= 0 && x < m.GetWidth() && y < m.GetHeight() && m.Get(x, y) == 1
}

// Bounds on an image from outside: with them no file makes Read use more than
// about 200 MB and a few seconds.
const (
	maxImage  = 16 << 20 // bytes
	maxPixels = 24 << 20 // a telephone's photo has 12 million
	maxScans  = 256      // of a progressive JPEG; ordinary ones have ten
	workSide  = 1600     // pixels of the longer side after shrink
)

// Read returns the text of the QR code in a PNG or JPEG file, such as a photo or
// a screenshot. The text is untrusted. Read returns an error if the file is over
// 16 MiB or 24 million pixels, is no such image, or has no readable code.
func Read(file []byte) (text string, err error) {
	defer func() {
		if r := recover(); r != nil { // of the decoder: the image is untrusted
			text, err = "", errors.New("image: the qr code in it can't be read")
		}
	}()
	img, err := openImage(file)
	if err != nil {
		return "", fmt.Errorf("image: %w", err)
	}
	grey := shrink(img)
	for range 2 {
		bitmap, err := gozxing.NewBinaryBitmapFromImage(grey)
		if err == nil {
			// The locator for photos misses some drawn codes. The decoder has another
			// mode for those.
			for _, mode := range []gozxing.DecodeHintType{gozxing.DecodeHintType_TRY_HARDER, gozxing.DecodeHintType_PURE_BARCODE} {
				result, err := qrcode.NewQRCodeReader().Decode(bitmap, map[gozxing.DecodeHintType]any{mode: true})
				if err == nil {
					return result.GetText(), nil
				}
			}
		}
		invert(grey) // a code of light modules on a dark ground
	}
	return "", errors.New("image: there is no qr code in it that can be read: take it again, sharp and from the front")
}

// openImage decodes a PNG or JPEG file within the bounds.
func openImage(file []byte) (image.Image, error) {
	if len(file) > maxImage {
		return nil, fmt.Errorf("is %d bytes long, over %d", len(file), maxImage)
	}
	decodeConfig, decode := png.DecodeConfig, png.Decode
	switch {
	case bytes.HasPrefix(file, []byte("\x89PNG\r\n\x1a\n")):
	case bytes.HasPrefix(file, []byte{0xff, 0xd8, 0xff}):
		// each scan costs a pass over all pixels; ff da is the marker of one
		if scans := bytes.Count(file, []byte{0xff, 0xda}); scans > maxScans {
			return nil, fmt.Errorf("has %d scans", scans)
		}
		decodeConfig, decode = jpeg.DecodeConfig, jpeg.Decode
	default:
		return nil, errors.New("is neither PNG nor JPEG")
	}
	config, err := decodeConfig(bytes.NewReader(file))
	if err != nil {
		return nil, errors.New("is damaged")
	}
	if config.Width < 1 || config.Height < 1 || config.Width > maxPixels/config.Height {
		return nil, fmt.Errorf("is %d by %d pixels large, and %d in all are the most", config.Width, config.Height, maxPixels)
	}
	img, err := decode(bytes.NewReader(file))
	if err != nil {
		return nil, errors.New("is damaged")
	}
	return img, nil
}

// shrink returns a grey image of at most workSide pixels a side. Each pixel is
// the mean of a square of the original's. Transparent pixels count as white.
func shrink(img image.Image) *image.Gray {
	bounds := img.Bounds()
	by := max((max(bounds.Dx(), bounds.Dy())+workSide-1)/workSide, 1)
	small := image.NewGray(image.Rect(0, 0, max(bounds.Dx()/by, 1), max(bounds.Dy()/by, 1)))
	for y := range small.Rect.Dy() {
		for x := range small.Rect.Dx() {
			var sum, n uint32
			for dy := range min(by, bounds.Dy()) {
				for dx := range min(by, bounds.Dx()) {
					r, g, b, a := img.At(bounds.Min.X+x*by+dx, bounds.Min.Y+y*by+dy).RGBA()
					sum += ((299*r+587*g+114*b)/1000 + 0xffff - a) >> 8
					n++
				}
			}
			small.SetGray(x, y, color.Gray{Y: uint8(min(sum/n, 255))})
		}
	}
	return small
}

// invert swaps dark and light.
func invert(img *image.Gray) {
	for i := range img.Pix {
		img.Pix[i] = ^img.Pix[i]
	}
}
