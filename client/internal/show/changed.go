package show

import (
	"fmt"
	"io"

	"understudy.example/pkg/wire"
)

// PrimaryChanged writes how a change of the primary went.
func PrimaryChanged(w io.Writer, c wire.PrimaryChanged) error {
	_, err := fmt.Fprintf(w, "%s took over from %s in epoch %d (%s)%s\n", c.To, c.From, c.Epoch, c.Kind, steps(c.TimelineMS))
	if err == nil && c.Loss != "" {
		_, err = fmt.Fprintln(w, "lost: "+c.Loss)
	}
	return err
}
