package auth

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"tertulia/chat"
)

// ErrNoCredential is what [Authenticator.Identify] returns in token mode for a
// request that brings no credential at all. A WebSocket may be let in
// nevertheless, if it says who it is in its first frame.
var ErrNoCredential error = chat.Errorf(chat.Unauthenticated,
	"Say who you are: send a token as Authorization: Bearer, or as the Sec-WebSocket-Protocol entry bearer.<token>, or bring a ticket.")

// protocolPrefix marks the entry of Sec-WebSocket-Protocol that is a token:
// browsers can set no other header of a handshake.
const protocolPrefix = "bearer."

// urlTokens are the parameters in which tokens are put by mistake.
var urlTokens = []string{"token", "access_token", "id_token", "jwt", "bearer", "authorization"}

// Refuse returns why a request may not be taken at all, whoever sends it;
// empty if it may. See [Open.Refuse].
func (a *Authenticator) Refuse(r *http.Request) string {
	if a.open == nil {
		return ""
	}
	return a.open.Refuse(r)
}

// Identify returns who sends a request. The first credential counts of: the
// Authorization header (a token, or a service key), the entry bearer.<token>
// in Sec-WebSocket-Protocol (a token), the parameter ticket, and in open mode
// user_id and username in the URL. A ticket is used up by this.
//
// The error is a *chat.Error with the code
//   - [chat.Unauthenticated] if the credential is not good, or there is none
//     ([ErrNoCredential]);
//   - [chat.TokenExpired] if it was good;
//   - [chat.Forbidden] if the request names another user than its credential,
//     or names one in a header that is for services;
//   - [chat.InvalidParameter] if the query or a service's header is unusable,
//     or the query has a token, which belongs into no URL;
//   - [chat.MissingParameter] or [chat.InvalidParameter] as in
//     [Open.Identify];
//
// or an error as of [Authenticator.Verify] or [Tickets.Take]. The result does not refer to r.
func (a *Authenticator) Identify(r *http.Request) (Identity, error) {
	id, err := a.identifyWhole(r)
	a.note(err)
	return id, err
}

// identifyWhole also looks at what may not be beside a credential.
func (a *Authenticator) identifyWhole(r *http.Request) (Identity, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return Identity{}, chat.Errorf(chat.InvalidParameter, "The query of the URL is not well-formed.")
	}
	if hasToken(query) {
		return Identity{}, chat.Errorf(chat.InvalidParameter, "A token does not belong into a URL, which others get to see; "+
			"send it as Authorization: Bearer, or as the Sec-WebSocket-Protocol entry bearer.<token>, or fetch a ticket. Take this token for known to others.")
	}
	id, err := a.identify(r, query)
	if err != nil {
		return Identity{}, err
	}
	if query.Has("user_id") && query.Get("user_id") != string(id.User.ID) {
		return Identity{}, chat.Errorf(chat.Forbidden, "The user_id in the URL is not the user of the credential; leave it out.")
	}
	return id, nil
}

func hasToken(query url.Values) bool {
	for name := range query {
		if slices.ContainsFunc(urlTokens, func(t string) bool { return strings.EqualFold(t, name) }) {
			return true
		}
	}
	return false
}

func (a *Authenticator) identify(r *http.Request, query url.Values) (Identity, error) {
	bearer, ok, err := bearerOf(r.Header)
	if err != nil {
		return Identity{}, err
	}
	if ok && a.service.has(bearer) {
		return actingFor(r.Header)
	}
	if actsFor(r.Header) {
		return Identity{}, chat.Errorf(chat.Forbidden, "The headers %s and %s are for service credentials only.", UserHeader, UserNameHeader)
	}
	if ok {
		return a.verify(r.Context(), bearer)
	}
	return a.identifyByURL(r, query)
}

// identifyByURL looks at what is left when there is no Authorization header.
func (a *Authenticator) identifyByURL(r *http.Request, query url.Values) (Identity, error) {
	entry, ok, err := protocolToken(r.Header)
	switch {
	case err != nil:
		return Identity{}, err
	case ok:
		return a.verify(r.Context(), entry)
	case query.Has("ticket"):
		return a.takeTicket(r, query.Get("ticket"))
	case a.open == nil:
		return Identity{}, ErrNoCredential
	}
	user, err := a.open.Identify(query)
	return Identity{Principal: chat.Principal{User: user}}, err
}

func (a *Authenticator) takeTicket(r *http.Request, ticket string) (Identity, error) {
	if a.tickets == nil {
		return Identity{}, errTicket
	}
	id, err := a.tickets.Take(r.Context(), ticket, r.Header.Get("Origin"))
	if err == nil {
		err = a.recheck(r.Context(), id)
	}
	if err != nil {
		return Identity{}, err
	}
	return id, nil
}

// bearerOf returns the credential in the Authorization header (RFC 6750
// §2.1). Other schemes are for whoever stands before this server.
func bearerOf(h http.Header) (credential string, ok bool, err error) {
	for _, value := range h["Authorization"] {
		scheme, rest, _ := strings.Cut(value, " ")
		if !strings.EqualFold(scheme, "Bearer") {
			continue
		}
		if ok {
			return "", false, chat.Errorf(chat.Unauthenticated, "The request has more than one token; send one.")
		}
		credential, ok = strings.Trim(rest, " "), true
	}
	return credential, ok, nil
}

// protocolToken returns the token among the subprotocols that a handshake
// offers (RFC 6455 §11.3.4).
func protocolToken(h http.Header) (token string, ok bool, err error) {
	for _, value := range h["Sec-Websocket-Protocol"] {
		for entry := range strings.SplitSeq(value, ",") {
			rest, found := strings.CutPrefix(strings.Trim(entry, " \t"), protocolPrefix)
			if found && ok {
				return "", false, chat.Errorf(chat.Unauthenticated, "The handshake has more than one bearer entry; send one.")
			}
			if found {
				token, ok = rest, true
			}
		}
	}
	return token, ok, nil
}
