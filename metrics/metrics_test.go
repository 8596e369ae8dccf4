package metrics

import (
	"fmt"
	"regexp"
	"testing"
)

// Every value of every vocabulary has a word of its own, fit to be a label.
func TestVocabulariesAreClosedAndDistinct(t *testing.T) {
	label := regexp.MustCompile(`^[a-z][a-z_]*$`)
	tests := []struct {
		name  string
		words []string
		past  fmt.Stringer // the first value past the end
	}{
		{"peer", words(Peers()), Peer(len(peers))},
		{"direction", words(Directions()), Direction(len(directions))},
		{"leg", words(Legs()), Leg(len(legs))},
		{"path", words(Paths()), Path(len(paths))},
		{"foreign", words(Foreigns()), Foreign(len(foreigns))},
		{"one way", words(OneWays()), OneWay(len(oneWays))},
		{"result", words(Results()), Result(len(results))},
		{"reason", words(Reasons()), Reason(len(reasons))},
		{"method", words(Methods()), Method(len(methods))},
		{"transfer reason", words(TransferReasons()), TransferReason(len(transferReasons))},
		{"context", words(Contexts()), Context(len(contexts))},
		{"reject", words(Rejects()), Reject(len(rejects))},
		{"recovery", words(Recoveries()), Recovery(len(recoveries))},
		{"upgrade", words(Upgrades()), Upgrade(len(upgrades))},
		{"export", words(Exports()), Export(len(exports))},
		{"webhook", words(Webhooks()), Webhook(len(webhooks))},
		{"webhook result", words(WebhookResults()), WebhookResult(len(webhookResults))},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			seen := map[string]bool{}
			for _, w := range tt.words {
				if !label.MatchString(w) || seen[w] {
					t.Errorf("%q is no label or stands twice", w)
				}
				seen[w] = true
			}
			if label.MatchString(tt.past.String()) {
				t.Errorf("the list misses %q", tt.past)
			}
		})
	}
}

func words[T fmt.Stringer](values []T) []string {
	var all []string
	for _, v := range values {
		all = append(all, v.String())
	}
	return all
}
