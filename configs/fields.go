package configs

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// reader walks a YAML tree by the schema and notes what does not fit.
type reader struct {
	findings
	env func(string) (string, bool)
}

// A field reads the value n of a key.
type field func(r *reader, key string, n ast.Node)

type fields map[string]field

// section reads a mapping in which only the keys of known may stand, each once. One without a
// value is one whose keys are all commented out: empty.
func section(known fields) field {
	return func(r *reader, key string, n ast.Node) {
		if n == nil || n.Type() == ast.NullType {
			return
		}
		mapping, ok := n.(*ast.MappingNode)
		if !ok {
			r.addAt(at(n.GetToken()), key, "expected a section with the keys %s", strings.Join(supported(known), ", "))
			return
		}
		seen := map[string]position{}
		for _, pair := range mapping.Values {
			r.pair(key, pair, known, seen)
		}
	}
}

// pair reads one key and its value.
func (r *reader) pair(section string, pair *ast.MappingValueNode, known fields, seen map[string]position) {
	pos := at(pair.Key.GetToken())
	name, ok := plain(pair.Key)
	if !ok {
		r.addAt(pos, section, "expected a plain key")
		return
	}
	key := strings.TrimPrefix(section+"."+name, ".")
	read, ok := known[name]
	if !ok {
		r.addAt(pos, quoteOdd(key), "unknown key; expected %s", strings.Join(supported(known), ", "))
		return
	}
	if first, ok := seen[name]; ok {
		r.addAt(pos, key, "duplicate key, the first is in line %d", first.line)
		return
	}
	seen[name] = pos
	r.origin.at[key] = pos
	read(r, key, pair.Value)
}

// supported lists the keys that may be written.
func supported(known fields) []string { return slices.Sorted(maps.Keys(known)) }

// one reads a single value into dst.
func one[T any](dst *T, parse func(string) (T, error)) field {
	return func(r *reader, key string, n ast.Node) {
		if v, ok := scalar(r, key, n, parse); ok {
			*dst = v
		}
	}
}

// many reads a list of values into dst, in place of the default.
func many[T any](dst *[]T, parse func(string) (T, error)) field {
	return func(r *reader, key string, n ast.Node) {
		list, ok := n.(*ast.SequenceNode)
		if !ok {
			r.addAt(at(n.GetToken()), key, "expected a list such as [a, b]")
			return
		}
		all := make([]T, 0, len(list.Values))
		for i, item := range list.Values {
			itemKey := fmt.Sprintf("%s[%d]", key, i)
			r.origin.at[itemKey] = at(item.GetToken())
			if v, ok := scalar(r, itemKey, item, parse); ok {
				all = append(all, v)
			}
		}
		*dst = all
	}
}

// manyOrDefault is many, except that an empty list leaves the default.
func manyOrDefault[T any](dst *[]T, parse func(string) (T, error)) field {
	return func(r *reader, key string, n ast.Node) {
		if list, ok := n.(*ast.SequenceNode); ok && len(list.Values) == 0 {
			return
		}
		many(dst, parse)(r, key, n)
	}
}

// scalar reads one value.
func scalar[T any](r *reader, key string, n ast.Node, parse func(string) (T, error)) (T, bool) {
	var none T
	pos := at(n.GetToken())
	r.origin.at[key] = pos
	written, ok := plain(n)
	if !ok {
		r.addAt(pos, key, "expected a single value")
		return none, false
	}
	text, err := r.expand(written)
	if err == nil {
		var v T
		if v, err = parse(text); err == nil {
			return v, true
		}
	}
	// What is shown is what was written: a variable put in by mistake may hold a secret.
	r.addAt(pos, key, "%q: %v", written, err)
	return none, false
}

// plain returns the text of a scalar as it was written: 1.10 stays 1.10, +1 stays +1. Anchors,
// aliases and tags are not scalars here: the file has no use for them.
func plain(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return strings.TrimSuffix(n.Value.Value, "\n"), true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, true
	}
	return "", false
}

// expand puts the environment's values in for ${NAME}.
func (r *reader) expand(text string) (string, error) {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(text, "${")
		b.WriteString(before)
		if !found {
			return b.String(), nil
		}
		name, after, closed := strings.Cut(rest, "}")
		if !closed || name == "" {
			return "", errors.New("expected ${NAME}")
		}
		value, defined := r.env(name)
		if !defined {
			return "", fmt.Errorf("the environment variable %s is not defined", name)
		}
		b.WriteString(value)
		text = after
	}
}

// quoteOdd quotes a key with characters that would blur a message.
func quoteOdd(key string) string {
	if strings.ContainsFunc(key, func(c rune) bool { return c <= ' ' || c >= 0x7f || c == ':' }) {
		return fmt.Sprintf("%q", key)
	}
	return key
}
