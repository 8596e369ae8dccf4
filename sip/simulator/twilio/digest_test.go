package twilio

import (
	"fmt"
	"strings"
	"testing"

	"handoff/sip/simulator/wire"
)

// vector is the example of RFC 7616 §3.9.1.
func vector(response, algorithm string) (*digest, string) {
	d := newDigest("http-auth@example.org", "Mufasa", "Circle of Life")
	d.opaque = "FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"
	const fresh = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"
	d.nonces[fresh] = &nonce{}
	return d, fmt.Sprintf(`Digest username="Mufasa", realm="http-auth@example.org", uri="/dir/index.html", algorithm=%s, nonce="%s", nc=00000001, `+
		`cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", qop=auth, response="%s", opaque="%s"`, algorithm, fresh, response, d.opaque)
}

func TestDigestOfTheRFC(t *testing.T) {
	for algorithm, response := range map[string]string{
		"MD5":     "8ca523f5e9506fed4657c9700eebdbec",
		"SHA-256": "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
	} {
		d, credentials := vector(response, algorithm)
		o := Digest{SHA256: algorithm == "SHA-256"}
		if v, what := d.verify(o, "GET", "/dir/index.html", []string{credentials}); v != granted {
			t.Errorf("%s: %d %s", algorithm, v, what)
		}
		if v, _ := d.verify(o, "GET", "/dir/index.html", []string{credentials}); v != broken {
			t.Errorf("%s: the same nc passes twice: %d", algorithm, v)
		}
	}
}

func TestCredentialsThatDoNotAnswerTheChallenge(t *testing.T) {
	const response = "8ca523f5e9506fed4657c9700eebdbec"
	for name, c := range map[string]struct {
		old, new string
		want     verdict
	}{
		"wrong response":     {response, strings.Repeat("0", 32), denied},
		"wrong user":         {`"Mufasa"`, `"Scar"`, denied},
		"another nonce":      {"7ypf", "8ypf", broken},
		"another realm":      {`realm="http`, `realm="ftp`, broken},
		"another opaque":     {"FQhe", "GQhe", broken},
		"no opaque":          {", opaque=", ", x=", broken},
		"another uri":        {"/dir/", "/other/", broken},
		"no qop":             {"qop=auth", "x=y", broken},
		"auth-int":           {"qop=auth", "qop=auth-int", broken},
		"qop in quotes":      {"qop=auth", `qop="auth"`, broken},
		"nc in quotes":       {"nc=00000001", `nc="00000001"`, broken},
		"short nc":           {"nc=00000001", "nc=1", broken},
		"nc zero":            {"nc=00000001", "nc=00000000", broken},
		"nc no number":       {"nc=00000001", "nc=0000000g", broken},
		"no cnonce":          {"cnonce=", "y=", broken},
		"username bare":      {`username="Mufasa"`, "username=Mufasa", broken},
		"doubled":            {"qop=auth", "qop=auth, qop=auth", broken},
		"no value":           {"qop=auth", "qop", broken},
		"other algorithm":    {"algorithm=MD5", "algorithm=SHA-256", broken},
		"no algorithm":       {"algorithm=MD5, ", "", granted},
		"other scheme":       {"Digest ", "Basic ", broken},
		"scheme in any case": {"Digest ", "dIGEST ", granted},
	} {
		d, credentials := vector(response, "MD5")
		spoilt := strings.Replace(credentials, c.old, c.new, 1)
		if spoilt == credentials {
			t.Fatalf("%s spoils nothing", name)
		}
		if v, what := d.verify(Digest{}, "GET", "/dir/index.html", []string{spoilt}); v != c.want {
			t.Errorf("%s: %d %s", name, v, what)
		}
	}
	d, credentials := vector(response, "MD5")
	if v, _ := d.verify(Digest{}, "GET", "/", []string{credentials, credentials}); v != broken {
		t.Errorf("two credentials: %d", v)
	}
	if v, _ := d.verify(Digest{}, "GET", "/", nil); v != challenged {
		t.Errorf("none: %d", v)
	}
	if got := unquote(`a\"b\\`); got != `a"b\` {
		t.Errorf("unquoted to %s", got)
	}
}

func TestNoncesAreBounded(t *testing.T) {
	d := newDigest("r", "u", "p")
	for range maxNonces + 5 {
		d.challenge(Digest{}, false)
	}
	if len(d.nonces) > maxNonces {
		t.Errorf("%d nonces", len(d.nonces))
	}
}

// authorize answers a challenge the way the edge has to, with a code of its own.
func authorize(challenge wire.Header, method, uri, username, password string) wire.Header {
	p, err := parseCredentials(challengeAsCredentials(challenge.Value))
	if err != nil {
		panic(err)
	}
	h := func(parts ...string) string { return hexHash(hashOf(p["algorithm"]), strings.Join(parts, ":")) }
	response := h(h(username, p["realm"], password), p["nonce"], "00000001", "c0ffee", "auth", h(method, uri))
	value := fmt.Sprintf(`Digest username="%s", realm="%s", nonce="%s", uri="%s", response="%s", cnonce="c0ffee", opaque="%s", qop=auth, nc=00000001`,
		username, p["realm"], p["nonce"], uri, response, p["opaque"])
	if p["algorithm"] != "" {
		value += ", algorithm=" + p["algorithm"]
	}
	name := "Proxy-Authorization"
	if challenge.Name == "WWW-Authenticate" {
		name = "Authorization"
	}
	return wire.Header{Name: name, Value: value}
}

// challengeAsCredentials drops the quotes of qop, which only a challenge has.
func challengeAsCredentials(value string) string {
	return strings.Replace(value, `qop="auth"`, "qop=auth", 1)
}

// challengeOf finds the challenge in a 401 or 407.
func challengeOf(m *wire.Message) wire.Header {
	for _, name := range []string{"WWW-Authenticate", "Proxy-Authenticate"} {
		if m.Has(name) {
			return wire.Header{Name: name, Value: m.Get(name)}
		}
	}
	return wire.Header{}
}
