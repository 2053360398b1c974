package docs

import (
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"tertulia/internal/api"
	"tertulia/internal/observe"
	protocol "tertulia/wire/schema"
)

// openAPI is the document that servers give out.
func openAPI() []byte { return api.Document(observe.Build{Version: "1.2.3"}) }

func newServer(t *testing.T) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(Handler(openAPI(), protocol.AsyncAPI("1.2.3")))
	t.Cleanup(s.Close)
	return s
}

func get(t *testing.T, url string) (*http.Response, string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(text)
}

// everything returns the id of all that the page has to show.
func everything(t *testing.T) (ids []string) {
	t.Helper()
	r, err := read(openAPI(), protocol.AsyncAPI("1.2.3"))
	if err != nil {
		t.Fatal(err)
	}
	for _, tag := range r.Tags {
		for _, op := range tag.Operations {
			ids = append(ids, op.ID)
		}
	}
	for _, g := range r.Groups {
		for _, m := range g.Messages {
			ids = append(ids, m.ID)
		}
	}
	return ids
}

var (
	idInPage   = regexp.MustCompile(` id="([^"]+)"`)
	linkInPage = regexp.MustCompile(`(?:href|src)="([^"]+)"`)
)

// Every operation and message of the documents is in the page, every link
// within it leads somewhere, and nothing is loaded from elsewhere.
func TestPageIsWhole(t *testing.T) {
	s := newServer(t)
	resp, text := get(t, s.URL+"/docs")
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Security-Policy") != policy {
		t.Errorf("GET /docs = %s with the policy %q", resp.Status, resp.Header.Get("Content-Security-Policy"))
	}
	ids := map[string]int{}
	for _, match := range idInPage.FindAllStringSubmatch(text, -1) {
		ids[match[1]]++
	}
	for id, n := range ids {
		if n > 1 {
			t.Errorf("the id %s stands %d times in the page", id, n)
		}
	}
	all := everything(t)
	for _, id := range all {
		if ids[id] == 0 {
			t.Errorf("the page does not show %s", id)
		}
	}
	if len(all) < 60 {
		t.Errorf("the documents have %d operations and messages, want more", len(all))
	}
	for _, match := range linkInPage.FindAllStringSubmatch(text, -1) {
		target, within := strings.CutPrefix(match[1], "#")
		switch {
		case within && ids[target] == 0:
			t.Errorf("the page links to #%s, which it does not have", target)
		case !within && !strings.HasPrefix(target, "/") && target != "data:,":
			t.Errorf("the page names %s, which is elsewhere", target)
		}
	}
	if regexp.MustCompile(`(?i)<style|<script>| style=| on[a-z]+="`).MatchString(text) {
		t.Error("the page has scripts or styles in it, which its policy forbids")
	}
}

func TestFiles(t *testing.T) {
	s := newServer(t)
	for path, kind := range map[string]string{"/docs/docs.css": "text/css; charset=utf-8", "/docs/docs.js": "text/javascript; charset=utf-8"} {
		resp, text := get(t, s.URL+path)
		if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != kind || strings.Contains(text, "://") {
			t.Errorf("GET %s = %s, %s", path, resp.Status, resp.Header.Get("Content-Type"))
		}
	}
	if resp, _ := get(t, s.URL+"/docs/page.tmpl"); resp.StatusCode != http.StatusNotFound {
		t.Errorf("GET /docs/page.tmpl = %s, want 404", resp.Status)
	}
}

// A document that is none is no reference.
func TestBadDocuments(t *testing.T) {
	for name, documents := range map[string][2]string{"OpenAPI": {"{", "{}"}, "AsyncAPI": {"{}", "[]"}} {
		if _, err := read([]byte(documents[0]), []byte(documents[1])); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("read with a bad %s document: %v", name, err)
		}
	}
}

// The page in a real browser, wide and narrow, light and dark.
func TestInBrowser(t *testing.T) {
	s := newServer(t)
	b := openBrowser(t)
	ids := everything(t)
	for _, width := range []int{1280, 360} {
		for _, scheme := range []string{"light", "dark"} {
			b.look(width, scheme)
			b.load(s.URL + "/docs")
			var shown []string
			b.evaluate("[...document.querySelectorAll('main article')].filter((a) => a.offsetHeight > 0).map((a) => a.id)", &shown)
			for _, id := range ids {
				if !slices.Contains(shown, id) {
					t.Errorf("%d %s: %s is not seen", width, scheme, id)
				}
			}
			var overhang int
			b.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth", &overhang)
			if overhang > 0 {
				t.Errorf("%d %s: the page is %d pixels wider than the window", width, scheme, overhang)
			}
			var contrast float64
			if b.evaluate(contrastOfText, &contrast); contrast < 4.5 {
				t.Errorf("%d %s: a text has the contrast %.2f to what is behind it, want 4.5 (WCAG 2.2 §1.4.3)", width, scheme, contrast)
			}
		}
	}
	for _, url := range b.asked {
		if !strings.HasPrefix(url, s.URL+"/") && url != "about:blank" && url != "data:," {
			t.Errorf("the page asked for %s", url)
		}
	}
	for _, said := range b.said {
		t.Errorf("the page said %s", said)
	}
}

// contrastOfText is the least contrast of any text to the background behind
// it, as WCAG 2.2 reckons it.
const contrastOfText = `(() => {
	const part = (v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
	const light = (c) => { const [r, g, b] = c.match(/[\d.]+/g).map(Number); return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b); };
	const seen = new Map();
	for (const e of document.querySelectorAll('header *, nav *, main *')) {
		if (![...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim())) continue;
		let behind = e;
		while (behind && getComputedStyle(behind).backgroundColor === 'rgba(0, 0, 0, 0)') behind = behind.parentElement;
		const pair = [getComputedStyle(e).color, getComputedStyle(behind || document.body).backgroundColor];
		if (seen.has(pair.join())) continue;
		const [a, b] = pair.map(light).sort((x, y) => y - x);
		seen.set(pair.join(), (a + 0.05) / (b + 0.05));
	}
	return Math.min(...seen.values());
})()`

// What is searched for stays, the rest goes, and a link brings it back.
func TestSearchInBrowser(t *testing.T) {
	s := newServer(t)
	b := openBrowser(t)
	b.look(1280, "light")
	b.load(s.URL + "/docs")
	search := func(words string) (shown []string) {
		b.evaluate(`document.getElementById('query').value = "`+words+`"; document.getElementById('query').dispatchEvent(new Event('input'))`, nil)
		b.evaluate("[...document.querySelectorAll('main article')].filter((a) => a.offsetHeight > 0).map((a) => a.id)", &shown)
		return shown
	}
	if shown := search("Caught_Up seq"); !slices.Contains(shown, "v1_frame_caught_up") || slices.Contains(shown, "v1_frame_pong") {
		t.Errorf("a search for caught_up seq shows %q", shown)
	}
	if shown := search("nothing-is-called-so"); len(shown) != 0 {
		t.Errorf("a search for nothing shows %q", shown)
	}
	b.evaluate("location.hash = '#v1_frame_pong'", nil)
	var top float64
	for tries := 0; tries < 100 && top <= 0; tries++ { // the event comes when the browser is ready
		b.evaluate("document.getElementById('v1_frame_pong').offsetHeight", &top)
	}
	if top <= 0 {
		t.Error("a link to what the search has hidden does not show it")
	}
	if shown := search(""); len(shown) < 60 {
		t.Errorf("without a search %d articles are seen, want all", len(shown))
	}
}
