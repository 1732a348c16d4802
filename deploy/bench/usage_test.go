package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestScrape(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "# HELP a one\na 1.5\nab 7\nb 2e3\nc{of=\"x\"} 3\nd much\n")
	}))
	defer server.Close()
	values, err := scrape(t.Context(), server.URL, "b", "a")
	require.NoError(t, err)
	require.InDeltaSlice(t, []float64{2000, 1.5}, values, 0)
	for _, name := range []string{"c", "d", "e"} {
		_, err := scrape(t.Context(), server.URL, "a", name)
		require.ErrorContains(t, err, "does not tell "+name)
	}
	server.Close()
	_, err = scrape(t.Context(), server.URL, "a")
	require.Error(t, err)
}
