// Package client is the Go client of Tertulia: dial a room, send, iterate over
// its events, resume after a cut.
//
//	room, err := client.Dial(ctx, client.Options{
//		URL:  "ws://127.0.0.1:8000",
//		Room: "general",
//		User: chat.User{ID: "1", Name: "Juan"},
//	})
//	if err != nil { … }
//	defer room.Close()
//	sent, err := room.Send(ctx, "Hola")
//	for event, err := range room.Events(ctx) { … }
//
// # Receiving
//
// Order and loss: the durable events of a room are handed over in the order
// of its log. After a cut the room comes back by itself and continues after
// the last event it took, however long it was away. What cannot be continued
// (the log was trimmed below the cursor, or rewritten by a restore) is said by
// a [Gap] before anything later is handed over; it is never silent.
//
// Duplication: a running [Room] hands each seq over exactly once. Across a
// crash of the program it is exactly once only if the program stores
// [Message.Cursor] together with the effect of the message, and gives it back
// in [Options.Cursor]; stored after the effect it is at least once, before
// the effect at most once. Nobody can promise more.
//
// Passing events (typing, joining, leaving) may be lost, merged or late.
//
// A consumer of [Room.Events] that is slow costs itself: once
// [Options.Buffer] events wait, the room stops reading from its socket, and
// neither acknowledgements nor pings are noticed until the consumer goes on.
// The server then cuts the connection as too slow, and the room resumes where
// it stopped. A program that only sends sets [Options.SendOnly].
//
// # Sending
//
// Every post carries a nonce, and a post that was not acknowledged when the
// connection died is sent again with the same nonce, in the original order
// and before newer posts: it is stored once, whatever was lost. An
// acknowledgement means that the message is stored durably. A post has one of
// three outcomes: [Sent]; a refusal, which is a [*chat.Error] and means that it
// was not stored; or [ErrUnknown], if the room was closed or the post expired
// after it had been written and before it was answered. Posting it again with
// its own nonce ([Room.PostAs]) is always safe.
//
// # Coming back
//
// A lost connection is tried again with full jitter: uniformly from 0 to
// 0.5 s · 2ⁿ, at most 20 s, and n starts again only after a connection has stood
// for 10 s. What the server asks for, by "retry in N ms" in the reason of a close
// or by Retry-After in an HTTP answer, is waited for in addition, up to 5
// minutes. A dead network is noticed within 35 s. Which close codes come back:
//
//   - none at all (1006), 1001, 1005, 1011, 1012, 1013: the network or the
//     server had to stop; a peer that cannot take bytes cannot take a close
//     frame, so a missing code says nothing against coming back.
//   - 4000–4499: the server asks to come back.
//   - 4500–4999: the server refuses; it would refuse again.
//   - 1002, 1003, 1007, 1008, 1009: the server found fault with what this
//     client sent. The same program would send the same again, so coming back
//     would loop.
//   - 1000 and everything else: the server has finished with this client.
//
// A handshake answered with an HTTP status below 500 is a refusal too, except
// 408, 425 and 429; redirects are not followed. A refusal ends the room with a
// [*RefusedError].
package client
