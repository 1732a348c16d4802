package netns

import (
	"container/heap"
	"sync"
	"time"
)

// schedule does things later, in the order of their times; what is due at one
// time is done in the order of asking.
type schedule struct {
	mu    sync.Mutex // guards the fields below
	queue queue
	count int

	changed chan struct{} // has one element when the queue has a new head
	closing chan struct{}
	ended   chan struct{}
}

// task is one thing to do.
type task struct {
	due time.Time
	nth int
	do  func()
}

func newSchedule() *schedule {
	s := &schedule{changed: make(chan struct{}, 1), closing: make(chan struct{}), ended: make(chan struct{})}
	go s.run() // ends with close
	return s
}

// after does something when a time has passed. What is not done at the closing
// is not done any more.
func (s *schedule) after(d time.Duration, do func()) {
	s.mu.Lock()
	s.count++
	heap.Push(&s.queue, task{time.Now().Add(d), s.count, do})
	s.mu.Unlock()
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

func (s *schedule) close() {
	close(s.closing)
	<-s.ended
}

func (s *schedule) run() {
	defer close(s.ended)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		if next := s.doDue(); next > 0 {
			timer.Reset(next)
		}
		select {
		case <-timer.C:
		case <-s.changed:
		case <-s.closing:
			return
		}
	}
}

// doDue does what is due and returns how long the next is away; 0: there is
// none.
func (s *schedule) doDue() time.Duration {
	for {
		s.mu.Lock()
		if s.queue.Len() == 0 {
			s.mu.Unlock()
			return 0
		}
		if wait := time.Until(s.queue[0].due); wait > 0 {
			s.mu.Unlock()
			return wait
		}
		t := heap.Pop(&s.queue).(task)
		s.mu.Unlock()
		t.do()
	}
}

// queue is a heap of tasks, the earliest first.
type queue []task

func (q queue) Len() int { return len(q) }

func (q queue) Less(i, j int) bool {
	if !q[i].due.Equal(q[j].due) {
		return q[i].due.Before(q[j].due)
	}
	return q[i].nth < q[j].nth
}

func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }

// Push is for package heap.
func (q *queue) Push(x any) { *q = append(*q, x.(task)) }

// Pop is for package heap.
func (q *queue) Pop() any {
	last := (*q)[len(*q)-1]
	(*q)[len(*q)-1] = task{}
	*q = (*q)[:len(*q)-1]
	return last
}
