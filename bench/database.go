package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
)

// server is the PostgreSQL in which the bench makes its databases.
type server struct {
	url        string
	postmaster int
	made       []string
}

// openServer finds out which process it is, whose children do the work. It must run on this machine.
func openServer(ctx context.Context, address string) (*server, error) {
	s := &server{url: address}
	var dir string
	if err := query(ctx, address, `SHOW data_directory`, &dir); err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(dir, "postmaster.pid"))
	if err != nil {
		return nil, fmt.Errorf("whose CPU PostgreSQL takes: %w", err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	s.postmaster, err = strconv.Atoi(strings.TrimSpace(line))
	return s, err
}

// query reads one row; execute wants none.
func query(ctx context.Context, address, statement string, to ...any) error {
	return connected(ctx, address, func(conn *pgx.Conn) error { return conn.QueryRow(ctx, statement).Scan(to...) })
}

func execute(ctx context.Context, address, statement string) error {
	return connected(ctx, address, func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, statement)
		return err
	})
}

func connected(ctx context.Context, address string, do func(*pgx.Conn) error) error {
	conn, err := pgx.Connect(ctx, address)
	if err != nil {
		return err
	}
	return errors.Join(do(conn), conn.Close(context.WithoutCancel(ctx)))
}

// create makes an empty database and gives its URL.
func (s *server) create(ctx context.Context) (string, error) {
	name := benchDatabase + strings.ToLower(rand.Text()[:10])
	if err := execute(ctx, s.url, `CREATE DATABASE `+name); err != nil {
		return "", err
	}
	return s.use(name)
}

// benchDatabase begins the names of the bench's databases.
const benchDatabase = "cofre_bench_"

// use gives the URL of a database that create has made, in this process or another. No other, for it is dropped in the end.
func (s *server) use(name string) (string, error) {
	if !strings.HasPrefix(name, benchDatabase) {
		return "", fmt.Errorf("%q is no database of the bench", name)
	}
	s.made = append(s.made, name)
	u, err := url.Parse(s.url)
	if err != nil {
		return "", err
	}
	u.Path = "/" + name
	return u.String(), nil
}

// drop takes away what create made, and use was told of.
func (s *server) drop(ctx context.Context) {
	for _, name := range s.made {
		if err := execute(ctx, s.url, `DROP DATABASE IF EXISTS `+name+` WITH (FORCE)`); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
		}
	}
}
