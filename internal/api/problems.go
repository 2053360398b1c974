package api

import (
	"fmt"
	"html"
	"net/http"

	"tertulia/chat"
)

// Problems serves the page about a code, which the member type of its problems
// names, under the pattern GET /problems/{code}.
func Problems() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		code := chat.Code(r.PathValue("code"))
		about, ok := answers[code]
		if !ok {
			http.Error(w, "There is no such code.", http.StatusNotFound)
			return
		}
		again := "Sending the same again will not help."
		if code.Retryable() {
			again = "The same request may succeed later, unchanged."
		}
		h := w.Header()
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		fmt.Fprintf(w, problemPage, html.EscapeString(string(code)), html.EscapeString(about.title), code, code.Num(), about.status, again)
	})
}

const problemPage = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>%s</title>
<h1>%s</h1>
<p><code>%s</code>, number %d, HTTP status %d. %s</p>
<p>The member <code>detail</code> of the answer says what happened, and <code>instance</code> is the request's id in the server's log.</p>
</html>
`
