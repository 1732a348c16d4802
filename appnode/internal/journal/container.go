package journal

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"understudy.example/pkg/protocol"
)

// Meta describes a snapshot.
type Meta struct {
	Cluster   string            `json:"cluster"`
	Group     protocol.GroupID  `json:"group"`
	Position  protocol.Position `json:"position"`   // of the last record that is in it
	GroupTime int64             `json:"group_time"` // unix nanoseconds
	// Boundaries are those of all epochs up to Position. The journal fills them
	// in when a snapshot is written.
	Boundaries []protocol.Boundary `json:"boundaries"`
}

// check tells whether a snapshot so described can exist.
func (m *Meta) check() error {
	if len(m.Boundaries) == 0 || m.Boundaries[0].First != 1 {
		return fmt.Errorf("the epochs of the snapshot at %s do not begin at record 1", m.Position)
	}
	var before protocol.Boundary
	for _, b := range m.Boundaries {
		if b.Epoch <= before.Epoch || b.First <= before.First {
			return fmt.Errorf("epoch %d of the snapshot at %s does not follow epoch %d", b.Epoch, m.Position, before.Epoch)
		}
		before = b
	}
	if before.Epoch != m.Position.Epoch || before.First > m.Position.Seq {
		return fmt.Errorf("the snapshot is at %s, and its last epoch %d begins at record %d", m.Position, before.Epoch, before.First)
	}
	return nil
}

// A snapshot, in a file or on the wire, is a head, a meta part, the state in
// chunks, and a trailer; it says itself where it ends. The head's generation
// means something on one disk only: on the wire it is 0. The trailer's checksum
// covers everything behind the head.
const (
	snapshotMagic = "UNDERSNP"
	headSize      = 24 // magic, format u32, generation u64, checksum u32
	trailerSize   = 12 // bytes of state u64, checksum u32
	chunkSize     = 64 << 10
	maxMeta       = 16 << 20
)

func encodeHead(generation uint64) []byte {
	b := make([]byte, headSize)
	copy(b, snapshotMagic)
	binary.LittleEndian.PutUint32(b[8:], format)
	binary.LittleEndian.PutUint64(b[12:], generation)
	binary.LittleEndian.PutUint32(b[20:], crc32.Checksum(b[:20], castagnoli))
	return b
}

func parseHead(b []byte) (generation uint64, err error) {
	if string(b[:8]) != snapshotMagic || crc32.Checksum(b[:20], castagnoli) != binary.LittleEndian.Uint32(b[20:]) {
		return 0, corrupt("the head of the snapshot is damaged")
	}
	if v := binary.LittleEndian.Uint32(b[8:]); v != format {
		return 0, formatError("the snapshot", v)
	}
	return binary.LittleEndian.Uint64(b[12:]), nil
}

// encodeSnapshot writes a whole snapshot to w; state writes what is in it.
func encodeSnapshot(w io.Writer, generation uint64, m Meta, state func(io.Writer) error) error {
	if err := m.check(); err != nil {
		return err
	}
	meta, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode snapshot meta: %w", err)
	}
	if len(meta) > maxMeta {
		return fmt.Errorf("the meta part of the snapshot would have %d bytes, and at most %d can be read: too many epochs", len(meta), maxMeta)
	}
	if _, err := w.Write(encodeHead(generation)); err != nil {
		return err
	}
	c := &chunker{w: w, buf: make([]byte, 4, 4+chunkSize)}
	if err := c.emit(append(binary.LittleEndian.AppendUint32(nil, uint32(len(meta))), meta...)); err != nil {
		return err
	}
	if err := state(c); err != nil {
		return err
	}
	return c.finish()
}

// chunker turns what is written to it into chunks: a length u32 and as many
// bytes. A chunk without bytes ends the state.
type chunker struct {
	w     io.Writer
	buf   []byte // four bytes for the length, and the chunk so far
	sum   uint32
	total uint64
}

func (c *chunker) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		part := min(len(p), cap(c.buf)-len(c.buf))
		c.buf = append(c.buf, p[:part]...)
		p = p[part:]
		if len(c.buf) == cap(c.buf) {
			if err := c.flush(); err != nil {
				return 0, err
			}
		}
	}
	c.total += uint64(n)
	return n, nil
}

