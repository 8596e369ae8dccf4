//go:build !unix

package main

import "os"

// terminalColumns are not known here.
func terminalColumns(*os.File) int { return 0 }
