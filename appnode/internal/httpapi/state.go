package httpapi

import (
	"mime"
	"net/http"

	"understudy.example/appnode/internal/store"
	"understudy.example/pkg/caller"
	"understudy.example/pkg/problem"
	"understudy.example/pkg/protocol"
)

func (a *api) getState(w http.ResponseWriter, r *http.Request) {
	view, err := a.readState(r)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	a.stamp(w.Header(), view.Position())
	a.sendMap(w, view)
}

func (a *api) readState(r *http.Request) (*store.View, error) {
	q, err := query(r, "from")
	if err != nil {
		return nil, err
	}
	wish, err := wanted(r.Header)
	if err != nil {
		return nil, err
	}
	if from, ok := q["from"]; ok {
		if wish, err = a.from(from, wish); err != nil {
			return nil, err
		}
	}
	return a.readAt(r.Context(), wish)
}

// from judges ?from=, by which a client names the replica whose copy it wants.
// A node has only its own, and answers it as it is unless a level is named.
func (a *api) from(from string, wish want) (want, error) {
	role := groupOf(a.Replica.Status()).Role
	switch {
	case from == string(protocol.RolePrimary) && role == protocol.RolePrimary:
		return wish, nil
	case from == a.Name, from == string(protocol.RoleStandby) && role == protocol.RoleStandby:
		if !wish.given {
			wish.level = store.Stale
		}
		return wish, nil
	case from == "":
		return wish, problem.Errorf(problem.BadRequest, "from is empty: it names a node, or is primary or standby")
	}
	return wish, problem.Errorf(problem.NotFound, "this is %s (role %s), which holds no copy of %q: ask a monitor, or that node itself", a.Name, role, from)
}

// sendMap answers with the whole map.
func (a *api) sendMap(w http.ResponseWriter, view *store.View) {
	if text := view.JSON(); text != nil {
		a.sendText(w, http.StatusOK, text)
		return
	}
	h := w.Header()
	h["Content-Type"] = jsonText
	h["Cache-Control"] = noCache
	if err := view.WriteJSON(caller.Answer(w, -1)); err != nil {
		a.Log.Debug().Err(err).Msg("client went away")
	}
}

func (a *api) patchState(w http.ResponseWriter, r *http.Request) {
	req, err := a.patchRequest(w, r)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	out, ok := a.write(w, r, req)
	if !ok {
		return
	}
	if prefersMinimal(r.Header) {
		w.Header().Set("Preference-Applied", minimal)
		w.WriteHeader(http.StatusNoContent)
		return
	}
	a.sendMap(w, out.View)
}

func (a *api) patchRequest(w http.ResponseWriter, r *http.Request) (*store.Request, error) {
	if err := a.checkOrigin(r); err != nil {
		return nil, err
	}
	if _, err := query(r); err != nil {
		return nil, err
	}
	if err := checkPatchHeaders(r.Header); err != nil {
		return nil, err
	}
	body, err := readBody(w, r, store.MaxRequest)
	if err != nil {
		return nil, err
	}
	changes, err := store.ParseObject(body)
	if err != nil {
		return nil, err
	}
	req, err := store.Merge(changes)
	if err != nil {
		return nil, err
	}
	return named(req, r, body)
}

// checkPatchHeaders refuses a body of another type, and conditions: a client
// that sends one must not believe that it was checked.
func checkPatchHeaders(h http.Header) error {
	if hasCondition(h) {
		return problem.Errorf(problem.BadRequest, "a condition is for one key: use PUT or DELETE of %sKEY with %s or %s", keyPath, keyIfMatch, keyIfNoneMatch)
	}
	given := h.Get("Content-Type")
	if given == "" {
		return nil
	}
	switch kind, _, _ := mime.ParseMediaType(given); kind {
	case "application/merge-patch+json", "application/json":
		return nil
	}
	return problem.Errorf(problem.BadRequest, "the Content-Type is %q: the body is a JSON merge patch, application/merge-patch+json or application/json", given)
}
