package doctor

import (
	"context"
	"errors"

	"handoff/configs"
)

// configuration is what `handoff check` says.
func (d *doctor) configuration(context.Context) []Finding {
	warnings, err := d.cfg.Check(d.deps.Now())
	findings := Unusable(err)
	for _, w := range warnings {
		findings = append(findings, warn("configuration", w.Key, "see the line of the file that it names", "%v", w))
	}
	if len(findings) > 0 {
		return findings
	}
	ports := d.cfg.Media.Ports
	return []Finding{ok("configuration", "", "node %s, %d Watson targets, media ports %v", d.cfg.Node, len(d.cfg.Watson.Targets), ports)}
}

// Unusable says what is wrong with a file that can't be loaded, a finding each; none for nil.
func Unusable(err error) []Finding {
	const do = "correct the file: until then the edge does not start"
	if err == nil {
		return nil
	}
	problems := (*configs.Error)(nil)
	if !errors.As(err, &problems) {
		return []Finding{fail("configuration", "", do, "%s", printable(err.Error()))}
	}
	var findings []Finding
	for _, p := range problems.Problems {
		findings = append(findings, fail("configuration", p.Key, do, "%s", printable(p.String())))
	}
	return findings
}
