// Package flags reads a command line and its environment twins, and answers
// every mistake with a sentence that says what would be right.
package flags

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/peterbourgon/ff/v3"
)

// Parse reads args into fs. With an envPrefix, a flag that is not on the
// command line is read from its environment twin: UNDERSTUDY_HEARTBEAT_EXPIRY
// stands for -heartbeat-expiry under the prefix UNDERSTUDY.
//
// Unknown flags, values of the wrong form and stray arguments are errors.
// -h and -help print the usage to fs's output and return [flag.ErrHelp].
func Parse(fs *flag.FlagSet, args []string, envPrefix string) error {
	err := parseQuietly(fs, args, envPrefix)
	switch {
	case errors.Is(err, flag.ErrHelp):
		printUsage(fs)
		return flag.ErrHelp
	case err != nil:
		return explain(fs, err)
	case fs.NArg() > 0:
		return strayArgument(fs, fs.Arg(0))
	}
	return nil
}

// parseQuietly keeps the flag package from printing its own message and the
// whole usage upon a mistake: the one sentence would be lost in it.
func parseQuietly(fs *flag.FlagSet, args []string, envPrefix string) error {
	output, usage := fs.Output(), fs.Usage
	defer func() {
		fs.SetOutput(output)
		fs.Usage = usage
	}()
	fs.Init(fs.Name(), flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.Usage = func() {}
	if envPrefix == "" {
		return fs.Parse(args)
	}
	return ff.Parse(fs, args, ff.WithEnvVarPrefix(envPrefix))
}

func printUsage(fs *flag.FlagSet) {
	if fs.Usage != nil {
		fs.Usage()
		return
	}
	fmt.Fprintf(fs.Output(), "Usage of %s:\n", fs.Name())
	fs.PrintDefaults()
}

// explain turns an error of the flag package, which has no types for them, into
// a sentence.
func explain(fs *flag.FlagSet, err error) error {
	text := err.Error()
	if _, name, ok := strings.Cut(text, "flag provided but not defined: -"); ok {
		return fmt.Errorf("unknown flag -%s: %s", name, suggestion(fs, name))
	}
	if _, name, ok := strings.Cut(text, "flag needs an argument: -"); ok {
		return fmt.Errorf("-%s needs a value: %s", name, wanted(fs.Lookup(name)))
	}
	for f := range all(fs) {
		if strings.Contains(text, " flag -"+f.Name+": ") || strings.Contains(text, " for -"+f.Name+": ") {
			return fmt.Errorf("the value of -%s is not valid: it takes %s (%w)", f.Name, wanted(f), err)
		}
		if strings.Contains(text, fmt.Sprintf("error setting flag %q from", f.Name)) {
			return fmt.Errorf("the environment's value for -%s is not valid: it takes %s (%w)", f.Name, wanted(f), err)
		}
	}
	return err
}

// wanted says what form the values of f have.
func wanted(f *flag.Flag) string {
	if f == nil {
		return "a value"
	}
	getter, ok := f.Value.(flag.Getter)
	if !ok {
		return placeholder(f)
	}
	switch getter.Get().(type) {
	case time.Duration:
		return "a duration such as 300ms or 10s"
	case int, int64:
		return "a whole number"
	case uint, uint64:
		return "a whole number from 0"
	case float64:
		return "a number"
	case bool:
		return "true or false"
	}
	return placeholder(f)
}

// placeholder is the part of f's usage that stands in backquotes.
func placeholder(f *flag.Flag) string {
	if name, _ := flag.UnquoteUsage(f); name != "value" && name != "string" {
		return name
	}
	return "a value"
}

func strayArgument(fs *flag.FlagSet, arg string) error {
	if arg == "true" || arg == "false" {
		return fmt.Errorf("stray argument %q: a switch is turned off as -name=false", arg)
	}
	if name, _, _ := strings.Cut(arg, "="); fs.Lookup(name) != nil {
		return fmt.Errorf("stray argument %q: did you mean -%s?", arg, arg)
	}
	return fmt.Errorf("stray argument %q: every setting is given as -name value", arg)
}
