package understudy

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/sse"
)

// Whatever a node sends, a watch goes forward: positions only grow, and changes
// come only behind a state that is complete.
func FuzzWatch(f *testing.F) {
	f.Add([]byte("event: snapshot\ndata: {\"first\":true,\"items\":[{\"key\":\"a\",\"value\":\"1\",\"etag\":\"\\\"1.2\\\"\"}]}\n\n" +
		"id: 3.7\nevent: snapshot\ndata: {\"last\":true,\"items\":[]}\n\n" +
		"id: 3.8\nevent: batch\ndata: {\"position\":\"3.8\",\"changes\":[{\"key\":\"b\",\"base64\":\"/w==\"},{\"key\":\"c\",\"deleted\":true}]}\n\n" +
		"id: 3.9\n\n: quiet\n\nevent: error\ndata: {\"code\":\"overloaded\"}\n\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		var at Position
		w := &watch{yield: func(e Event, err error) bool {
			require.NoError(t, err)
			if e.Snapshot && !e.Complete {
				require.Zero(t, e.Position)
				return true
			}
			if !e.Snapshot {
				require.Positive(t, e.Position.Compare(at))
			}
			at = e.Position
			return true
		}}
		for in := sse.NewReader(bytes.NewReader(text), 1<<16); ; {
			e, err := in.Next()
			if err != nil || w.take(e) != nil {
				return
			}
		}
	})
}

func FuzzState(f *testing.F) {
	f.Add([]byte(`{"a":"1","b":{"base64":"/w=="}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if state, err := decodeState(text); err == nil {
			require.NotNil(t, state)
		}
	})
}
