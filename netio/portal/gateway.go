package portal

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // the page and its style
	"encoding/base64"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"sallyport/netio/report"
)

//go:embed page.html
var pageHTML string

//go:embed page.css
var pageCSS string

// page is the one template; its style is part of the text, so that nothing has to be
// fetched and the policy can name it by its digest.
var page = template.Must(template.New("page").Parse(strings.Replace(pageHTML, "{{style}}", strings.TrimSpace(pageCSS), 1)))

// contentPolicy allows our style and our icon and nothing else: no script, no frame, no
// form, nothing from anywhere.
var contentPolicy = func() string {
	sum := sha256.Sum256([]byte(strings.TrimSpace(pageCSS)))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}()

// queryRefresh counts how often a page looked again by itself. It tells such a visit
// from a redirect, and ends the looking after refreshesMax.
const queryRefresh = "refresh"

// pageData is what the template shows.
type pageData struct {
	T                    *words
	Appliance            string
	Tone                 string // "", act, ok
	Label, Heading, Lead string
	Bare                 bool // nothing below
	Loop                 string
	Message              string
	Failed               []string
	Steps                bool
	Install              bool // the steps begin with a download
	Best                 *download
	Others               []download
	Run, First           string
	Refresh, Again       string // URLs
	Every                int
	Session              string
}

func (d *pageData) state(texts [3]string) { d.Label, d.Heading, d.Lead = texts[0], texts[1], texts[2] }

// download is one agent as the page shows it.
type download struct {
	Href, System, Processor, File, Size, Version, Sum, Command, Verify string
}

// gateway is the page for a redirected person. It shows a session only to who holds a
// ticket for it, and leaves the ticket as it is: the agent redeems it.
func (s *Server) gateway(r *request) *refusal {
	q := r.URL.Query()
	id, ticket := q.Get(report.QuerySessionID), q.Get(report.QueryTicket)
	d := &pageData{T: language(r.Header.Get("Accept-Language")), Appliance: s.cfg.Name, Every: refreshEvery}
	var v View
	ok := false
	if isSessionID(id) && ticket != "" && len(ticket) <= ticketMax {
		v, ok = s.posture.Gateway(id, ticket)
	}
	if !ok {
		d.state(d.T.Generic)
		d.Steps, d.Install = true, true
		s.offer(d, r, View{})
		d.Loop = s.looping(r, d.T, "", View{})
		s.showPage(r, http.StatusOK, d)
		return nil
	}
	d.Session = id
	s.show(d, r, v)
	s.again(d, q)
	d.Loop = s.looping(r, d.T, id, v)
	s.showPage(r, http.StatusOK, d)
	return nil
}

// show fills in what a session's status asks of the person.
func (s *Server) show(d *pageData, r *request, v View) {
	switch {
	case v.Status == statusCompliant:
		d.Tone, d.Bare = "ok", true
		d.state(d.T.Passed)
		return
	case v.Status == statusNotApplicable:
		d.Tone, d.Bare = "ok", true
		d.state(d.T.NotNeeded)
		return
	case v.Status == statusNonCompliant:
		d.Tone, d.Message, d.Failed, d.First = "act", v.Message, v.Failed, d.T.FirstUnmet
		d.state(d.T.Missing)
	case v.Bound:
		d.First = d.T.FirstChecking
		d.state(d.T.Checking)
	default:
		d.state(d.T.Unchecked)
	}
	d.Steps, d.Install = true, !v.Bound
	s.offer(d, r, v)
}

// again sets the address of the next look, unless there is nothing to wait for or the
// page has looked for long enough.
func (s *Server) again(d *pageData, q url.Values) {
	if !d.Steps {
		return
	}
	looked, err := strconv.Atoi(q.Get(queryRefresh))
	if err != nil || looked < 0 {
		looked = 0
	}
	to := func(n int) string {
		next := url.Values{}
		for _, key := range []string{report.QuerySessionID, report.QueryTicket} {
			next.Set(key, q.Get(key))
		}
		next.Set(queryRefresh, strconv.Itoa(n))
		return report.PathGateway + "?" + next.Encode()
	}
	d.Again = to(0)
	if looked < refreshesMax {
		d.Refresh = to(looked + 1)
	}
}

// systems are the systems that agents exist for, and what people call them.
var systems = []struct{ os, name string }{{"windows", "Windows"}, {"macos", "macOS"}, {"linux", "Linux"}}

