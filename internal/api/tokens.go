package api

import (
	"context"
	"net/http"

	"tertulia/chat"
)

func (a *API) describeTokens(to *routes) {
	register(to, operation{
		id: "revoke-token", method: http.MethodPost, path: "/tokens/revoke", tag: "tokens", needs: service,
		summary: "Void one token by its id", about: "What was opened with it ends.",
		codes: []chat.Code{chat.StoreUnavailable},
	}, a.revokeToken)
	register(to, operation{
		id: "create-ticket", method: http.MethodPost, path: "/tickets", tag: "tokens", needs: user, status: http.StatusCreated,
		summary: "Get a ticket for one WebSocket", about: "It is good once, for a short time, and stands in the URL of the WebSocket as ticket. A browser needs it, which cannot send a token with a WebSocket.",
	}, a.createTicket)
}

type revokedTokenJSON struct {
	TokenID string `json:"token_id" minLength:"1" maxLength:"256" doc:"The token's jti."`
	UserID  string `json:"user_id" doc:"Whose token it is."`
}

type revokeTokenInput struct{ Body revokedTokenJSON }

func (a *API) revokeToken(ctx context.Context, in *revokeTokenInput) (*empty, error) {
	u, err := parseUser(in.Body.UserID, "")
	if err != nil {
		return nil, err
	}
	return nil, a.cfg.Rooms.RevokeToken(ctx, recordOf(ctx).by, in.Body.TokenID, u.ID)
}

type ticketJSON struct {
	Ticket    string `json:"ticket"`
	ExpiresAt string `json:"expires_at" format:"date-time"`
}

type oneTicket struct{ Body ticketJSON }

func (a *API) createTicket(ctx context.Context, _ *empty) (*oneTicket, error) {
	ticket, expiresAt, err := a.cfg.Ticket(recordOf(ctx).r)
	if err != nil {
		return nil, err
	}
	return &oneTicket{Body: ticketJSON{Ticket: ticket, ExpiresAt: instant(expiresAt)}}, nil
}
