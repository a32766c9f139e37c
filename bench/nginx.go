package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// nginxConfig passes everything through, neither buffering nor looking at it, over connections that stay open: as little as a
// proxy can do. Buffers are as large as a chunk of cofre's.
const nginxConfig = `%s
daemon off;
pid %[2]s/nginx.pid;
error_log %[2]s/nginx.err warn;
worker_processes auto;
events { worker_connections 4096; }
http {
    access_log off;
    server_tokens off;
    tcp_nodelay on;
    keepalive_requests 1000000000;
    client_max_body_size 0;
    client_body_temp_path %[2]s/nginx-body;
    proxy_temp_path %[2]s/nginx-proxy;
    fastcgi_temp_path %[2]s/nginx-fastcgi;
    uwsgi_temp_path %[2]s/nginx-uwsgi;
    scgi_temp_path %[2]s/nginx-scgi;
    upstream storage {
        server %[3]s;
        keepalive 256;
        keepalive_requests 1000000000;
    }
    server {
        listen %[4]s;
        location / {
            proxy_pass http://storage;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_buffering off;
            proxy_request_buffering off;
            proxy_buffer_size 64k;
            proxy_buffers 8 64k;
            client_body_buffer_size 64k;
        }
    }
}
`

func startNginx(ctx context.Context, dir, name, backend string) (*process, string, error) {
	program, err := exec.LookPath("nginx")
	if err != nil {
		return nil, "", err
	}
	user := ""
	if os.Geteuid() == 0 {
		user = "user root;" // else its workers are another user, whom dir is closed to
	}
	prefix := filepath.Join(dir, name)
	if err := os.MkdirAll(prefix, 0o700); err != nil {
		return nil, "", err
	}
	config := filepath.Join(prefix, "nginx.conf")
	return startProxy(ctx, dir, name, func(address string) (*exec.Cmd, error) {
		return exec.Command(program, "-p", prefix, "-e", filepath.Join(prefix, "nginx.err"), "-c", config),
			os.WriteFile(config, fmt.Appendf(nil, nginxConfig, user, prefix, backend, address), 0o600)
	})
}

// startProxy starts a proxy at an address that is free, and waits until it listens there.
func startProxy(ctx context.Context, dir, name string, command func(address string) (*exec.Cmd, error)) (*process, string, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, "", err
	}
	c, err := command(address)
	if err != nil {
		return nil, "", err
	}
	p, err := start(dir, name, c)
	if err != nil {
		return nil, "", err
	}
	if err := p.ready(ctx, 10*time.Second, 20*time.Millisecond, func() bool { return listens(address) }); err != nil {
		p.stop()
		return nil, "", err
	}
	return p, address, nil
}
