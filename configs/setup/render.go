package setup

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"text/template"

	"handoff/configs"
)

// file fills in one of the vendors' templates. A mistake in it is the kit's error.
func (m *maker) file(name string, values any) File {
	text, err := render(name, values)
	if err != nil && m.err == nil {
		m.err = err
	}
	return File{name, text}
}

func render(name string, values any) (string, error) {
	text, err := configs.Vendor(name)
	if err != nil {
		return "", err
	}
	t, err := template.New(name).Delims("<<", ">>").Option("missingkey=error").
		Funcs(template.FuncMap{"json": inJSON, "js": inJavaScript}).Parse(text)
	if err != nil {
		return "", fmt.Errorf("template %s: %w", name, err)
	}
	var b strings.Builder
	if err := t.Execute(&b, values); err != nil {
		return "", fmt.Errorf("template %s: %w", name, err)
	}
	return b.String(), nil
}

// inJSON writes a text as it stands between the quotes of a JSON string.
func inJSON(text string) (string, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(text); err != nil {
		return "", err
	}
	quoted := strings.TrimSuffix(b.String(), "\n")
	return quoted[1 : len(quoted)-1], nil
}

// inJavaScript writes a text as it stands between single quotes. A URL stays as one can read it, which
// text/template's own js does not leave it.
func inJavaScript(text string) (string, error) {
	quoted, err := inJSON(text)
	return strings.ReplaceAll(strings.ReplaceAll(quoted, `\"`, `"`), `'`, `\'`), err
}
