package sqlite

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
)

// A backup ends with a seal: a line with the SHA-256 of everything before it.
// SQLite looks no further than the last page, so that the file is read by all
// programs that read databases.
const (
	sealBegins = "\ntertulia backup sha256 "
	sealBytes  = len(sealBegins) + 2*sha256.Size + len("\n")
)

// UnsealedError says that a file does not end as a backup does.
type UnsealedError struct{ Path string }

func (e *UnsealedError) Error() string {
	return fmt.Sprintf("%s is no whole backup: it does not end with the checksum that one ends with", e.Path)
}

func sealOf(h hash.Hash) []byte {
	return fmt.Appendf(nil, "%s%x\n", sealBegins, h.Sum(nil))
}

// seal ends a file with its seal, and makes it durable.
func seal(ctx context.Context, path string) (err error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	h := sha256.New()
	if _, err := io.Copy(h, interruptible{ctx, f}); err != nil {
		return err
	}
	if _, err := f.Write(sealOf(h)); err != nil {
		return err
	}
	return f.Sync()
}

// unseal returns how long the database in a backup is. Errors are
// [*UnsealedError], [*DamagedError] if it is not as it was when it was sealed,
// or from the file system.
func unseal(ctx context.Context, path string) (size int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	size = info.Size() - int64(sealBytes)
	says := make([]byte, sealBytes)
	if info.IsDir() || size < 0 {
		return 0, &UnsealedError{path}
	}
	if _, err := f.ReadAt(says, size); err != nil {
		return 0, err
	}
	if !bytes.HasPrefix(says, []byte(sealBegins)) {
		return 0, &UnsealedError{path}
	}
	h := sha256.New()
	if _, err := io.Copy(h, interruptible{ctx, io.LimitReader(f, size)}); err != nil {
		return 0, err
	}
	if is := sealOf(h); !bytes.Equal(is, says) {
		return 0, &DamagedError{path, "its SHA-256 begins with " + shortly(is) + ", and with " + shortly(says) + " when it was made"}
	}
	return size, nil
}

// shortly is the beginning of a seal's sum for people, if there is one.
func shortly(seal []byte) string {
	sum := seal[len(sealBegins):]
	if _, err := hex.Decode(make([]byte, 4), sum[:8]); err != nil {
		return "something else"
	}
	return string(sum[:8])
}

// interruptible is a reader that fails once its context has ended.
type interruptible struct {
	ctx context.Context
	r   io.Reader
}

func (i interruptible) Read(p []byte) (int, error) {
	if err := i.ctx.Err(); err != nil {
		return 0, err
	}
	return i.r.Read(p)
}
