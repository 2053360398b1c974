package sqlite

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"unsafe"

	"modernc.org/libc"
	lib "modernc.org/sqlite/lib"
)

// disk is a file system for SQLite that lies on top of the usual one. It can
// fail any operation, and it knows what would be left of its files if the
// power went now: everything synced, and of the rest whatever chance takes.
// Shared memory is not on it; that does not survive the process either.
type disk struct {
	vfs string // SQLite's name for it

	mu    sync.Mutex
	files map[string]*diskFile
	// fail, if set, returns the error code of an operation (open, read,
	// write, truncate, sync) on a file (.db, .db-wal), SQLITE_OK to let it
	// happen.
	fail func(op, file string) int32
	// before, if set, is called with mu held before each change of a file.
	before func()
}

// diskFile is one file as the platters have it, and what is on its way there.
type diskFile struct {
	durable []byte
	pending []change
}

// change is a write, or a truncation to at if data is nil.
type change struct {
	at   int64
	data []byte
}

func (c change) apply(content []byte) []byte {
	if c.data == nil {
		return append(content, make([]byte, max(0, c.at-int64(len(content))))...)[:c.at]
	}
	if end := c.at + int64(len(c.data)); end > int64(len(content)) {
		content = append(content, make([]byte, end-int64(len(content)))...)
	}
	copy(content[c.at:], c.data)
	return content
}

// sync makes what was written durable.
func (f *diskFile) sync() {
	for _, c := range f.pending {
		f.durable = c.apply(f.durable)
	}
	f.pending = nil
}

// afterPowerLoss is what might be found in the file: changes that were not
// synced happened or not, in any combination, and only some sectors of one
// may have been written.
func (f *diskFile) afterPowerLoss(rng *rand.Rand) []byte {
	content := append([]byte(nil), f.durable...)
	kept := rng.IntN(3) // of two; 0 loses all, 2 keeps all
	for _, c := range f.pending {
		if rng.IntN(2) >= kept {
			continue
		}
		if sectors := len(c.data) / 512; sectors > 0 && kept == 1 && rng.IntN(4) == 0 {
			c.data = c.data[:512*rng.IntN(sectors+1)]
			if len(c.data) == 0 {
				continue
			}
		}
		content = c.apply(content)
	}
	return content
}

// image is the content of all files after a power loss, by base name.
type image map[string][]byte

// powerLoss returns what might be left now. The caller has mu.
func (d *disk) powerLoss(rng *rand.Rand) image {
	img := image{}
	for path, f := range d.files {
		img[filepath.Base(path)] = f.afterPowerLoss(rng)
	}
	return img
}

// restore writes the image into a folder.
func (img image) restore(t *testing.T, dir string) {
	t.Helper()
	for name, content := range img {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// setFail has operations fail from now on; nil ends it.
func (d *disk) setFail(fail func(op, file string) int32) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fail = fail
}

// try asks what an operation on a file shall return.
func (d *disk) try(op, path string) int32 {
	if d.fail == nil {
		return lib.SQLITE_OK
	}
	return d.fail(op, strings.TrimPrefix(filepath.Base(path), strings.TrimSuffix(databaseName, ".db")))
}

// file returns what is known of path, from the folder if it is new here.
func (d *disk) file(path string) *diskFile {
	f := d.files[path]
	if f == nil {
		f = &diskFile{}
		f.durable, _ = os.ReadFile(path) // missing is empty
		d.files[path] = f
	}
	return f
}

// What SQLite calls are plain functions, which find their disk here.
var (
	disksMu sync.Mutex
	disks   = map[uintptr]*disk{}       // by the address of the VFS
	handles = map[uintptr]*diskHandle{} // by the address of the open file
	diskSeq atomic.Int64
)

// diskHandle is one open file.
type diskHandle struct {
	disk *disk
	path string
	real lib.Tsqlite3_io_methods
}

// usual is SQLite's own file system on this machine.
var usual = sync.OnceValue(func() *lib.Tsqlite3_vfs {
	tls := libc.NewTLS()
	defer tls.Close()
	return (*lib.Tsqlite3_vfs)(pointer(lib.Xsqlite3_vfs_find(tls, 0)))
})

// newDisk registers a disk with SQLite until the test ends.
func newDisk(t testing.TB) *disk {
	t.Helper()
	tls := libc.NewTLS()
	defer tls.Close()
	d := &disk{vfs: fmt.Sprint("disk", diskSeq.Add(1)), files: map[string]*diskFile{}}
	name, err := libc.CString(d.vfs)
	if err != nil {
		t.Fatal(err)
	}
	vfs := libc.Xcalloc(tls, 1, libc.Tsize_t(unsafe.Sizeof(lib.Tsqlite3_vfs{})))
	v := (*lib.Tsqlite3_vfs)(pointer(vfs))
	*v = *usual()
	v.FzName, v.FpNext = name, 0
	v.FxOpen, v.FxDelete = function(diskOpen), function(diskDelete)
	disksMu.Lock()
	disks[vfs] = d
	disksMu.Unlock()
	if rc := lib.Xsqlite3_vfs_register(tls, vfs, 0); rc != lib.SQLITE_OK {
		t.Fatalf("register the disk: code %d", rc)
	}
	t.Cleanup(func() {
		tls := libc.NewTLS()
		defer tls.Close()
		lib.Xsqlite3_vfs_unregister(tls, vfs)
	})
	return d
}

// pointer is C memory; function and call follow the calling convention of
// the transpiled library.
func pointer(p uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&p)) }

