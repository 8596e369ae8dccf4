package rest

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestResolve(t *testing.T) {
	type calls map[string][]string // SID → the statuses that lookups find, one after the other; the last stays
	for name, c := range map[string]struct {
		calls calls
		want  Outcome
	}{
		"left alone":                {calls{call: {"in-progress"}}, Undone{}},
		"redirected":                {calls{call: {"completed"}, parent: {"in-progress"}}, Accepted{}},
		"redirected late":           {calls{call: {"in-progress", "completed"}, parent: {"in-progress"}}, Accepted{}},
		"the caller has hung up":    {calls{call: {"completed"}, parent: {"completed"}}, Silent{errUnresolved}},
		"a leg that can't be":       {calls{call: {"ringing"}}, Silent{errUnresolved}},
		"the child is not known":    {calls{}, Silent{Rejected{Status: 404}}},
		"the parent is not known":   {calls{call: {"completed"}}, Silent{Rejected{Status: 404}}},
		"a status of another world": {calls{call: {"thinking"}}, Silent{errResource}},
	} {
		t.Run(name, func(t *testing.T) {
			client := serve(t, 0, func(w http.ResponseWriter, r *http.Request) {
				sid := strings.TrimSuffix(r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:], ".json")
				left := c.calls[sid]
				if len(left) == 0 {
					answers(404, "")(w, r)
					return
				}
				if len(left) > 1 {
					c.calls[sid] = left[1:]
				}
				answers(200, `{"sid":"`+sid+`","status":"`+left[0]+`"}`)(w, r)
			})
			client.looks = []time.Duration{time.Millisecond, time.Millisecond}
			got := client.Resolve(bounded(t), parent, call)
			gotErr, wantErr := "", ""
			if s, silent := got.(Silent); silent {
				got, gotErr = Silent{}, s.Err.Error()
			}
			if s, silent := c.want.(Silent); silent {
				c.want, wantErr = Silent{}, s.Err.Error()
			}
			if got != c.want || !strings.HasSuffix(gotErr, wantErr) {
				t.Errorf("got %T %s", got, gotErr)
			}
		})
	}
}

func TestResolveGivesUpWithItsContext(t *testing.T) {
	client := serve(t, 0, answers(200, `{"sid":"`+call+`","status":"in-progress"}`))
	client.looks = []time.Duration{time.Millisecond, time.Hour}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if got, silent := client.Resolve(ctx, parent, call).(Silent); !silent {
		t.Errorf("got %v", got)
	}
}
