package memnet

import "time"

// bufferSize bounds the bytes of one direction that were written and not yet read.
// Beyond it a writer waits.
const bufferSize = 256 << 10

// ending is how far a direction has come to its end.
type ending int

const (
	endNone   ending = iota
	endWrites        // no more bytes will come (FIN)
	endClosed        // and none are taken any more (FIN, and RST to what is sent)
	endReset         // aborted (RST)
)

// stream is one direction of a connection: what was sent and not yet read.
// All of it is guarded by the network's mutex.
type stream struct {
	net      *Net
	link     *link
	queue    []segment // in the order sent
	arrived  int       // so many of the queue have arrived
	bytes    int       // in the queue
	ended    ending    // as the receiver knows it
	lineFree time.Time // when a link of limited rate can send the next segment
}

// segment is a piece of the stream: bytes, or its ending.
type segment struct {
	data []byte
	end  ending
	due  time.Time
}

// send puts a segment on its way.
func (s *stream) send(data []byte, end ending, now time.Time) {
	start := now
	if s.lineFree.After(start) {
		start = s.lineFree
	}
	s.lineFree = start.Add(s.link.sending(len(data)))
	due := s.lineFree.Add(s.link.transit(s.net.rng))
	if k := len(s.queue); k > 0 && s.queue[k-1].due.After(due) {
		due = s.queue[k-1].due // never past the segment before it
	}
	s.queue = append(s.queue, segment{data, end, due})
	s.bytes += len(data)
}

// settle lets everything arrive that is due.
func (s *stream) settle(now time.Time) {
	for s.arrived < len(s.queue) && !s.link.cut && !s.queue[s.arrived].due.After(now) {
		s.ended = max(s.ended, s.queue[s.arrived].end)
		s.arrived++
	}
}

// redate lets nothing that is still under way arrive before at.
func (s *stream) redate(at time.Time) {
	for i := s.arrived; i < len(s.queue); i++ {
		if s.queue[i].due.Before(at) {
			s.queue[i].due = at
		}
	}
}

// lose forgets what has not arrived by now.
func (s *stream) lose(now time.Time) {
	s.settle(now)
	for _, g := range s.queue[s.arrived:] {
		s.bytes -= len(g.data)
	}
	s.queue = s.queue[:s.arrived]
}

// nextDue returns when the next segment arrives; the zero time: none does unless
// something changes.
func (s *stream) nextDue() time.Time {
	if s.link.cut || s.arrived == len(s.queue) {
		return time.Time{}
	}
	return s.queue[s.arrived].due
}

// take moves arrived bytes into b.
func (s *stream) take(b []byte) int {
	total := 0
	for total < len(b) && s.arrived > 0 {
		head := &s.queue[0]
		k := copy(b[total:], head.data)
		head.data = head.data[k:]
		total += k
		if len(head.data) == 0 {
			s.queue[0] = segment{}
			s.queue = s.queue[1:]
			s.arrived--
		}
	}
	s.bytes -= total
	return total
}

// unread tells whether bytes have arrived that nobody has read.
func (s *stream) unread() bool {
	for _, g := range s.queue[:s.arrived] {
		if len(g.data) > 0 {
			return true
		}
	}
	return false
}

// space returns how many bytes may be sent before a reader takes some.
func (s *stream) space() int { return bufferSize - s.bytes }

// drop forgets everything in the stream.
func (s *stream) drop() { s.queue, s.arrived, s.bytes = nil, 0, 0 }
