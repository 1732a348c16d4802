package link

import (
	"encoding/binary"
	"fmt"
	"net/http"
	"strconv"

	"understudy.example/pkg/frame"
)

// keepAnswer is the size up to which the buffer of an answer is used again.
const keepAnswer = headAt + MaxHead + maxPart

// answer is the http.ResponseWriter of a job. It gathers up to maxPart bytes of
// the body: an answer that has no more is one frame.
type answer struct {
	job    *job
	header http.Header
	buf    []byte // a frame from its header on, or once begun a part without one
	head   int    // where the head ends in buf
	begun  bool   // the head has been sent

	status    int    // 0: not known yet
	announced int64  // Content-Length; -1: none
	written   int64  // bytes of the body
	broken    string // why the answer cannot be ended well
}

// blank returns an answer to be written.
func (s *Server) blank(j *job) *answer {
	a, ok := s.answers.Get().(*answer)
	if !ok {
		a = &answer{header: http.Header{}}
	}
	a.job = j
	return a
}

// reuse keeps what an answer was written with.
func (s *Server) reuse(a *answer) {
	clear(a.header)
	*a = answer{header: a.header, buf: a.buf[:0]}
	if cap(a.buf) <= keepAnswer {
		s.answers.Put(a)
	}
}

// Header implements [http.ResponseWriter].
func (a *answer) Header() http.Header { return a.header }

// WriteHeader implements [http.ResponseWriter]. Informational answers do not
// travel; a second answer is ignored.
func (a *answer) WriteHeader(status int) {
	if status < 100 || status > 999 {
		panic(fmt.Sprintf("invalid status code %d", status)) // as net/http does
	}
	if a.status != 0 || status < 200 {
		return
	}
	a.status, a.announced = status, -1
	if length, err := strconv.ParseInt(a.header.Get("Content-Length"), 10, 64); err == nil && length >= 0 {
		a.announced = length
	}
	a.buf = binary.AppendUvarint(begin(a.buf[:0]), uint64(status))
	fits := false
	a.buf, fits = appendAnswerHeader(a.buf, a.header)
	if a.head = len(a.buf); !fits || a.head-headAt > MaxHead-64 { // for a Content-Length
		a.broken = fmt.Sprintf("its headers are over %d values or %d bytes", maxHeaders, MaxHead)
	}
}

// Write implements [http.ResponseWriter].
func (a *answer) Write(p []byte) (int, error) { return write(a, p) }

// WriteString implements [io.StringWriter].
func (a *answer) WriteString(s string) (int, error) { return write(a, s) }

// write takes bytes of the body. It waits where more than the first MiB is to be
// sent and the reader does not read.
func write[T string | []byte](a *answer, data T) (int, error) {
	if a.status == 0 {
		a.WriteHeader(http.StatusOK)
	}
	if !bodyAllowed(a.status) {
		return 0, http.ErrBodyNotAllowed
	}
	a.written += int64(len(data))
	if a.announced >= 0 && a.written > a.announced {
		a.written -= int64(len(data))
		return 0, http.ErrContentLength
	}
	total := len(data)
	if a.job.head.method == http.MethodHead || a.broken != "" {
		return total, nil
	}
	for len(data) > 0 {
		n := min(len(data), maxPart-a.gathered())
		a.buf = append(a.buf, data[:n]...)
		data = data[n:]
		if a.gathered() == maxPart && (len(data) > 0 || a.written < a.announced) && !a.flush() {
			return total - len(data), a.failure()
		}
	}
	return total, nil
}

// gathered returns how many bytes of the body wait in buf.
func (a *answer) gathered() int { return len(a.buf) - a.head }

func (a *answer) failure() error {
	if err := a.job.context.Err(); err != nil {
		return fmt.Errorf("write answer: %w", err)
	}
	return fmt.Errorf("write answer: %s", a.broken)
}

// flush sends what is gathered as a part.
func (a *answer) flush() bool {
	out := &a.job.conn.out
	if !a.begun {
		a.begun = true
		a.seal(frameAnswer)
		out.add(a.buf)
	} else if !out.send(&a.job.bulk, a.buf, false) {
		a.broken = "nobody reads it"
		return false
	}
	a.buf, a.head = a.buf[:0], 0
	return true
}

func (a *answer) seal(t frame.Type) {
	seal(a.buf, t, a.job.number, a.head)
}

// finish sends the final frame.
func (a *answer) finish() {
	if a.status == 0 && a.broken == "" {
		a.WriteHeader(http.StatusOK)
	}
	head := a.job.head.method == http.MethodHead
	switch {
	case a.broken != "":
	case head && a.announced < 0 && a.written > 0:
		a.announce()
	case !head && bodyAllowed(a.status) && a.written < a.announced:
		a.broken = fmt.Sprintf("it has %d bytes where %d were announced", a.written, a.announced)
	}
	a.job.conn.release(a.job)
	defer a.job.conn.forget(a.job)
	out := &a.job.conn.out
	switch {
	case a.broken != "":
		out.add(reasonFrame(frameAbort, a.job.number, a.broken))
	case !a.begun:
		a.seal(frameWhole)
		out.add(a.buf)
	case !out.send(&a.job.bulk, a.buf, true):
		out.add(reasonFrame(frameAbort, a.job.number, "nobody reads it"))
	}
}

// announce tells the length of the body that a HEAD leaves out.
func (a *answer) announce() {
	a.buf = append(a.buf, answerIndex["Content-Length"])
	a.buf = appendText(a.buf, strconv.FormatInt(a.written, 10))
	a.head = len(a.buf)
	count := headAt + len(binary.AppendUvarint(nil, uint64(a.status)))
	a.buf[count]++
}

// bodyAllowed tells whether an answer of the status may have a body.
func bodyAllowed(status int) bool {
	return status != http.StatusNoContent && status != http.StatusNotModified
}
