//go:build linux

package main

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// The attack suite plays what others fell to. As a plain test it is quick; `make attack` sets the flags, plays all of it
// and prints the README's table.
var (
	attackFull = flag.Bool("attack", false, "attacks at their full size")
	attackSix  = flag.Bool("attack.ipv6", false, "attacks at the addresses of the namespace that TestAttacksOverIPv6 makes")
	attackOut  = flag.String("attack.out", "", "file for the table of attacks")
)

// attack is played against a real edge on real sockets.
type attack struct {
	row   string // S1 to S15 by who attacks, I1 to I6 by what comes in
	name  string
	alone bool // not beside others: it sets the environment of a process, or weighs one
	// play fails t if the edge gave way, and returns what was counted.
	play func(t *testing.T) string
}

// attacks are all of them; those of a file are its own list.
func attacks() []attack {
	return slices.Concat(attacksByStrangers, attacksByPeers, attacksOnHTTP, attacksOnMedia, attacksByMessages)
}

// sized chooses how much of an attack is played.
func sized[T any](quick, full T) T {
	if *attackFull {
		return full
	}
	return quick
}

func TestAttacks(t *testing.T) {
	all := attacks()
	slices.SortStableFunc(all, func(a, b attack) int { return cmp.Compare(rowOrder(a.row), rowOrder(b.row)) })
	lines := make([]string, len(all))
	t.Cleanup(func() { // when the last of them is over
		table := "| | attack | what came of it |\n|---|---|---|\n" + strings.Join(lines, "")
		if *attackOut == "" {
			t.Log("\n" + table)
		} else if err := os.WriteFile(*attackOut, []byte(table), 0o644); err != nil {
			t.Error(err)
		}
	})
	for i, a := range all {
		t.Run(a.row+" "+a.name, func(t *testing.T) {
			if !a.alone && !*attackFull { // in full size each has the machine to itself
				t.Parallel()
			}
			lines[i] = fmt.Sprintf("| %s | %s | **the edge gave way** |\n", a.row, a.name)
			figure := a.play(t)
			if !t.Failed() {
				lines[i] = fmt.Sprintf("| %s | %s | %s |\n", a.row, a.name, figure)
			}
		})
	}
}

// rowOrder puts S2 before S10, and what comes in before who attacks.
func rowOrder(row string) string { return fmt.Sprintf("%c%3s", row[0], row[1:]) }

// attackPatience is how long an attack may take; in full size some go on for minutes.
func attackPatience() time.Duration { return sized(time.Minute, 10*time.Minute) }
