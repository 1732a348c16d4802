package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/go-chi/chi/v5"

	"understudy.example/appnode/internal/store"
	"understudy.example/pkg/caller"
	"understudy.example/pkg/problem"
	"understudy.example/pkg/protocol"
	"understudy.example/pkg/requestid"
	"understudy.example/pkg/wire"
)

// Header values and keys in canonical form, stored in answers as they are. Each
// slice is full, so that an Add to an answer's header cannot write into it.
var (
	octetStream = []string{"application/octet-stream"}
	jsonText    = []string{"application/json"}
	noCache     = []string{"no-cache"} // a cache must ask again: no stale reads
	yes         = []string{"true"}
)

const keyETag = "Etag"

// retryAfter is what a client is told to wait when no primary is known here.
// The header knows no smaller unit than a second.
const retryAfter = time.Second

// stamp says who answers, from the state at which position.
func (a *api) stamp(h http.Header, pos protocol.Position) {
	h[wire.HeaderNode] = a.node
	h[wire.HeaderPosition] = []string{pos.String()}
}

// stampOutcome says who answers a write, and how many replicas hold it.
func (a *api) stampOutcome(h http.Header, out store.Outcome) {
	a.stamp(h, out.View.Position())
	h[wire.HeaderCopies] = []string{strconv.Itoa(out.Copies)}
	if out.Repeated {
		h[wire.HeaderRepeated] = yes
	}
}

// fail answers with err. Where the node cannot serve because another is the
// primary, it sends the client there.
func (a *api) fail(w http.ResponseWriter, r *http.Request, err error) {
	w.Header()[wire.HeaderNode] = a.node
	code := problem.CodeOf(err)
	if code == "" {
		problem.Write(w, a.unforeseen(r, err))
		return
	}
	a.Log.Debug().Err(err).Str("method", r.Method).Str("code", string(code)).Msg("request refused")
	if code != problem.NotPrimary && code != problem.Fenced {
		problem.Write(w, err)
		return
	}
	if address := a.Replica.PrimaryAddress(); address != "" && address != a.Replica.Status().Address {
		redirect(w, r, address)
		return
	}
	if code == problem.NotPrimary {
		code = problem.NoPrimary // not here, and not known where
	}
	problem.Write(w, &problem.Error{Code: code, Detail: err.Error(), RetryAfter: retryAfter})
}

// unforeseen turns an error without a code into one that promises nothing. A
// cancelled request is answered too: its client may be there still, when it is
// the node that stops, and silence would read as success.
func (a *api) unforeseen(r *http.Request, err error) error {
	if !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		a.Log.Error().Err(err).Str("method", r.Method).Msg("request failed")
		return err
	}
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return &problem.Error{Code: problem.NoPrimary, Detail: "the read was ended before it was answered", RetryAfter: retryAfter}
	}
	ended := problem.Errorf(problem.OutcomeUnknown, "the request was ended before it was answered: whether it was applied is not known")
	if id, err := requestid.Of(r.Header); err == nil {
		ended.Key = id.AsKey()
	}
	return ended
}

// redirect sends the client to the primary with the same request.
func redirect(w http.ResponseWriter, r *http.Request, address string) {
	h := w.Header()
	h.Set("Location", "http://"+address+r.URL.RequestURI())
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", "0")
	w.WriteHeader(http.StatusTemporaryRedirect)
}

// sendJSON answers with v.
func (a *api) sendJSON(w http.ResponseWriter, r *http.Request, status int, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	a.sendText(w, status, text)
}

// sendText answers with a JSON text.
func (a *api) sendText(w http.ResponseWriter, status int, text []byte) {
	h := w.Header()
	h["Content-Type"] = jsonText
	h["Cache-Control"] = noCache
	h["Content-Length"] = []string{strconv.Itoa(len(text))}
	w.WriteHeader(status)
	_, _ = caller.Answer(w, len(text)).Write(text) // the client may be gone: there is nobody left to tell
}

func (a *api) notFound(w http.ResponseWriter, r *http.Request) {
	a.fail(w, r, problem.Errorf(problem.NotFound, "there is nothing at %s: the client API is at /v1/state and /v1/kv/KEY, the node's own word at /status", r.URL.EscapedPath()))
}

// methods are those that any path of a node answers.
var methods = []string{
	http.MethodGet, http.MethodHead, http.MethodPut, http.MethodPatch, http.MethodPost, http.MethodDelete,
}

// methodNotAllowed answers 405 in the form of a problem, with the methods that
// the path has. The list of codes has none for it: it is a bad_request.
func (a *api) methodNotAllowed(w http.ResponseWriter, r *http.Request) {
	allowed := slices.DeleteFunc(slices.Clone(methods), func(m string) bool {
		return !a.router.Match(chi.NewRouteContext(), m, r.URL.EscapedPath())
	})
	if len(allowed) == 0 {
		a.notFound(w, r)
		return
	}
	h := w.Header()
	h[wire.HeaderNode] = a.node
	h["Allow"] = allowed
	text, err := json.Marshal(problem.Body{
		Type: "about:blank", Title: problem.BadRequest.Meaning().Title, Status: http.StatusMethodNotAllowed,
		Code: problem.BadRequest, Detail: "method " + r.Method + " is not for " + r.URL.EscapedPath(),
	})
	if err != nil {
		a.fail(w, r, err)
		return
	}
	h.Set("Content-Type", problem.ContentType)
	w.WriteHeader(http.StatusMethodNotAllowed)
	_, _ = w.Write(text) // the client may be gone: there is nobody left to tell
}
