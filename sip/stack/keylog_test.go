package stack

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	sipmsg "github.com/emiago/sipgo/sip"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// Both an accepted connection and a dialled one are written down, behind what the file had, for its owner alone.
func TestKeyLogIsWrittenWhereItIsAskedFor(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(path, []byte("# before\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	core, logged := observer.New(zap.WarnLevel)
	a := newAuthority(t)
	n := start(t, func(c *Config, d *Deps) {
		c.KeyLog, d.Log = path, zap.New(core)
		c.Certificate, c.Key = a.files(t, "edge.example.com")
	}, TLS)
	if all := logged.All(); len(all) != 1 || !strings.Contains(all[0].Message, "TLS SECRETS") || all[0].ContextMap()["file"] != path {
		t.Errorf("logged %v", all)
	}
	target := "sips:" + n.Addr(TLS).String() // itself
	hop := hopTo(t, target)
	hop.Names, hop.Roots = []string{"edge.example.com"}, a.pool
	got, sink := events()
	n.Send(newRequest(t, sipmsg.OPTIONS, target), hop, sink)
	tx := take(t, n.seen.requests, "OPTIONS")
	tx.Respond(tx.Response(200, "OK"))
	wantCode(t, take(t, got, "response"), 200)
	n.Close()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	secrets := slices.DeleteFunc(slices.Clone(lines), func(l string) bool { return !strings.HasPrefix(l, "CLIENT_TRAFFIC_SECRET_0 ") })
	if lines[0] != "# before" || len(secrets) != 2 || secrets[0] != secrets[1] {
		t.Errorf("%s", text)
	}
}

func TestKeyLogIsItsOwnersAlone(t *testing.T) {
	dir := t.TempDir()
	fresh, open := filepath.Join(dir, "fresh"), filepath.Join(dir, "open")
	k, err := openKeyLog(fresh, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	k.Close()
	if info, err := os.Stat(fresh); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info.Mode(), err)
	}
	if err := os.WriteFile(open, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{open: "open to others", dir: "key log: "} {
		cfg := Config{Public: "127.0.0.1", KeyLog: path}
		if _, err := New(cfg, deps(t, newSeen())); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestEnvironmentOpensNoKeyLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	t.Setenv("SSLKEYLOGFILE", path)
	a := newAuthority(t)
	n := start(t, func(c *Config, _ *Deps) { c.Certificate, c.Key = a.files(t, "edge.example.com") }, TLS)
	conn, err := tls.Dial("tcp", n.Addr(TLS).String(), &tls.Config{RootCAs: a.pool, ServerName: "edge.example.com"})
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("stat: %v", err)
	}
}

func TestAKeyLogThatFailsCostsNoCall(t *testing.T) {
	core, logged := observer.New(zap.InfoLevel)
	k, err := openKeyLog(filepath.Join(t.TempDir(), "keys"), zap.New(core))
	if err != nil {
		t.Fatal(err)
	}
	k.Close()
	for range 2 {
		if n, err := k.Write([]byte("line")); n != 4 || err != nil {
			t.Error(n, err)
		}
	}
	if n := logged.FilterMessage("key log not written").Len(); n != 1 {
		t.Errorf("logged %d times", n)
	}
}
