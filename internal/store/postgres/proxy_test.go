package postgres

import (
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
)

// fault is what the proxy does to the next request.
type fault struct {
	kind faultKind
	// at is after how many bytes the request or the answer is cut, modulo its
	// length: the last byte never gets through.
	at int
}

type faultKind int

const (
	faultNone    faultKind = iota
	faultRequest           // cut within the request
	faultSent              // cut once the server has the request; nothing comes back
	faultReply             // cut within the answer, once the server has given all of it
	faultSilence           // swallow the answer, and keep the connection open
)

// proxy stands between a store and its server. It knows where the messages of
// the server end.
type proxy struct {
	net.Listener
	server string
	work   sync.WaitGroup

	mu   sync.Mutex
	next fault
	open map[net.Conn]bool
}

// newProxy returns a proxy and the URL that leads through it.
func newProxy(t testing.TB, address string) (*proxy, string) {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{Listener: l, server: u.Host, open: map[net.Conn]bool{}}
	p.work.Go(p.accept)
	t.Cleanup(p.close)
	u.Host = l.Addr().String()
	return p, u.String()
}

// arm has the next request, of whichever connection, meet a fault.
func (p *proxy) arm(f fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.next = f
}

func (p *proxy) take() (f fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f, p.next = p.next, fault{}
	return f
}

func (p *proxy) accept() {
	for {
		client, err := p.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.server)
		if err != nil {
			_ = client.Close()
			continue
		}
		p.mu.Lock()
		p.open[client], p.open[server] = true, true
		p.mu.Unlock()
		met := make(chan fault, 1)
		p.work.Go(func() { p.requests(client, server, met) })
		p.work.Go(func() { p.answers(client, server, met) })
	}
}

func (p *proxy) cut(client, server net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, _ = client.Close(), server.Close()
	delete(p.open, client)
	delete(p.open, server)
}

func (p *proxy) requests(client, server net.Conn, met chan<- fault) {
	defer p.cut(client, server)
	buf := make([]byte, 64<<10)
	for {
		n, err := client.Read(buf)
		if err != nil {
			return
		}
		f := p.take()
		switch f.kind {
		case faultRequest:
			_, _ = server.Write(buf[:f.at%n])
			return
		case faultSent, faultReply, faultSilence: // before the server can answer
			met <- f
		}
		if _, err := server.Write(buf[:n]); err != nil || f.kind == faultSent {
			return
		}
	}
}

func (p *proxy) answers(client, server net.Conn, met <-chan fault) {
	defer p.cut(client, server)
	var (
		f      fault
		answer []byte // as far as it is not passed on
	)
	for head := make([]byte, 5); ; {
		if _, err := io.ReadFull(server, head); err != nil {
			return
		}
		body := make([]byte, int(head[1])<<24|int(head[2])<<16|int(head[3])<<8|int(head[4])-4)
		if _, err := io.ReadFull(server, body); err != nil {
			return
		}
		select {
		case f = <-met:
		default:
		}
		answer = append(append(answer, head...), body...)
		switch {
		case f.kind == faultNone:
			if _, err := client.Write(answer); err != nil {
				return
			}
			answer = answer[:0]
		case f.kind == faultReply && head[0] == 'Z': // ReadyForQuery: it is committed
			_, _ = client.Write(answer[:f.at%len(answer)])
			return
		}
	}
}

func (p *proxy) close() {
	_ = p.Close()
	p.mu.Lock()
	for nc := range p.open {
		_ = nc.Close()
	}
	p.mu.Unlock()
	p.work.Wait()
}
