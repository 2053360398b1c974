// Package websocket speaks RFC 6455 at frame level: it takes a connection
// over from net/http, reads whole messages from it, and builds frames. It
// knows nothing of chat.
//
// A connection has one [Reader], used by one goroutine. Writing belongs to
// the caller, who appends frames to buffers of his own ([AppendText] and its
// neighbours) and answers pings, closes and errors: the package itself writes
// nothing after the handshake. No extension is ever negotiated, messages are
// text, and binary ones are refused (close code 1003).
//
// Many connections are idle most of the time, so an idle one is kept small: a
// Reader holds 512 bytes of buffer, borrows more only as bytes come, and Next
// blocks with so little on the stack that the goroutine stays at the 2 KiB it
// was born with. For that, the caller's functions up to Next may have about
// 350 bytes of locals, and work with a deep stack (decoding, for one) is done
// on another goroutine. TestIdleMemory measures it.
package websocket
