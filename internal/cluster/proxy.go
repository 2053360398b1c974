package cluster

import (
	"fmt"
	"strings"
)

// nginxConfig is that of docs/operations.md, save for the addresses.
const nginxConfig = `upstream tertulia {
%s}

map $http_upgrade $connection_upgrade {
    default upgrade;
    ''      close;
}

server {
    listen %s;

    location / {
        proxy_pass http://tertulia;
        proxy_next_upstream error timeout http_503;
        proxy_connect_timeout 2s;
        proxy_http_version 1.1;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $connection_upgrade;
        proxy_set_header Host $http_host;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_set_header X-Forwarded-Proto $scheme;
        proxy_set_header Forwarded "";
    }
}
`

// proxyConfig spreads clients over nodes, whoever they are and wherever they
// were before.
func proxyConfig(listen string, nodes []string) string {
	var servers strings.Builder
	for _, n := range nodes {
		fmt.Fprintf(&servers, "    server %s max_fails=1 fail_timeout=2s;\n", n)
	}
	return fmt.Sprintf(nginxConfig, servers.String(), listen)
}

// behindProxy has a node serve whoever comes through the proxy, which is one
// address for all of them.
var behindProxy = []string{
	"TERTULIA_TRUSTED_PROXIES=127.0.0.1",
	"TERTULIA_AUTH_ALLOW_OPEN_ON_ANY_ADDRESS=true",
	"TERTULIA_LIMITS_CONNECTIONS_PER_USER=0",
	"TERTULIA_LIMITS_CONNECTIONS_PER_ADDRESS=0",
	"TERTULIA_LIMITS_HANDSHAKES=0",
	"TERTULIA_LIMITS_COMMANDS=0",
	"TERTULIA_LIMITS_POSTS=0",
	"TERTULIA_LIMITS_ROOM_POSTS=0",
	"TERTULIA_LIMITS_ROOMS_MADE=0",
	"TERTULIA_LIMITS_REQUESTS=0",
	"TERTULIA_LIMITS_ANONYMOUS_REQUESTS=0",
}
