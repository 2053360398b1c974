package hub

import "tertulia/chat"

// maxChanges bounds the changes that a feed remembers.
const maxChanges = 64

// change is a stretch of the log whose events are not any more what they were:
// an edit, a deletion or an erasure has changed them.
type change struct{ first, last uint64 }

// changeOf says which events a durable event changes.
func changeOf(e *chat.Event) (c change, ok bool) {
	switch e.Kind {
	case chat.KindMessageEdited, chat.KindMessageDeleted:
		return change{e.Target, e.Target}, e.Target > 0 && e.Target < e.Seq
	case chat.KindMessagesErased:
		return change{1, e.Seq - 1}, true
	}
	return change{}, false
}

// changes are the latest changes of a feed's log, oldest first. The slice is
// only appended to, or replaced; a copy of the struct stays good.
type changes struct {
	list  []change
	count uint64 // ever
}

func (c *changes) add(ch change) {
	if len(c.list) == maxChanges {
		c.list = append(make([]change, 0, maxChanges), c.list[maxChanges/2:]...)
	}
	c.list = append(c.list, ch)
	c.count++
}

// touch reports whether one of the changes after the first since of them is, or
// may be, within first..last.
func (c *changes) touch(first, last, since uint64) bool {
	forgotten := c.count - uint64(len(c.list))
	if since < forgotten {
		return true
	}
	for _, ch := range c.list[since-forgotten:] {
		if ch.first <= last && ch.last >= first {
			return true
		}
	}
	return false
}
