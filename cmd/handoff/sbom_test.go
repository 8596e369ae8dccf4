package main

import (
	"bytes"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
)

// Every module that the binary was built of stands in its bill of materials, and go.mod has it.
func TestSBOM(t *testing.T) {
	var out, errs bytes.Buffer
	if code := run([]string{"version", "--sbom"}, streams{&out, &errs}); code != exitOK {
		t.Fatalf("exit code %d: %s", code, &errs)
	}
	var b sbom
	if err := json.Unmarshal(out.Bytes(), &b); err != nil {
		t.Fatal(err)
	}
	if b.Format != "CycloneDX" || b.Spec != "1.5" || b.Metadata.Component.Name != "handoff" {
		t.Errorf("%+v", b)
	}
	mod, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"std", "github.com/emiago/sipgo", "go.etcd.io/bbolt", "go.uber.org/zap"} {
		if !slices.ContainsFunc(b.Components, func(c sbomPart) bool { return c.Name == want }) {
			t.Errorf("no %s", want)
		}
	}
	for _, c := range b.Components {
		if c.Name != "std" && !strings.Contains(string(mod), c.Name+" "+c.Version) {
			t.Errorf("%s %s is not in go.mod", c.Name, c.Version)
		}
		if c.PURL != "pkg:golang/"+c.Name+"@"+c.Version || !slices.Contains(b.Depends[0].DependsOn, c.Ref) {
			t.Errorf("%+v", c)
		}
	}
}
