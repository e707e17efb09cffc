package remedy

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"sallyport/cmd/sallyport-agent/collect"
	"sallyport/cmd/sallyport-agent/keep"
	"sallyport/netio/report"
)

// Limits of files that are fetched.
const (
	fileMax       = 64 << 20 // octets
	redirectsMax  = 5
	headerWithin  = 30 * time.Second
	fetchedFile   = "fetched.json"
	fetchedMax    = 256                // files that are remembered
	partPrefix    = ".sallyport-part-" // of files that are not whole yet
	filePerms     = "0644"             // when the appliance names none
	urlPrefix     = "https://"
	headerOctets  = 16 << 10
	tlsHandshakes = 10 * time.Second
)

// Fetched is one file that this agent wrote because the appliance asked for it.
type Fetched struct {
	Path        string    `json:"path"`
	SHA256      string    `json:"sha256"`
	From        string    `json:"from"` // a URL, or a name of the appliance's
	Octets      int64     `json:"octets"`
	At          time.Time `json:"at"`
	Requirement string    `json:"requirement,omitempty"`
}

// fetchedContent is the file.
type fetchedContent struct {
	Version int       `json:"v"`
	Files   []Fetched `json:"files"` // the newest last
}

// note writes down what was written; a path stands there once, and the oldest are forgotten.
func (t *Tools) note(f Fetched) error {
	var content fetchedContent
	if err := t.dir.ReadJSON(fetchedFile, &content); err != nil {
		content.Files = nil // there is none, or nothing that could be read: it is begun anew
	}
	files := slices.DeleteFunc(content.Files, func(old Fetched) bool { return old.Path == f.Path })
	files = append(files, f)
	return t.dir.WriteJSON(fetchedFile, fetchedContent{Version: 1, Files: files[max(0, len(files)-fetchedMax):]}, keep.Private)
}

// webClient fetches over HTTPS alone, also where it is redirected.
func webClient(transport http.RoundTripper) *http.Client {
	if transport == nil {
		transport = &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}, DisableKeepAlives: true,
			DisableCompression: true, TLSHandshakeTimeout: tlsHandshakes, ResponseHeaderTimeout: headerWithin, MaxResponseHeaderBytes: headerOctets}
	}
	return &http.Client{Transport: transport, CheckRedirect: func(r *http.Request, via []*http.Request) error {
		switch {
		case r.URL.Scheme != "https":
			return errors.New("it is redirected to what is not https")
		case len(via) > redirectsMax:
			return fmt.Errorf("it is redirected more than %d times", redirectsMax)
		}
		return nil
	}}
}

// get writes what the action names, and gives its size and digest. An appliance's files come
// whole; those of a URL as they arrive.
func (t *Tools) get(ctx context.Context, a *report.Action, fetch Fetch, into io.Writer) (n int64, sum string, err error) {
	h := sha256.New()
	both := io.MultiWriter(into, h)
	if !strings.HasPrefix(a.Target, urlPrefix) {
		text, err := fetch(ctx, a.Target, fileMax)
		if err != nil {
			return 0, "", err
		}
		m, err := both.Write(text)
		return int64(m), hex.EncodeToString(h.Sum(nil)), err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, a.Target, nil)
	if err != nil {
		return 0, "", errors.New("it is no URL")
	}
	answer, err := t.web.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return 0, "", fmt.Errorf("the server answers %d %s", answer.StatusCode, http.StatusText(answer.StatusCode))
	}
	n, err = io.Copy(both, io.LimitReader(answer.Body, fileMax+1))
	if err == nil && n > fileMax {
		err = fmt.Errorf("it has more than %d octets", fileMax)
	}
	return n, hex.EncodeToString(h.Sum(nil)), err
}

// words of a size for people.
func inOctets(n int64) string { return fmt.Sprintf("%d octets", n) }

func cannotFetch(err error) Outcome {
	return Outcome{Failed, "it cannot be fetched: " + collect.Printable(err.Error())}
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
