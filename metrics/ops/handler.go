package ops

import (
	"fmt"
	"net/http"
	"net/http/pprof"
	"strings"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/zap"
)

// handler routes the operator's requests. All but those to the API are reads: any method but GET and
// HEAD gets 405.
func handler(deps Deps) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(deps.Gatherer, promhttp.HandlerOpts{
		ErrorLog: zap.NewStdLog(deps.Log),
		// One broken collector must not hide the others.
		ErrorHandling:       promhttp.ContinueOnError,
		MaxRequestsInFlight: 4,
		EnableOpenMetrics:   true,
	}))
	mux.HandleFunc("/healthz", healthz)
	mux.HandleFunc("/readyz", readyz(deps.Ready, deps.Details))
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	if deps.Console != nil {
		mux.Handle(consolePath, deps.Console)
		mux.Handle(consolePath+"/", deps.Console)
	}
	if deps.API == nil {
		return readOnly(mux)
	}
	all := http.NewServeMux()
	all.Handle("/", readOnly(mux))
	all.Handle("/api/", deps.API)
	return all
}

func healthz(w http.ResponseWriter, _ *http.Request) { text(w, http.StatusOK, "ok") }

// readyz says why the edge is not ready, and what details has, which may be nil.
func readyz(ready func() error, details func() []string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		status, lines := http.StatusOK, []string{"ok"}
		if err := ready(); err != nil {
			status, lines[0] = http.StatusServiceUnavailable, err.Error()
		}
		if details != nil {
			lines = append(lines, details()...)
		}
		text(w, status, strings.Join(lines, "\n"))
	}
}

func readOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			text(w, http.StatusMethodNotAllowed, "only GET and HEAD")
			return
		}
		next.ServeHTTP(w, r)
	})
}

func text(w http.ResponseWriter, status int, line string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	fmt.Fprintln(w, line) // a client that has gone is no news
}
