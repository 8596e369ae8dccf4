package media

import (
	"net/netip"
	"os"
	"os/exec"
	"testing"
	"time"

	"go.uber.org/zap"
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
			available(t, path)
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

// available skips what can't have a path. CI can.
func available(t testing.TB, path string) {
	t.Helper()
	probe, err := choose(Config{Listen: netip.MustParseAddr("127.0.0.19"), Ports: Ports{20000, 20001}, Path: path}, time.Now(), zap.NewNop())
	switch {
	case err == nil:
		probe.close()
	case os.Getenv("CI") == "true":
		t.Fatal(err)
	default:
		t.Skip(err)
	}
}
