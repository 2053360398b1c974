package websocket

import (
	"io"
	"time"

	"github.com/gobwas/ws"
)

// Side says which end of a connection we are.
type Side uint8

// A Server requires masked frames, a Client unmasked ones (RFC 6455 §5.1).
const (
	Server Side = iota
	Client
)

// Limits bound what a peer may make us do. In each field, zero is the default
// and negative is none.
type Limits struct {
	// MaxMessageBytes bounds a message, all fragments together. It is held
	// against the declared length of each frame; more is refused with 1009.
	// Default 64 KiB.
	MaxMessageBytes int
	// MaxFragments bounds the frames of one message, empty ones included;
	// more are refused with 1008. Default 64.
	MaxFragments int
	// ControlPerSecond bounds pings and pongs in the long run, with twice as
	// many at once; more are refused with 1008. Default 20.
	ControlPerSecond int
	// MessageTime bounds the time spent waiting for the rest of a message,
	// or of a control frame, that has begun; then it is refused with 1008.
	// Default 10 s. It needs a source with SetReadDeadline.
	MessageTime time.Duration
	// Idle is how long Next waits for a message to begin before it returns
	// [os.ErrDeadlineExceeded]. Default none. It needs a source with
	// SetReadDeadline.
	Idle time.Duration
}

func (l Limits) withDefaults() Limits {
	setDefault(&l.MaxMessageBytes, 64<<10)
	setDefault(&l.MaxFragments, 64)
	setDefault(&l.ControlPerSecond, 20)
	setDefault(&l.MessageTime, 10*time.Second)
	setDefault(&l.Idle, -1)
	return l
}

func setDefault[T int | time.Duration](v *T, def T) {
	if *v == 0 {
		*v = def
	}
}

// Message is what [Reader.Next] returns.
type Message struct {
	// Op is Text, Ping, Pong or Close.
	Op Opcode
	// Code is the code of a Close, [CodeNone] if it has none, else 0.
	Code uint16
	// Payload is the text, the payload of a ping or pong, or the reason of a
	// close. Texts and reasons are valid UTF-8. It is the reader's own
	// buffer, good until the next call of Next; the caller may change it.
	Payload []byte
}

// Reader takes messages from one connection. It is for one goroutine.
//
// The reader owns the read deadline of its source from the first call of Next:
// nobody else sets it. To end a Next that waits, close the connection.
type Reader struct {
	// Fixed by NewReader, Idle apart.
	src    io.Reader
	limits Limits

	// The buffer: home, or *lent. It holds the message under way in
	// buf[start:end] and bytes not yet parsed in buf[r:w]. Between messages
	// start and end are r. end is at most r: frame headers leave a gap that
	// later fragments are moved down over.
	buf        []byte
	lent       *[]byte
	start, end int
	r, w       int

	// The message and, if inFrame, the data frame under way.
	remaining int // payload bytes of the frame not yet taken
	fragments int32
	mask      [maskBytes]byte
	maskAt    uint8    // where in mask the next byte stands
	tail      uint8    // bytes before end that are half a character
	state     ws.State // our side, and whether a message is under way
	inFrame   bool
	fin       bool

	timed bool  // src has deadlines; fixed
	full  bool  // the last read left no room
	empty uint8 // reads in a row without bytes or error

	since       time.Time     // the present wait began
	armed       time.Time     // the deadline now set on src, zero for none
	spent       time.Duration // in reads, for what is under way or in idleness
	controlFree time.Time     // when the control frames so far will be paid for
	err         error         // what every further Next returns

	home [homeBytes]byte
}

// NewReader returns a reader of what follows the handshake on src: first the
// bytes in early, which are copied, then what src gives. If src has a
// SetReadDeadline method, as every net.Conn has, time limits hold.
func NewReader(src io.Reader, early []byte, side Side, limits Limits) *Reader {
	r := &Reader{src: src, limits: limits.withDefaults(), state: ws.StateServerSide}
	if side == Client {
		r.state = ws.StateClientSide
	}
	_, r.timed = src.(deadliner)
	r.buf = r.home[:]
	if size := sizeFor(len(early)); size > homeBytes {
		r.lent = borrow(size)
		r.buf = *r.lent
	}
	r.w = copy(r.buf, early)
	return r
}

// SetIdle changes [Limits].Idle from the next wait on; 0 is none. Like Next,
// it is for the reading goroutine.
func (r *Reader) SetIdle(d time.Duration) { r.limits.Idle = d }

// SetMaxMessageBytes changes [Limits].MaxMessageBytes for the messages that
// have not begun. Like Next, it is for the reading goroutine.
func (r *Reader) SetMaxMessageBytes(n int) { r.limits.MaxMessageBytes = n }

// Arm sets the deadline that the next wait needs now. Setting one takes more
// stack than waiting for bytes does: a caller that arms before it starts the
// goroutine that calls Next lets that goroutine wait on its initial stack. Like
// Next, it is for one goroutine at a time.
func (r *Reader) Arm() error {
	due := r.beforeRead()
	if due.IsZero() {
		return nil
	}
	return r.src.(deadliner).SetReadDeadline(due)
}

