package configs

import (
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestExampleEdgeShowsTheDefaults(t *testing.T) {
	got, err := Load("edge.yaml")
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.origin = got.origin
	want.Node = "edge-1"
	want.SIP.Public = "edge.example.com"
	want.SIP.TLS = KeyPair{"edge.pem", "edge.key"}
	want.Twilio.ReferenceNames = []string{}
	want.Watson.Targets = []string{
		"sips:public.0001.voip.us-south.assistant.watson.cloud.ibm.com",
		"sips:public.0002.voip.us-south.assistant.watson.cloud.ibm.com",
	}
	want.Media.PublicIP = netip.MustParseAddr("203.0.113.10")
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// edge.yaml, its optional keys uncommented, has every key and nothing else.
func TestExampleEdgeNamesEveryKey(t *testing.T) {
	data, err := os.ReadFile("edge.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, "  # "); ok {
			line = "  " + rest
		}
		if rest, ok := strings.CutPrefix(line, "# "); ok && (strings.HasPrefix(rest, "webhooks:") || strings.HasPrefix(rest, "  ")) {
			line = rest // a section of its own
		}
		text.WriteString(line)
	}
	c, err := Parse("edge.yaml", []byte(text.String()), nobody)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for key := range c.origin.at {
		if !strings.HasSuffix(key, "]") {
			got = append(got, key)
		}
	}
	slices.Sort(got)
	want := strings.Fields(`
		cdr cdr.keep cdr.kind cdr.max_megabytes cdr.path
		journal journal.kind journal.path
		limits limits.body_bytes limits.calls limits.connections limits.connections_per_source limits.duration limits.header_lines limits.invites_per_second
		limits.message_bytes limits.per_source limits.sdp_bytes
		log log.format log.level
		media media.hook media.listen media.listen_ipv6 media.path media.pins media.ports media.public_ip media.public_ipv6 media.rest media.srtp_keys media.timeout
		node ops ops.core_dumps ops.listen ops.token_file
		sip sip.keepalive sip.keepalive.options sip.keepalive.ping sip.listen sip.public
		sip.timeouts sip.timeouts.dial sip.timeouts.handshake sip.timeouts.idle sip.timeouts.message sip.tls sip.tls.certificate sip.tls.key sip.tls.key_log
		telemetry telemetry.otlp telemetry.otlp.ca_file telemetry.otlp.endpoint telemetry.otlp.headers_file
		trace trace.bytes_per_call trace.calls trace.hep trace.hep.ca_file trace.hep.id trace.hep.password_file trace.hep.server
		transfer transfer.after_silence transfer.failure_audio transfer.hangup_header transfer.hold_audio
		transfer.intercept transfer.methods transfer.timeout transfer.total transfer.unmatched
		twilio twilio.leg twilio.media_learn
		twilio.refer twilio.refer.header twilio.refer.max_refer_to twilio.reference_names
		twilio.rest twilio.rest.account_sid twilio.rest.api_key twilio.rest.auth_token_file twilio.rest.base_url
		twilio.rest.ca_file twilio.rest.studio_url twilio.rest.twiml twilio.rest.workflow_sid
		twilio.sip_domain twilio.sip_domain.caller twilio.sip_domain.caller.name twilio.sip_domain.caller.number twilio.sip_domain.caller.privacy
		twilio.sip_domain.password_file twilio.sip_domain.realm twilio.sip_domain.uri twilio.sip_domain.username
		twilio.sources twilio.srtp twilio.tls twilio.tls.ca_file
		watson watson.auth watson.auth.password_file watson.auth.realm watson.auth.username
		watson.caller watson.caller.name watson.caller.number watson.caller.privacy watson.headers watson.health watson.health.options_every watson.media_learn watson.number watson.redirect_hosts watson.session_expires watson.sources watson.srtp watson.targets
		watson.tls watson.tls.ca_file watson.tls.certificate watson.tls.key watson.tls.server_name
		webhooks webhooks.auth_token_file webhooks.listen webhooks.public_url webhooks.studio_url
		webhooks.tls webhooks.tls.certificate webhooks.tls.key webhooks.workflow_sid`)
	if !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestExampleMinimalIsEnough(t *testing.T) {
	c, err := Load("minimal.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Watson.Targets) != 3 || c.Limits != Default().Limits || len(c.SIP.Listen) != 3 {
		t.Errorf("got %+v", c)
	}
}

func TestRelativeFilesCountFromTheFolderOfTheFile(t *testing.T) {
	data, err := os.ReadFile("edge.yaml")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "e.yaml"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(filepath.Join(dir, "e.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(dir, "edge.key"); c.SIP.TLS.Key != want {
		t.Errorf("got %s, want %s", c.SIP.TLS.Key, want)
	}
}

func nobody(string) (string, bool) { return "", false }
