package cdr

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Who reads CDRs goes by the README: every field that is written stands there, and no other.
func TestTheFieldsAreThoseOfTheReadme(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(text), "| field | what it is |\n|---|---|\n")
	if !found {
		t.Fatal("the README has no table of them")
	}
	table, _, _ = strings.Cut(table, "\n\n")
	told := map[string][]string{} // by the list that they belong to, "" for those of the call
	for row := range strings.SplitSeq(table, "\n") {
		cells := strings.SplitN(row, "|", 4)
		names := quoted(cells[1])
		if list, yes := strings.CutSuffix(names[0], "[]"); yes {
			told[list], names = quoted(aside.ReplaceAllString(cells[2], "")), []string{list}
		}
		told[""] = append(told[""], names...)
	}
	written := map[string][]string{}
	fields(written, "", reflect.TypeFor[Record]())
	for list, want := range written {
		slices.Sort(want)
		slices.Sort(told[list])
		if !slices.Equal(told[list], want) {
			t.Errorf("%q: the README tells of\n%q, written are\n%q", list, told[list], want)
		}
	}
	if len(written) != len(told) || len(written) != 5 {
		t.Errorf("the README tells of %d lists, written are %d", len(told), len(written))
	}
}

var (
	words = regexp.MustCompile("`([^`]+)`")
	aside = regexp.MustCompile(`\([^)]*\)`) // values, and what a field is
)

func quoted(text string) (all []string) {
	for _, found := range words.FindAllStringSubmatch(text, -1) {
		all = append(all, found[1])
	}
	return all
}

// fields adds the names of a struct's under that of its list; what is no list of its own belongs to the one that has it.
func fields(all map[string][]string, list string, of reflect.Type) {
	for _, f := range reflect.VisibleFields(of) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous || slices.Contains(all[list], name) {
			continue
		}
		all[list] = append(all[list], name)
		switch {
		case f.Type == reflect.TypeFor[Stream]():
			fields(all, list, f.Type)
		case f.Type.Kind() == reflect.Slice && f.Type.Elem().Kind() == reflect.Struct && f.Type.Elem().Name() != "Time":
			fields(all, name, f.Type.Elem())
		}
	}
}
