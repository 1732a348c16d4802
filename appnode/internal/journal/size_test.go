package journal

import (
	"testing"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/disk"
	"understudy.example/pkg/protocol"
)

func TestBytesAfter(t *testing.T) {
	j, _ := reopen(t, disk.NewMem())
	require.Zero(t, j.BytesAfter(0))
	for len(j.segments) < 4 {
		write(t, j, 1, 50)
	}
	last := j.Last().Seq
	require.Zero(t, j.BytesAfter(last))
	require.Zero(t, j.BytesAfter(last+10))
	var all int64
	for _, s := range j.segments {
		if s.first > 0 {
			all += s.end - segmentHeaderSize
		}
	}
	require.Equal(t, all, j.BytesAfter(0))
	before := all
	for seq := protocol.Seq(1); seq <= last; seq++ {
		n := j.BytesAfter(seq)
		require.LessOrEqual(t, n, before, "after %d", seq)
		data, end, err := j.Read(seq+1, nil, int(all))
		require.NoError(t, err)
		if end == last {
			require.InDelta(t, len(data), n, stride+50*200, "after %d", seq)
		}
		before = n
	}
}
