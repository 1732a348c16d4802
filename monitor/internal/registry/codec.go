package registry

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"understudy.example/pkg/protocol"
)

// format is the version of commands and snapshots on disk.
const format = 1

// A log entry is one byte of format, the CRC-32C of the rest, and the command
// as JSON. The log's file has no checksums of its own, and a flipped bit may
// leave valid JSON that means something else.
const entryHeader = 1 + 4

func encodeCommand(c protocol.Command) ([]byte, error) {
	body, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("encode command: %w", err)
	}
	out := make([]byte, 0, entryHeader+len(body))
	out = append(out, format)
	out = binary.BigEndian.AppendUint32(out, checksum(body))
	return append(out, body...), nil
}

func decodeCommand(data []byte) (c protocol.Command, err error) {
	if len(data) < entryHeader {
		return c, fmt.Errorf("the command has %d bytes and needs at least %d", len(data), entryHeader)
	}
	if data[0] != format {
		return c, fmt.Errorf("the command has format %d, and this release reads format %d: run the same release everywhere", data[0], format)
	}
	body := data[entryHeader:]
	if checksum(body) != binary.BigEndian.Uint32(data[1:]) {
		return c, errors.New("the command's checksum does not match: the disk or the file is damaged")
	}
	if err := json.Unmarshal(body, &c); err != nil {
		return c, fmt.Errorf("the command is not valid: %w", err)
	}
	return c, nil
}

func checksum(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

// snapshotFile is a snapshot on disk; Raft's snapshot store adds the checksum.
type snapshotFile struct {
	Format   int                `json:"format"`
	Registry *protocol.Registry `json:"registry"`
}

func encodeSnapshot(w io.Writer, state protocol.Registry) error {
	return json.NewEncoder(w).Encode(snapshotFile{Format: format, Registry: &state})
}

func decodeSnapshot(r io.Reader) (protocol.Registry, error) {
	var f snapshotFile
	if err := json.NewDecoder(r).Decode(&f); err != nil {
		return protocol.Registry{}, fmt.Errorf("the registry snapshot is not valid: %w", err)
	}
	if f.Format != format || f.Registry == nil {
		return protocol.Registry{}, fmt.Errorf("the registry snapshot has format %d, and this release reads format %d", f.Format, format)
	}
	return *f.Registry, nil
}
