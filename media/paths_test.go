package media

import (
	"os"
	"os/exec"
	"runtime"
	"testing"
)

// pathVariable names the path on which the tests of this package run: portable unless given.
const pathVariable = "HANDOFF_MEDIA_PATH"

func testedPath() string {
	if path := os.Getenv(pathVariable); path != "" {
		return path
	}
	return pathPortable
}

// All paths pass one suite: all the tests of this package, which a process of their own runs on each.
func TestEveryPathPassesTheSuite(t *testing.T) {
	if os.Getenv(pathVariable) != "" {
		t.Skip("this is the suite on another path")
	}
	for _, path := range paths {
		if path == pathAuto || path == pathPortable {
			continue
		}
		t.Run(path, func(t *testing.T) {
			needsRoot(t)
			run := exec.Command(os.Args[0], "-test.shuffle=on", "-test.timeout=5m", "-test.v="+verbosity())
			run.Env = append(os.Environ(), pathVariable+"="+path)
			if out, err := run.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

func verbosity() string {
	if testing.Verbose() {
		return "true"
	}
	return "false"
}

// needsRoot skips a test that this process may not or cannot do. CI can.
func needsRoot(t *testing.T) {
	t.Helper()
	switch {
	case runtime.GOOS != "linux":
		t.Skip("the kernel path is Linux's")
	case os.Geteuid() != 0 && os.Getenv("CI") == "true":
		t.Fatal("CI runs this as root")
	case os.Geteuid() != 0:
		t.Skip("loading programs into the kernel takes root")
	}
}