func function(f any) uintptr {
	type iface [2]uintptr
	return (*iface)(unsafe.Pointer(&f))[1]
}

func call[F any](f uintptr) F { return *(*F)(unsafe.Pointer(&struct{ uintptr }{f})) }

func diskOpen(tls *libc.TLS, vfs, name, file uintptr, flags int32, outFlags uintptr) int32 {
	disksMu.Lock()
	d := disks[vfs]
	disksMu.Unlock()
	path := libc.GoString(name)
	d.mu.Lock()
	rc := d.try("open", path)
	if rc == lib.SQLITE_OK {
		d.file(path)
	}
	d.mu.Unlock()
	if rc != lib.SQLITE_OK {
		return rc
	}
	real := usual()
	type open func(tls *libc.TLS, vfs, name, file uintptr, flags int32, outFlags uintptr) int32
	rc = call[open](real.FxOpen)(tls, uintptr(unsafe.Pointer(real)), name, file, flags, outFlags)
	if rc != lib.SQLITE_OK {
		return rc
	}
	methods := (*uintptr)(pointer(file))
	h := &diskHandle{disk: d, path: path, real: *(*lib.Tsqlite3_io_methods)(pointer(*methods))}
	mine := (*lib.Tsqlite3_io_methods)(pointer(libc.Xcalloc(tls, 1, libc.Tsize_t(unsafe.Sizeof(h.real)))))
	*mine = h.real
	mine.FxClose, mine.FxRead, mine.FxWrite = function(diskClose), function(diskRead), function(diskWrite)
	mine.FxTruncate, mine.FxSync = function(diskTruncate), function(diskSync)
	*methods = uintptr(unsafe.Pointer(mine))
	disksMu.Lock()
	handles[file] = h
	disksMu.Unlock()
	return lib.SQLITE_OK
}

func handle(file uintptr) *diskHandle {
	disksMu.Lock()
	defer disksMu.Unlock()
	return handles[file]
}

func diskDelete(tls *libc.TLS, vfs, name uintptr, syncDir int32) int32 {
	disksMu.Lock()
	d := disks[vfs]
	disksMu.Unlock()
	d.mu.Lock()
	delete(d.files, libc.GoString(name))
	d.mu.Unlock()
	return call[func(tls *libc.TLS, vfs, name uintptr, syncDir int32) int32](usual().FxDelete)(tls, vfs, name, syncDir)
}

func diskClose(tls *libc.TLS, file uintptr) int32 {
	h := handle(file)
	disksMu.Lock()
	delete(handles, file)
	disksMu.Unlock()
	return call[func(*libc.TLS, uintptr) int32](h.real.FxClose)(tls, file)
}

func diskRead(tls *libc.TLS, file, buf uintptr, n int32, at int64) int32 {
	h := handle(file)
	h.disk.mu.Lock()
	rc := h.disk.try("read", h.path)
	h.disk.mu.Unlock()
	if rc != lib.SQLITE_OK {
		return rc
	}
	return call[func(tls *libc.TLS, file, buf uintptr, n int32, at int64) int32](h.real.FxRead)(tls, file, buf, n, at)
}

func diskWrite(tls *libc.TLS, file, buf uintptr, n int32, at int64) int32 {
	h := handle(file)
	if rc := h.change("write", change{at: at, data: bytes.Clone(libc.GoBytes(buf, int(n)))}); rc != lib.SQLITE_OK {
		return rc
	}
	return call[func(tls *libc.TLS, file, buf uintptr, n int32, at int64) int32](h.real.FxWrite)(tls, file, buf, n, at)
}

func diskTruncate(tls *libc.TLS, file uintptr, size int64) int32 {
	h := handle(file)
	if rc := h.change("truncate", change{at: size}); rc != lib.SQLITE_OK {
		return rc
	}
	return call[func(*libc.TLS, uintptr, int64) int32](h.real.FxTruncate)(tls, file, size)
}

func (h *diskHandle) change(op string, c change) int32 {
	d := h.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.before != nil {
		d.before()
	}
	rc := d.try(op, h.path)
	if rc == lib.SQLITE_OK {
		f := d.file(h.path)
		f.pending = append(f.pending, c)
	}
	return rc
}

// diskSync does not sync the file below: only power losses on this disk are
// looked at.
func diskSync(tls *libc.TLS, file uintptr, flags int32) int32 {
	h := handle(file)
	d := h.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.before != nil {
		d.before()
	}
	rc := d.try("sync", h.path)
	if rc == lib.SQLITE_OK {
		d.file(h.path).sync()
	}
	return rc
}
