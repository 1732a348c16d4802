// Package together lets what processes do again and again fall on the same
// moments: an idle process costs little but to wake up, so what two timers, or two
// processes that talk to each other, do at one moment costs half.
//
// The moments are the multiples of an interval on the wall clock. Nothing depends
// on them: a clock that jumps, or is another one than the neighbour's, only moves
// them, and no wait is ever longer than it would be without.
package together

import "time"

// Until returns how long it is to the next multiple of every: more than 0, and every
// at most.
func Until(every time.Duration) time.Duration { return until(time.Now(), every) }

func until(now time.Time, every time.Duration) time.Duration {
	return every - time.Duration(now.UnixNano()%int64(every))
}

// Within returns how long to wait for something that is due after a wait and may be
// looked at earlier: to the last multiple of every that is not more than slack after
// that, where there is one yet to come.
func Within(wait, every, slack time.Duration) time.Duration {
	return within(time.Now(), wait, every, slack)
}

func within(now time.Time, wait, every, slack time.Duration) time.Duration {
	first := until(now, every)
	if last := wait + slack; first <= last {
		return first + (last-first)/every*every
	}
	return max(0, wait)
}
