package call

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"understudy.example/pkg/problem"
	"understudy.example/pkg/understudy"
)

// shelf is a store with one answer for all.
type shelf struct {
	options int
	bounded bool
	err     error
}

func (s *shelf) note(ctx context.Context, options []understudy.Option) {
	s.options = len(options)
	_, s.bounded = ctx.Deadline()
}

func (s *shelf) Get(ctx context.Context, key string, options ...understudy.Option) (understudy.Entry, error) {
	s.note(ctx, options)
	return understudy.Entry{Key: key, Value: []byte("v"), ETag: `"1.1"`}, s.err
}

func (s *shelf) Put(ctx context.Context, _ string, _ []byte, options ...understudy.Option) (string, error) {
	s.note(ctx, options)
	return `"1.2"`, s.err
}

func TestTheLibraryIsCalled(t *testing.T) {
	s := &shelf{}
	c := NewLibrary(s, time.Second)
	defer c.Close()
	a := c.Call(t.Context(), Request{Method: http.MethodGet, Key: "k", Stale: true})
	require.Equal(t, Answer{Status: 200, ETag: `"1.1"`, Body: []byte("v"), Sent: true}, a)
	require.Equal(t, 1, s.options)
	require.True(t, s.bounded)
	a = c.Call(t.Context(), Request{Method: http.MethodPut, Key: "k", Match: `"1.1"`, ID: "id", Absent: true})
	require.Equal(t, Answer{Status: 204, ETag: `"1.2"`, Sent: true}, a)
	require.Equal(t, 3, s.options)
}

func TestErrorsOfTheLibrary(t *testing.T) {
	unknown := problem.Errorf(problem.OutcomeUnknown, "who knows")
	unknown.Key = "us1.x"
	for want, err := range map[*Answer]error{
		{Status: 504, Code: "outcome_unknown", Detail: "who knows", Key: "us1.x", Sent: true}: unknown,
		{Status: 404, Code: "not_found", Detail: "no"}:                                        problem.Errorf(problem.NotFound, "no"),
		{Status: 412, Code: "precondition_failed", Detail: "no"}:                              problem.Errorf(problem.PreconditionFailed, "no"),
		{Code: NoAnswer, Detail: "closed", Sent: true}:                                        errors.New("closed"),
	} {
		c := NewLibrary(&shelf{err: err}, time.Second)
		for _, method := range []string{http.MethodGet, http.MethodPut} {
			require.Equal(t, *want, c.Call(t.Context(), Request{Method: method}))
		}
	}
}
