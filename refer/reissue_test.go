package refer

import (
	"errors"
	"strings"
	"testing"
)

func TestReferToIsCutNever(t *testing.T) {
	r := request(t, "sip:queue@flex.twilio.com", strings.Repeat("k", 189))
	text, _, err := r.ReferTo(FormXWatson, 256)
	if err != nil || len(text) != 256 {
		t.Fatalf("%d characters, %v", len(text), err)
	}
	r = request(t, "sip:queue@flex.twilio.com", strings.Repeat("k", 190))
	if text, _, err := r.ReferTo(FormXWatson, 256); !errors.Is(err, UnfitTooLong) || text != "" {
		t.Fatalf("%q, %v", text, err)
	}
	if text, _, err := r.ReferTo(FormUserToUser, 256); err != nil || len(text) != 250 {
		t.Fatalf("the other form is shorter: %q, %v", text, err)
	}
}

// The key of the vendor's own sample: 167 characters, which fit only because ":" stays raw.
func TestAUsualKeyFits(t *testing.T) {
	key := "dev::latest::893499::dff9c274-adc4-4f63-93de-781166760bf8::978f1fd7-4e24-47d8-adb0-24a8a6eff69e" +
		"::b5ffd6c2-902f-4658-b586-e3fc170a6cf3::7ad616a350cc48078f17e3ee3df551de"
	r := request(t, "sip:queue@flex.twilio.com", key)
	text, _, err := r.ReferTo(FormXWatson, 256)
	if want := "<sip:queue@flex.twilio.com?X-Watson-Assistant-Session-History-Key=" + key + ">"; text != want || err != nil {
		t.Errorf("%s, %v", text, err)
	}
}

func TestReferToTarget(t *testing.T) {
	for target, want := range map[string]string{
		"sips:queue@flex.twilio.com;transport=tls?X=1": "<sip:queue@flex.twilio.com?" + KeyHeader + "=k>",
		"sip:+18889990000@h:5080":                      "<sip:+18889990000@h:5080?" + KeyHeader + "=k>",
		"sip:a?b@h":                                    "<sip:a%3Fb@h?" + KeyHeader + "=k>",
	} {
		if got, _, err := request(t, target, "k").ReferTo(FormXWatson, 256); got != want || err != nil {
			t.Errorf("%s: %s, %v", target, got, err)
		}
	}
}

// Making room must not change what the request holds: it is asked again for the next method.
func TestReferToLeavesTheRequestAlone(t *testing.T) {
	r := request(t, "sip:queue@flex.twilio.com?"+KeyHeader+"=k&User-to-User=uuuuuu&X-A=1&X-Watson-Assistant-Token=t&X-B=2", "k")
	before := len(r.Headers())
	if _, lost, err := r.ReferTo(FormXWatson, 68); len(lost) != 4 || err != nil {
		t.Fatal(lost, err)
	}
	if headers := r.Headers(); len(headers) != before || headers[1].Name != "X-A" || headers[4].Name != UserToUser {
		t.Error(headers)
	}
}

func TestCustodySeesEveryDifference(t *testing.T) {
	key, err := NewKey("a::b+c d")
	if err != nil {
		t.Fatal(err)
	}
	const good = "<sip:q@h?" + KeyHeader + "=a::b%2Bc%20d>"
	if !holds(good, FormXWatson, key) {
		t.Fatal("the right text is refused")
	}
	for name, text := range map[string]string{
		"no key":             "<sip:q@h>",
		"an empty key":       "<sip:q@h?" + KeyHeader + "=>",
		"another key":        strings.Replace(good, "a::b", "a::c", 1),
		"a cut key":          strings.Replace(good, "%20d", "", 1),
		"encoded twice":      strings.Replace(good, "%2B", "%252B", 1),
		"a raw plus":         strings.Replace(good, "%2B", "+", 1),
		"a broken escape":    strings.Replace(good, "%2B", "%2", 1),
		"another name":       strings.Replace(good, "X-Watson", "x-watson", 1),
		"a second bracket":   good + ">",
		"text behind":        good + ";tag=1",
		"a question mark":    strings.Replace(good, "@h", "?x@h", 1),
		"a second value":     strings.Replace(good, ">", "&"+KeyHeader+"=x>", 1),
		"a raw equals sign":  strings.Replace(good, "%2B", "=", 1),
		"a raw ampersand":    strings.Replace(good, "%2B", "&", 1),
		"a raw number sign":  strings.Replace(good, "%2B", "#", 1),
		"a quote":            strings.Replace(good, "%2B", "%22", 1),
		"a key that is none": "",
	} {
		if holds(text, FormXWatson, key) {
			t.Errorf("%s: %s passed", name, text)
		}
	}
	if holds(good, FormXWatson, Key{}) || holds(good, FormUserToUser, key) {
		t.Error("a key came out of nothing, or of the wrong handler")
	}
}

func TestWhatTheHandlersRead(t *testing.T) {
	const broken = "broken"
	tests := []struct{ name, in, seed, userToUser string }{
		{"no header at all", "<sip:q@h>", "", ""},
		{"the seed's form", "<sip:q@h?" + KeyHeader + "=a%3Ab>", "a:b", "undefined"},
		{"the vendor's form", "<sip:q@h?User-to-User=a%3Bencoding%3Dascii>", "undefined", "a"},
		{"small letters", "<sip:q@h?" + strings.ToLower(KeyHeader) + "=a>", "undefined", "undefined"},
		{"both", "<sip:q@h?User-to-User=b&" + KeyHeader + "=a>", "a", "b"},
		{"a raw plus", "<sip:q@h?" + KeyHeader + "=a+b&User-to-User=a+b>", "a b", "a b"},
		{"encoded twice", "<sip:q@h?" + KeyHeader + "=a%253Ab&User-to-User=a%253Ab>", "a%3Ab", "a:b"},
		{"a quote", "<sip:q@h?" + KeyHeader + "=a%22b&User-to-User=a%22b>", broken, broken},
		{"a broken escape", "<sip:q@h?" + KeyHeader + "=a%&User-to-User=a%>", broken, broken},
		{"a percent sign that was encoded", "<sip:q@h?User-to-User=a%25>", "undefined", broken},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, h := range []struct {
				read func(string) (string, error)
				want string
			}{{SeedReads, tt.seed}, {UserToUserReads, tt.userToUser}} {
				got, err := h.read(tt.in)
				if err != nil {
					got = broken
				}
				if got != h.want {
					t.Errorf("got %q, want %q", got, h.want)
				}
			}
		})
	}
}

func TestParseHeaderForm(t *testing.T) {
	for _, f := range HeaderForms() {
		if got, err := ParseHeaderForm(f.String()); got != f || err != nil {
			t.Error(got, err)
		}
	}
	if _, err := ParseHeaderForm("X-Watson"); err == nil {
		t.Error("taken")
	}
}
