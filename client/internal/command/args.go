package command

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"understudy.example/client/internal/pairs"
	"understudy.example/pkg/flags"
	"understudy.example/pkg/wire"
)

const (
	defaultMonitor = "127.0.0.1:8080"
	defaultTimeout = 5 * time.Second
	defaultFreeze  = 5 * time.Second
	envMonitor     = "UNDERSTUDY_MONITOR"
)

const usage = `client asks a cluster through its monitors. It takes one action:

  -update -file F      set the keys of F's key=value lines, all or none; prints
                       the updated map (F may be -, standard input)
  -get-state WHO       print the map of a replica: primary, standby or a name
  -get K               print the value of a key
  -put K=V             set one key
  -delete K            remove one key
  -watch               print every key as it is, and then every change until
                       Ctrl-C; -prefix P: of the keys that begin with P
  -status              show nodes, groups and monitors, and whether a failover
                       is possible now
  -history             show what happened to the cluster
  -events              print who the primary is, and what happens until Ctrl-C
  -explain             show for each node whether it can be promoted now, and if
                       not, why; and what would happen if the primary died
  -switchover          change the primary with its help: nobody sees an error;
                       -to NAME names the next one
  -failover            change the primary without its help; -to NAME names the
                       next one, which must hold every acknowledged write, or
                       -to NAME -force -reason TEXT one that may not: what it
                       lacks is lost (-primary-is-stopped: you made sure)
  -maintenance N=on    take node N out of the in-sync sets; N=off ends that
  -remove N            remove node N from the cluster for good: a spare takes its
                       place; stop N afterwards
  -adopt N -reason T   rebuild a registry that the monitors have lost, or have an
                       old copy of, from the nodes, with node N as primary;
                       refused where another may hold more, unless -force: then
                       what only others hold is lost
  -pause, -resume      stop automatic failover, and start it again
  -freeze NAME         have the process of that node or monitor stand still,
                       -for 5s
  -add-monitor N=A     take the monitor N at host:port A in; it was started with
                       -peers that name the present ones and itself
  -remove-monitor N    take the monitor N out; stop N afterwards
  -kill-primary        end the primary's process as a crash would, and tell who
                       took over
  -kill NAME           end the process of that node as a crash would

and, where wanted:

  -monitor ADDRESSES   host:port[,...] of the monitors (or UNDERSTUDY_MONITOR;
                       default 127.0.0.1:8080)
  -timeout D           how long to try (default 5s)
  -o json|table        the form of results

It ends with 0 done, 1 failed, 2 usage, 3 unavailable, 4 refused.
`

// invocation is a command line that has been understood.
type invocation struct {
	action   string // the name of its flag
	operand  string // the value of its flag
	file     string
	order    wire.ChangeOrder // of -switchover and -failover
	freeze   time.Duration    // of -freeze
	prefix   string           // of -watch
	monitors []string
	timeout  time.Duration
	json     bool
}

// actionFlags lists the actions. Those with an operand take it as their value.
var actionFlags = []struct {
	name    string
	operand string
}{
	{"update", ""},
	{"get-state", "primary|standby|NAME"},
	{"get", "KEY"},
	{"put", "KEY=VALUE"},
	{"delete", "KEY"},
	{"status", ""},
	{"watch", ""},
	{"history", ""},
	{"events", ""},
	{"explain", ""},
	{"switchover", ""},
	{"failover", ""},
	{"maintenance", "NAME=on|off"},
	{"remove", "NAME"},
	{"adopt", "NAME"},
	{"add-monitor", "NAME=ADDRESS"},
	{"remove-monitor", "NAME"},
	{"pause", ""},
	{"resume", ""},
	{"freeze", "NAME"},
	{"kill-primary", ""},
	{"kill", "NAME"},
}

// parseArgs reads the command line. The usage goes to help, with
// [flag.ErrHelp]; every other error is a sentence.
func parseArgs(args []string, env func(string) string, help io.Writer) (*invocation, error) {
	var in invocation
	var monitors, form string
	fs := flag.NewFlagSet("client", flag.ContinueOnError)
	fs.SetOutput(help)
	fs.Usage = func() { fmt.Fprint(help, usage) }
	for _, a := range actionFlags {
		if a.operand == "" {
			fs.Bool(a.name, false, "")
		} else {
			fs.String(a.name, "", "`"+a.operand+"`")
		}
	}
	fs.String("get_state", "", "`primary|standby|NAME`") // another spelling of -get-state
	fs.StringVar(&in.file, "file", "", "`FILE`")
	fs.StringVar(&in.order.To, "to", "", "`NAME`")
	fs.BoolVar(&in.order.Force, "force", false, "")
	fs.StringVar(&in.order.Reason, "reason", "", "`TEXT`")
	fs.BoolVar(&in.order.PrimaryIsStopped, "primary-is-stopped", false, "")
	fs.DurationVar(&in.freeze, "for", defaultFreeze, "")
	fs.StringVar(&in.prefix, "prefix", "", "`PREFIX`")
	fs.StringVar(&monitors, "monitor", "", "`host:port[,...]`")
	fs.DurationVar(&in.timeout, "timeout", defaultTimeout, "")
	fs.StringVar(&form, "o", "", "`json|table`")
	if err := flags.Parse(fs, args, ""); err != nil {
		return nil, err
	}
	if err := in.chooseAction(fs); err != nil {
		return nil, err
	}
	if err := in.checkCompanions(fs); err != nil {
		return nil, err
	}
	if err := in.chooseForm(form); err != nil {
		return nil, err
	}
	if in.timeout <= 0 {
		return nil, fmt.Errorf("-timeout %s leaves no time to ask: give a duration such as 5s", in.timeout)
	}
	var err error
	in.monitors, err = monitorList(monitors, env(envMonitor))
	return &in, err
}

