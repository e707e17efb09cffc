package usbfixture

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// disk is a whole block device with its partitions.
type disk struct {
	name   string
	dir    string // below root: .../block/sda
	major  int
	minor  int
	spec   Disk
	slaves []string // for a virtual disk: what it stands on
}

// partition names partition n (from 1) of a disk.
func partition(diskName string, n int) string {
	if last := diskName[len(diskName)-1]; last >= '0' && last <= '9' {
		return diskName + "p" + strconv.Itoa(n)
	}
	return diskName + strconv.Itoa(n)
}

// addDisks makes the SCSI host of an interface with one disk per logical unit.
func (t *Tree) addDisks(i *iface) error {
	if len(i.spec.Disks) == 0 {
		return nil
	}
	host := "host" + strconv.Itoa(t.host)
	stage := filepath.Join("kernel/stage", host)
	i.hostDir = filepath.Join(i.dir, host)
	var made []*disk
	for lun, spec := range i.spec.Disks {
		n := t.freeLetter()
		name := "sd" + string(rune('a'+n))
		rest := fmt.Sprintf("target%d:0:0/%d:0:0:%d/block/%s", t.host, t.host, lun, name)
		d := &disk{name: name, dir: filepath.Join(i.hostDir, rest), major: 8, minor: 16 * n, spec: spec}
		if err := t.addDisk(d, filepath.Join(stage, rest)); err != nil {
			return err
		}
		made = append(made, d)
		i.disks = append(i.disks, name)
	}
	t.host++
	if err := (&writer{t: t}).move(stage, i.hostDir); err != nil {
		return err
	}
	for _, d := range made {
		if err := t.mountAll(d.name); err != nil {
			return err
		}
		if err := t.writeProc(); err != nil {
			return err
		}
		if err := t.uevent("add", d.dir, "block", "DEVTYPE=disk", "DEVNAME="+d.name); err != nil {
			return err
		}
	}
	return nil
}

func (t *Tree) freeLetter() int {
	for n := 0; ; n++ {
		if t.disks["sd"+string(rune('a'+n))] == nil {
			return n
		}
	}
}

// addDisk writes a disk's directory at the staging place and the links to where it
// will be.
func (t *Tree) addDisk(d *disk, stage string) error {
	size := "62333952"
	if d.spec.Empty {
		size = "0"
	}
	w := writer{t: t}
	w.attributes(stage, map[string]string{"dev": fmt.Sprintf("%d:%d", d.major, d.minor), "size": size, "removable": "1"})
	w.dir(filepath.Join(stage, "slaves"))
	for _, s := range d.slaves {
		w.link("sys/class/block/"+s, filepath.Join(stage, "slaves", s))
	}
	for n := range d.spec.Partitions {
		name := partition(d.name, n+1)
		w.attributes(filepath.Join(stage, name), map[string]string{"dev": fmt.Sprintf("%d:%d", d.major, d.minor+n+1),
			"partition": strconv.Itoa(n + 1), "size": "62331904"})
		w.link(filepath.Join(d.dir, name), "sys/class/block/"+name)
		w.link(filepath.Join(d.dir, name), fmt.Sprintf("sys/dev/block/%d:%d", d.major, d.minor+n+1))
	}
	w.link(d.dir, "sys/class/block/"+d.name)
	w.link(d.dir, "sys/block/"+d.name)
	w.link(d.dir, fmt.Sprintf("sys/dev/block/%d:%d", d.major, d.minor))
	t.disks[d.name] = d
	return w.err
}

// removeDisks takes the disks of an interface away, with what is mounted from them.
func (t *Tree) removeDisks(i *iface) error {
	for _, name := range i.disks {
		d := t.disks[name]
		for _, m := range t.mounts {
			if m.disk == name {
				t.losses = append(t.losses, "still mounted: "+m.point)
			}
		}
		t.mounts = slices.DeleteFunc(t.mounts, func(m mount) bool { return m.disk == name })
		if err := t.writeProc(); err != nil {
			return err
		}
		if err := t.unlinkDisk(d); err != nil {
			return err
		}
		if err := t.uevent("remove", d.dir, "block", "DEVTYPE=disk", "DEVNAME="+name); err != nil {
			return err
		}
	}
	i.disks = nil
	w := writer{t: t}
	if i.hostDir != "" {
		w.remove(i.hostDir)
	}
	return w.err
}

func (t *Tree) unlinkDisk(d *disk) error {
	w := writer{t: t}
	for n := range d.spec.Partitions {
		w.remove("sys/class/block/" + partition(d.name, n+1))
		w.remove(fmt.Sprintf("sys/dev/block/%d:%d", d.major, d.minor+n+1))
	}
	w.remove("sys/class/block/" + d.name)
	w.remove("sys/block/" + d.name)
	w.remove(fmt.Sprintf("sys/dev/block/%d:%d", d.major, d.minor))
	delete(t.disks, d.name)
	return w.err
}

// Map makes a virtual disk such as "dm-0", "md0" or "loop0" on top of others. about
// holds its special files, such as "dm/name": "vg-root" or "loop/backing_file": "/x".
func (t *Tree) Map(name string, slaves []string, about map[string]string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	kind := strings.TrimRight(name, "0123456789")
	minor, err := strconv.Atoi(name[len(kind):])
	if err != nil {
		return fmt.Errorf("usbfixture: %q has no number", name)
	}
	major := map[string]int{"dm-": 253, "md": 9, "loop": 7}[kind]
	d := &disk{name: name, dir: "sys/devices/virtual/block/" + name, major: major, minor: minor, slaves: slaves}
	if err := t.addDisk(d, d.dir); err != nil {
		return err
	}
	w := writer{t: t}
	for file, text := range about {
		w.dir(filepath.Dir(filepath.Join(d.dir, file)))
		w.put(filepath.Join(d.dir, file), text+"\n")
	}
	return w.err
}

// Pool lists the members of a btrfs file system, as sys/fs/btrfs does.
func (t *Tree) Pool(uuid string, members ...string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	w := writer{t: t}
	for _, m := range members {
		w.link("sys/class/block/"+m, filepath.Join("sys/fs/btrfs", uuid, "devices", m))
	}
	return w.err
}

// move puts a staged directory where it belongs, in one step.
func (w *writer) move(from, to string) error {
	if w.err == nil {
		w.err = os.Rename(w.t.path(from), w.t.path(to))
	}
	return w.err
}