func (c *chunker) flush() error {
	binary.LittleEndian.PutUint32(c.buf, uint32(len(c.buf)-4))
	err := c.emit(c.buf)
	c.buf = c.buf[:4]
	return err
}

func (c *chunker) emit(b []byte) error {
	c.sum = crc32.Update(c.sum, castagnoli, b)
	_, err := c.w.Write(b)
	return err
}

func (c *chunker) finish() error {
	if len(c.buf) > 4 {
		if err := c.flush(); err != nil {
			return err
		}
	}
	if err := c.flush(); err != nil { // the chunk without bytes
		return err
	}
	if err := c.emit(binary.LittleEndian.AppendUint64(nil, c.total)); err != nil {
		return err
	}
	_, err := c.w.Write(binary.LittleEndian.AppendUint32(nil, c.sum))
	return err
}

// decoder reads the state of a snapshot and checks it at its end. It reads no
// byte beyond the trailer. Before the first Read, begin reads head and meta.
type decoder struct {
	r          io.Reader
	generation uint64
	meta       Meta
	sum        uint32
	total      uint64
	left       int // bytes left of the present chunk
	end        error
}

func (d *decoder) begin() error {
	head := make([]byte, headSize)
	if _, err := io.ReadFull(d.r, head); err != nil {
		return cutShort(err)
	}
	var err error
	if d.generation, err = parseHead(head); err != nil {
		return err
	}
	var size [4]byte
	if err := d.fill(size[:]); err != nil {
		return err
	}
	n := binary.LittleEndian.Uint32(size[:])
	if n > maxMeta {
		return corrupt("the meta part of the snapshot claims %d bytes, and at most %d are written", n, maxMeta)
	}
	meta := make([]byte, n)
	if err := d.fill(meta); err != nil {
		return err
	}
	if err := json.Unmarshal(meta, &d.meta); err != nil {
		return corrupt("the meta part of the snapshot cannot be read: %v", err)
	}
	if err := d.meta.check(); err != nil {
		return corrupt("%v", err)
	}
	return nil
}

// fill reads all of b, which the checksum covers.
func (d *decoder) fill(b []byte) error {
	if _, err := io.ReadFull(d.r, b); err != nil {
		return cutShort(err)
	}
	d.sum = crc32.Update(d.sum, castagnoli, b)
	return nil
}

func cutShort(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return corrupt("the snapshot is cut short")
	}
	return err
}

// Read implements io.Reader. It returns io.EOF only for a snapshot that is
// whole.
func (d *decoder) Read(p []byte) (int, error) {
	if d.left == 0 && d.end == nil {
		d.end = d.nextChunk()
	}
	if d.end != nil {
		return 0, d.end
	}
	n, err := d.r.Read(p[:min(len(p), d.left)])
	d.sum = crc32.Update(d.sum, castagnoli, p[:n])
	d.total += uint64(n)
	d.left -= n
	if err != nil && (n == 0 || !errors.Is(err, io.EOF)) {
		d.end = cutShort(err)
		return n, d.end
	}
	return n, nil
}

// nextChunk begins the next chunk. After the last it reads the trailer, and
// returns io.EOF if it is right.
func (d *decoder) nextChunk() error {
	var size [4]byte
	if err := d.fill(size[:]); err != nil {
		return err
	}
	n := binary.LittleEndian.Uint32(size[:])
	if n > chunkSize {
		return corrupt("a chunk of the snapshot claims %d bytes, and at most %d are written", n, chunkSize)
	}
	d.left = int(n)
	if n > 0 {
		return nil
	}
	var total [8]byte
	if err := d.fill(total[:]); err != nil {
		return err
	}
	want := d.sum
	var sum [4]byte
	if err := d.fill(sum[:]); err != nil {
		return err
	}
	if binary.LittleEndian.Uint32(sum[:]) != want || binary.LittleEndian.Uint64(total[:]) != d.total {
		return corrupt("the checksum of the snapshot is wrong")
	}
	return io.EOF
}