// Next waits for the next message. Control messages are handed out between
// the fragments of a text as they come; answering them is the caller's work.
//
// A [*CloseError] is a fault of the peer, to be answered with a close frame.
// [os.ErrDeadlineExceeded] means that no message began within [Limits].Idle:
// nothing is lost, and Next may be called again, to wait as long again. Other
// errors are those of the source; io.EOF within a message is
// io.ErrUnexpectedEOF. After a Close message, Next returns io.EOF and reads no
// more. All errors but os.ErrDeadlineExceeded are for good.
func (r *Reader) Next() (Message, error) {
	if r.err != nil {
		r.release()
		return Message{}, r.err
	}
	for {
		msg, err := r.parse()
		if err != nil {
			return Message{}, r.fail(err)
		}
		if msg.Op != 0 {
			return msg, nil
		}
		// The source is called from here and not from further down, so
		// that an idle reader's stack stays small.
		if due := r.beforeRead(); !due.IsZero() {
			if err := r.src.(deadliner).SetReadDeadline(due); err != nil {
				return Message{}, r.fail(err)
			}
		}
		n, err := r.src.Read(r.buf[r.w:])
		if err := r.afterRead(n, err); err != nil {
			return Message{}, r.fail(err)
		}
	}
}

// Buffered reports that Next will return without reading from the source: the
// next message is there. False means that Next may have to read.
func (r *Reader) Buffered() bool {
	if r.err != nil {
		return true
	}
	for b := r.buf[r.r:r.w]; ; {
		h, size, err := parseHeader(b)
		if err != nil {
			return true
		}
		if size == 0 || h.Length > int64(len(b)-size) {
			return false
		}
		if h.Fin {
			return true
		}
		b = b[size+int(h.Length):]
	}
}

// parse takes a message from the buffer. It returns one without Op if the
// buffer ends first.
func (r *Reader) parse() (Message, error) {
	for {
		if r.inFrame {
			if err := r.takePayload(); err != nil || r.inFrame {
				return Message{}, err
			}
			if r.fin {
				return r.finish(), nil
			}
		}
		h, size, err := parseHeader(r.buf[r.r:r.w])
		if err != nil || size == 0 {
			return Message{}, err
		}
		if err := r.checkHeader(h); err != nil {
			return Message{}, err
		}
		if !h.OpCode.IsControl() {
			r.begin(h, size)
			continue
		}
		if r.w-r.r < size+int(h.Length) {
			return Message{}, nil
		}
		return r.takeControl(h, size)
	}
}

// begin enters a data frame whose header has passed.
func (r *Reader) begin(h ws.Header, size int) {
	r.r += size
	if !r.state.Fragmented() {
		r.start, r.end = r.r, r.r
	}
	r.fragments++
	r.state = r.state.Set(ws.StateFragmented)
	r.inFrame, r.fin = true, h.Fin
	r.remaining, r.mask, r.maskAt = int(h.Length), h.Mask, 0
}

// takePayload takes what has come of the payload of the data frame under way,
// and checks it as text at once, so that a bad character is answered when it
// comes and not when the message ends. It leaves the frame after its last byte.
func (r *Reader) takePayload() error {
	n := min(r.remaining, r.w-r.r)
	chunk := r.buf[r.r : r.r+n]
	if r.state.ServerSide() {
		ws.Cipher(chunk, r.mask, int(r.maskAt))
		r.maskAt = uint8((int(r.maskAt) + n) % maskBytes)
	}
	if r.end != r.r {
		copy(r.buf[r.end:], chunk)
	}
	unchecked := r.buf[r.end-int(r.tail) : r.end+n]
	r.r += n
	r.end += n
	r.remaining -= n
	r.inFrame = r.remaining > 0

	whole, ok := textPrefix(unchecked)
	r.tail = uint8(len(unchecked) - whole)
	if !ok || r.fin && !r.inFrame && r.tail > 0 {
		return closef(CodeInvalidText, "the text is not valid UTF-8")
	}
	return nil
}

// finish leaves the text message whose last frame has been taken.
func (r *Reader) finish() Message {
	msg := Message{Op: Text, Payload: r.buf[r.start:r.end:r.end]}
	r.start, r.end = r.r, r.r
	r.state = r.state.Clear(ws.StateFragmented)
	r.fragments = 0
	r.fin = false
	r.spent = 0
	return msg
}

// takeControl takes a control frame that is whole in the buffer.
func (r *Reader) takeControl(h ws.Header, size int) (Message, error) {
	begin := r.r + size
	r.r = begin + int(h.Length)
	if !r.state.Fragmented() {
		r.start, r.end = r.r, r.r
		r.spent = 0
	}
	msg := Message{Op: Opcode(h.OpCode), Payload: r.buf[begin:r.r:r.r]}
	if h.Masked {
		ws.Cipher(msg.Payload, h.Mask, 0)
	}
	if msg.Op != Close {
		return msg, r.payControl()
	}
	var err error
	if msg.Code, msg.Payload, err = parseClose(msg.Payload); err != nil {
		return Message{}, err
	}
	r.err = io.EOF
	return msg, nil
}

// payControl counts a control frame against the limit.
func (r *Reader) payControl() error {
	perSecond := r.limits.ControlPerSecond
	if perSecond < 0 {
		return nil
	}
	now := time.Now()
	if r.controlFree.Before(now) {
		r.controlFree = now
	}
	r.controlFree = r.controlFree.Add(time.Second / time.Duration(perSecond))
	if r.controlFree.Sub(now) > controlBurst {
		return closef(CodePolicy, "there may be %d pings and pongs a second", perSecond)
	}
	return nil
}

// controlBurst is how far ahead of its rate a peer may run: a reader that was
// held up for a while finds several heartbeats at once.
const controlBurst = 2 * time.Second
