package hub

import (
	"context"

	"tertulia/internal/store"
)

// pageEvents is the length of a page of the past. Pages begin at multiples of
// it, so that readers who are behind by different amounts share them.
const pageEvents = 128

// pageBytes bounds a page of large messages.
const pageBytes = 256 << 10

// pageKey names a page: the seq before its first.
type pageKey struct {
	feed  *Feed
	after uint64
}

// page is a piece of the past. It is shared by its readers and not changed.
type page struct {
	chunk
	// changes is how many changes of the log its feed had taken before it was
	// read: it has the events in the form that these left them in. A later
	// change to one of them makes the page void.
	changes uint64
	// floor was the room's when the page was read.
	floor uint64
}

// pageRead is a page for one subscription, or the error that kept it from
// being read.
type pageRead struct {
	sub  *Sub
	page *page // nil if the log has nothing after the cursor
	err  error
}

// pages shares reads under way: one for each page, whoever asks.
// Guarded by Hub.pagesMu.
type pages map[pageKey][]*Sub

// readPage has the page after the cursor of s read, off the loop.
func (l *loop) readPage(s *Sub) {
	if s.paging {
		return
	}
	s.paging = true
	l.hub.wantPage(pageKey{s.feed, s.cursor - s.cursor%pageEvents}, s)
}

func (h *Hub) wantPage(key pageKey, s *Sub) {
	h.pagesMu.Lock()
	waiting, reading := h.pages[key]
	h.pages[key] = append(waiting, s)
	h.pagesMu.Unlock()
	if !reading && !h.spawn(func() { h.fetchPage(key) }) {
		h.pagesMu.Lock()
		delete(h.pages, key) // the hub is closing, and so are the readers
		h.pagesMu.Unlock()
	}
}

// fetchPage reads one page and gives it to everyone who waits for it.
func (h *Hub) fetchPage(key pageKey) {
	var page *page
	var err error
	select {
	case h.reads <- struct{}{}:
		page, err = h.loadPage(key)
		<-h.reads
	case <-h.ctx.Done():
		err = h.ctx.Err()
	}
	h.pagesMu.Lock()
	waiting := h.pages[key]
	delete(h.pages, key)
	h.pagesMu.Unlock()
	for _, s := range waiting {
		s.conn.loop.wakePage(pageRead{s, page, err})
	}
}

func (h *Hub) loadPage(key pageKey) (*page, error) {
	ctx, cancel := context.WithTimeout(h.ctx, openTimeout)
	defer cancel()
	changes := key.feed.changeCount()
	p, err := h.cfg.Log.After(ctx, key.feed.room, key.after, store.Limit{Events: pageEvents, Bytes: pageBytes})
	if err != nil || len(p.Events) == 0 {
		return nil, err
	}
	r := &page{chunk: chunk{first: p.Events[0].Seq}, changes: changes, floor: p.Room.Floor}
	for i := range p.Events {
		e := &p.Events[i]
		r.add(h.cfg.Encode.Durable(nil, e), e.Tag, hides(e))
	}
	return r, nil
}

// turnPage gives a reader the page that was read for it.
func (l *loop) turnPage(r pageRead) {
	s := r.sub
	s.paging = false
	if s.ended.Load() {
		return
	}
	switch {
	case r.err != nil:
		s.conn.drop(Unreadable)
	case r.page != nil && r.page.first > s.cursor+1 && r.page.first == r.page.floor && s.conn.dialect.Gap != nil:
		s.passOver(r.page.first)
		s.page = r.page
		s.conn.wakeSub(s)
	case r.page == nil || r.page.first > s.cursor+1:
		s.conn.drop(Rewritten) // trimmed below the reader, or another log
	case r.page.last() <= s.cursor:
		// Large messages: the aligned page ended before the cursor. The next
		// one begins right at it.
		s.paging = true
		l.hub.wantPage(pageKey{s.feed, s.cursor}, s)
	default:
		s.page = r.page
		s.conn.wakeSub(s)
	}
}

// passOver moves the cursor to before floor, and has the reader told of the
// events between, which are no longer kept.
func (s *Sub) passOver(floor uint64) {
	from, to := s.cursor+1, floor-1
	gap := Marker{At: s.cursor, Make: func(dst []byte, s *Sub) []byte { return s.conn.dialect.Gap(dst, s, from, to) }}
	s.marks = append([]Marker{gap}, s.marks...)
	s.cursor, s.tag, s.tagged = to, 0, false
}
