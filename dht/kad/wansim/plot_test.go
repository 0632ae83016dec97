package wansim

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"math"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"
	"golang.org/x/image/vector"
)

// A plot is two panels of cumulative distributions, publishing and resolving,
// over a logarithmic axis of time.

type curve struct {
	name   string
	colour color.RGBA
	dashed bool
	series *series
}

type panel struct {
	title  string
	curves []curve
}

func rgb(n uint32) color.RGBA {
	return color.RGBA{byte(n >> 16), byte(n >> 8), byte(n), 255}
}

func (m *measures) panels(live, dead int) []panel {
	const ours, stock, oracle = 0x0b61a4, 0xc0392b, 0x888888
	return []panel{
		{fmt.Sprintf("publish, %d live + %d dead peers", live, dead), []curve{
			{"petnames, 15 of 20 stored", rgb(ours), false, &m.publish},
			{"oracle: knows the 20 closest", rgb(oracle), true, &m.oraclePut},
			{"kad-dht PutValue, 1 s dials", rgb(stock), false, &m.kadPutTuned},
			{"kad-dht PutValue", rgb(stock), true, &m.kadPut},
		}},
		{"resolve", []curve{
			{"petnames, any", rgb(0x5dade2), false, &m.any},
			{"petnames, agreed (3 peers)", rgb(0x2e86c1), false, &m.agreed},
			{"petnames, fresh (5 peers)", rgb(ours), false, &m.fresh},
			{"petnames, fresh, again", rgb(0x117a65), false, &m.again},
			{"petnames, strict", rgb(0x6c3483), false, &m.strict},
			{"oracle, 5th answer", rgb(oracle), true, &m.oracleFifth},
			{"kad-dht SearchValue, first", rgb(0xe59866), false, &m.kadFirst},
			{"kad-dht SearchValue, end, 1 s dials", rgb(stock), false, &m.kadEndTuned},
			{"kad-dht SearchValue, end", rgb(stock), true, &m.kadEnd},
		}},
	}
}

const (
	plotWidth, panelHeight       = 1100, 420
	plotLeft, plotRight          = 70, 330
	plotTop, plotBottom          = 40, 50
	earliest, latest             = 20.0, 20_000.0 // ms
	fontSize                     = 16
	legendX                      = plotWidth - plotRight + 20
	plotAreaWidth, plotAreaRange = plotWidth - plotLeft - plotRight, panelHeight - plotTop - plotBottom
)

var ticks = []float64{20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000}

func xOf(ms float64) float64 {
	ms = min(max(ms, earliest), latest)
	return plotLeft + plotAreaWidth*math.Log(ms/earliest)/math.Log(latest/earliest)
}

func yOf(top int, share float64) float64 {
	return float64(top+plotTop) + plotAreaRange*(1-share)
}

// canvas is what a plot is drawn on.
type canvas interface {
	line(points [][2]float64, c color.RGBA, width float64, dashed bool)
	text(x, y float64, s string, c color.RGBA, centred bool)
}

func plot(to canvas, panels []panel) {
	black, grey := rgb(0x222222), rgb(0xdddddd)
	for i, p := range panels {
		top := i * panelHeight
		to.text(plotLeft, float64(top+26), p.title, black, false)
		for _, t := range ticks {
			to.line([][2]float64{{xOf(t), yOf(top, 0)}, {xOf(t), yOf(top, 1)}}, grey, 1, false)
			label := fmt.Sprintf("%g ms", t)
			if t >= 1000 {
				label = fmt.Sprintf("%g s", t/1000)
			}
			to.text(xOf(t), yOf(top, 0)+24, label, black, true)
		}
		for _, share := range []float64{0, 0.25, 0.5, 0.75, 1} {
			to.line([][2]float64{{plotLeft, yOf(top, share)}, {plotLeft + plotAreaWidth, yOf(top, share)}}, grey, 1, false)
			to.text(plotLeft-34, yOf(top, share)+6, fmt.Sprintf("%g %%", 100*share), black, true)
		}
		row := float64(top + plotTop + 12)
		for _, c := range p.curves {
			if len(c.series.times) == 0 {
				continue
			}
			to.line(c.points(top), c.colour, 2.5, c.dashed)
			to.line([][2]float64{{legendX, row - 5}, {legendX + 34, row - 5}}, c.colour, 3, c.dashed)
			to.text(legendX+42, row, c.name, black, false)
			row += 26
		}
	}
}

func (c curve) points(top int) [][2]float64 {
	sorted := slices.Sorted(slices.Values(c.series.times))
	var points [][2]float64
	for i, took := range sorted {
		x := xOf(float64(took) / float64(time.Millisecond))
		points = append(points, [2]float64{x, yOf(top, float64(i)/float64(len(sorted)))},
			[2]float64{x, yOf(top, float64(i+1)/float64(len(sorted)))})
	}
	return points
}

type svg struct{ bytes.Buffer }

func (s *svg) line(points [][2]float64, c color.RGBA, width float64, dashed bool) {
	dash := ""
	if dashed {
		dash = ` stroke-dasharray="6 4"`
	}
	fmt.Fprintf(s, `<polyline fill="none" stroke="#%02x%02x%02x" stroke-width="%g"%s points="`, c.R, c.G, c.B, width, dash)
	for _, p := range points {
		fmt.Fprintf(s, "%.1f,%.1f ", p[0], p[1])
	}
	s.WriteString("\"/>\n")
}

