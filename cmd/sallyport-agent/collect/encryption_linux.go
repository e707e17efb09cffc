package collect

import (
	"context"
	"slices"
	"strings"

	"sallyport/netio/report"
)

// encryption follows every mounted file system, and swap, down to the disks: it is
// encrypted when dm-crypt stands on every way there. That some LUKS volume exists says
// nothing.
func encryption(_ context.Context, s *survey) *report.Encryption {
	out := &report.Encryption{Volumes: []report.Volume{}}
	m, err := readMachine(s.root)
	if err != nil {
		out.Error = reason(err)
		return out
	}
	seen := map[string]bool{}
	for _, e := range m.mounts {
		system := slices.Contains(systemPoints, e.point)
		nodes := m.direct(e)
		switch {
		case e.fstype == "squashfs", seen[e.device] && !system:
			continue // a read-only image of a program; the same file system once more
		case len(nodes) > 0:
			seen[e.device] = true
			out.Volumes = append(out.Volumes, m.volume(e.point, e.fstype, system, nodes))
		case e.fstype == "zfs":
			out.Volumes = append(out.Volumes, unknownVolume(e, system, "ZFS is not followed to its disks"))
		case system && e.point == "/":
			out.Volumes = append(out.Volumes, unknownVolume(e, system, "it is not on a disk that can be seen"))
		}
	}
	for _, swap := range m.swaps {
		if name := m.bySource(swap); name != "" && !strings.HasPrefix(name, "zram") {
			out.Volumes = append(out.Volumes, m.volume("swap", "swap", true, []string{name}))
		}
	}
	return out
}

func unknownVolume(e mountEntry, system bool, why string) report.Volume {
	return report.Volume{Mount: printable(e.point, pathMax), FS: Printable(e.fstype), System: system, State: report.StateUnknown, Reason: why}
}

func (m *machine) volume(mount, fstype string, system bool, nodes []string) report.Volume {
	v := report.Volume{Mount: printable(mount, pathMax), Device: Printable(nodes[0]), FS: Printable(fstype), System: system}
	crypt, plain := 0, 0
	for _, n := range nodes {
		m.ways(n, map[string]bool{}, func(b *block, by string) {
			v.External = v.External || b != nil && strings.Contains(b.path, "/usb")
			if by == "" {
				plain++
				return
			}
			crypt++
			v.By = by
		})
	}
	switch {
	case crypt > 0 && plain > 0:
		v.State = report.VolumePartly
	case crypt > 0:
		v.State = report.VolumeEncrypted
	default:
		v.State = report.VolumePlain
	}
	return v
}

// ways calls end for every way from a block device down to a disk: with what encrypts it,
// or empty.
func (m *machine) ways(name string, seen map[string]bool, end func(b *block, by string)) {
	b := m.blocks[name]
	if b == nil || seen[name] {
		return
	}
	seen[name] = true
	if by, ok := strings.CutPrefix(attribute(b.path, "dm/uuid"), "CRYPT-"); ok {
		by, _, _ = strings.Cut(by, "-")
		m.bottoms(name, func(disk *block) { end(disk, strings.ToLower(Printable(by))) })
		return
	}
	switch {
	case len(b.slaves) > 0:
		for _, below := range b.slaves {
			m.ways(below, seen, end)
		}
	case b.parent != "" && m.blocks[b.parent] != nil && len(m.blocks[b.parent].slaves) > 0:
		m.ways(b.parent, seen, end) // a partition of a volume
	default:
		end(b, "")
	}
}

// bottoms calls found for the disks below a block device.
func (m *machine) bottoms(name string, found func(*block)) {
	below := map[string]bool{}
	m.down(name, below, map[string]bool{})
	any := false
	for n := range below {
		if b := m.blocks[n]; b.parent == "" && len(b.slaves) == 0 {
			any = true
			found(b)
		}
	}
	if !any {
		found(m.blocks[name])
	}
}
