package configs

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// The YAML parser recurses with the nesting of its input and needs memory by its square, so a file
// is bounded in bytes and, before it is parsed, in levels: a page of brackets must not end the process.
const (
	maxSize   = 64 << 10
	maxLevels = 32
)

// Load reads and checks the file at path with the process's environment. It does not open the
// files that the configuration names: Check does. Problems in the file come as an *Error.
func Load(path string) (*Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	return Parse(path, data, os.LookupEnv)
}

// Parse reads and checks data. The name stands in messages, and relative file names count from
// its folder; env looks up the variables of ${NAME}. Problems come as an *Error that holds all of
// them.
func Parse(name string, data []byte, env func(string) (string, bool)) (*Config, error) {
	c := Default()
	c.origin = origin{file: name, at: map[string]position{}}
	r := &reader{findings: findings{origin: c.origin}, env: env}
	root, err := document(data)
	if err != nil {
		syntax := asSyntaxError(err)
		r.addAt(syntax.position, "", "%s", syntax.text)
		return nil, r.err()
	}
	section(schema(c, filepath.Dir(name)))(r, "", root)
	c.validate(&r.findings)
	if err := r.err(); err != nil {
		return nil, err
	}
	return c, nil
}

// document returns the one document of data, nil if it is empty.
func document(data []byte) (ast.Node, error) {
	if len(data) > maxSize {
		return nil, &syntaxError{position{}, fmt.Sprintf("expected a file of at most %d bytes", maxSize)}
	}
	// Some editors begin a file with a byte order mark, which the lexer takes for text.
	tokens := lexer.Tokenize(strings.TrimPrefix(string(data), "\ufeff"))
	if err := checkLevels(tokens); err != nil {
		return nil, err
	}
	// Duplicate keys are let through here so that all of them are reported, with their full names.
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return nil, err
	}
	var root ast.Node
	for _, doc := range file.Docs {
		if doc.Body == nil {
			continue
		}
		if root != nil {
			return nil, &syntaxError{at(doc.Body.GetToken()), "expected one YAML document"}
		}
		root = doc.Body
	}
	return root, nil
}

// checkLevels refuses input that nests too deep by brackets or by dashes on one line. Nesting by
// indentation costs its square in bytes, so maxSize bounds it.
func checkLevels(tokens token.Tokens) error {
	brackets, dashes, line := 0, 0, 0
	for _, t := range tokens {
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			brackets++
		case token.SequenceEndType, token.MappingEndType:
			brackets--
		case token.SequenceEntryType:
			if t.Position.Line != line {
				dashes, line = 0, t.Position.Line
			}
			dashes++
		}
		if brackets > maxLevels || dashes > maxLevels {
			return &syntaxError{at(t), fmt.Sprintf("expected at most %d levels", maxLevels)}
		}
	}
	return nil
}

// syntaxError is what keeps a file from being read at all.
type syntaxError struct {
	position position
	text     string
}

func (e *syntaxError) Error() string { return e.text }

// asSyntaxError finds the place in an error of the YAML parser.
func asSyntaxError(err error) *syntaxError {
	var own *syntaxError
	if errors.As(err, &own) {
		return own
	}
	var foreign yaml.Error
	if errors.As(err, &foreign) {
		return &syntaxError{at(foreign.GetToken()), "not YAML: " + foreign.GetMessage()}
	}
	return &syntaxError{position{}, "not YAML: " + err.Error()}
}

// at returns where a token stands. The parser leaves some without.
func at(t *token.Token) position {
	if t == nil || t.Position == nil {
		return position{}
	}
	return position{t.Position.Line, t.Position.Column}
}
