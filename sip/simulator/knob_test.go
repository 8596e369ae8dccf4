package simulator

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

type colour uint8

func (c colour) String() string { return [...]string{"red", "dark blue"}[c] }

func TestKnobsAreSetByName(t *testing.T) {
	var (
		flag   bool
		status int
		port   uint16
		wait   time.Duration
		text   string
		texts  []string
		paint  colour
	)
	knobs := []Knob{
		Flag("flag", "", &flag), Number("status", "", &status), Number("port", "", &port), Wait("wait", "", &wait), Text("text", "", &text),
		Texts("texts", "", &texts), Choice("paint", "the colour", &paint, []colour{0, 1}),
	}
	if err := SetKnobs(knobs, []string{"flag", "status=486", "port=65535", "wait=30s", "text=a=b", "texts=x,y", "paint=dark-blue"}); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprintln(flag, status, port, wait, text, texts, paint); got != "true 486 65535 30s a=b [x y] dark blue\n" {
		t.Errorf("got %s", got)
	}
	if help := knobs[6].Help; help != "the colour: red, dark-blue" {
		t.Errorf("help %q", help)
	}
	for _, wrong := range []string{"none=1", "flag=maybe", "status=x", "status=-1", "port=65536", "wait=1", "wait=-1s", "paint=green", "status"} {
		if err := SetKnobs(knobs, []string{wrong}); err == nil || !strings.Contains(err.Error(), strings.Split(wrong, "=")[0]) {
			t.Errorf("%s: %v", wrong, err)
		}
	}
	if !flag || status != 486 || !slices.Equal(texts, []string{"x", "y"}) {
		t.Error("what is refused changes something")
	}
}
