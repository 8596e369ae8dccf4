package configs

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing wrong in a configuration. Line and Column count from 1; they are 0 where
// no line of the file is to blame. Key is the full key, sip.listen[0].
type Problem struct {
	File         string
	Line, Column int
	Key          string
	Text         string
}

func (p Problem) String() string {
	var b strings.Builder
	if p.File != "" {
		b.WriteString(p.File)
		if p.Line > 0 {
			fmt.Fprintf(&b, ":%d:%d", p.Line, p.Column)
		}
		b.WriteString(": ")
	}
	if p.Key != "" {
		b.WriteString(p.Key + ": ")
	}
	b.WriteString(p.Text)
	return b.String()
}

// Error is every problem of a configuration, in the order of the file.
type Error struct{ Problems []Problem }

// Error returns one line a problem.
func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// origin remembers where the keys of a file stand.
type origin struct {
	file string
	at   map[string]position
}

type position struct{ line, column int }

// find returns where key stands or, for an absent key, the nearest section around it.
func (o origin) find(key string) position {
	for {
		if pos, ok := o.at[key]; ok || key == "" {
			return pos
		}
		key = key[:max(strings.LastIndexAny(key, ".["), 0)]
	}
}

// findings collects problems.
type findings struct {
	origin   origin
	problems []Problem
}

// add notes a problem with the value of key.
func (f *findings) add(key, format string, args ...any) {
	f.addAt(f.origin.find(key), key, format, args...)
}

func (f *findings) addAt(pos position, key, format string, args ...any) {
	f.problems = append(f.problems, Problem{
		File: f.origin.file, Line: pos.line, Column: pos.column,
		Key: key, Text: fmt.Sprintf(format, args...),
	})
}

// need notes what is missing at key, unless that has a problem already.
func (f *findings) need(missing bool, key, format string, args ...any) {
	if missing && !f.touches(key) {
		f.add(key, format, args...)
	}
}

// touches reports whether a problem with key, or with something inside it, is known already.
func (f *findings) touches(key string) bool {
	return slices.ContainsFunc(f.problems, func(p Problem) bool {
		rest, ok := strings.CutPrefix(p.Key, key)
		return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
	})
}

// err returns the problems as an *Error, nil if there are none.
func (f *findings) err() error {
	if len(f.problems) == 0 {
		return nil
	}
	slices.SortStableFunc(f.problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return &Error{Problems: f.problems}
}
