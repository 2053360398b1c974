// Package docs serves the reference at /docs: one page about REST and
// WebSocket, made from the OpenAPI and the AsyncAPI document.
//
// The page is whole without scripts and loads nothing from elsewhere; its
// Content-Security-Policy would not let it. A script adds the search.
package docs

import (
	"bytes"
	"embed"
	"html/template"
	"net/http"
	"path"
)

//go:embed page
var files embed.FS

var page = template.Must(template.ParseFS(files, "page/*.tmpl"))

// policy lets the page have its own script and style and nothing else.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Handler serves the page and its files below /docs. The documents are JSON,
// as the server gives them out under the URLs in the page. It panics if they
// cannot be read: they are the program's own, the same in every run.
func Handler(openAPI, asyncAPI []byte) http.Handler {
	r, err := read(openAPI, asyncAPI)
	var text bytes.Buffer
	if err == nil {
		err = page.ExecuteTemplate(&text, "page.tmpl", r)
	}
	if err != nil {
		panic("docs: " + err.Error())
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /docs", serve("text/html; charset=utf-8", text.Bytes()))
	for name, kind := range map[string]string{"docs.css": "text/css; charset=utf-8", "docs.js": "text/javascript; charset=utf-8"} {
		file, err := files.ReadFile(path.Join("page", name))
		if err != nil {
			panic("docs: " + err.Error()) // it is embedded
		}
		mux.HandleFunc("GET /docs/"+name, serve(kind, file))
	}
	return mux
}

func serve(kind string, text []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Type", kind)
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-cache")
		w.Write(text) // who is gone does not read it
	}
}
