package docs

import (
	"bufio"
	"encoding/json"
	"os"
	"testing"
	"time"

	"tertulia/internal/browsertest"
)

// patience bounds what a test waits for; only a failing one spends it.
const patience = time.Minute

// browser is a headless Chromium with one page, spoken to by the DevTools
// protocol over pipes: JSON ended by a zero byte.
type browser struct {
	t   *testing.T
	to  *os.File
	in  *bufio.Reader
	id  int
	tab string // the page's session

	// What the page has done so far.
	asked []string // URLs
	said  []string // on the console, and errors
}

// said by the browser.
type said struct {
	ID     int             `json:"id"`
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
	Result json.RawMessage `json:"result"`
	Error  json.RawMessage `json:"error"`
}

func openBrowser(t *testing.T) *browser {
	t.Helper()
	to, from := browsertest.Steer(t)
	from.SetReadDeadline(time.Now().Add(5 * patience))
	b := &browser{t: t, to: to, in: bufio.NewReader(from)}
	b.attach()
	return b
}

func (b *browser) attach() {
	b.t.Helper()
	var made struct{ TargetID string }
	b.call("Target.createTarget", map[string]any{"url": "about:blank"}, &made)
	var tab struct{ SessionID string }
	b.call("Target.attachToTarget", map[string]any{"targetId": made.TargetID, "flatten": true}, &tab)
	b.tab = tab.SessionID
	for _, domain := range []string{"Page", "Runtime", "Log", "Network"} {
		b.call(domain+".enable", nil, nil)
	}
}

// call asks for something, and reads what happens until there is an answer.
func (b *browser) call(method string, params any, result any) {
	b.t.Helper()
	b.id++
	message := map[string]any{"id": b.id, "method": method}
	if params != nil {
		message["params"] = params
	}
	if b.tab != "" {
		message["sessionId"] = b.tab
	}
	text, err := json.Marshal(message)
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.to.Write(append(text, 0)); err != nil {
		b.t.Fatal(err)
	}
	for {
		s := b.next()
		if s.ID != b.id {
			continue
		}
		if s.Error != nil {
			b.t.Fatalf("%s: %s", method, s.Error)
		}
		if result != nil {
			if err := json.Unmarshal(s.Result, result); err != nil {
				b.t.Fatalf("%s: %v", method, err)
			}
		}
		return
	}
}

// next reads one message, and notes what the page asks for and says.
func (b *browser) next() said {
	b.t.Helper()
	text, err := b.in.ReadBytes(0)
	if err != nil {
		b.t.Fatalf("the browser: %v", err)
	}
	var s said
	if err := json.Unmarshal(text[:len(text)-1], &s); err != nil {
		b.t.Fatal(err)
	}
	switch s.Method {
	case "Network.requestWillBeSent":
		var request struct{ Request struct{ URL string } }
		if err := json.Unmarshal(s.Params, &request); err != nil {
			b.t.Fatal(err)
		}
		b.asked = append(b.asked, request.Request.URL)
	case "Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded":
		b.said = append(b.said, s.Method+" "+string(s.Params))
	}
	return s
}

// load goes to a URL and waits for its load event.
func (b *browser) load(url string) {
	b.t.Helper()
	b.call("Page.navigate", map[string]any{"url": url}, nil)
	for b.next().Method != "Page.loadEventFired" {
	}
}

// evaluate runs an expression in the page; its value is JSON.
func (b *browser) evaluate(expression string, value any) {
	b.t.Helper()
	var got struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails json.RawMessage
	}
	b.call("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true}, &got)
	if got.ExceptionDetails != nil {
		b.t.Fatalf("%s: %s", expression, got.ExceptionDetails)
	}
	if value == nil {
		return
	}
	if err := json.Unmarshal(got.Result.Value, value); err != nil {
		b.t.Fatalf("%s = %s: %v", expression, got.Result.Value, err)
	}
}

// look sets the width of the window and the scheme of colours.
func (b *browser) look(width int, scheme string) {
	b.t.Helper()
	b.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}, nil)
	b.call("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]any{{"name": "prefers-color-scheme", "value": scheme}}}, nil)
}
