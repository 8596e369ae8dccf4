//go:build race

package main

// underRace: what is measured would be the race detector.
const underRace = true
