package postgres_test

import (
	"context"
	"crypto/rand"
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"cofre/metadata/postgres"
	"cofre/metadata/storetest"
)

// server is the PostgreSQL to test against: COFRE_TEST_POSTGRES is the URL of a role that may create databases.
type server struct {
	testing.TB
	url string
}

func newServer(tb testing.TB) server {
	tb.Helper()
	return server{TB: tb, url: storetest.Server(tb, "postgres", "COFRE_TEST_POSTGRES")}
}

// database makes an empty database that ends with the test, and gives its URL.
func (s server) database(tb testing.TB) string {
	tb.Helper()
	name := "cofre_" + strings.ToLower(rand.Text())
	exec(tb, s.url, "CREATE DATABASE "+name)
	tb.Cleanup(func() {
		// Not WITH (FORCE): that stumbles over an autovacuum worker, which a plain DROP waits for.
		exec(tb, s.url, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND usename = current_user`, name)
		exec(tb, s.url, "DROP DATABASE "+name)
	})
	u, err := url.Parse(s.url)
	if err != nil {
		tb.Fatal("COFRE_TEST_POSTGRES is no URL") // the error would show the password
	}
	u.Path = "/" + name
	return u.String()
}

// open opens a store that is closed with the test.
func (s server) open(tb testing.TB, url string) *postgres.Store {
	tb.Helper()
	store, err := postgres.Open(context.Background(), url, postgres.Config{})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { store.Close() })
	return store
}

// exec runs one statement on a connection of its own.
func exec(tb testing.TB, url, statement string, args ...any) {
	tb.Helper()
	conn := connect(tb, url)
	defer conn.Close(context.Background())
	if _, err := conn.Exec(context.Background(), statement, args...); err != nil {
		tb.Fatalf("%s: %v", statement, err)
	}
}

func connect(tb testing.TB, url string) *pgx.Conn {
	tb.Helper()
	conn, err := pgx.Connect(context.Background(), url)
	if err != nil {
		tb.Fatalf("connect: %v", err)
	}
	return conn
}
