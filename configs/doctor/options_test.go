package doctor

import (
	"bufio"
	"net"
	"strings"
	"testing"
	"time"
)

// What a peer may send before its answer, and instead of it.
func TestOptionsWaitsForItsOwnFinalAnswer(t *testing.T) {
	const (
		other = "SIP/2.0 486 Busy Here\r\nCall-ID: another\r\nContent-Length: 4\r\n\r\nbody"
		own   = "SIP/2.0 {code} X\r\nCall-ID: {id}\r\nContent-Length: 0\r\n\r\n"
	)
	answer := func(code string) string { return strings.Replace(own, "{code}", code, 1) }
	for name, tt := range map[string]struct {
		says string
		code int
		err  bool
	}{
		"200":               {answer("200"), 200, false},
		"a refusal":         {answer("405"), 405, false},
		"100 first":         {answer("100") + answer("200"), 200, false},
		"keep-alives first": {"\r\n\r\n" + answer("200"), 200, false},
		"another's first":   {other + answer("200"), 200, false},
		"its request first": {"OPTIONS sip:x SIP/2.0\r\nCall-ID: {id}\r\n\r\n" + answer("200"), 200, false},
		"a short header":    {strings.Replace(answer("200"), "Call-ID", "i", 1), 200, false},
		"HTTP":              {"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n", 0, true},
		"nonsense":          {"220 mail.example ESMTP\r\nhello\r\n\r\n", 0, true},
		"too much":          {strings.Repeat("x", maxAnswers+1), 0, true},
		"nothing":           {"", 0, true},
	} {
		near, far := net.Pipe()
		go func() { // ends with the pipe
			defer far.Close()
			id := ""
			for lines := bufio.NewScanner(far); lines.Scan() && lines.Text() != ""; {
				if value, found := strings.CutPrefix(lines.Text(), "Call-ID: "); found {
					id = value
				}
			}
			_, _ = far.Write([]byte(strings.ReplaceAll(tt.says, "{id}", id)))
		}()
		if err := near.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
			t.Fatal(err)
		}
		code, err := options(near, "2001:db8::1", "sips:watson.test")
		if near.Close(); code != tt.code || (err != nil) != tt.err {
			t.Errorf("%s: %d, %v", name, code, err)
		}
	}
}
