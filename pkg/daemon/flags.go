package daemon

import (
	"flag"

	"understudy.example/pkg/flags"
)

// EnvPrefix begins the environment twin of every flag of a daemon.
const EnvPrefix = "UNDERSTUDY"

// ParseFlags reads a daemon's command line and environment into fs:
// UNDERSTUDY_HEARTBEAT_EXPIRY is the twin of -heartbeat-expiry, and the command
// line wins. Every mistake is an error that says what would be right; -help
// prints the usage and returns [flag.ErrHelp].
func ParseFlags(fs *flag.FlagSet, args []string) error {
	return flags.Parse(fs, args, EnvPrefix)
}
