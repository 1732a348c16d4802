package httpapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/go-chi/chi/v5"

	"understudy.example/pkg/caller"
	"understudy.example/pkg/problem"
	"understudy.example/pkg/protocol"
)

// answer sends v as JSON.
func (a *API) answer(w http.ResponseWriter, r *http.Request, v any) {
	data, err := json.Marshal(v)
	if err != nil {
		a.fail(w, r, fmt.Errorf("encode the answer: %w", err))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = caller.Answer(w, len(data)).Write(append(data, '\n')) // the peer may be gone: there is nobody left to tell
}

// fail answers with err. One without a code is nobody's mistake but ours, so it
// is logged too: the caller can do nothing about it.
func (a *API) fail(w http.ResponseWriter, r *http.Request, err error) {
	err = coded(err)
	if problem.CodeOf(err) == "" && r.Context().Err() == nil {
		a.log.Error().Err(err).Str("path", r.URL.Path).Msg("request failed")
	}
	problem.Write(w, err)
}

// coded gives a refusal of the registry the code of the same name.
func coded(err error) error {
	if refusal, ok := errors.AsType[*protocol.Refusal](err); ok {
		return &problem.Error{Code: problem.Code(refusal.Code), Detail: refusal.Detail}
	}
	return err
}

func notFound(w http.ResponseWriter, r *http.Request) {
	problem.Write(w, problem.Errorf(problem.NotFound, "there is nothing at %s; GET / lists what there is", r.URL.Path))
}

// methodNotAllowed answers 405, a status that has no code of its own: the
// request is wrong whatever the state of the cluster.
func methodNotAllowed(w http.ResponseWriter, r *http.Request) {
	allowed := allowedMethods(r)
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	w.Header().Set("Content-Type", problem.ContentType)
	w.WriteHeader(http.StatusMethodNotAllowed)
	_ = json.NewEncoder(w).Encode(problem.Body{ // the peer may be gone: there is nobody left to tell
		Type: "about:blank", Title: "the method is not allowed here", Status: http.StatusMethodNotAllowed, Code: problem.BadRequest,
		Detail: fmt.Sprintf("%s is not for %s; allowed are: %s", r.Method, r.URL.Path, strings.Join(allowed, ", ")),
	})
}

func allowedMethods(r *http.Request) (allowed []string) {
	path := r.URL.RawPath
	if path == "" {
		path = r.URL.Path
	}
	for _, m := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		if chi.RouteContext(r.Context()).Routes.Match(chi.NewRouteContext(), m, path) {
			allowed = append(allowed, m)
		}
	}
	return allowed
}
