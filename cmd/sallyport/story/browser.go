package story

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"time"
)

// anyPage is what the person wants to see. The name is never looked up: the ASA catches
// the connection.
const (
	anyPage = "http://www.example.com/"
	anyHost = "www.example.com:80"
)

// pageMax bounds what is read of a page.
const pageMax = 1 << 20

var title = regexp.MustCompile(`<title>([^<]*)</title>`)

// visit is where the browser arrived.
type visit struct {
	at             time.Time
	portal         bool // at the appliance's portal
	sent, answered string
}

// browse is the person's browser: it asks for any page through the ASA and goes where
// it is sent, once.
func (s *stage) browse(ctx context.Context) (visit, error) {
	text, err := os.ReadFile(s.bound.Certificate)
	if err != nil {
		return visit{}, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return visit{}, fmt.Errorf("%s holds no certificate in PEM", s.bound.Certificate)
	}
	dialer := &net.Dialer{Timeout: 5 * time.Second}
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots},
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			if addr == anyHost {
				addr = s.asa.RedirectAddr().String()
			}
			return dialer.DialContext(ctx, network, addr)
		}}
	defer transport.CloseIdleConnections()
	var hops []string
	client := &http.Client{Transport: transport, Timeout: 10 * time.Second, CheckRedirect: func(r *http.Request, via []*http.Request) error {
		if hops = append(hops, "ASA: "+r.Response.Status+" "+r.URL.String()); len(via) > 1 {
			return errors.New("redirected more than once")
		}
		return nil
	}}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, anyPage, nil)
	if err != nil {
		return visit{}, err
	}
	answer, err := client.Do(r)
	if err != nil {
		return visit{}, fmt.Errorf("the browser: %w", err)
	}
	defer answer.Body.Close()
	page, err := io.ReadAll(io.LimitReader(answer.Body, pageMax))
	if err != nil {
		return visit{}, fmt.Errorf("the browser: %w", err)
	}
	if answer.StatusCode != http.StatusOK {
		return visit{}, fmt.Errorf("the browser got %s from %s", answer.Status, answer.Request.URL)
	}
	v := visit{at: time.Now().Round(0), sent: "browser: GET " + anyPage, portal: strings.HasPrefix(answer.Request.URL.String(), s.bound.Portal+"/portal/gateway?")}
	return s.arrived(v, hops, page), nil
}

// arrived puts the way and the page into words.
func (s *stage) arrived(v visit, hops []string, page []byte) visit {
	words := strings.TrimSpace(string(page))
	if found := title.FindSubmatch(page); found != nil {
		words = "“" + string(found[1]) + "”"
	}
	if strings.Contains(string(page), agentFile()) {
		words += " and offers " + agentFile()
	}
	from := "ASA"
	if v.portal {
		from = "appliance"
	}
	v.answered = strings.Join(append([]string{from + ": 200 " + words}, hops...), ", by way of ")
	return v
}
