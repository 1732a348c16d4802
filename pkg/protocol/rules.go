package protocol

import "time"

// Rule is one row of the monitor's table: the first row whose condition holds
// decides what is done about a group.
type Rule struct {
	Name string
	// When and Do say in a sentence what the row waits for and what it does.
	When, Do string

	when func(*situation) bool
	do   func(*situation)
}

// ruleAwaited is the row that holds for a moment after every decision: it is not
// worth a line in the log.
const ruleAwaited = "outcome-awaited"

// Rules returns the monitor's rules in their order.
func Rules() []Rule {
	return []Rule{
		{
			"switchover-aborted", "a planned change of the primary is under way and cannot be done", "give it up, say why, and judge anew",
			func(s *situation) bool { return s.over() != "" }, (*situation).abort,
		},
		{
			"not-leader", "this monitor does not lead the registry", "nothing: the leader decides",
			func(s *situation) bool { return !s.m.leader || s.m.reg.Cluster == "" }, (*situation).leaveStory,
		},
		{
			"learning", "the monitor has just started or slept", "wait one expiry: not heard yet is not down",
			func(s *situation) bool { return s.m.Learning(s.now) }, func(*situation) {},
		},
		{
			"registry-behind", "a node knows a higher epoch or version than the registry's", "no promotion until the registry is adopted anew",
			(*situation).registryBehind, func(s *situation) { s.refuse(LogError, s.behindDetail()) },
		},
		{
			ruleAwaited, "a command was proposed on this version a moment ago", "wait for its record",
			(*situation).outcomeAwaited, func(*situation) {},
		},
		{
			"birth-held", "the group never had a primary, and a node that is refused has had one", "wait for client -adopt, or until that node is gone",
			(*situation).birthHeld, func(s *situation) { s.refuse(LogError, s.heldDetail()) },
		},
		{
			"birth-members", "the group has no members and enough nodes were heard, or one for the birth wait", "make them members",
			(*situation).mayBeBorn, (*situation).proposeBirth,
		},
		{
			"birth-waits", "the group has no members yet", "wait for nodes",
			func(s *situation) bool { return len(s.rec.Members) == 0 }, func(*situation) {},
		},
		{
			"birth-primary", "the group has members and never had a primary", "promote the lowest name heard",
			func(s *situation) bool { return s.rec.Epoch == 0 }, (*situation).promoteFirst,
		},
		{
			"failover-served", "the primary of a failover serves", "tell its timeline",
			(*situation).served, (*situation).complete,
		},
		{
			"operator-failover", "an operator has ordered a failover", "promote the one named, without the old primary's help",
			func(s *situation) bool { return s.inPhase(KindFailover, planBegun, planPromoting) }, (*situation).promoteOrdered,
		},
		{
			"operator-override", "an operator gives the group to a replica that is not in sync", "promote it alone, on the record",
			func(s *situation) bool { return s.inPhase(KindOverride, planBegun, planPromoting) }, (*situation).promoteOutside,
		},
		{
			"switchover-seal", "a switchover is wanted", "ask the primary to seal",
			func(s *situation) bool { return s.inPhase(KindSwitchover, planBegun, planBegun) }, (*situation).askSeal,
		},
		{
			"switchover-promote", "the primary is sealed and its successor holds everything", "promote the successor",
			func(s *situation) bool { return s.inPhase(KindSwitchover, planSealed, planPromoting) }, (*situation).promoteSealed,
		},
		{
			"switchover-waits", "a planned change of the primary is under way", "wait for the seal, or until the new primary serves",
			func(s *situation) bool { return s.g.plan != nil }, func(*situation) {},
		},
		{
			"paused", "the primary cannot serve, and failover is paused by an operator", "wait for -resume",
			func(s *situation) bool { return s.m.reg.Settings.Paused && s.cause() != "" },
			func(s *situation) { s.refuse(LogWarn, "failover is paused: resume it with client -resume") },
		},
		{
			"leader-deaf", "this monitor cannot hear the primary, and another monitor can", "hand the leadership over to that one, at most once per 10 s",
			(*situation).mayYield, (*situation).yield,
		},
		{
			"primary-down", "the primary is down and a candidate is ready", "promote it",
			func(s *situation) bool { return s.cause() == "primary-down" && s.candidate != nil }, (*situation).failOver,
		},
		{
			"primary-restarted", "the primary's process has started anew", "promote a warm standby, or the same node in the next epoch",
			func(s *situation) bool { return s.cause() == "primary-restarted" && s.candidate != nil }, (*situation).failOver,
		},
		{
			"primary-replaced", "the primary came back with an empty directory", "promote a standby that is in sync",
			func(s *situation) bool { return s.cause() == "primary-replaced" && s.candidate != nil }, (*situation).failOver,
		},
		{
			"primary-corrupt", "the primary's journal is damaged", "promote a standby that is in sync",
			func(s *situation) bool { return s.cause() == "primary-corrupt" && s.candidate != nil }, (*situation).failOver,
		},
		{
			"primary-disk", "the primary's disk does not answer, and a standby's does", "promote the standby",
			func(s *situation) bool { return s.cause() == "primary-disk" && s.candidate != nil }, (*situation).failOver,
		},
		{
			"primary-stuck", "the new primary does not serve because of its disk, and a standby's disk is well", "promote the standby",
			func(s *situation) bool { return s.cause() == "primary-stuck" && s.candidate != nil }, (*situation).failOver,
		},
		{
			"failover-refused", "the primary cannot serve and nobody who holds everything is ready", "wait for one of the in-sync set, by name",
			func(s *situation) bool {
				return s.cause() != "" && s.cause() != "primary-disk" && s.cause() != "primary-stuck"
			},
			func(s *situation) { s.refuse(LogError, s.awaited) },
		},
		{
			"standby-stopping", "a standby that is in sync is stopping", "mark it as leaving, so that the primary goes on without it",
			func(s *situation) bool { return s.leaver() != nil }, (*situation).seeOff,
		},
		{
			causeStopping, "the primary is stopping and a standby can take over", "begin a switchover to it",
			func(s *situation) bool { return s.mayHandOver(causeStopping) }, (*situation).handOver,
		},
		{
			causeMaintenance, "the primary is in maintenance and a standby can take over", "begin a switchover to it",
			func(s *situation) bool { return s.mayHandOver(causeMaintenance) }, (*situation).handOver,
		},
		{
			causeLeaving, "the primary is no member any more and a standby can take over", "begin a switchover to it",
			func(s *situation) bool { return s.mayHandOver(causeLeaving) }, (*situation).handOver,
		},
		{
			"members-wanted", "the group has fewer members than wanted copies, and a node is free", "make it a member",
			(*situation).memberWanted, (*situation).takeIn,
		},
		{
			"member-replaced", "a member is removed, has not been heard for long, or is one more than wanted", "a spare takes its place, or nobody",
			(*situation).mayReplace, (*situation).replace,
		},
		{
			"spare-steps-in", "such a member still holds a copy that counts, and a spare is free", "make the spare a member beside it, until that is in sync",
			(*situation).maySupport, (*situation).support,
		},
		{
			"primary-suspected", "the primary is suspected and not judged yet", "wait for the retries",
			func(s *situation) bool { return s.primary.suspicion != nil }, func(*situation) {},
		},
		{
			"switchover-wanted", "the primary is to go and nobody can take over", "say who is waited for",
			func(s *situation) bool { return s.awaitedHeir() != "" }, (*situation).awaitHeir,
		},
		{
			"steady", "the primary is heard", "nothing",
			func(*situation) bool { return true }, func(s *situation) { s.g.refusal = "" },
		},
	}
}

var rules = Rules()

// judgeGroup applies the first rule that fits, and the next where that has changed
// what the monitor itself keeps of the group.
func (m *Monitor) judgeGroup(id GroupID, now time.Time) {
	for again := true; again; {
		s := m.situation(id, now)
		s.apply()
		again = s.again
	}
}

func (s *situation) apply() {
	for i := range rules {
		if !rules[i].when(s) {
			continue
		}
		if s.g.rule != rules[i].Name && rules[i].Name != ruleAwaited {
			s.g.rule = rules[i].Name
			s.m.emit(MonitorEffect{Kind: MonitorLog, Group: s.id, Text: "rule applies", Detail: rules[i].Name + ": " + rules[i].When})
		}
		rules[i].do(s)
		return
	}
}
