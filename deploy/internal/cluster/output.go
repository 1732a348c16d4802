package cluster

import (
	"bytes"
	"io"
	"sync"
)

// maxLine bounds how much of a line is kept while its end is awaited, in bytes.
const maxLine = 64 << 10

// shared lets several processes write whole lines to one writer.
type shared struct {
	mu sync.Mutex // guards w
	w  io.Writer
}

func (s *shared) write(prefix string, line []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	// What cannot be shown must not stop the process that says it.
	_, _ = s.w.Write(append([]byte(prefix), line...))
}

// lineWriter passes whole lines on to a log file, and under a prefix to a
// shared writer. One goroutine uses it.
type lineWriter struct {
	prefix  string
	file    io.Writer
	out     *shared // nil: none
	partial []byte
	last    []byte // the line before the partial one
}

func (l *lineWriter) Write(b []byte) (int, error) {
	n := len(b)
	for len(b) > 0 {
		end := bytes.IndexByte(b, '\n')
		if end < 0 {
			l.partial = append(l.partial, b...)
			if len(l.partial) >= maxLine {
				l.flush()
			}
			break
		}
		l.partial = append(l.partial, b[:end]...)
		l.flush()
		b = b[end+1:]
	}
	return n, nil
}

// flush passes the partial line on as if it had ended.
func (l *lineWriter) flush() {
	l.last = append(l.last[:0], l.partial...)
	l.partial = append(l.partial, '\n')
	_, _ = l.file.Write(l.partial)
	if l.out != nil {
		l.out.write(l.prefix, l.partial)
	}
	l.partial = l.partial[:0]
}

// end passes on what has no newline, and returns the last line.
func (l *lineWriter) end() string {
	if len(l.partial) > 0 {
		l.flush()
	}
	return string(l.last)
}
