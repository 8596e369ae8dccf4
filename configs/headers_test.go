package configs

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestHeaders(t *testing.T) {
	tests := []struct {
		name, line string
		want       map[string]string
	}{
		{"one", "api-key=s3cret\n", map[string]string{"api-key": "s3cret"}},
		{"several, with an odd value", "Authorization=Basic%20dXNlcg==, tenant = 1", map[string]string{"Authorization": "Basic dXNlcg==", "tenant": "1"}},
		{"no value", "api-key", nil},
		{"no name", "=s3cret", nil},
		{"a name that is none", "api key=s3cret", nil},
		{"a second line in disguise", "api-key=s3cret%0d%0aX: y", nil},
		{"a bad escape", "api-key=s3cret%zz", nil},
		{"nothing", "", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "headers")
			if err := os.WriteFile(path, []byte(tt.line), 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := Headers(path)
			if !maps.Equal(got, tt.want) || (err == nil) != (tt.want != nil) {
				t.Errorf("got %v, %v", got, err)
			}
			if err != nil && strings.Contains(err.Error(), "s3cret") {
				t.Errorf("the value is shown: %v", err)
			}
		})
	}
	if got, err := Headers(""); got != nil || err != nil {
		t.Errorf("without a file: %v, %v", got, err)
	}
}
