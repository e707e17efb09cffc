package collect

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"sallyport/netio/report"
)

const lineMax = 1 << 20 // of dpkg's list

// packages reads dpkg's own list and asks rpm for its: a system has one of them, rarely
// both.
func packages(ctx context.Context, s *survey) *report.Packages {
	var all []installed
	var troubles []string
	for _, list := range []struct {
		name string
		read func(context.Context, *survey) ([]installed, error)
	}{{"dpkg", dpkgPackages}, {"rpm", rpmPackages}} {
		found, err := list.read(ctx, s)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			troubles = append(troubles, fmt.Sprintf("%s: %s", list.name, reason(err)))
		}
		all = append(all, found...)
	}
	out := &report.Packages{Items: answerPackages(s.probe.Packages, all, false), Error: strings.Join(troubles, "; ")}
	if len(all) == 0 && out.Error == "" {
		out.Error = "neither dpkg nor rpm keeps packages here"
	}
	if out.Error != "" {
		unknownPackages(out.Items, out.Error)
	}
	return out
}

// dpkgPackages reads var/lib/dpkg/status (deb-status is deb822): paragraphs of fields, of
// which only those that say "installed" count.
func dpkgPackages(ctx context.Context, s *survey) ([]installed, error) {
	f, err := os.Open(filepath.Join(s.root, "var/lib/dpkg/status"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var all []installed
	var p installed
	here := false
	end := func() {
		if here && p.name != "" {
			p.source = "dpkg"
			all = append(all, p)
		}
		p, here = installed{}, false
	}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, lineMax)
	for lines.Scan() {
		if ctx.Err() != nil {
			return all, errors.New("there was no time for all of the list")
		}
		key, value, ok := strings.Cut(lines.Text(), ": ")
		switch {
		case lines.Text() == "":
			end()
		case !ok:
		case key == "Package":
			p.name = value
		case key == "Version":
			p.version = value
		case key == "Maintainer":
			p.vendor = value
		case key == "Status":
			here = strings.HasSuffix(value, " installed")
		}
	}
	end()
	return all, lines.Err()
}

// rpmPackages asks rpm, which knows the forms its database had.
func rpmPackages(ctx context.Context, s *survey) ([]installed, error) {
	var db string
	for _, dir := range []string{"usr/lib/sysimage/rpm", "var/lib/rpm"} {
		for _, file := range []string{"rpmdb.sqlite", "Packages", "Packages.db"} {
			if _, err := os.Stat(filepath.Join(s.root, dir, file)); err == nil && db == "" {
				db = filepath.Join(s.root, dir)
			}
		}
	}
	if db == "" {
		return nil, fs.ErrNotExist
	}
	out, err := output(ctx, "rpm", "--dbpath", db, "-qa", "--queryformat", `%{NAME}\t%{EPOCH}:%{VERSION}-%{RELEASE}\t%{VENDOR}\n`)
	if err != nil {
		return nil, err
	}
	var all []installed
	for line := range strings.Lines(out) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(f) == 3 {
			all = append(all, installed{f[0], strings.TrimPrefix(f[1], "(none):"), strings.TrimPrefix(f[2], "(none)"), "rpm"})
		}
	}
	return all, nil
}
