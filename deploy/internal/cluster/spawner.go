package cluster

import "runtime"

// spawner starts every child from one thread that lives as long as the cluster:
// on Linux a child is killed when the thread that started it ends.
type spawner struct {
	starts chan func()
	ended  chan struct{}
}

func newSpawner() *spawner {
	s := &spawner{starts: make(chan func()), ended: make(chan struct{})}
	go s.loop() // ends with close
	return s
}

func (s *spawner) loop() {
	defer close(s.ended)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for start := range s.starts {
		start()
	}
}

// start has the thread start something. It must not be called after close.
func (s *spawner) start(begin func() error) error {
	result := make(chan error, 1)
	s.starts <- func() { result <- begin() }
	return <-result
}

func (s *spawner) close() {
	close(s.starts)
	<-s.ended
}
