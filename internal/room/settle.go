package room

// settle lets go the readers that wait for the answers to b.
func (l *lane) settle(b *batch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inFlight = nil
	if b.settled != nil {
		close(b.settled)
		b.settled = nil
	}
}

// settled returns what is closed once the batch in flight has been answered,
// or nil if none is in flight.
func (l *lane) settled() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.waitInFlight()
}

// settledFor is settled, and nil too if the batch in flight holds no post to
// the room of this key.
func (l *lane) settledFor(key uint64) <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.inFlight == nil || !l.inFlight.concerns(key) {
		return nil
	}
	return l.waitInFlight()
}

// waitInFlight is settled for a caller that holds mu.
func (l *lane) waitInFlight() <-chan struct{} {
	if l.inFlight == nil {
		return nil
	}
	if l.inFlight.settled == nil {
		l.inFlight.settled = make(chan struct{})
	}
	return l.inFlight.settled
}
