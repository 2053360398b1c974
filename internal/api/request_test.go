package api

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestRequestID(t *testing.T) {
	for in, kept := range map[string]bool{
		"req-1": true, "0190c1d2.A_b": true, strings.Repeat("x", maxRequestIDBytes): true,
		"": false, strings.Repeat("x", maxRequestIDBytes+1): false, "a b": false, "a\"b": false, "<b>": false, "ñ": false, "a/b": false,
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("X-Request-Id", in)
		if got := requestID(r); (got == in) != kept || got == "" {
			t.Errorf("requestID(%q) = %q, want it kept: %v", in, got, kept)
		}
	}
}
