package refer

import "testing"

func TestParseSipfrag(t *testing.T) {
	tests := []struct {
		name, body, contentType string
		code                    int
		reason                  string
	}{
		{"a status line", "SIP/2.0 200 OK\r\n", "message/sipfrag", 200, "OK"},
		{"the version parameter of the content type", "SIP/2.0 100 Trying\r\n", "message/sipfrag;version=2.0", 100, "Trying"},
		{"the content type in other letters", "SIP/2.0 100 Trying\r\n", "Message/SIPfrag ; version=2.0", 100, "Trying"},
		{"no content type", "SIP/2.0 200 OK\r\n", "", 200, "OK"},
		{"no line end", "SIP/2.0 486 Busy Here", "message/sipfrag", 486, "Busy Here"},
		{"a bare line feed", "SIP/2.0 603 Decline\n", "message/sipfrag", 603, "Decline"},
		{"headers behind the line", "SIP/2.0 503 Service Unavailable\r\nReason: Q.850;cause=41\r\n", "message/sipfrag", 503, "Service Unavailable"},
		{"no reason", "SIP/2.0 200 \r\n", "message/sipfrag", 200, ""},
		{"no reason and no blank", "SIP/2.0 200\r\n", "message/sipfrag", 200, ""},
		{"the version in small letters", "sip/2.0 200 ok\r\n", "message/sipfrag", 200, "ok"},
		{"a control character in the reason costs only the reason", "SIP/2.0 200 O\x00K\r\n", "message/sipfrag", 200, ""},
		{"a lone CR in the reason", "SIP/2.0 200 OK\rVia: x\r\n", "message/sipfrag", 200, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			code, reason, err := ParseSipfrag([]byte(tt.body), tt.contentType)
			if code != tt.code || reason != tt.reason || err != nil {
				t.Errorf("got %d %q, %v", code, reason, err)
			}
		})
	}
}

func TestParseSipfragRefuses(t *testing.T) {
	tests := []struct{ name, body, contentType string }{
		{"nothing", "", "message/sipfrag"},
		{"another content type", "SIP/2.0 200 OK\r\n", "application/sdp"},
		{"a request line", "INVITE sip:a@h SIP/2.0\r\n", "message/sipfrag"},
		{"only headers", "Subject: SIP/2.0 200 OK\r\n", "message/sipfrag"},
		{"an empty first line", "\r\nSIP/2.0 200 OK\r\n", "message/sipfrag"},
		{"another version", "SIP/3.0 200 OK\r\n", "message/sipfrag"},
		{"two digits", "SIP/2.0 20 OK\r\n", "message/sipfrag"},
		{"four digits", "SIP/2.0 2000 OK\r\n", "message/sipfrag"},
		{"a code below 100", "SIP/2.0 099 OK\r\n", "message/sipfrag"},
		{"a code above 699", "SIP/2.0 700 OK\r\n", "message/sipfrag"},
		{"a signed code", "SIP/2.0 +20 OK\r\n", "message/sipfrag"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if code, reason, err := ParseSipfrag([]byte(tt.body), tt.contentType); err == nil {
				t.Errorf("taken as %d %q", code, reason)
			}
		})
	}
}

func TestWriteSipfrag(t *testing.T) {
	tests := []struct {
		name   string
		code   int
		reason string
		want   string
	}{
		{"a reason of its own", 486, "Agent busy", "SIP/2.0 486 Agent busy\r\n"},
		{"the usual phrase", 100, "", "SIP/2.0 100 Trying\r\n"},
		{"an unusual code gets its class", 499, "", "SIP/2.0 499 Request Failure\r\n"},
		{"a line break in the reason goes out never", 200, "OK\r\nX-Injected: 1", "SIP/2.0 200 OK\r\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := string(WriteSipfrag(tt.code, tt.reason)); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestEveryCodeHasAPhrase(t *testing.T) {
	for code, want := range map[int]string{
		183: "Progress", 299: "Success", 302: "Redirection", 499: "Request Failure", 599: "Server Failure", 699: "Global Failure",
		408: "Request Timeout", 487: "Request Terminated", 603: "Decline",
	} {
		if got := phrase(code); got != want {
			t.Errorf("%d is %q, want %q", code, got, want)
		}
	}
}

func FuzzSipfrag(f *testing.F) {
	f.Add([]byte("SIP/2.0 200 OK\r\n"), "message/sipfrag;version=2.0")
	f.Add([]byte("SIP/2.0 486\nWarning: x"), "")
	f.Fuzz(func(t *testing.T, body []byte, contentType string) {
		code, reason, err := ParseSipfrag(body, contentType)
		if err != nil {
			return
		}
		if reason == "" {
			reason = phrase(code)
		}
		code2, reason2, err := ParseSipfrag(WriteSipfrag(code, reason), "message/sipfrag")
		if code2 != code || reason2 != reason || err != nil {
			t.Fatalf("%d %q became %d %q, %v", code, reason, code2, reason2, err)
		}
	})
}
