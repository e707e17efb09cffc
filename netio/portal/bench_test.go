package portal

import (
	"bytes"
	"io"
	"net/http"
	"testing"

	"sallyport/netio/report"
)

// BenchmarkPage is what one look at the page costs without its connection.
func BenchmarkPage(b *testing.B) {
	s := &Server{agents: &agents{}, cfg: Config{Name: "posture-1.example.com"}}
	r := &request{Request: &http.Request{Header: http.Header{"User-Agent": {onLinux}}}}
	for b.Loop() {
		d := &pageData{T: english, Appliance: s.cfg.Name, Every: refreshEvery, Session: testSession}
		s.show(d, r, View{Status: "NonCompliant", Bound: true, Failed: []string{"USB_Block"}})
		if err := page.Execute(io.Discard, d); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkReport is a signed report over one kept connection, both ends on this machine.
func BenchmarkReport(b *testing.B) {
	bench := bound(b, nil)
	body := bench.reportBody(1)
	sig := bench.signed("POST", report.PathReport, body).Header.Get(report.HeaderSignature)
	b.ReportAllocs()
	for b.Loop() {
		bench.clock.Advance(1e9)
		req, err := http.NewRequest("POST", bench.base+report.PathReport, bytes.NewReader(body))
		if err != nil {
			b.Fatal(err)
		}
		req.Header.Set("Content-Type", report.MediaType)
		req.Header.Set(report.HeaderSignature, sig)
		resp, err := bench.client.Do(req)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != 200 {
			b.Fatal(resp.Status, err)
		}
		resp.Body.Close()
	}
}
