package setup

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// Write tells the steps; inline shows the files in them, otherwise their names do.
func (k Kit) Write(w io.Writer, inline bool) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Deployment %s: %s\n", k.Deployment, k.Deployment.Title())
	for i, s := range k.Steps {
		fmt.Fprintf(&b, "\n%d. %s\n\n", i+1, s.Title)
		t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
		for _, setting := range s.Settings {
			fmt.Fprintf(t, "   %s\t%s\n", setting.Name, setting.Value)
		}
		t.Flush() // a strings.Builder does not fail
		for _, note := range s.Notes {
			fmt.Fprintf(&b, "   %s\n", note)
		}
		if !inline {
			continue
		}
		for _, f := range s.Files {
			fmt.Fprintf(&b, "\n----- %s -----\n%s----- end of %s -----\n", f.Name, f.Text, f.Name)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
