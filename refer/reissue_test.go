package refer

import (
	"errors"
	"strings"
	"testing"

	"handoff/sip/uri"
)

func request(t testing.TB, target, key string) Request {
	t.Helper()
	u, err := uri.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	k, err := NewKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return Request{Target: u, Key: k}
}

func TestReferToIsCutNever(t *testing.T) {
	r := request(t, "sip:queue@flex.twilio.com", strings.Repeat("k", 189))
	text, err := r.ReferTo(256)
	if err != nil || len(text) != 256 {
		t.Fatalf("%d characters, %v", len(text), err)
	}
	r = request(t, "sip:queue@flex.twilio.com", strings.Repeat("k", 190))
	if text, err := r.ReferTo(256); !errors.Is(err, ErrTooLong) || text != "" {
		t.Fatalf("%q, %v", text, err)
	} else if strings.Contains(err.Error(), "kkk") {
		t.Error("the error shows the key")
	}
}

// The key of the vendor's own sample: 167 characters, which fit only because ":" stays raw.
func TestAUsualKeyFits(t *testing.T) {
	key := "dev::latest::893499::dff9c274-adc4-4f63-93de-781166760bf8::978f1fd7-4e24-47d8-adb0-24a8a6eff69e" +
		"::b5ffd6c2-902f-4658-b586-e3fc170a6cf3::7ad616a350cc48078f17e3ee3df551de"
	r := request(t, "sip:queue@flex.twilio.com", key)
	text, err := r.ReferTo(256)
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
		if got, err := request(t, target, "k").ReferTo(256); got != want || err != nil {
			t.Errorf("%s: %s, %v", target, got, err)
		}
	}
}

func TestCustodySeesEveryDifference(t *testing.T) {
	key, err := NewKey("a::b+c d")
	if err != nil {
		t.Fatal(err)
	}
	const good = "<sip:q@h?" + KeyHeader + "=a::b%2Bc%20d>"
	if !holds(good, key) {
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
		"a key that is none": "",
	} {
		if holds(text, key) {
			t.Errorf("%s: %s passed", name, text)
		}
	}
	if holds(good, Key{}) {
		t.Error("a key came out of nothing")
	}
}

// Whatever key comes in comes out at the far side, or nothing goes out at all.
func FuzzCustody(f *testing.F) {
	f.Add("sip:queue@flex.twilio.com?x-watson-assistant-session-history-key=dev%3A%3Alatest+1%2B")
	f.Add("<sip:a?b;c&d@h:5080;lr?" + KeyHeader + "=%22%5C%3C%3E%26%3D%23%ff>")
	policy, err := NewPolicy([]string{"*"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, value string) {
		r, err := Decode([]string{value}, policy)
		if refusal := (*Refusal)(nil); err != nil {
			if !errors.As(err, &refusal) {
				t.Fatalf("%v is no refusal", err)
			}
			return
		}
		text, err := r.ReferTo(10000)
		if err != nil {
			t.Fatalf("%q: %v", value, err)
		}
		again, err := Decode([]string{text}, policy)
		if err != nil || !again.Key.Equal(r.Key) || len(again.Dropped) > 0 {
			t.Fatalf("%q became %q: %v, %v", value, text, again, err)
		}
	})
}
