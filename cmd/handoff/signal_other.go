//go:build !unix

package main

import "os"

// notifyUpgrade does nothing: there is no such signal here.
func notifyUpgrade(chan<- os.Signal) {}
