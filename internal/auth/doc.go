// Package auth says who is asking.
//
// An [Authenticator] takes a request and returns an [Identity]. It knows two
// modes: in open mode a client is who its URL says (docs/protocol.md §2.3), in
// token mode it is who a credential says (§2.6). A credential is a token that
// an issuer has signed, a one-use ticket that was fetched with one, or the
// key of an application's back end.
//
// Nothing here knows a transport beyond the head of an HTTP request, decides
// what somebody may do, or logs anything that a credential is made of.
package auth
