package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// allowed tells, package by package, which of our own packages it may import directly: the arrows
// of the design run one way. Tests may import more; cmd may import everything.
var allowed = map[string][]string{
	"configs":               {"metrics", "refer", "sip/trunk"},
	"configs/doctor":        {"configs", "refer/rest", "sip/journal", "sip/stack/certificate", "sip/uri"},
	"configs/setup":         {"configs", "metrics"},
	"media":                 {"metrics", "media/*"},
	"media/bpffs":           {},
	"media/kernel":          {"media/bpffs", "media/quality"},
	"media/load":            {"media/quality", "media/sdp", "media/sockaddr", "media/srtp"},
	"media/lane":            {"metrics", "media/quality", "media/rtcp", "media/splice", "media/srtp"},
	"media/port":            {"metrics"},
	"media/epoll":           {},
	"media/portable":        {"media/epoll", "media/lane", "media/quality", "media/sockaddr"},
	"media/relay":           {"media/bpffs", "media/epoll", "media/lane", "media/quality", "media/sockaddr"},
	"media/namespace":       {},
	"media/sockaddr":        {},
	"media/quality":         {"metrics"},
	"media/rtcp":            {"media/quality"},
	"media/sdp":             {"metrics"},
	"media/splice":          {"media/srtp", "media/sdp"},
	"media/srtp":            {"metrics", "media/sdp"},
	"media/tone":            {"metrics", "media/sdp"},
	"metrics":               {},
	"metrics/cdr":           {"metrics/spool"},
	"metrics/explain":       {"metrics", "metrics/cdr", "metrics/trace"},
	"metrics/console":       {},
	"metrics/ops":           {"metrics"},
	"metrics/otel":          {"metrics", "metrics/cdr", "metrics/spool"},
	"metrics/set":           {"metrics"},
	"metrics/spool":         {},
	"metrics/trace":         {"metrics", "metrics/cdr"},
	"metrics/trace/hep":     {"metrics", "metrics/spool", "metrics/trace"},
	"metrics/trace/pcap":    {"metrics", "metrics/trace"},
	"refer":                 {"metrics", "sip/uri", "refer/twiml"},
	"refer/corpus":          {"metrics", "refer"},
	"refer/rest":            {"metrics"},
	"refer/twiml":           {},
	"refer/webhook":         {"metrics", "refer", "refer/twiml", "sip/uri"},
	"sip/uri":               {},
	"sip/dialog":            {"metrics", "sip/uri"},
	"sip/leg":               {"metrics", "sip/dialog", "sip/uri"},
	"sip/trunk":             {"metrics", "sip/uri"},
	"sip/trunk/probe":       {"sip/uri"},
	"sip/stack":             {"metrics", "sip/uri", "sip/stack/certificate", "media/sockaddr"},
	"sip/stack/certificate": {},
	"sip/journal":           {"metrics"},
	"sip/upgrade":           {},
	"sip/upgrade/standin":   {},
	"sip/b2bua":             {"metrics", "metrics/cdr", "metrics/trace", "sip/uri", "sip/dialog", "sip/leg", "sip/trunk", "sip/journal", "sip/b2bua/transfer", "refer", "media", "media/*"},
	"sip/b2bua/transfer":    {"metrics", "refer", "sip/leg", "sip/uri"},
	"sip/control":           {"metrics", "metrics/cdr", "metrics/explain", "metrics/trace", "sip/b2bua"},
	"sip/simulator":         {"sip/simulator/*"},
	"sip/simulator/phone":   {"sip/simulator"},
	"sip/simulator/twilio":  {"sip/simulator", "sip/simulator/*"},
	"sip/simulator/watson":  {"sip/simulator", "sip/simulator/*"},
	"sip/simulator/wire":    {"sip/simulator"},
	"sip/simulator/digest":  {"sip/simulator", "sip/simulator/wire"},
}

// transactions are the identifiers of sipgo that nobody names: its transports, its transactions and its connections.
// The edge has its own.
var transactions = []string{
	"NewClientTx", "NewServerTx", "ClientTx", "ServerTx", "ClientTransaction", "ServerTransaction", "Transaction",
	"TransactionLayer", "NewTransactionLayer", "TransportLayer", "NewTransportLayer", "Connection", "ConnectionPool",
	"ClientTxKeyMake", "ServerTxKeyMake", "SetTimers", "NewParser", "ParseMessage",
}

// sockets are what packages that are pure must not import.
var sockets = []string{"net", "net/http", "crypto/tls", "os", "syscall"}

// pure packages open no sockets: everything they do can be proved with tables.
var pure = []string{"sip/uri", "sip/dialog", "sip/leg", "sip/trunk", "refer", "metrics", "media/sdp"}

const sipgo = "github.com/emiago/sipgo/sip"

func TestImportsRunOneWay(t *testing.T) {
	root := filepath.Join("..", "..")
	seen := map[string]bool{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if name := entry.Name(); strings.HasPrefix(name, ".") && path != root && name != ".." {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		dir, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		pkg := filepath.ToSlash(dir)
		seen[pkg] = true
		checkFile(t, pkg, path, file)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(seen) < 15 {
		t.Fatalf("only %d packages seen: the test looks at the wrong place", len(seen))
	}
}

func checkFile(t *testing.T, pkg, path string, file *ast.File) {
	t.Helper()
	if strings.HasPrefix(pkg, "testdata") {
		t.Errorf("%s: Go code in testdata", path)
	}
	for _, spec := range file.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		if ours, found := strings.CutPrefix(imported, "handoff/"); found && !mayImport(pkg, ours) {
			t.Errorf("%s: %s must not import %s", path, pkg, ours)
		}
		if slices.Contains(pure, pkg) && slices.Contains(sockets, imported) {
			t.Errorf("%s: %s is pure and must not import %s", path, pkg, imported)
		}
		if imported == sipgo {
			checkSipgo(t, pkg, path, spec, file)
		}
		if strings.HasPrefix(imported, "github.com/emiago/sipgo") && imported != sipgo {
			t.Errorf("%s: only %s of sipgo is used", path, sipgo)
		}
	}
}

func mayImport(pkg, ours string) bool {
	if strings.HasPrefix(pkg, "cmd/") {
		return true
	}
	list, known := allowed[pkg]
	if !known {
		return false
	}
	for _, a := range list {
		if prefix, wild := strings.CutSuffix(a, "*"); a == ours || wild && strings.HasPrefix(ours, prefix) {
			return true
		}
	}
	return false
}

func checkSipgo(t *testing.T, pkg, path string, spec *ast.ImportSpec, file *ast.File) {
	t.Helper()
	if spec.Name == nil || spec.Name.Name != "sipmsg" {
		t.Errorf("%s: sipgo's messages are imported as sipmsg", path)
	}
	if strings.HasPrefix(pkg, "sip/simulator") {
		t.Errorf("%s: a simulator uses no sipgo: our bugs must not cancel out", path)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := sel.X.(*ast.Ident); ok && x.Name == "sipmsg" && slices.Contains(transactions, sel.Sel.Name) {
				t.Errorf("%s: sipmsg.%s is not used: sip/stack has its own", path, sel.Sel.Name)
			}
		}
		return true
	})
}

func TestSimulatorsImportNothingOfTheEdge(t *testing.T) {
	for pkg, list := range allowed {
		for _, imported := range list {
			if strings.HasPrefix(pkg, "sip/simulator") && !strings.HasPrefix(imported, "sip/simulator") {
				t.Errorf("%s may import %s", pkg, imported)
			}
		}
	}
}
