package bench

import (
	_ "embed" // the page
	"fmt"
	"html/template"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// pageData is what the page shows. It refers to nothing outside itself.
type pageData struct {
	Title   string
	Begun   string
	Machine Machine
	Command string
	Figures []Figure
	Text    string
	Charts  []template.HTML // SVG of ours
}

func (p *pageData) draw(charts ...*chart) {
	for _, c := range charts {
		if c != nil {
			p.Charts = append(p.Charts, template.HTML(c.svg()))
		}
	}
}

// Page writes the result as one HTML page.
func (r *Result) Page(out io.Writer) error {
	p := &pageData{Title: "sallyport-bench: " + r.Scenario.Name, Begun: r.Begun.Format(time.RFC3339), Machine: r.Machine}
	var text strings.Builder
	if err := r.Table(&text); err != nil {
		return err
	}
	p.Text = text.String()
	p.draw(r.charts()...)
	return pageTemplate.Execute(out, p)
}

// charts are the plots of one run.
func (r *Result) charts() (all []*chart) {
	if len(r.Series.Moments) > 0 {
		all = append(all, r.throughput(), r.latencies())
	}
	if r.histogram != nil {
		all = append(all, percentiles("Latency by percentile", []named{{r.Scenario.Name, r.histogram}}))
	}
	if r.Knee != nil && len(r.Knee.Steps) > 0 {
		all = append(all, r.Knee.charts()...)
	}
	return all
}

func (r *Result) throughput() *chart {
	c := &chart{title: "Requests a second over time", x: "seconds", y: "a second"}
	due, replies := line{name: "due"}, line{name: "answered"}
	for i, m := range r.Series.Moments {
		at, width := float64(i)*r.Series.Width.Seconds(), r.Series.Width.Seconds()
		due.points = append(due.points, point{at, float64(m.Due) / width})
		replies.points = append(replies.points, point{at, float64(m.Replies) / width})
	}
	c.lines = []line{due, replies}
	if o := r.Overload; o != nil {
		c.shade, c.shaded = [2]float64{o.Begin, o.End}, fmt.Sprintf("%.1f times the knee", o.Times)
		c.title = "Answers a second before, during and after the overload"
		first := int(math.Round(o.Begin / r.Series.Width.Seconds()))
		all, knee := line{name: "answered"}, line{name: "knee"}
		for i, p := range replies.points {
			if j := i - first; j >= 0 && j < len(r.Storm.Series.Moments) {
				p.y += float64(r.Storm.Series.Moments[j].Replies) / r.Series.Width.Seconds()
			}
			all.points = append(all.points, p)
			knee.points = append(knee.points, point{p.x, r.Knee.Rate})
		}
		replies.name, due.name = "of the ordinary NASes", "asked by ordinary NASes"
		c.lines = []line{due, replies, all, knee}
	}
	return c
}

func (r *Result) latencies() *chart {
	c := &chart{title: "Latency over time, from the moment a request was due", x: "seconds", y: "milliseconds", logY: true}
	p50, p99 := line{name: "p50"}, line{name: "p99"}
	for i, m := range r.Series.Moments {
		at := float64(i) * r.Series.Width.Seconds()
		p50.points = append(p50.points, point{at, float64(m.P50) / 1000})
		p99.points = append(p99.points, point{at, float64(m.P99) / 1000})
	}
	c.lines = []line{p50, p99}
	if o := r.Overload; o != nil {
		c.shade, c.shaded = [2]float64{o.Begin, o.End}, fmt.Sprintf("%.1f times the knee", o.Times)
	}
	return c
}

type named struct {
	name string
	h    *hdrhistogram.Histogram
}

// percentiles draws distributions so that each further nine has the same room.
func percentiles(title string, all []named) *chart {
	c := &chart{title: title, x: "percentile", y: "milliseconds", logX: true, logY: true, tickX: func(v float64) string {
		return short(100*(1-1/v)) + "%"
	}}
	for _, n := range all {
		l := line{name: n.name}
		for at := 1.0; at <= 1e5 && at <= float64(max(10, n.h.TotalCount())); at *= 1.3 {
			l.points = append(l.points, point{at, float64(n.h.ValueAtPercentile(100*(1-1/at))) / 1000})
		}
		c.lines = append(c.lines, l)
	}
	return c
}

// charts are a ramp's: what was answered, and how late, at each rate.
func (k *Knee) charts() []*chart {
	rates := &chart{title: "Answered by asked", x: "requests a second asked", y: "answers a second"}
	late := &chart{title: "Latency by asked", x: "requests a second asked", y: "milliseconds", logY: true}
	asked, answered, p50, p99 := line{name: "asked"}, line{name: "answered"}, line{name: "p50"}, line{name: "p99"}
	for _, s := range sortedSteps(k.Steps) {
		asked.points = append(asked.points, point{s.Rate, s.Rate})
		answered.points = append(answered.points, point{s.Rate, s.Answers})
		p50.points = append(p50.points, point{s.Rate, float64(s.Latency.P50) / 1000})
		p99.points = append(p99.points, point{s.Rate, float64(s.Latency.P99) / 1000})
	}
	rates.lines, late.lines = []line{asked, answered}, []line{p50, p99}
	return []*chart{rates, late}
}

// Page writes the comparison as one HTML page.
func (r *Report) Page(out io.Writer) error {
	p := &pageData{Title: "sallyport-bench: comparison", Begun: r.Begun.Format(time.RFC3339), Machine: r.Machine, Command: r.Command, Figures: r.Figures}
	var text strings.Builder
	if err := r.table(&text); err != nil {
		return err
	}
	p.Text = text.String() + "\n" + strings.Join(r.Notes, "\n")
	turns := &chart{title: "Answers a second, turn by turn", x: "round", y: "a second"}
	var all []named
	for _, l := range r.Lanes {
		one := line{name: l.Name}
		merged := newHistogram()
		for i, t := range l.Turns {
			one.points = append(one.points, point{float64(i + 1), t.Rate})
			merged.Merge(t.histogram)
		}
		turns.lines, all = append(turns.lines, one), append(all, named{l.Name, merged})
	}
	if len(r.Lanes) > 0 {
		turns.keyed = true
		latency := percentiles("Latency by percentile, all turns together", all)
		latency.keyed = true
		p.draw(turns, latency)
	}
	for _, o := range r.Overloads {
		p.draw(o.throughput(), o.latencies())
	}
	return pageTemplate.Execute(out, p)
}

// savePage writes a page into a directory.
func savePage(dir, name string, page func(io.Writer) error) error {
	var text strings.Builder
	if err := page(&text); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, name+".html"), []byte(text.String()), 0o644)
}

// Words is the spread as people read it.
func (f *Figure) Words() string { return f.Spread.format("%.3f") + " " + f.Unit }

// Wanted is the target with its relation.
func (f *Figure) Wanted() string {
	if f.Least {
		return fmt.Sprintf(">= %g", f.Target)
	}
	return fmt.Sprintf("<= %g", f.Target)
}
