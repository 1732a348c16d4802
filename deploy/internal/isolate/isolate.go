// Package isolate runs a test program on a network and with mounts of its own,
// so that it may build cables and fill disks without anything of the machine
// being touched: the program starts itself again in new namespaces. All that it
// makes there goes with its processes, however they end.
//
// It needs Linux and root, or a system that lets users make namespaces. Where it
// does not work the program runs as ever and is told why.
package isolate

// Main runs the tests of a program in namespaces of their own and returns their
// exit code. Run is called once, in the process that is to run the tests, with
// nil if that is isolated and else with the reason why it is not. Unless wanted
// it is not tried.
func Main(wanted bool, run func(missing error) int) int {
	return start(wanted, run)
}

// Mount puts an empty file system of so many bytes, in memory, over a directory
// that exists, until Unmount or the end of the process. It must only be called
// where Main has said that the process is isolated.
func Mount(dir string, bytes int64) error { return mount(dir, bytes) }

// Unmount ends what Mount began, with all files. Nobody may use them any more.
func Unmount(dir string) error { return unmount(dir) }
