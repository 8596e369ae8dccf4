package main

import (
	"encoding/json"
	"errors"
	"io"
	"runtime/debug"
	"strings"
)

// sbom is a bill of materials by CycloneDX 1.5 (https://cyclonedx.org/docs/1.5/json/), with the fields that a build knows of
// itself. It has no time and no serial number: of one binary there is one.
type sbom struct {
	Format     string       `json:"bomFormat"`
	Spec       string       `json:"specVersion"`
	Version    int          `json:"version"`
	Metadata   sbomMetadata `json:"metadata"`
	Components []sbomPart   `json:"components"`
	Depends    []sbomEdge   `json:"dependencies"`
}

type sbomMetadata struct {
	Component sbomPart `json:"component"`
}

type sbomPart struct {
	Type    string `json:"type"`
	Ref     string `json:"bom-ref"`
	Name    string `json:"name"`
	Version string `json:"version"`
	PURL    string `json:"purl"` // https://github.com/package-url/purl-spec
}

type sbomEdge struct {
	Ref       string   `json:"ref"`
	DependsOn []string `json:"dependsOn"`
}

// writeSBOM tells what the running binary was built of: its modules and Go's library, as the linker has put them down. So it is
// of this very binary, and no tool need be trusted with it.
func writeSBOM(w io.Writer) error {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return errors.New("this binary was built without module information")
	}
	root := part("application", info.Main.Path, buildVersion())
	b := sbom{Format: "CycloneDX", Spec: "1.5", Version: 1, Metadata: sbomMetadata{root}}
	b.Components = append(b.Components, part("library", "std", "v"+strings.TrimPrefix(info.GoVersion, "go")))
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		b.Components = append(b.Components, part("library", m.Path, m.Version))
	}
	all := sbomEdge{Ref: root.Ref}
	for _, c := range b.Components {
		all.DependsOn = append(all.DependsOn, c.Ref)
	}
	b.Depends = []sbomEdge{all} // which of them needs which the linker does not say
	out := json.NewEncoder(w)
	out.SetIndent("", "  ")
	return out.Encode(b)
}

func part(kind, path, version string) sbomPart {
	purl := "pkg:golang/" + path + "@" + version
	return sbomPart{Type: kind, Ref: purl, Name: path, Version: version, PURL: purl}
}
