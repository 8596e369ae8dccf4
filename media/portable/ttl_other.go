//go:build !unix

package portable

import "net"

// setTTL does nothing: elsewhere the option has another form, and the default (128 on Windows) is
// well above the 10 at which Twilio loses packets.
func setTTL(*net.UDPConn, bool) error { return nil }
