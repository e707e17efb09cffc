package portal

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"sallyport/netio/report"
)

// agents are the files that the portal hands out. A file is known by its digest, which
// is computed once for each size and time of change.
type agents struct {
	dir    string
	offers func(os string) []AgentFile
	refuse func(why)
	log    *slog.Logger

	mu      sync.Mutex // guards all below
	digests map[string]digest
}

type digest struct {
	size    int64
	changed time.Time
	sum     string // SHA-256, hexadecimal
}

// offer is an agent that is really there.
type offer struct {
	AgentFile
	Size int64
}

var errNoFile = errors.New("portal: no such agent file")

// safeName allows what needs no quoting anywhere and cannot leave the directory.
func safeName(name string) bool {
	return name != "" && len(name) <= 128 && name[0] != '.' && name[0] != '-' &&
		!strings.ContainsFunc(name, func(r rune) bool {
			return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-_.", r)
		})
}

// open opens a file of the directory and returns its digest.
func (a *agents) open(name string) (*os.File, digest, error) {
	if a.dir == "" || !safeName(name) {
		return nil, digest{}, errNoFile
	}
	root, err := os.OpenRoot(a.dir) // no symbolic link leads out of it
	if err != nil {
		return nil, digest{}, err
	}
	defer root.Close()
	// Opening a FIFO waits for its writer, so a look comes before.
	if info, err := root.Stat(name); err != nil || !info.Mode().IsRegular() {
		return nil, digest{}, errors.Join(errNoFile, err)
	}
	f, err := root.Open(name)
	if err != nil {
		return nil, digest{}, err
	}
	info, err := f.Stat()
	if err == nil && (!info.Mode().IsRegular() || info.Size() > downloadBytesMax) {
		err = errNoFile
	}
	var d digest
	if err == nil {
		d, err = a.digest(f, name, info)
	}
	if err != nil {
		return nil, digest{}, errors.Join(err, f.Close())
	}
	return f, d, nil
}

func (a *agents) digest(f *os.File, name string, info fs.FileInfo) (digest, error) {
	a.mu.Lock()
	defer a.mu.Unlock() // the second who asks waits rather than computes it too
	d, ok := a.digests[name]
	if ok && d.size == info.Size() && d.changed.Equal(info.ModTime()) {
		return d, nil
	}
	h := sha256.New()
	if _, err := io.Copy(h, io.LimitReader(f, downloadBytesMax)); err != nil {
		return digest{}, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return digest{}, err
	}
	if a.digests == nil || len(a.digests) >= filesMax {
		a.digests = map[string]digest{}
	}
	d = digest{info.Size(), info.ModTime(), hex.EncodeToString(h.Sum(nil))}
	a.digests[name] = d
	return d, nil
}

// available are the agents for an OS that are there and are what they should be.
func (a *agents) available(osName string, wanted []AgentFile) []offer {
	if len(wanted) == 0 {
		if wanted = a.byName(osName); a.offers != nil {
			wanted = a.offers(osName)
		}
	}
	var out []offer
	for _, w := range wanted {
		f, d, err := a.open(w.Name)
		if err == nil {
			err = f.Close()
		}
		switch {
		case err != nil:
			a.refuse(whyAgentFile)
			a.log.Warn("portal: an agent cannot be offered", "file", w.Name, "error", err)
		case w.SHA256 != "" && !strings.EqualFold(w.SHA256, d.sum):
			a.refuse(whyAgentFile)
			a.log.Error("portal: an agent is not the configured one and is not offered", "file", w.Name, "sha256", d.sum, "configured", w.SHA256)
		default:
			w.SHA256 = d.sum
			out = append(out, offer{w, d.size})
		}
	}
	return out
}

// byName finds sallyport-agent-<os>-<arch>[.exe] in the directory.
func (a *agents) byName(osName string) []AgentFile {
	if a.dir == "" {
		return nil
	}
	names, err := filepath.Glob(filepath.Join(a.dir, "sallyport-agent-"+osName+"*"))
	if err != nil || len(names) > filesMax {
		return nil
	}
	var out []AgentFile
	for _, n := range names {
		n = filepath.Base(n)
		arch, ok := strings.CutPrefix(strings.TrimSuffix(n, ".exe"), "sallyport-agent-"+osName)
		if ok && safeName(n) && !strings.Contains(arch, ".") && (arch == "" || arch[0] == '-') {
			out = append(out, AgentFile{OS: osName, Arch: strings.TrimPrefix(arch, "-"), Name: n})
		}
	}
	slices.SortFunc(out, func(x, y AgentFile) int {
		return cmp.Or(cmp.Compare(archOrder(x.Arch), archOrder(y.Arch)), cmp.Compare(x.Name, y.Name))
	})
	return out
}

// archOrder puts what most people have first.
func archOrder(arch string) int {
	if i := slices.Index([]string{"amd64", "arm64"}, arch); i >= 0 {
		return i
	}
	return 2
}

// agent hands out a file.
func (s *Server) agent(r *request) *refusal {
	select {
	case s.downloads <- struct{}{}:
		defer func() { <-s.downloads }()
	default:
		return tooMany(whyDownloads, 10*time.Second, "too many downloads at once")
	}
	f, d, err := s.agents.open(r.tail)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errNoFile) {
			s.log.Warn("portal: agent file", "file", r.tail, "error", err)
		}
		return refuse(whyNotFound, http.StatusNotFound, report.CodeNotFound, "there is no such file")
	}
	h := r.w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Disposition", `attachment; filename="`+r.tail+`"`)
	h.Set("ETag", `"`+d.sum+`"`)
	h.Set("Cache-Control", "private, no-cache")
	http.ServeContent(&paced{ResponseWriter: r.w, control: http.NewResponseController(r.w)}, r.Request, r.tail, d.changed, f)
	if err := f.Close(); err != nil {
		s.log.Warn("portal: agent file", "file", r.tail, "error", err)
	}
	return nil
}

// paced gives every part of a download its own deadline: a slow line may take long, a
// dead one not.
type paced struct {
	http.ResponseWriter
	control *http.ResponseController
}

// Write writes one part.
func (p *paced) Write(b []byte) (int, error) {
	if err := p.control.SetWriteDeadline(deadline(writeTimeout)); err != nil {
		return 0, err
	}
	return p.ResponseWriter.Write(b)
}