func (s *svg) text(x, y float64, text string, c color.RGBA, centred bool) {
	anchor := "start"
	if centred {
		anchor = "middle"
	}
	fmt.Fprintf(s, `<text x="%.1f" y="%.1f" font-family="sans-serif" font-size="%d" fill="#%02x%02x%02x" text-anchor="%s">%s</text>`+"\n",
		x, y, fontSize, c.R, c.G, c.B, anchor, text)
}

type raster struct {
	*image.RGBA
	face font.Face
}

func (r *raster) line(points [][2]float64, c color.RGBA, width float64, dashed bool) {
	const on, off = 6, 4
	along := 0.0
	for i := range points[1:] {
		a, b := points[i], points[i+1]
		length := math.Hypot(b[0]-a[0], b[1]-a[1])
		if !dashed {
			r.segment(a, b, c, width)
			continue
		}
		for done := 0.0; done < length; {
			phase := math.Mod(along, on+off)
			step := min(length-done, on-phase)
			if phase >= on {
				step = min(length-done, on+off-phase)
			}
			step = max(step, 1e-6)
			if phase < on {
				at := func(d float64) [2]float64 {
					return [2]float64{a[0] + (b[0]-a[0])*d/length, a[1] + (b[1]-a[1])*d/length}
				}
				r.segment(at(done), at(done+step), c, width)
			}
			done += step
			along += step
		}
	}
}

// segment is a rectangle, prolonged by half its width on both ends.
func (r *raster) segment(a, b [2]float64, c color.RGBA, width float64) {
	length := math.Hypot(b[0]-a[0], b[1]-a[1])
	if length == 0 {
		return
	}
	dx, dy := (b[0]-a[0])/length*width/2, (b[1]-a[1])/length*width/2
	var box image.Rectangle
	corners := [][2]float64{
		{a[0] - dx - dy, a[1] - dy + dx}, {b[0] + dx - dy, b[1] + dy + dx},
		{b[0] + dx + dy, b[1] + dy - dx}, {a[0] - dx + dy, a[1] - dy - dx},
	}
	for _, p := range corners {
		box = box.Union(image.Rect(int(p[0])-1, int(p[1])-1, int(p[0])+2, int(p[1])+2))
	}
	box = box.Intersect(r.Bounds())
	v := vector.NewRasterizer(box.Dx(), box.Dy())
	for i, p := range corners {
		x, y := float32(p[0]-float64(box.Min.X)), float32(p[1]-float64(box.Min.Y))
		if i == 0 {
			v.MoveTo(x, y)
		} else {
			v.LineTo(x, y)
		}
	}
	v.ClosePath()
	v.Draw(r.RGBA, box, image.NewUniform(c), image.Point{})
}

func (r *raster) text(x, y float64, s string, c color.RGBA, centred bool) {
	d := font.Drawer{Dst: r.RGBA, Src: image.NewUniform(c), Face: r.face}
	if centred {
		x -= float64(d.MeasureString(s)) / 64 / 2
	}
	d.Dot = fixed.P(int(x), int(y))
	d.DrawString(s)
}

// writePlot writes the distributions as prefix.svg and prefix.png.
func (m *measures) writePlot(t *testing.T, prefix string, live, dead int) {
	panels := m.panels(live, dead)
	height := len(panels) * panelHeight
	var s svg
	fmt.Fprintf(&s, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d"><rect width="100%%" height="100%%" fill="white"/>`+"\n", plotWidth, height)
	plot(&s, panels)
	s.WriteString("</svg>\n")
	require.NoError(t, os.WriteFile(prefix+".svg", s.Bytes(), 0o644))

	parsed, err := opentype.Parse(goregular.TTF)
	require.NoError(t, err)
	face, err := opentype.NewFace(parsed, &opentype.FaceOptions{Size: fontSize, DPI: 72, Hinting: font.HintingFull})
	require.NoError(t, err)
	img := &raster{image.NewRGBA(image.Rect(0, 0, plotWidth, height)), face}
	draw.Draw(img.RGBA, img.Bounds(), image.White, image.Point{}, draw.Src)
	plot(img, panels)
	var b bytes.Buffer
	require.NoError(t, png.Encode(&b, img.RGBA))
	require.NoError(t, os.WriteFile(prefix+".png", b.Bytes(), 0o644))
}

func TestThePlotShowsItsCurves(t *testing.T) {
	var m measures
	for i := range 40 {
		m.publish.add(time.Duration(400+10*i)*time.Millisecond, 1)
		m.kadPut.add(time.Duration(9000+100*i)*time.Millisecond, 1)
		m.fresh.add(time.Duration(200+10*i)*time.Millisecond, 1)
	}
	prefix := t.TempDir() + "/plot"
	m.writePlot(t, prefix, 1, 1)
	b, err := os.ReadFile(prefix + ".png")
	require.NoError(t, err)
	img, err := png.Decode(bytes.NewReader(b))
	require.NoError(t, err)
	for _, c := range m.panels(1, 1)[0].curves {
		if len(c.series.times) == 0 {
			continue
		}
		middle := c.points(0)[len(c.series.times)]
		r, g, b, _ := img.At(int(middle[0]), int(middle[1])+1).RGBA()
		require.NotEqual(t, [3]uint32{0xffff, 0xffff, 0xffff}, [3]uint32{r, g, b}, c.name)
	}
	s, err := os.ReadFile(prefix + ".svg")
	require.NoError(t, err)
	require.Contains(t, string(s), "PutValue")
	require.NotContains(t, string(s), "SearchValue", "a series without measurements is omitted")
}
