package api

import (
	"context"
	"crypto/sha256"
	"net/http"

	"github.com/go-json-experiment/json"

	"tertulia/chat"
)

// accountJSON is what the server knows of a user beyond any room.
type accountJSON struct {
	UserID        string `json:"user_id"`
	Username      string `json:"username"`
	CreatedAt     string `json:"created_at,omitempty" format:"date-time"`
	LastSeenAt    string `json:"last_seen_at,omitempty" format:"date-time" doc:"When the user was connected last; absent if never."`
	Disabled      bool   `json:"disabled,omitzero" doc:"The user may not connect or ask for anything."`
	RevokedBefore string `json:"revoked_before,omitempty" format:"date-time" doc:"Tokens issued before are void."`
}

func accountOf(a chat.Account) accountJSON {
	return accountJSON{
		UserID: string(a.ID), Username: a.Name, CreatedAt: instant(a.CreatedAt), LastSeenAt: instant(a.SeenAt),
		Disabled: a.Disabled, RevokedBefore: instant(a.RevokedBefore),
	}
}

type taggedAccount struct {
	Status int
	Tagged
	Body accountJSON
}

// taggedAccountOf names the state of an account by a digest: it has no
// version, and who is connected changes it.
func taggedAccountOf(a chat.Account) (*taggedAccount, error) {
	out := &taggedAccount{Status: http.StatusOK, Body: accountOf(a)}
	b, err := json.Marshal(out.Body)
	sum := sha256.Sum256(b)
	out.Tagged = newTagged("%x", sum[:8])
	return out, err
}

func (a *API) describeUsers(to *routes) {
	register(to, operation{
		id: "list-users", method: http.MethodGet, path: "/users", tag: "users", needs: service,
		summary: "List the accounts", about: "By their ids.",
		codes: []chat.Code{chat.StoreUnavailable},
	}, a.listUsers)
	register(to, operation{
		id: "get-user", method: http.MethodGet, path: "/users/{user}", tag: "users", needs: user, also: []int{http.StatusNotModified},
		summary: "Get an account", about: "One's own; of those with whom one shares a room the name and when they were seen last; for a service any.",
		codes: []chat.Code{chat.UserNotFound, chat.StoreUnavailable},
	}, a.getUser)
	register(to, operation{
		id: "put-user", method: http.MethodPut, path: "/users/{user}", tag: "users", needs: service,
		summary: "Make or change an account",
		codes:   []chat.Code{chat.StoreUnavailable},
	}, a.putUser)
	register(to, operation{
		id: "revoke-user", method: http.MethodPost, path: "/users/{user}/revoke", tag: "users", needs: service,
		summary: "Void the tokens of a user", about: "All that were issued before now; what was opened with them ends.",
		codes: []chat.Code{chat.StoreUnavailable},
	}, a.revokeUser)
	register(to, operation{
		id: "erase-user", method: http.MethodDelete, path: "/users/{user}", tag: "users", needs: service,
		summary: "Erase a user", about: "Blanks all that the user has said, in every room, and the name. It may be repeated, and has to be if it failed.",
		codes: []chat.Code{chat.StoreUnavailable, chat.ShuttingDown},
	}, a.eraseUser)
}

func (a *API) listUsers(ctx context.Context, in *Paged) (*list[accountJSON], error) {
	rec := recordOf(ctx)
	accounts, err := a.cfg.Rooms.Accounts(ctx, rec.by, chat.UserID(in.After), in.Limit+1)
	if err != nil {
		return nil, err
	}
	return listOf(rec, *in, accounts, func(a chat.Account) string { return string(a.ID) }, accountOf), nil
}

type getUserInput struct {
	OfUser
	Conditional
}

func (a *API) getUser(ctx context.Context, in *getUserInput) (*taggedAccount, error) {
	id, err := in.user()
	if err != nil {
		return nil, err
	}
	account, err := a.cfg.Rooms.Account(ctx, recordOf(ctx).by, id)
	if err != nil {
		return nil, err
	}
	out, err := taggedAccountOf(account)
	if err == nil && in.unchanged(out.ETag) {
		out.Status = http.StatusNotModified
	}
	return out, err
}

type accountChangesJSON struct {
	Username string `json:"username" minLength:"1" doc:"The display name, at most 128 bytes."`
	Disabled bool   `json:"disabled,omitzero" doc:"Whether the user may not connect or ask for anything."`
}

type putUserInput struct {
	OfUser
	Body accountChangesJSON
}

func (a *API) putUser(ctx context.Context, in *putUserInput) (*taggedAccount, error) {
	u, err := parseUser(in.User, in.Body.Username)
	if err != nil {
		return nil, err
	}
	account, err := a.cfg.Rooms.PutAccount(ctx, recordOf(ctx).by, chat.Account{User: u, Disabled: in.Body.Disabled})
	if err != nil {
		return nil, err
	}
	return taggedAccountOf(account)
}

func (a *API) revokeUser(ctx context.Context, in *OfUser) (*empty, error) {
	id, err := in.user()
	if err != nil {
		return nil, err
	}
	return nil, a.cfg.Rooms.Revoke(ctx, recordOf(ctx).by, id)
}

type erasedJSON struct {
	Rooms int `json:"rooms" doc:"In how many rooms something was blanked."`
}

type erased struct{ Body erasedJSON }

func (a *API) eraseUser(ctx context.Context, in *OfUser) (*erased, error) {
	id, err := in.user()
	if err != nil {
		return nil, err
	}
	rooms, err := a.cfg.Rooms.Erase(ctx, recordOf(ctx).by, id)
	if err != nil {
		return nil, err
	}
	return &erased{Body: erasedJSON{Rooms: rooms}}, nil
}