// offer fills in the agents: the best one for this endpoint, and all there are.
func (s *Server) offer(d *pageData, r *request, v View) {
	agent := r.Header.Get("User-Agent")
	osName := v.OS
	if osName == "" {
		osName = systemOf(agent)
	}
	arch := "amd64"
	if strings.Contains(agent, "aarch64") || strings.Contains(agent, "arm64") {
		arch = "arm64"
	}
	if osName == "macos" {
		arch = "arm64" // every browser there says Intel
	}
	d.Run = d.T.RunOther
	bestArch := ""
	for _, system := range systems {
		var wanted []AgentFile
		for _, f := range v.Offer {
			if f.OS == system.os {
				wanted = append(wanted, f)
			}
		}
		mine := system.os == osName
		for _, f := range s.agents.available(system.os, wanted) {
			one := show(f, system.name, s.pin())
			d.Others = append(d.Others, one)
			if mine && (d.Best == nil || f.Arch == arch && bestArch != arch) {
				d.Best, bestArch = &one, f.Arch
				d.Run = runText(d.T, system.os)
			}
		}
	}
	if d.Best != nil && len(d.Others) == 1 {
		d.Others = nil
	}
}

func runText(t *words, osName string) string {
	if osName == "windows" {
		return t.RunWindows
	}
	return t.RunTerminal
}

// processors in words that people find on a box.
var processors = map[string]string{"amd64": "Intel/AMD 64-bit", "arm64": "ARM 64-bit", "386": "Intel/AMD 32-bit", "arm": "ARM 32-bit"}

// pin is what an agent that was downloaded here can know this appliance by: whoever reads
// the page has been told by the browser whose it is.
func (s *Server) pin() string {
	return fmt.Sprintf("sha256:%x", sha256.Sum256(s.certificate.Load().cert.Leaf.RawSubjectPublicKeyInfo))
}

func show(f offer, system, pin string) download {
	d := download{Href: pathAgent + f.Name, System: system, File: f.Name, Version: f.Version, Sum: f.SHA256,
		Size: fmt.Sprintf("%.1f MiB", float64(f.Size)/(1<<20))}
	if name, ok := processors[f.Arch]; ok {
		d.Processor = name
	} else {
		d.Processor = f.Arch
	}
	switch f.OS {
	case "windows":
		d.Verify = "certutil -hashfile " + f.Name + " SHA256"
		d.Command = `.\` + f.Name + " run --pin " + pin
	case "macos":
		d.Verify = "shasum -a 256 " + f.Name
		d.Command = "chmod +x " + f.Name + " && sudo ./" + f.Name + " run --pin " + pin
	default:
		d.Verify = "sha256sum " + f.Name
		d.Command = "chmod +x " + f.Name + " && sudo ./" + f.Name + " run --pin " + pin
	}
	return d
}

// systemOf reads a User-Agent. Phones and others that no agent is for give "".
func systemOf(agent string) string {
	switch has := func(s string) bool { return strings.Contains(agent, s) }; {
	case has("Android"), has("iPhone"), has("iPad"), has("CrOS"):
		return ""
	case has("Windows"):
		return "windows"
	case has("Macintosh"), has("Mac OS X"):
		return "macos"
	case has("Linux"), has("X11"):
		return "linux"
	}
	return ""
}

// errorPage tells a person that something was refused.
func (s *Server) errorPage(r *request, p *report.Problem) {
	d := &pageData{T: language(r.Header.Get("Accept-Language")), Appliance: s.cfg.Name, Tone: "act", Bare: true}
	switch p.Status {
	case http.StatusNotFound:
		d.state(d.T.NotFound)
	case http.StatusTooManyRequests:
		d.state(d.T.Busy)
	default:
		d.state(d.T.Broken)
	}
	s.showPage(r, p.Status, d)
}

func (s *Server) showPage(r *request, status int, d *pageData) {
	var b bytes.Buffer
	if err := page.Execute(&b, d); err != nil {
		s.count.refuse(whyInternal)
		s.log.Error("portal: page", "error", err)
		s.write(r, http.StatusInternalServerError, "text/plain; charset=utf-8", []byte("a fault of the appliance; its log has it\n"))
		return
	}
	h := r.w.Header()
	h.Set("Content-Security-Policy", contentPolicy)
	h.Set("Referrer-Policy", "no-referrer") // the address holds a ticket
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Content-Language", d.T.Lang)
	h.Set("Vary", "Accept-Language, User-Agent")
	s.write(r, status, "text/html; charset=utf-8", b.Bytes())
}
