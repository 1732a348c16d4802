// Package bubble runs whole clusters in one testing/synctest bubble: the real
// daemons of monitor and node, on a network in memory and, for the nodes, on
// disks in memory. Time is fake, so that minutes of a scenario pass in
// milliseconds and a promise about time is checked to the millisecond, whatever
// the machine is doing; and the bubble proves that nothing of a daemon is left
// running when it has ended.
//
// What a bubble cannot show is left to the tests on real processes: a wall clock
// that jumps, a process that is stopped between two instructions, a real disk.
package bubble