// chooseAction finds the one action among the flags that were given.
func (in *invocation) chooseAction(fs *flag.FlagSet) error {
	var chosen []string
	fs.Visit(func(f *flag.Flag) {
		name := strings.ReplaceAll(f.Name, "_", "-")
		for _, a := range actionFlags {
			if a.name == name && f.Value.String() != "false" {
				chosen = append(chosen, name)
				in.operand = f.Value.String()
			}
		}
	})
	switch {
	case len(chosen) == 0 && in.file != "":
		return errors.New("-file belongs to -update: write -update -file " + in.file)
	case len(chosen) == 0:
		return errors.New("no action is given: choose one, for example -status; -help lists all")
	case len(chosen) > 1:
		return fmt.Errorf("-%s are several actions: give one at a time", strings.Join(chosen, " and -"))
	}
	in.action = chosen[0]
	return in.checkOperand()
}

func (in *invocation) checkOperand() error {
	if in.action != "update" && in.file != "" {
		return fmt.Errorf("-file belongs to -update, and the action is -%s", in.action)
	}
	var err error
	switch in.action {
	case "update":
		if in.file == "" {
			return errors.New("-update needs a file of key=value lines: write -update -file FILE")
		}
	case "add-monitor":
		_, _, err = in.newMonitor()
	case "remove-monitor":
		if in.operand == "" {
			return errors.New("-remove-monitor needs the name of a monitor; -status lists them")
		}
	case "get-state", "kill", "freeze", "remove", "adopt":
		if in.operand == "" {
			return fmt.Errorf("-%s needs the name of a node; -status lists them", in.action)
		}
	case "get", "delete":
		err = pairs.CheckKey(in.operand)
	case "put":
		_, _, err = pairs.Split(in.operand)
	case "maintenance":
		_, _, err = in.maintenance()
	}
	if err != nil {
		return fmt.Errorf("-%s: %w", in.action, err)
	}
	return nil
}

// companions lists the flags that belong to particular actions.
var companions = map[string][]string{
	"to":                 {"switchover", "failover"},
	"force":              {"failover", "adopt"},
	"reason":             {"switchover", "failover", "adopt"},
	"primary-is-stopped": {"failover"},
	"for":                {"freeze"},
	"prefix":             {"watch"},
}

// checkCompanions refuses a flag that says nothing to the action: it might have
// been meant to restrict it.
func (in *invocation) checkCompanions(fs *flag.FlagSet) (err error) {
	fs.Visit(func(f *flag.Flag) {
		if actions := companions[f.Name]; actions != nil && !slices.Contains(actions, in.action) {
			err = fmt.Errorf("-%s belongs to -%s, and the action is -%s", f.Name, strings.Join(actions, " and -"), in.action)
		}
	})
	o := in.order
	switch {
	case err != nil:
	case in.action == "adopt" && o.Reason == "":
		err = errors.New("-adopt rebuilds the registry: it needs -reason TEXT, which is kept in the history")
	case in.action == "failover" && o.Force && (o.To == "" || o.Reason == ""):
		err = errors.New("-failover -force loses what the node lacks: it needs -to NAME and -reason TEXT, which is kept in the history")
	case o.PrimaryIsStopped && !o.Force:
		err = errors.New("-primary-is-stopped is for -failover -to NAME -force -reason TEXT")
	case in.freeze <= 0:
		err = fmt.Errorf("-for %s is no time: give a duration such as 5s", in.freeze)
	}
	return err
}

// newMonitor reads NAME=host:port.
func (in *invocation) newMonitor() (name, address string, err error) {
	name, address, _ = strings.Cut(in.operand, "=")
	if host, port, split := net.SplitHostPort(address); name == "" || split != nil || host == "" || port == "" {
		return "", "", fmt.Errorf("%q is not of the form NAME=host:port, for example m4=127.0.0.1:8110", in.operand)
	}
	return name, address, nil
}

// maintenance reads NAME=on or NAME=off.
func (in *invocation) maintenance() (name string, on bool, err error) {
	name, state, _ := strings.Cut(in.operand, "=")
	if name == "" || state != "on" && state != "off" {
		return "", false, fmt.Errorf("%q is not of the form NAME=on or NAME=off", in.operand)
	}
	return name, state == "on", nil
}

func (in *invocation) chooseForm(form string) error {
	if !slices.Contains([]string{"", "json", "table"}, form) {
		return fmt.Errorf("-o %q is not known: json or table", form)
	}
	in.json = form == "json"
	return nil
}

// monitorList reads host:port[,...]; the flag wins over the environment.
func monitorList(fromFlag, fromEnv string) ([]string, error) {
	list, origin := defaultMonitor, "-monitor"
	switch {
	case fromFlag != "":
		list = fromFlag
	case fromEnv != "":
		list, origin = fromEnv, envMonitor
	}
	var monitors []string
	for m := range strings.SplitSeq(list, ",") {
		m = strings.TrimSpace(m)
		host, port, err := net.SplitHostPort(m)
		if _, bad := strconv.ParseUint(port, 10, 16); err != nil || bad != nil || host == "" || strings.Contains(host, "/") {
			return nil, fmt.Errorf("%s: %q is not of the form host:port, for example %s", origin, m, defaultMonitor)
		}
		monitors = append(monitors, m)
	}
	return monitors, nil
}
