package services

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// Program is any other server: a node of ours, or the nginx before it.
type Program struct{ Process }

// StartProgram starts a server that listens on addr and is ready when path
// answers with less than 500 to a GET. command makes the process anew at each
// start.
func StartProgram(ctx context.Context, addr, path string, command func() *exec.Cmd) (*Program, error) {
	asking := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 2 * time.Second}
	p := &Program{Process{
		Addr:    addr,
		command: command,
		ready: func(ctx context.Context) error {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+path, nil)
			if err != nil {
				return err
			}
			resp, err := asking.Do(req)
			if err != nil {
				return err
			}
			resp.Body.Close()
			if resp.StatusCode >= http.StatusInternalServerError {
				return fmt.Errorf("GET %s: %s", path, resp.Status)
			}
			return nil
		},
	}}
	return p, p.start(ctx)
}

// Close ends the server in an orderly way, and kills it if it takes too long.
func (p *Program) Close() { p.end(syscall.SIGTERM) }

// nginxConfig is what nginx needs to run in a folder of its own, around what
// stands in http. Everything else is as nginx comes.
const nginxConfig = `daemon off;
master_process off;
pid %[1]s/pid;
error_log %[1]s/error.log;
events {}
http {
	access_log off;
	client_body_temp_path %[1]s/body;
	proxy_temp_path %[1]s/proxy;
	fastcgi_temp_path %[1]s/fastcgi;
	uwsgi_temp_path %[1]s/uwsgi;
	scgi_temp_path %[1]s/scgi;
%[2]s
}
`

// StartNginx starts an nginx that works in dir, which is made if missing. http
// is what stands in its http block, and has it listen on addr; it is ready
// when it answers to path.
func StartNginx(ctx context.Context, dir, addr, path, http string) (*Program, error) {
	program, err := exec.LookPath("nginx")
	if err != nil {
		if program, err = exec.LookPath("/usr/sbin/nginx"); err != nil { // which is not in everybody's path
			return nil, missing("nginx", "nginx-light")
		}
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(config, fmt.Appendf(nil, nginxConfig, dir, http), 0o600); err != nil {
		return nil, err
	}
	return StartProgram(ctx, addr, path, func() *exec.Cmd {
		return exec.Command(program, "-p", dir, "-c", config, "-e", filepath.Join(dir, "error.log"))
	})
}
