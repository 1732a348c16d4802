package journal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	"understudy.example/pkg/disk"
	"understudy.example/pkg/protocol"
)

const asideDir = "aside"

// asideRecords copies records into a file of their own, durably.
func (j *Journal) asideRecords(from, to protocol.Seq) (Aside, error) {
	epoch, _ := j.EpochAt(from - 1)
	after := protocol.Position{Epoch: epoch, Seq: from - 1}
	a := Aside{Records: int(to - from + 1)}
	err := j.o.writeAside(&a, fmt.Sprintf("cut-after-%s", after), func(w io.Writer) error {
		var buf []byte
		for seq := from; seq <= to; {
			b, last, err := j.Read(seq, buf, 1<<20)
			if err != nil {
				return err
			}
			if _, err := w.Write(b); err != nil {
				return err
			}
			buf, seq = b, last+1
		}
		return nil
	})
	return a, err
}

// asideTorn copies what follows the last whole batch into a file of its own:
// the bytes of each segment up to the last that is not zero.
func (s *scan) asideTorn() (Aside, error) {
	var a Aside
	err := s.o.writeAside(&a, fmt.Sprintf("torn-after-%s", s.history.last), func(w io.Writer) error {
		for _, f := range s.files[s.end:] {
			b, err := disk.ReadFile(s.o.FS, "journal open", filepath.Join(s.o.Dir, f.name))
			if err != nil {
				return err
			}
			if _, err := w.Write(trimZeros(b[f.found.end:])); err != nil {
				return err
			}
		}
		return nil
	})
	return a, err
}

func trimZeros(b []byte) []byte {
	n := len(b)
	for n > 0 && b[n-1] == 0 {
		n--
	}
	return b[:n]
}

// writeAside writes a file in the directory aside under a name that is not
// taken, and enters it in a. Nothing there is ever replaced or removed.
func (o *Options) writeAside(a *Aside, name string, fill func(io.Writer) error) error {
	dir := filepath.Join(o.Dir, asideDir)
	if err := disk.MakeDir(o.FS, "journal aside", dir); err != nil {
		return err
	}
	for number := 1; ; number++ {
		a.File = filepath.Join(dir, fmt.Sprintf("%s-%d", name, number))
		_, err := o.FS.Stat("journal aside", a.File)
		if errors.Is(err, fs.ErrNotExist) {
			break
		}
		if err != nil {
			return err
		}
	}
	count := &counter{}
	err := disk.Replace(o.FS, "journal aside", a.File, func(w io.Writer) error {
		count.w = w
		return fill(count)
	})
	a.Bytes = count.n
	return err
}

// counter counts the bytes that are written through it.
type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}
