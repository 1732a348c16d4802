package datadir

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
)

// seal is the part that the directory's JSON files have in common. A flipped
// bit in them must not pass for another uuid or epoch.
type seal struct {
	Format   uint32 `json:"format"`
	Checksum string `json:"checksum"` // CRC-32C of the file's JSON with this empty
}

func (s *seal) self() *seal { return s }

type sealed interface{ self() *seal }

var errDamaged = errors.New("it is damaged: its checksum is wrong")

// formatError says that a file is of a version that this program does not read.
type formatError uint32

func (e formatError) Error() string {
	return fmt.Sprintf("it is of format %d, and this program reads format %d: use the program that wrote it", uint32(e), format)
}

func encode(v sealed) ([]byte, error) {
	sum, err := checksum(v)
	if err != nil {
		return nil, err
	}
	v.self().Checksum = sum
	b, err := json.MarshalIndent(v, "", "  ")
	return append(b, '\n'), err
}

func decode(b []byte, v sealed) error {
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("it cannot be read: %w", err)
	}
	if f := v.self().Format; f != format {
		return formatError(f)
	}
	has := v.self().Checksum
	if sum, err := checksum(v); err != nil || sum != has {
		return errors.Join(errDamaged, err)
	}
	return nil
}

func checksum(v sealed) (string, error) {
	v.self().Format, v.self().Checksum = format, ""
	b, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("encode JSON: %w", err)
	}
	return fmt.Sprintf("%08x", crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli))), nil
}
