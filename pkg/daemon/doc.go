// Package daemon is the shell that the monitor and the node share: settings,
// logs, named goroutines, the network, and an HTTP server that stops cleanly.
package daemon
