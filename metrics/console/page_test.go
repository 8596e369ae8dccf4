package console

import (
	"testing"
	"time"
)

func TestShots(t *testing.T) {
	e := newEdge(t)
	p := open(t, e.URL, "", seen{})
	p.shows("edge-1 is ready")
	time.Sleep(1500 * time.Millisecond)
	p.shot("overview")
	for name, hash := range map[string]string{"list": "#/calls", "progress": "#/calls/a0b9c8d7e6f51423", "failed": "#/calls/77aa21f0c4d94e0b", "ended": "#/calls/0f3d5b7a9c1e2d4f"} {
		p.goes(hash)
		p.shot(name)
	}
	p.quiet()
}
