package bench

import (
	"fmt"
	"html"
	"math"
	"strconv"
	"strings"
)

// Sizes of a chart in pixels, and the room around the plot for ticks and names.
const (
	chartWidth, chartHeight         = 760, 294
	roomLeft, roomRight, roomTop    = 70, 16, 48
	roomBottom                      = 46
	plotWidth                       = chartWidth - roomLeft - roomRight
	plotHeight                      = chartHeight - roomTop - roomBottom
	ticksMost                       = 8
	legendStep, legendSwatch, glyph = 12, 18, 7
	keyStep                         = 16
)

// colours of lines, told apart also by who does not see red and green alike.
var colours = []string{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#999933", "#882255", "#555555"}

// chart is lines over one axis, drawn as SVG.
type chart struct {
	title, x, y string
	logX, logY  bool
	lines       []line
	shade       [2]float64 // from and to on x; equal: none
	shaded      string     // what is shaded
	tickX       func(float64) string
	keyed       bool // many lines with long names: they stand below, one a line
}

type line struct {
	name   string
	points []point
}

type point struct{ x, y float64 }

// axis maps values to pixels.
type axis struct {
	low, high float64
	log       bool
	from, to  float64 // pixels
}

func (a *axis) at(v float64) float64 {
	low, high := a.low, a.high
	if a.log {
		v, low, high = math.Log10(max(v, a.low)), math.Log10(low), math.Log10(high)
	}
	return a.from + (v-low)/(high-low)*(a.to-a.from)
}

// ticks are round numbers: powers of ten, or steps of 1, 2 or 5 of one.
func (a *axis) ticks() (all []float64) {
	if a.log {
		for v := math.Pow(10, math.Ceil(math.Log10(a.low)-1e-9)); v <= a.high*1.0001; v *= 10 {
			all = append(all, v)
		}
		return all
	}
	step := math.Pow(10, math.Floor(math.Log10(a.high-a.low)))
	for _, part := range []float64{0.1, 0.2, 0.5, 1, 2} {
		if (a.high-a.low)/(step*part) <= ticksMost {
			step *= part
			break
		}
	}
	for v := math.Ceil(a.low/step) * step; v <= a.high*1.0001; v += step {
		all = append(all, v)
	}
	return all
}

// span finds the ends of an axis over all points, and zero if it is to be seen.
func (c *chart) span(of func(point) float64, log, zero bool, from, to float64) axis {
	a := axis{low: math.Inf(1), high: math.Inf(-1), log: log, from: from, to: to}
	for _, l := range c.lines {
		for _, p := range l.points {
			if v := of(p); !log || v > 0 {
				a.low, a.high = min(a.low, v), max(a.high, v)
			}
		}
	}
	switch {
	case math.IsInf(a.low, 1):
		a.low, a.high = 1, 10
	case log:
		a.low, a.high = math.Pow(10, math.Floor(math.Log10(a.low)+1e-9)), math.Pow(10, math.Ceil(math.Log10(a.high)-1e-9))
		if a.low == a.high {
			a.high *= 10
		}
	default:
		if zero {
			a.low = min(a.low, 0)
		}
		if a.high <= a.low {
			a.high = a.low + 1
		}
	}
	return a
}

// short writes 1500000 as 1.5M.
func short(v float64) string {
	for _, unit := range []struct {
		over float64
		sign string
	}{{1e6, "M"}, {1e3, "k"}} {
		if math.Abs(v) >= unit.over {
			return strconv.FormatFloat(math.Round(v/unit.over*100)/100, 'g', -1, 64) + unit.sign
		}
	}
	return strconv.FormatFloat(math.Round(v*1e4)/1e4, 'g', -1, 64)
}

// svg draws the chart.
func (c *chart) svg() string {
	var b strings.Builder
	write := func(format string, args ...any) { fmt.Fprintf(&b, format, args...) }
	x := c.span(func(p point) float64 { return p.x }, c.logX, false, roomLeft, roomLeft+plotWidth)
	y := c.span(func(p point) float64 { return p.y }, c.logY, true, roomTop+plotHeight, roomTop)
	height := chartHeight
	if c.keyed {
		height += keyStep * len(c.lines)
	}
	write(`<svg viewBox="0 0 %d %d" role="img" aria-label="%s">`+"\n", chartWidth, height, html.EscapeString(c.title))
	write(`<text x="%d" y="16" class="title">%s</text>`+"\n", roomLeft, html.EscapeString(c.title))
	if c.shade[1] > c.shade[0] {
		from, to := x.at(c.shade[0]), x.at(c.shade[1])
		write(`<rect x="%.1f" y="%d" width="%.1f" height="%d" class="shade"/><text x="%.1f" y="%d">%s</text>`+"\n",
			from, roomTop, to-from, plotHeight, from+4, roomTop+12, html.EscapeString(c.shaded))
	}
	tickX := c.tickX
	if tickX == nil {
		tickX = short
	}
	for _, v := range x.ticks() {
		write(`<line x1="%.1f" x2="%.1f" y1="%d" y2="%d" class="grid"/><text x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n",
			x.at(v), x.at(v), roomTop, roomTop+plotHeight, x.at(v), roomTop+plotHeight+16, tickX(v))
	}
	for _, v := range y.ticks() {
		write(`<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" class="grid"/><text x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n",
			roomLeft, roomLeft+plotWidth, y.at(v), y.at(v), roomLeft-6, y.at(v)+4, short(v))
	}
	write(`<text x="%d" y="%d" text-anchor="middle">%s</text>`+"\n", roomLeft+plotWidth/2, chartHeight-8, html.EscapeString(c.x))
	write(`<text x="14" y="%d" text-anchor="middle" transform="rotate(-90 14 %d)">%s</text>`+"\n", roomTop+plotHeight/2, roomTop+plotHeight/2, html.EscapeString(c.y))
	for i, l := range c.lines {
		write(`<polyline fill="none" stroke="%s" stroke-width="1.5" points="`, colours[i%len(colours)])
		for _, p := range l.points {
			if (c.logX && p.x <= 0) || (c.logY && p.y <= 0) {
				continue
			}
			write("%.1f,%.1f ", x.at(p.x), y.at(p.y))
		}
		write(`"/>` + "\n")
	}
	c.legend(write)
	write("</svg>\n")
	return b.String()
}

func (c *chart) legend(write func(string, ...any)) {
	if c.keyed {
		for i, l := range c.lines {
			y := chartHeight + keyStep*i
			write(`<rect x="%d" y="%d" width="12" height="4" fill="%s"/><text x="%d" y="%d">%s</text>`+"\n",
				roomLeft, y, colours[i%len(colours)], roomLeft+legendSwatch, y+6, html.EscapeString(l.name))
		}
		return
	}
	at := roomLeft + plotWidth
	for i := len(c.lines) - 1; i >= 0; i-- {
		at -= legendSwatch + glyph*len(c.lines[i].name) + legendStep
		write(`<rect x="%d" y="32" width="12" height="4" fill="%s"/><text x="%d" y="38">%s</text>`+"\n",
			at, colours[i%len(colours)], at+legendSwatch, html.EscapeString(c.lines[i].name))
	}
}
