package digest

import (
	"fmt"
	"strings"
	"testing"
)

// vector is the example of RFC 7616 §3.9.1.
func vector(response, algorithm string) (*Guard, string) {
	d := New("http-auth@example.org", "Mufasa", "Circle of Life")
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
		o := Style{SHA256: algorithm == "SHA-256"}
		if v, what := d.Verify(o, "GET", "/dir/index.html", []string{credentials}); v != Granted {
			t.Errorf("%s: %d %s", algorithm, v, what)
		}
		if v, _ := d.Verify(o, "GET", "/dir/index.html", []string{credentials}); v != Broken {
			t.Errorf("%s: the same nc passes twice: %d", algorithm, v)
		}
	}
}

func TestCredentialsThatDoNotAnswerTheChallenge(t *testing.T) {
	const response = "8ca523f5e9506fed4657c9700eebdbec"
	for name, c := range map[string]struct {
		old, new string
		want     Verdict
	}{
		"wrong response":     {response, strings.Repeat("0", 32), Denied},
		"wrong user":         {`"Mufasa"`, `"Scar"`, Denied},
		"another nonce":      {"7ypf", "8ypf", Broken},
		"another realm":      {`realm="http`, `realm="ftp`, Broken},
		"another opaque":     {"FQhe", "GQhe", Broken},
		"no opaque":          {", opaque=", ", x=", Broken},
		"another uri":        {"/dir/", "/other/", Broken},
		"no qop":             {"qop=auth", "x=y", Broken},
		"auth-int":           {"qop=auth", "qop=auth-int", Broken},
		"qop in quotes":      {"qop=auth", `qop="auth"`, Broken},
		"nc in quotes":       {"nc=00000001", `nc="00000001"`, Broken},
		"short nc":           {"nc=00000001", "nc=1", Broken},
		"nc zero":            {"nc=00000001", "nc=00000000", Broken},
		"nc no number":       {"nc=00000001", "nc=0000000g", Broken},
		"no cnonce":          {"cnonce=", "y=", Broken},
		"username bare":      {`username="Mufasa"`, "username=Mufasa", Broken},
		"doubled":            {"qop=auth", "qop=auth, qop=auth", Broken},
		"no value":           {"qop=auth", "qop", Broken},
		"other algorithm":    {"algorithm=MD5", "algorithm=SHA-256", Broken},
		"no algorithm":       {"algorithm=MD5, ", "", Granted},
		"other scheme":       {"Digest ", "Basic ", Broken},
		"scheme in any case": {"Digest ", "dIGEST ", Granted},
	} {
		d, credentials := vector(response, "MD5")
		spoilt := strings.Replace(credentials, c.old, c.new, 1)
		if spoilt == credentials {
			t.Fatalf("%s spoils nothing", name)
		}
		if v, what := d.Verify(Style{}, "GET", "/dir/index.html", []string{spoilt}); v != c.want {
			t.Errorf("%s: %d %s", name, v, what)
		}
	}
	d, credentials := vector(response, "MD5")
	if v, _ := d.Verify(Style{}, "GET", "/", []string{credentials, credentials}); v != Broken {
		t.Errorf("two credentials: %d", v)
	}
	if v, _ := d.Verify(Style{}, "GET", "/", nil); v != Challenged {
		t.Errorf("none: %d", v)
	}
	if got := unquote(`a\"b\\`); got != `a"b\` {
		t.Errorf("unquoted to %s", got)
	}
}

func TestNoncesAreBounded(t *testing.T) {
	d := New("r", "u", "p")
	for range maxNonces + 5 {
		d.Challenge(Style{}, false)
	}
	if len(d.nonces) > maxNonces {
		t.Errorf("%d nonces", len(d.nonces))
	}
}

func TestVerdictsHaveWords(t *testing.T) {
	if got := fmt.Sprint(Verdicts(), Verdict(9)); got != "[challenged granted denied broken] unknown" {
		t.Errorf("got %s", got)
	}
}
