package collect

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// machine is what has to be known of disks and mounts to say what a USB disk is for.
type machine struct {
	root   string
	blocks map[string]*block // by name: sda, sda1, dm-0
	byDev  map[string]string // "8:1" -> sda1
	byDM   map[string]string // name below /dev/mapper -> dm-0
	pools  [][]string        // members of each btrfs file system
	mounts []mountEntry
	swaps  []string
}

// block is a disk or a partition.
type block struct {
	name    string
	path    string // real path in sysfs
	parent  string // the disk, for a partition
	parts   []string
	slaves  []string // what it stands on
	holders []string // what stands on it
	backing string   // file a loop device reads
}

func readMachine(root string) (*machine, error) {
	m := &machine{root: root, blocks: map[string]*block{}, byDev: map[string]string{}, byDM: map[string]string{}}
	if err := m.readBlocks(); err != nil {
		return nil, err
	}
	m.readPools()
	text, err := readLimited(filepath.Join(root, "proc/self/mountinfo"), procMax)
	if err != nil {
		return nil, fmt.Errorf("cannot tell what is mounted: %w", err)
	}
	m.mounts = parseMountinfo(string(text))
	text, err = readLimited(filepath.Join(root, "proc/swaps"), procMax)
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // a kernel without swap has no such file
		return nil, fmt.Errorf("cannot tell what is swapped to: %w", err)
	}
	m.swaps = parseSwaps(string(text))
	return m, nil
}

func (m *machine) readBlocks() error {
	dir := filepath.Join(m.root, "sys/class/block")
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // a kernel without block devices
	}
	if err != nil {
		return fmt.Errorf("cannot look for disks: %w", err)
	}
	for _, e := range entries {
		target, err := os.Readlink(filepath.Join(dir, e.Name()))
		if err != nil {
			continue // it is going away
		}
		b := &block{name: e.Name(), path: filepath.Join(dir, target)}
		if attribute(b.path, "partition") != "" {
			b.parent = filepath.Base(filepath.Dir(b.path))
		}
		if strings.HasPrefix(b.name, "loop") {
			b.backing = attribute(b.path, "loop/backing_file")
		}
		if b.parent == "" { // a partition stands on its disk alone
			slaves, _ := os.ReadDir(filepath.Join(b.path, "slaves"))
			for _, s := range slaves {
				b.slaves = append(b.slaves, s.Name())
			}
		}
		m.blocks[b.name] = b
		if dev := attribute(b.path, "dev"); dev != "" {
			m.byDev[dev] = b.name
		}
		if strings.HasPrefix(b.name, "dm-") {
			m.byDM[attribute(b.path, "dm/name")] = b.name
		}
	}
	for _, e := range entries { // entries and not the map: the order is the directory's
		b := m.blocks[e.Name()]
		if b == nil {
			continue
		}
		if p := m.blocks[b.parent]; p != nil {
			p.parts = append(p.parts, b.name)
		}
		for _, s := range b.slaves {
			if below := m.blocks[s]; below != nil {
				below.holders = append(below.holders, b.name)
			}
		}
	}
	return nil
}

func (m *machine) readPools() {
	pools, _ := os.ReadDir(filepath.Join(m.root, "sys/fs/btrfs"))
	for _, p := range pools {
		members, _ := os.ReadDir(filepath.Join(m.root, "sys/fs/btrfs", p.Name(), "devices"))
		var names []string
		for _, d := range members {
			names = append(names, d.Name())
		}
		if len(names) > 0 {
			m.pools = append(m.pools, names)
		}
	}
}

// disks fills in which disks are below the storage interfaces of d, what is mounted
// from them, and which block devices must be free before they may be taken away.
func (m *machine) disks(d *Device) {
	above := map[string]bool{}
	for _, i := range d.Interfaces {
		dir := filepath.Join(m.root, usbDevicesDir)
		target, err := os.Readlink(filepath.Join(dir, i.Name))
		if err != nil {
			continue
		}
		path := filepath.Join(dir, target)
		for name, b := range m.blocks {
			if b.parent == "" && strings.HasPrefix(b.path, path+"/") {
				d.Disks = append(d.Disks, name)
				m.up(name, above)
			}
		}
	}
	slices.Sort(d.Disks)
	d.Disks = d.Disks[:min(len(d.Disks), nodesMax)]
	for name := range above {
		if b := m.blocks[name]; len(b.parts) == 0 && len(b.holders) == 0 {
			d.Leaves = append(d.Leaves, name)
		}
	}
	slices.Sort(d.Leaves)
	for _, e := range m.mounts {
		if !slices.ContainsFunc(m.direct(e), func(n string) bool { return above[n] }) {
			continue
		}
		d.Mounted = append(d.Mounted, Mount{Point: e.point, Device: e.device})
		if len(d.Mounts) < nodesMax {
			d.Mounts = append(d.Mounts, printable(e.point, pathMax))
		}
	}
}

