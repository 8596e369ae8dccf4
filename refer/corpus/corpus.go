// Package corpus reads testdata/refer/cases.txt, the published list of what becomes of every way to
// ask for a transfer. The tests and fuzzers of package refer and of the decode command share it.
//
// It owns the file's format, which the file's own head explains, and knows nothing of SIP.
package corpus

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Case is one block of the file.
type Case struct{ fields map[string][]string }

// names are the fields that a block may have; those that may be repeated come first.
var names = []string{
	"intercept", "refer-to", "header",
	"name", "policy", "contact", "hangup", "verdict", "key", "from", "context", "dropped", "reissue", "lost", "uui", "unfit", "why",
}

const repeated = 3

// All returns the lines of a field that may be repeated.
func (c Case) All(field string) []string { return c.fields[field] }

// One returns the text of a field, "" when it is missing.
func (c Case) One(field string) string {
	if len(c.fields[field]) == 0 {
		return ""
	}
	return c.fields[field][0]
}

// Has tells whether the case says anything about a field.
func (c Case) Has(field string) bool { return c.fields[field] != nil }

// Words returns the words of a field.
func (c Case) Words(field string) []string { return strings.Fields(c.One(field)) }

// Key returns the key that must be understood, "" for none.
func (c Case) Key() (string, error) {
	if c.One("key") == "none" || c.One("key") == "" {
		return "", nil
	}
	return strconv.Unquote(c.One("key"))
}

// Read reads the file at path.
func Read(path string) ([]Case, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return Parse(string(text))
}

// Parse reads the file's text.
func Parse(text string) ([]Case, error) {
	var cases []Case
	for block := range strings.SplitSeq(text, "\n\n") {
		c := Case{fields: map[string][]string{}}
		for line := range strings.SplitSeq(strings.TrimSuffix(block, "\n"), "\n") {
			if line == "" || strings.HasPrefix(line, "#") {
				continue
			}
			field, value, found := strings.Cut(line, ":")
			i := slices.Index(names, field)
			if !found || i < 0 || i >= repeated && c.Has(field) {
				return nil, fmt.Errorf("corpus: %q is no field, or stands twice", line)
			}
			c.fields[field] = append(c.fields[field], expand(strings.TrimPrefix(value, " ")))
		}
		if len(c.fields) > 0 {
			cases = append(cases, c)
		}
	}
	return cases, nil
}

var (
	repetition = regexp.MustCompile(`\{(.+?)\*(\d+)\}`)
	keyName    = regexp.MustCompile(`\bKEY\b`)
)

// expand resolves {x*100} and KEY.
func expand(text string) string {
	text = repetition.ReplaceAllStringFunc(text, func(s string) string {
		parts := repetition.FindStringSubmatch(s)
		n, err := strconv.Atoi(parts[2])
		if err != nil || n > 10000 {
			return s
		}
		unit, err := strconv.Unquote(`"` + parts[1] + `"`) // \t, \r and \n
		if err != nil {
			unit = parts[1]
		}
		return strings.Repeat(unit, n)
	})
	return keyName.ReplaceAllString(text, "X-Watson-Assistant-Session-History-Key")
}
