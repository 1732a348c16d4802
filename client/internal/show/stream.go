package show

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"understudy.example/pkg/protocol"
	"understudy.example/pkg/wire"
)

// Line writes v as one line of JSON.
func Line(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// HistoryLine writes one event of the history.
func HistoryLine(w io.Writer, e protocol.HistoryEvent) error {
	epoch := ""
	if e.Epoch > 0 {
		epoch = fmt.Sprintf(" (epoch %d)", e.Epoch)
	}
	_, err := fmt.Fprintf(w, "%s  %s: %s%s%s\n", stamp(e.At), e.Kind, oneLine(e.Detail), epoch, timeline(e))
	return err
}

// PrimaryLine writes who the primary is now.
func PrimaryLine(w io.Writer, at time.Time, e wire.PrimaryEvent) error {
	text := fmt.Sprintf("%s at %s, epoch %d", e.Name, e.Address, e.Epoch)
	switch {
	case e.Name == "":
		text = "nobody"
	case !e.Serving:
		text += ", not serving"
	}
	_, err := fmt.Fprintf(w, "%s  primary is %s\n", stamp(at), text)
	return err
}

func stamp(at time.Time) string { return at.UTC().Format("2006-01-02 15:04:05.000Z") }

// ChangeLine writes what happened to one key. A value that is not text is told
// by its length.
func ChangeLine(w io.Writer, at, did, key string, value []byte) error {
	text := ""
	switch {
	case value == nil:
	case utf8.Valid(value):
		text = " = " + oneLine(string(value))
	default:
		text = fmt.Sprintf(" = (%d bytes)", len(value))
	}
	_, err := fmt.Fprintf(w, "%-10s %-7s %s%s\n", at, did, oneLine(key), text)
	return err
}

// oneLine keeps somebody's text from breaking the lines.
func oneLine(text string) string {
	return strings.NewReplacer("\t", " ", "\n", " ", "\r", " ").Replace(text)
}