// up collects a block device and all that stands on it: partitions, LUKS, LVM, md.
func (m *machine) up(name string, seen map[string]bool) {
	b := m.blocks[name]
	if b == nil || seen[name] {
		return
	}
	seen[name] = true
	for _, n := range slices.Concat(b.parts, b.holders) {
		m.up(n, seen)
	}
}

// systemPoints are the mount points whose disks carry the running system.
var systemPoints = []string{"/", "/usr", "/var", "/boot", "/boot/efi", "/efi"}

// systemNodes is every block device that the running system stands on, down to disks.
func (m *machine) systemNodes() map[string]bool {
	seen := map[string]bool{}
	visited := map[string]bool{}
	for _, e := range m.mounts {
		if slices.Contains(systemPoints, e.point) {
			m.downMount(e, seen, visited)
		}
	}
	for _, s := range m.swaps {
		if name := m.bySource(s); name != "" {
			m.down(name, seen, visited)
		} else if e, ok := m.covering(s, visited); ok { // a swap file
			m.downMount(e, seen, visited)
		}
	}
	return seen
}

// downMount follows a mount to its block devices; an overlay's layers and a loop's
// file lead to the mounts they are on, which is how live systems boot from a stick.
func (m *machine) downMount(e mountEntry, seen, visited map[string]bool) {
	if visited[e.id] {
		return
	}
	visited[e.id] = true
	nodes := m.direct(e)
	for _, n := range nodes {
		m.down(n, seen, visited)
	}
	if len(nodes) > 0 {
		return
	}
	for _, dir := range e.layers() {
		if below, ok := m.covering(dir, visited); ok {
			m.downMount(below, seen, visited)
		}
	}
}

// down collects a block device and all that it stands on.
func (m *machine) down(name string, seen, visited map[string]bool) {
	b := m.blocks[name]
	if b == nil || seen[name] {
		return
	}
	seen[name] = true
	m.down(b.parent, seen, visited)
	for _, s := range b.slaves {
		m.down(s, seen, visited)
	}
	for _, pool := range m.pools {
		if slices.Contains(pool, name) {
			for _, member := range pool {
				m.down(member, seen, visited)
			}
		}
	}
	if b.backing != "" {
		if e, ok := m.covering(b.backing, visited); ok {
			m.downMount(e, seen, visited)
		}
	}
}

// direct names the block devices a mount reads, by device number, else by its source:
// btrfs and others mount under a number of their own.
func (m *machine) direct(e mountEntry) []string {
	if name := m.byDev[e.device]; name != "" {
		return []string{name}
	}
	name := m.bySource(e.source)
	if name == "" {
		return nil
	}
	for _, pool := range m.pools {
		if slices.Contains(pool, name) {
			return pool
		}
	}
	return []string{name}
}

// bySource finds the block device a path below /dev means.
func (m *machine) bySource(path string) string {
	rest, ok := strings.CutPrefix(path, "/dev/")
	if !ok {
		return ""
	}
	if dm, ok := strings.CutPrefix(rest, "mapper/"); ok && m.byDM[dm] != "" {
		return m.byDM[dm]
	}
	if name := strings.ReplaceAll(rest, "/", "!"); m.blocks[name] != nil { // sysfs writes cciss!c0d0
		return name
	}
	if real, err := filepath.EvalSymlinks(filepath.Join(m.root, path)); err == nil {
		if name := filepath.Base(real); m.blocks[name] != nil {
			return name
		}
	}
	return ""
}

// covering finds the mount that a path is on, leaving out those already followed.
func (m *machine) covering(path string, visited map[string]bool) (mountEntry, bool) {
	var best mountEntry
	found := false
	for _, e := range m.mounts {
		on := e.point == path || e.point == "/" || strings.HasPrefix(path, e.point+"/")
		if on && !visited[e.id] && (!found || len(e.point) >= len(best.point)) {
			best, found = e, true
		}
	}
	return best, found
}
