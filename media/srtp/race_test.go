//go:build race

package srtp

// underRace: sync.Pool, which the cipher below uses, throws away at random to find races.
const underRace = true
